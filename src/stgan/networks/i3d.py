"""I3D (Carreira & Zisserman 2017): Inception-v1 inflated to three dimensions. The FVD is defined on its logits.

Layers have the names of the original and of its port to PyTorch ("Conv3d_1a_7x7", "Mixed_3b.b1a"), so weights with
these names load unchanged. Padding is TensorFlow's SAME: as many zeros as ceil(size / stride) outputs need. An odd
zero goes after the data.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.networks.clip_classifier import ClipClassifier
from stgan.networks.configuration import Configuration, Dropout
from stgan.networks.layout import pad_same
from stgan.networks.preprocessing import I3D_FRAMES, Preprocessing

Size = tuple[int, int, int]
Block = tuple[int, int, int, int, int, int]

_POOLINGS: tuple[tuple[Size, Size], ...] = (
    ((1, 3, 3), (1, 2, 2)),
    ((3, 3, 3), (2, 2, 2)),
    ((2, 2, 2), (2, 2, 2)),
)
"""Window and stride of the max pooling before each stage."""


@dataclass(frozen=True)
class I3DConfig(Configuration):
    """The defaults are the published RGB network with the classes of Kinetics-400.

    stem:     channels of the first convolution (7x7x7) and of the next two (1x1x1, 3x3x3).
    stages:   the blocks of the three stages. A block has four branches: a 1x1x1 convolution; 1x1x1 then 3x3x3, twice;
              and a pooling then 1x1x1. The six numbers are the channels of these convolutions. The outputs of the
              branches are concatenated.
    epsilon:  of batch normalization: 1e-3 in the original, 1e-5 in VideoGPT's copy of the port to PyTorch and in those
              made from it, which changes an FVD by some two percent.
    feature_layer: what `features` returns: "logits", which the FVD uses, or "pooled", the 1024 averages before them.
    """

    network: ClassVar[str] = "i3d"
    min_frames: ClassVar[int] = 9
    """With fewer frames, one map is left in time, but the average needs two."""

    num_classes: int = 400
    stem: tuple[int, int, int] = (64, 64, 192)
    stages: tuple[tuple[Block, ...], ...] = (
        ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
        (
            (192, 96, 208, 16, 48, 64),
            (160, 112, 224, 24, 64, 64),
            (128, 128, 256, 24, 64, 64),
            (112, 144, 288, 32, 64, 64),
            (256, 160, 320, 32, 128, 128),
        ),
        ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
    )
    feature_layer: Literal["logits", "pooled"] = "logits"
    dropout: Dropout = 0.5
    preprocessing: Preprocessing = I3D_FRAMES
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        if len(self.stages) != len(_POOLINGS):
            raise ValueError(f"I3D has {len(_POOLINGS)} stages, not {len(self.stages)}")


class Unit3D(nn.Module):
    """A convolution without bias, batch normalization, ReLU."""

    def __init__(self, incoming: int, outgoing: int, kernel: Size = (1, 1, 1), stride: Size = (1, 1, 1)) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(incoming, outgoing, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(outgoing, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(pad_same(x, self.kernel, self.stride))))


class Mixed(nn.Module):
    """An Inception block."""

    def __init__(self, incoming: int, channels: Block) -> None:
        super().__init__()
        first, narrow, wide, narrower, less_wide, pooled = channels
        self.b0 = Unit3D(incoming, first)
        self.b1a = Unit3D(incoming, narrow)
        self.b1b = Unit3D(narrow, wide, (3, 3, 3))
        self.b2a = Unit3D(incoming, narrower)
        self.b2b = Unit3D(narrower, less_wide, (3, 3, 3))
        self.b3b = Unit3D(incoming, pooled)
        self.outgoing = first + wide + less_wide + pooled

    def forward(self, x: Tensor) -> Tensor:
        pooled = _max_pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], 1)


class I3D(ClipClassifier):
    """An evaluator for videos of at least `I3DConfig.min_frames` frames."""

    def __init__(self, config: I3DConfig | None = None) -> None:
        super().__init__()
        self.config = config or I3DConfig()
        c = self.config
        first, second, channels = c.stem
        self.add_module("Conv3d_1a_7x7", Unit3D(3, first, (7, 7, 7), (2, 2, 2)))
        self.add_module("Conv3d_2b_1x1", Unit3D(first, second))
        self.add_module("Conv3d_2c_3x3", Unit3D(second, channels, (3, 3, 3)))
        self.blocks: list[list[str]] = []
        for number, stage in enumerate(c.stages, 3):
            self.blocks.append([f"Mixed_{number}{chr(ord('b') + i)}" for i in range(len(stage))])
            for name, block in zip(self.blocks[-1], stage, strict=True):
                mixed = Mixed(channels, block)
                self.add_module(name, mixed)
                channels = mixed.outgoing
        self.logits = nn.ModuleDict({"conv3d": nn.Conv3d(channels, c.num_classes, 1)})
        self.set_epsilon(c.epsilon)

    def set_epsilon(self, epsilon: float) -> None:
        """Set the epsilon of batch normalization, in `config` too."""
        self.config = replace(self.config, epsilon=epsilon)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eps = epsilon

    def pooled(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch channels"]:
        """The last maps averaged over space and pairs of neighbouring frames, then over time.

        Raises:
            ValueError: fewer frames than `I3DConfig.min_frames`.
        """
        check_frames(videos, self.config.min_frames)
        x = self.get_submodule("Conv3d_1a_7x7")(self.config.preprocessing.video(videos))
        x = _max_pool(x, (1, 3, 3), (1, 2, 2))
        x = self.get_submodule("Conv3d_2c_3x3")(self.get_submodule("Conv3d_2b_1x1")(x))
        for names, (window, stride) in zip(self.blocks, _POOLINGS, strict=True):
            x = _max_pool(x, window, stride)
            for name in names:
                x = self.get_submodule(name)(x)
        return F.avg_pool3d(x, (2, *x.shape[-2:]), 1).mean((2, 3, 4))

    def features(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch hidden"]:
        """The layer that `config.feature_layer` names, from RGB videos in [0, 1]."""
        return self.features_and_log_probabilities(videos)[0]

    def forward(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch classes"]:
        """Logits averaged over time. The layer is linear, so the logits of `pooled` are the same."""
        return self._logits(self.pooled(videos))

    def features_and_log_probabilities(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch classes"]]:
        """`features` and `log_probabilities` in one pass."""
        pooled = self.pooled(videos)
        logits = self._logits(pooled)
        return logits if self.config.feature_layer == "logits" else pooled, F.log_softmax(logits, -1)

    def _logits(self, pooled: Tensor) -> Tensor:
        dropped = F.dropout(pooled, self.config.dropout, self.training)
        return self.logits["conv3d"](dropped[:, :, None, None, None]).flatten(1)


@dataclass(frozen=True)
class ScriptedI3DConfig(Configuration):
    """The configuration of an I3D in TorchScript. Such a network cannot be saved as a checkpoint."""

    network: ClassVar[str] = "i3d_torchscript"
    min_frames: ClassVar[int] = 10
    num_classes: int = 400
    preprocessing: Preprocessing = I3D_FRAMES


class ScriptedI3D(ClipClassifier):
    """An I3D in TorchScript, with the interface of StyleGAN-V's file, which others also use.

    script: called with videos "batch 3 time 224 224" in [-1, 1] and rescale=False, resize=False,
            return_features=True; returns the logits averaged over time, "batch classes".
    """

    def __init__(self, script: Callable[..., Any], config: ScriptedI3DConfig | None = None) -> None:
        super().__init__()
        self.config = config or ScriptedI3DConfig()
        self.script = script

    def features(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch classes"]:
        """The logits, from RGB videos in [0, 1].

        Raises:
            ValueError: fewer frames than `ScriptedI3DConfig.min_frames`, or the script does not return such logits.
        """
        check_frames(videos, self.config.min_frames)
        pixels = self.config.preprocessing.video(videos)
        logits = self.script(pixels, rescale=False, resize=False, return_features=True)
        wanted = (len(videos), self.config.num_classes)
        if not isinstance(logits, Tensor) or not logits.is_floating_point() or logits.shape != wanted:
            raise ValueError(f"it does not return {wanted[1]} logits for each video")
        return logits

    def _logits(self, features: Tensor) -> Tensor:
        return features


def check_frames(videos: Tensor, least: int) -> None:
    """Raise ValueError if videos have fewer than `least` frames."""
    if videos.shape[2] < least:
        raise ValueError(f"I3D takes clips of at least {least} frames, not {videos.shape[2]}")


def _max_pool(x: Tensor, window: Size, stride: Size) -> Tensor:
    """Max pooling of the output of a ReLU, so that padding with zeros does not change a maximum."""
    return F.max_pool3d(pad_same(x, window, stride), window, stride)
