"""Networks of pytorchvideo: what is read from them, and that they steer. The small ones here are put together as its
own are; its own are tested where it is installed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stgan import STGAN
from stgan.errors import StganError
from stgan.networks import VideoClassifier, adapt

NAMES = ("one", "two", "three")
MISSING = "pytorchvideo is not installed: pip install pytorchvideo"


class ResNetBasicHead(nn.Module):
    """Ends in an activation, or in none. It answers for each place, and averages the answers."""

    __module__ = "pytorchvideo.models.head"

    def __init__(self, channels: int, activation: nn.Module | None) -> None:
        super().__init__()
        self.pool, self.dropout = nn.AvgPool3d((2, 4, 4), stride=1), nn.Dropout()
        self.proj, self.activation = nn.Linear(channels, 3), activation

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(self.dropout(self.pool(x)).movedim(1, -1)).movedim(-1, 1)
        if self.activation is not None and not self.training:
            x = self.activation(x)
        return x.mean((2, 3, 4))


class MultiPathWayWithFuse(nn.Module):
    """Takes a list, and puts its results in place of what it was given."""

    __module__ = "pytorchvideo.models.net"

    def __init__(self) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList([nn.Conv3d(3, 6, (1, 3, 3), (1, 8, 8)), nn.Conv3d(3, 2, 3, (4, 8, 8))])

    def forward(self, x: list[Tensor]) -> Tensor:
        assert isinstance(x, list), "input needs to be a list of tensors"
        for place, block in enumerate(self.multipathway_blocks):
            x[place] = torch.tanh(block(x[place]))
        return torch.cat(x, 1)


class Net(nn.Module):
    __module__ = "pytorchvideo.models.net"

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Any) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def like_x3d(activation: nn.Module | None) -> nn.Module:
    layer = nn.Sequential(nn.Conv3d(3, 8, 3, (2, 8, 8)), nn.Tanh(), nn.Conv3d(8, 8, 1), nn.Sigmoid())
    return Net(layer, ResNetBasicHead(8, activation))


def like_slowfast() -> nn.Module:
    return Net(MultiPathWayWithFuse(), ResNetBasicHead(8, None))


def x3d(activation: type[nn.Module] | None = nn.Softmax) -> nn.Module:
    made = pytest.importorskip("pytorchvideo.models.x3d", reason=MISSING).create_x3d(
        input_clip_length=8, input_crop_size=32, model_num_class=3, width_factor=1.0, depth_factor=1.0, stem_dim_in=4,
        head_dim_out=16, head_activation=activation,
    )  # fmt: skip
    return varied(made)


def slowfast() -> nn.Module:
    made = pytest.importorskip("pytorchvideo.models.slowfast", reason=MISSING).create_slowfast(
        model_num_class=3, stem_dim_outs=(8, 1), head_pool_kernel_sizes=((2, 1, 1), (8, 1, 1))
    )
    return varied(made)


def varied(network: nn.Module) -> nn.Module:
    """With a head that tells clips apart, which an untrained one hardly does."""
    nn.init.normal_(network.blocks[-1].proj.weight)  # type: ignore[union-attr, operator, arg-type]
    return network


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    # the network, its layout, and its output
    "like x3d": (lambda: like_x3d(nn.Softmax(1)), "bcthw", "probabilities"),
    "like slowfast": (like_slowfast, "slowfast", "logits"),
    "like charades": (lambda: like_x3d(nn.Sigmoid()), "bcthw", "sigmoid"),
    "like a head without activation": (lambda: like_x3d(None), "bcthw", "logits"),
    "x3d": (x3d, "bcthw", "probabilities"),
    "x3d for charades": (lambda: x3d(nn.Sigmoid), "bcthw", "sigmoid"),
    "slowfast": (slowfast, "slowfast", "logits"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_size_and_frames_are_all_that_has_to_be_stated(name: str, tiny_model: Path) -> None:
    torch.manual_seed(0)
    make, layout, output = NETWORKS[name]
    network = make()
    classifier = adapt(nn.DataParallel(network), NAMES, size=32, frames=8)
    config = classifier.config
    assert classifier.module is network and (config.layout, config.output) == (layout, output)
    videos = torch.rand(2, 3, 8, 32, 32)
    pixels = (videos - 0.45) / 0.225
    with torch.no_grad():
        answered = network([pixels[:, :, [0, 7]], pixels] if layout == "slowfast" else pixels)
        expected = answered.log_softmax(1) if output == "logits" else (answered / answered.sum(1, keepdim=True)).log()
        torch.testing.assert_close(classifier.log_probabilities(videos), expected, atol=1e-4, rtol=0)
    steers(classifier, tiny_model)


def steers(classifier: VideoClassifier, folder: Path) -> None:
    """To the network, a clip of an action is more like it than a clip of another action is."""
    model = STGAN.from_pretrained(folder, "cpu", classifier)
    clips = [model.generate(action, preset="spectral", iterations=12, frames=8) for action in NAMES[:2]]
    assert all(clip.shape == (1, 3, 8, 32, 32) and clip.isfinite().all() for clip in clips)
    with torch.no_grad():
        one, two = (classifier.log_probabilities(clip)[0] for clip in clips)
    assert one[0] > two[0] and two[1] > one[1]


@pytest.mark.parametrize("output", ["logits", "sigmoid"])
def test_a_gray_network_steers(output: Any, tiny_model: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 3, 3, 2), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    if output == "sigmoid":
        network.append(nn.Sigmoid())
    settings: dict[str, Any] = {"size": 32, "frames": 8, "mean": 0.45, "std": 0.225}
    steers(adapt(network, NAMES, channels="gray", output=output, **settings), tiny_model)


@pytest.mark.parametrize(
    ("make", "changes", "message"),
    [
        (
            like_slowfast,
            {"layout": "bcthw"},
            r"as bcthw \(input needs to be a list .*; set frames, size, .* and layout",
        ),
        (like_slowfast, {"size": 8}, "cannot process clips of 1x3x8x8x8 as slowfast .*; set frames, size"),
        (lambda: like_x3d(nn.Softmax(1)), {"output": "logits"}, "are probabilities; set output='probabilities'"),
        (lambda: like_x3d(nn.Sigmoid()), {"output": "logits"}, "are those of a sigmoid; set output='sigmoid'"),
        (lambda: varied(like_x3d(None)), {"output": "sigmoid"}, r"are not in \[0, 1\]; set output='logits'"),
        (lambda: nn.DataParallel(like_x3d(None)), {"actions": NAMES[:2]}, "returns 3 numbers .* but has 2 class names"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    unchecked: None, make: Callable[[], nn.Module], changes: dict[str, Any], message: str
) -> None:
    torch.manual_seed(0)
    with pytest.raises(StganError, match=message) as caught:
        adapt(make(), **{"actions": NAMES, "size": 32, "frames": 8, **changes})
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_what_it_does_not_hold_is_asked_for() -> None:
    with pytest.raises(StganError, match="size, frames of a Net are unknown; set them"):
        adapt(nn.DataParallel(like_x3d(None)), NAMES)
    with pytest.raises(StganError, match="the class names of a Net are unknown; name them"):
        adapt(like_slowfast(), size=32, frames=8).check_steering()
