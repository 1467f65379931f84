"""Any video classifier as a condition network or an evaluator: how to call it, and how to read its output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import get_ident
from typing import Any, ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stgan.errors import StganError, is_out_of_memory
from stgan.names import is_file_name
from stgan.networks.clip_classifier import ClipClassifier
from stgan.networks.configuration import Configuration
from stgan.networks.preprocessing import Fit, Preprocessing

Layout = Literal["bcthw", "btchw", "slowfast"]
Output = Literal["logits", "probabilities", "sigmoid"]
Channels = Literal["rgb", "bgr", "gray"]

_SLOWER = 4  # alpha of SlowFast (Feichtenhofer et al. 2019): frames of the fast pathway for each frame of the slow one
_TRIAL_FRAMES, _TRIAL_SIZE = 16, 64  # for networks that take any number of frames and any size
_LONGEST_REASON = 200  # characters of an error's text
_TOLERANCE = 1e-2  # of a sum of probabilities, in half precision
_GRAY = (0.299, 0.587, 0.114)  # parts of red, green and blue in luma (ITU-R BT.601, as in OpenCV, Pillow, torchvision)
# Operations that keep a sigmoid's values in [0, 1], by the beginning of their names in autograd.
_SELECTING = ("Clone", "Mean", "Permute", "Reshape", "Select", "Slice", "Squeeze", "ToCopy", "Unsqueeze", "View")


@dataclass(frozen=True)
class VideoClassifierConfig(Configuration):
    """The input and output of a network of another library. Its layers are not described.

    source: the network's class, such as "torchvision.models.video.resnet.VideoResNet".
    The other fields are the arguments of `VideoClassifier`.
    """

    network: ClassVar[str] = "video_classifier"
    source: str
    num_classes: int
    frames: int | None
    layout: Layout
    output: Output
    preprocessing: Preprocessing
    gray: bool = False
    feature_layer: str = ""


class VideoClassifier(ClipClassifier):
    """A condition network or an evaluator around a classifier of any library.

    >>> classifier = VideoClassifier(network, ["walk", "run"], size=112, frames=16, mean=0.45, std=0.225)
    >>> STGAN.from_pretrained("weizmann", condition=classifier).generate("run")

    Attributes: `module`, the network itself; `actions`, its class names; `config`.
    """

    def __init__(
        self,
        module: nn.Module,
        actions: Sequence[str] = (),
        *,
        size: int | None,
        frames: int | None,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        scale: float = 1.0,
        channels: Channels = "rgb",
        fit: Fit = "resize",
        layout: Layout = "bcthw",
        output: Output = "logits",
        feature_layer: str = "",
    ) -> None:
        """Put the network in eval mode, freeze its parameters, and run it on one clip and on two as a test.

        Args:
            module: called with pixels in the given `layout`. It returns a tensor "batch classes", or an object with
                this tensor as `.logits`, as `["logits"]` or as the first element of a tuple.
            actions: class names in the order of the outputs. Each must be a valid folder name. Without any, the outputs
                are features, on which distances are computed, and the network cannot steer.
            size: side of its square input frames in pixels. None: frames keep their size.
            frames: number of frames that it takes. Longer clips are split into windows. None: any number.
            mean, std, scale, channels, fit: see `Preprocessing`. A single number applies to all three channels. Its
                input is `(scale * x - mean) / std` for x in [0, 1]. With the channels "gray" the network takes one
                channel, the luma of the frame (ITU-R BT.601), and `mean` and `std` are one number each.
            layout: "bcthw" (torchvision, pytorchvideo), "btchw" (transformers), or "slowfast": a list of two
                pathways, where the slow one has every fourth frame.
            output: "logits" (also for log probabilities), "probabilities" that sum to one, or "sigmoid": a probability
                for each class alone. These are divided by their sum, so that `log_probabilities` is the logarithm of
                p / sum(p): the most probable class stays, and guidance raises the class above the others.
            feature_layer: a layer of the network. Its input are the features on which distances are computed; by
                default, they are the logits.

        Raises:
            StganError: a setting is invalid, the network cannot process such a clip, or its output is not one
                finite number for each class.
        """
        super().__init__()
        if not isinstance(module, nn.Module):
            raise StganError(f"a classifier is a torch.nn.Module, not a {type(module).__name__}")
        if isinstance(actions, str) or not all(isinstance(name, str) and is_file_name(name) for name in actions):
            raise StganError("actions are the classifier's class names, each a word or words that can name a folder")
        if len(actions) == 1 or len(set(actions)) < len(actions):
            raise StganError("a classifier has at least two actions, each named once")
        if (size is not None and size < 1) or (frames is not None and frames < 1):
            raise StganError(f"size and frames of a classifier are at least 1, not {size} and {frames}")
        for name, value, known in (
            ("layout", layout, get_args(Layout)),
            ("output", output, get_args(Output)),
            ("channels", channels, get_args(Channels)),
        ):
            if value not in known:
                raise StganError(f"the {name} of a classifier is one of {', '.join(known)}, not {value!r}")
        gray = channels == "gray"
        try:
            # Luma is linear and its shares sum to one, so it can be taken after normalization.
            mean, std = (_one(mean), _one(std)) if gray else (mean, std)
            order: Any = "rgb" if gray else channels
            pixels = Preprocessing(size, fit, order, scale, _three(mean), _three(std))  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise StganError(f"the preprocessing of a classifier is wrong: {_short(error)}") from error
        try:
            module.eval()
        except NotImplementedError:  # a program of torch.export keeps its mode; what is beside it does not
            for each in module.modules():
                each.training = False
        self.module = module
        for parameter in module.parameters():  # TorchScript has no requires_grad_ of its own
            # A copy of TorchScript has parameters that are computed from those of the original.
            (parameter if parameter.is_leaf else parameter.detach_()).requires_grad_(False)
        self.actions = tuple(actions)
        kind = type(module)
        self.config = VideoClassifierConfig(
            f"{kind.__module__}.{kind.__qualname__}", len(actions), frames, layout, output, pixels, gray, feature_layer
        )
        self._try_out()

    def train(self, mode: bool = True) -> "VideoClassifier":
        """Set the mode of this module alone. Its network stays in eval mode."""
        self.training = mode
        return self

    def features(self, videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "batch classes"]:
        """Logits of RGB videos in [0, 1], on which distances are computed, as the FVD does with I3D's logits.

        A network that returns probabilities has their logarithms as logits, also one with a sigmoid for each class.

        Raises:
            StganError: the number of frames is wrong, or the network does not return one number for each class.
        """
        if self.config.frames not in (None, videos.shape[2]):
            raise StganError(f"{self._kind} takes clips of {self.config.frames} frames, not {videos.shape[2]}")
        output = self._output(videos).to(videos.dtype)
        return output if self.config.output == "logits" else output.clamp_min(torch.finfo(output.dtype).tiny).log()

    def features_and_log_probabilities(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch classes"]]:
        """Features, of the layer that `feature_layer` names, and log probabilities in one pass."""
        if not self.config.feature_layer:
            return super().features_and_log_probabilities(videos)
        seen: list[Tensor] = []
        thread = get_ident()  # others may run the same network at the same time

        def see(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if get_ident() == thread:
                seen.extend(inputs[:1])

        missing = f"{self._kind} has no layer {self.config.feature_layer!r} that it calls with a tensor"
        try:
            hook = self.module.get_submodule(self.config.feature_layer).register_forward_pre_hook(see)
        except (AttributeError, RuntimeError) as error:  # RuntimeError: TorchScript takes no hooks
            raise StganError(missing) from error
        try:
            _, log_probabilities = super().features_and_log_probabilities(videos)
        finally:
            hook.remove()
        if not seen or not isinstance(seen[0], Tensor):
            raise StganError(missing)
        return seen[0].flatten(1).to(videos.dtype), log_probabilities

    def _logits(self, features: Tensor) -> Tensor:
        return features

    @property
    def _kind(self) -> str:
        return type(self.module).__name__

    def _output(self, videos: Tensor) -> Tensor:
        """The network's output: a number for each clip and class."""
        like = next((each for each in self.module.parameters() if each.is_floating_point()), videos)
        try:
            pixels = self.config.preprocessing.video(videos)
            if self.config.gray:
                pixels = (pixels * pixels.new_tensor(_GRAY).view(1, 3, 1, 1, 1)).sum(1, keepdim=True)
            with torch.autocast(videos.device.type, enabled=False):  # the network keeps its own precision
                returned = self.module(_arranged(pixels.to(like.dtype), self.config.layout))
            output = _logits_in(returned)
        except Exception as error:  # an unknown network may raise anything
            if is_out_of_memory(error):
                raise
            shape = "x".join(map(str, videos.shape))
            raise StganError(
                f"{self._kind} cannot process clips of {shape} as {self.config.layout} ({_short(error)}); "
                "set frames, size, fit, channels and layout to those that it was trained with"
            ) from error
        wanted = (len(videos), self.config.num_classes)
        if output is None or output.ndim != 2 or len(output) != len(videos):
            found = _in_words(returned) if output is None else f"a tensor of {'x'.join(map(str, output.shape))}"
            raise StganError(
                f"{self._kind} returns {found} instead of logits of {wanted[0]}x{wanted[1] or 'n'}; "
                "put it into a module whose forward returns these alone"
            )
        if self.actions and output.shape != wanted:
            raise StganError(
                f"{self._kind} returns {output.shape[1]} numbers for a clip, but has {wanted[1]} class names; "
                f"name its {output.shape[1]} classes: actions=[...]"
            )
        return output

    def check_steering(self) -> None:
        """Raise StganError unless its classes are named and a gradient reaches the video from its output."""
        if not self.actions:
            raise StganError(f"the class names of a {self._kind} are unknown; name them: actions=[...]")
        videos = self._trial()
        with torch.enable_grad():
            output = self._output(videos)
            gradient = None
            try:
                if output.requires_grad:
                    (gradient,) = torch.autograd.grad(output[:, 0].sum(), videos, allow_unused=True)
            except RuntimeError as error:  # for example a value that was changed in place
                if is_out_of_memory(error):
                    raise
                raise StganError(f"{self._kind} has no gradient ({_short(error)}), so it cannot steer") from error
        if gradient is None or not gradient.any():
            raise StganError(
                f"no gradient reaches the video from the output of {self._kind}, so it cannot steer; "
                "remove no_grad, detach and rounding from its forward"
            )
        if not gradient.isfinite().all():
            raise StganError(f"the gradient of {self._kind} is not finite; check its weights")

    def _trial(self) -> Tensor:
        """A clip of noise that it takes, which requires a gradient."""
        c = self.config
        frames, size = c.frames or _TRIAL_FRAMES, c.preprocessing.size or _TRIAL_SIZE
        generator = torch.Generator().manual_seed(0)
        videos = torch.rand(1, 3, frames, size, size, generator=generator)
        device = next((each.device for each in self.module.parameters()), videos.device)
        return videos.to(device).requires_grad_(True)

    def _try_out(self) -> None:
        """Run it on one clip and on two. Raise StganError if its output is wrong."""
        videos = self._trial()
        with torch.enable_grad():  # by which a sigmoid is recognised
            output = self._output(videos)
        if not output.isfinite().all():
            raise StganError(f"{self._kind} returns numbers that are not finite; check its weights")
        if not self.actions:
            self.config = replace(self.config, num_classes=output.shape[1])
        elif wrong := _wrong_output(output, self.config.output):
            raise StganError(f"the outputs of {self._kind} {wrong}")
        try:
            with torch.no_grad():
                self._output(videos.repeat(2, 1, 1, 1, 1))
        except StganError as error:
            raise StganError(
                f"{self._kind} takes one clip, but not two; export or trace it with a batch of any size"
            ) from error
        if self.config.feature_layer:
            with torch.no_grad():
                self.features_and_log_probabilities(videos)


def _wrong_output(output: Tensor, stated: Output) -> str:
    """What is wrong with the stated kind of an output, and what to state instead; empty if nothing is."""
    are_shares = bool(((output >= 0) & (output <= 1 + _TOLERANCE)).all())
    sum_to_one = are_shares and abs(float(output.detach().sum()) - 1) < _TOLERANCE
    if stated == "sigmoid":
        return "" if are_shares else "are not in [0, 1]; set output='logits'"
    if stated == "probabilities":
        instead = "'sigmoid', for a probability of each class alone, or 'logits'" if are_shares else "'logits'"
        return "" if sum_to_one else f"are not probabilities that sum to one; set output={instead}"
    if sum_to_one:
        return "are probabilities; set output='probabilities'"
    return "are those of a sigmoid; set output='sigmoid'" if _ends_in_sigmoid(output) else ""


def _ends_in_sigmoid(output: Tensor) -> bool:
    """Whether a sigmoid made the values of a tensor, perhaps averaged over views or windows."""
    node = output.grad_fn
    while node is not None and node.name().startswith(_SELECTING):
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith("Sigmoid")


def _one(value: float | Sequence[float]) -> float:
    """The number of the only channel. ValueError if there are more."""
    numbers = [value] if isinstance(value, int | float) else list(value)
    if len(numbers) != 1:
        raise ValueError("mean and std of a gray network are one number each")
    return float(numbers[0])


def _three(values: float | Sequence[float]) -> tuple[float, ...]:
    """One number for each channel."""
    return (float(values),) * 3 if isinstance(values, int | float) else tuple(float(value) for value in values)


def _arranged(pixels: Tensor, layout: Layout) -> Tensor | list[Tensor]:
    """Pixels "batch 3 time height width" in the layout that the network takes."""
    if layout == "btchw":
        return pixels.transpose(1, 2).contiguous()
    if layout == "slowfast":
        time = pixels.shape[2]
        slow = torch.linspace(0, time - 1, max(1, time // _SLOWER)).long().to(pixels.device)
        return [pixels.index_select(2, slow), pixels.contiguous()]
    return pixels.contiguous()


def _logits_in(output: Any) -> Tensor | None:
    """The logits in a network's output; None if there are none."""
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif isinstance(output, tuple | list):
        output = output[0] if output else None
    else:
        output = getattr(output, "logits", output)
    return output if isinstance(output, Tensor) and output.is_floating_point() else None


def _in_words(returned: Any) -> str:
    """What a network returned that holds no logits."""
    if isinstance(returned, Mapping):
        return f"a dictionary of {', '.join(map(repr, returned))[:_LONGEST_REASON]} without 'logits'"
    if isinstance(returned, Tensor):
        return f"a tensor of {returned.dtype}"
    return f"a {type(returned).__name__} without logits"


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."
