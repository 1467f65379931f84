"""Any classifier of videos as a condition network or an evaluator: what it is shown, and where its answer is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.errors import StganError
from stgan.names import is_file_name
from stgan.networks.configuration import Configuration
from stgan.networks.preprocessing import Fit, Preprocessing

Layout = Literal["bcthw", "btchw", "slowfast"]
Output = Literal["logits", "probabilities"]

_SLOWER = 4  # alpha of SlowFast (Feichtenhofer et al. 2019): so many frames of the fast pathway for one of the slow
_TRIAL_FRAMES, _TRIAL_SIZE = 16, 64  # of networks that take any number and any size
_LONGEST_REASON = 200  # characters of an error's text
_TOLERANCE = 1e-2  # of a sum of probabilities, in half precision


@dataclass(frozen=True)
class VideoClassifierConfig(Configuration):
    """What a network of another library is shown, and what it answers; its layers are its own affair.

    source: its class, by which it is recognised beside its weights: "torchvision.models.video.resnet.VideoResNet".
    The others are as `VideoClassifier` takes them.
    """

    network: ClassVar[str] = "video_classifier"
    source: str
    num_classes: int
    frames: int | None
    layout: Layout
    output: Output
    preprocessing: Preprocessing


class VideoClassifier(nn.Module):
    """A condition network or an evaluator around a classifier of any library.

    >>> classifier = VideoClassifier(network, ["walk", "run"], size=112, frames=16, mean=0.45, std=0.225)
    >>> STGAN.from_pretrained("weizmann", condition=classifier).generate("run")

    Attributes: `module`, the network itself; `actions`, its class names; `config`.
    """

    def __init__(
        self,
        module: nn.Module,
        actions: Sequence[str],
        *,
        size: int | None,
        frames: int | None,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        scale: float = 1.0,
        channels: Literal["rgb", "bgr"] = "rgb",
        fit: Fit = "resize",
        layout: Layout = "bcthw",
        output: Output = "logits",
    ) -> None:
        """The network is put in eval mode, its parameters are frozen, and it is tried out once.

        Args:
            module: called with what `layout` says; it gives a tensor "batch classes", or one as `.logits`, as
                `["logits"]` or first in a tuple.
            actions: class names in the order of the outputs; each can name a folder.
            size: side of the square frames it takes, in pixels; None leaves them as they are.
            frames: that it takes; of longer clips it is shown windows. None: any number.
            mean, std, scale, channels, fit: see `Preprocessing`; a single number is for all three channels. Pixels
                come to `(scale * x - mean) / std` of x in [0, 1].
            layout: "bcthw" (torchvision, pytorchvideo), "btchw" (transformers), or "slowfast": a list of two
                pathways, of which the slow one has every fourth frame.
            output: "logits", which log probabilities are too, or "probabilities".

        Raises:
            StganError: a setting is none, the network cannot be shown such a clip, or what it answers is not one
                finite number for each class through which a gradient reaches the video.
        """
        super().__init__()
        if not isinstance(module, nn.Module):
            raise StganError(f"a classifier is a torch.nn.Module, not a {type(module).__name__}")
        if isinstance(actions, str) or not all(isinstance(name, str) and is_file_name(name) for name in actions):
            raise StganError("actions are the classifier's class names, each a word or words that can name a folder")
        if len(actions) < 2 or len(set(actions)) < len(actions):
            raise StganError("a classifier has at least two actions, each named once")
        if (size is not None and size < 1) or (frames is not None and frames < 1):
            raise StganError(f"size and frames of a classifier are at least 1, not {size} and {frames}")
        for name, value, known in (("layout", layout, get_args(Layout)), ("output", output, get_args(Output))):
            if value not in known:
                raise StganError(f"the {name} of a classifier is one of {', '.join(known)}, not {value!r}")
        try:
            pixels = Preprocessing(size, fit, channels, scale, _three(mean), _three(std))  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise StganError(f"what a classifier wants of its pixels is wrong: {_short(error)}") from error
        self.module = module.eval().requires_grad_(False)
        self.actions = tuple(actions)
        kind = type(module)
        self.config = VideoClassifierConfig(
            f"{kind.__module__}.{kind.__qualname__}", len(actions), frames, layout, output, pixels
        )
        self._try_out()

    def forward(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch classes"]:
        """Logits of RGB videos in [0, 1]; log probabilities, which are logits too, where the network gives these.

        Raises:
            StganError: another number of frames than the network takes, or it gives no number for each class.
        """
        if self.config.frames not in (None, videos.shape[2]):
            raise StganError(f"{self._kind} takes clips of {self.config.frames} frames, not {videos.shape[2]}")
        output = self._output(videos).to(videos.dtype)
        return output if self.config.output == "logits" else output.clamp_min(torch.finfo(output.dtype).tiny).log()

    def features_and_log_probabilities(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes"]]:
        """The logits, on which distances are taken as the FVD takes them on I3D's, and `log_probabilities`."""
        logits = self(videos)
        return logits, F.log_softmax(logits, -1)

    def log_probabilities(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch classes"]:
        """log softmax of the clip."""
        return self.features_and_log_probabilities(videos)[1]

    @property
    def _kind(self) -> str:
        return type(self.module).__name__

    def _output(self, videos: Tensor) -> Tensor:
        """What the network gives, a number for each clip and class."""
        like = next((each for each in self.module.parameters() if each.is_floating_point()), videos)
        try:
            pixels = self.config.preprocessing.video(videos).to(like.dtype)
            with torch.autocast(videos.device.type, enabled=False):  # it computes in its own numbers
                output = _answer(self.module(_arranged(pixels, self.config.layout)))
        except Exception as error:  # whatever a network of somebody else raises
            shape = "x".join(map(str, videos.shape))
            raise StganError(
                f"{self._kind} cannot be shown clips of {shape} as {self.config.layout} ({_short(error)}); "
                "set frames, size, fit and layout as it was trained"
            ) from error
        wanted = (len(videos), self.config.num_classes)
        if output is None or output.ndim != 2 or len(output) != len(videos):
            found = "no tensor" if output is None else f"a tensor of {'x'.join(map(str, output.shape))}"
            raise StganError(f"{self._kind} answers with {found} where logits of {wanted[0]}x{wanted[1]} are expected")
        if output.shape != wanted:
            raise StganError(
                f"{self._kind} answers with {output.shape[1]} numbers for a clip, but has {wanted[1]} class names; "
                f"name its {output.shape[1]} classes: actions=[...]"
            )
        return output

    def _try_out(self) -> None:
        """Run it on one clip, forth and back; StganError if it cannot steer."""
        c = self.config
        frames, size = c.frames or _TRIAL_FRAMES, c.preprocessing.size or _TRIAL_SIZE
        generator = torch.Generator().manual_seed(0)
        videos = torch.rand(1, 3, frames, size, size, generator=generator)
        device = next((each.device for each in self.module.parameters()), videos.device)
        videos = videos.to(device).requires_grad_(True)
        with torch.enable_grad():
            output = self._output(videos)
            try:
                gradient = _gradient(output, videos)
            except RuntimeError as error:  # of what was overwritten on the way, among others
                raise StganError(f"{self._kind} has no gradient ({_short(error)}), so that it cannot steer") from error
        if not output.isfinite().all():
            raise StganError(f"{self._kind} answers with numbers that are not finite; look at its weights")
        if gradient is None or not gradient.any():
            raise StganError(
                f"no gradient reaches the video from what {self._kind} answers, so that it cannot steer; "
                "take no_grad, detach and rounding out of its forward"
            )
        if not gradient.isfinite().all():
            raise StganError(f"the gradient of what {self._kind} answers is not finite; look at its weights")
        sums_to_one = bool((output >= 0).all()) and abs(float(output.detach().sum()) - 1) < _TOLERANCE
        if sums_to_one != (c.output == "probabilities"):
            are, named = ("probabilities", "probabilities") if sums_to_one else ("no probabilities", "logits")
            raise StganError(f"what {self._kind} answers are {are}; say so: output={named!r}")


def _three(values: float | Sequence[float]) -> tuple[float, ...]:
    """A number for each channel."""
    return (float(values),) * 3 if isinstance(values, int | float) else tuple(float(value) for value in values)


def _arranged(pixels: Tensor, layout: Layout) -> Tensor | list[Tensor]:
    """From "batch 3 time height width" to what a network is called with."""
    if layout == "btchw":
        return pixels.transpose(1, 2).contiguous()
    if layout == "slowfast":
        time = pixels.shape[2]
        slow = torch.linspace(0, time - 1, max(1, time // _SLOWER)).long().to(pixels.device)
        return [pixels.index_select(2, slow), pixels.contiguous()]
    return pixels.contiguous()


def _answer(output: Any) -> Tensor | None:
    """The logits in what a network gives; None if there are none."""
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif isinstance(output, tuple | list):
        output = output[0] if output else None
    else:
        output = getattr(output, "logits", output)
    return output if isinstance(output, Tensor) and output.is_floating_point() else None


def _gradient(output: Tensor, videos: Tensor) -> Tensor | None:
    """Of the first class, with respect to the video; None if there is no way back."""
    if not output.requires_grad:
        return None
    return torch.autograd.grad(output[:, 0].sum(), videos, allow_unused=True)[0]


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."
