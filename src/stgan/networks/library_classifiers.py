"""Classifiers of well-known libraries: what they say of themselves of the clips that they were trained on.

None of these libraries is imported here: a network of theirs has brought its own along.
"""

import sys
from collections.abc import Sequence
from typing import Any

from torch import nn

from stgan.errors import StganError
from stgan.networks.adapter import VideoClassifier

FRAMES = 16
"""Shown to torchvision's networks, which do not say how many they were trained on; most take any number."""

_PIXELS: dict[str, tuple[Any, Any]] = {
    "videomae": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "timesformer": (0.45, 0.225),
    "vivit": (0.5, 0.5),
}
"""Mean and std of the published checkpoints of transformers, by model type: a network does not hold them itself."""

_NEEDED = ("size", "frames", "mean", "std")


def adapt(
    module: nn.Module, actions: Sequence[str] | None = None, *, processor: Any = None, **settings: Any
) -> VideoClassifier:
    """A `VideoClassifier` around a network, with the settings of its library.

    Known are torchvision.models.video (size, mean, std and, with 400 outputs, the classes of Kinetics) and the
    classifiers of videos in transformers (frames, size and the classes of their config). Frames are shown whole: their
    short side becomes the network's size, without a border to crop.

    Args:
        actions: class names in the order of the outputs; needed where the network does not name them.
        processor: of a network from transformers, its image or video processor, which knows mean and std; default:
            those of the published VideoMAE, TimeSformer and ViViT.
        settings: of `VideoClassifier`; they have precedence. A network of no known library needs `size`, `frames`,
            `mean` and `std`.

    Raises:
        StganError: a setting is missing or unknown, or the network cannot steer (see `VideoClassifier`).
    """
    if isinstance(module, VideoClassifier):
        if actions is not None or processor is not None or settings:
            raise StganError("this network is a VideoClassifier already; give the network inside with new settings")
        return module
    known = {**_of_torchvision(module), **_of_transformers(module), **_of_processor(processor), **settings}
    kind, names = type(module).__name__, known.pop("actions", None)
    if missing := [name for name in _NEEDED if name not in known]:
        raise StganError(
            f"nothing says which {', '.join(missing)} a {kind} wants; say so: "
            "adapt(network, actions, size=112, frames=16, mean=0.45, std=0.225)"
        )
    if actions is None and names is None:
        raise StganError(f"nothing says what the classes of a {kind} are called; name them: actions=[...]")
    if unknown := sorted(set(known) - set(VideoClassifier.__init__.__annotations__)):
        raise StganError(f"a VideoClassifier has no setting {unknown[0]!r}")
    return VideoClassifier(module, names if actions is None else actions, **known)


def _library(module: nn.Module, name: str) -> str | None:
    """The file of a library, as a module's name, in which the network's class, or one it inherits from, is written."""
    files = (kind.__module__ for kind in type(module).__mro__)
    return next((file for file in files if file.startswith(f"{name}.")), None)


def _of_torchvision(module: nn.Module) -> dict[str, Any]:
    """From the published weights beside the network's class: what they were evaluated with."""
    file = _library(module, "torchvision.models.video")
    if file is None:
        return {}
    weights = next(value for name, value in vars(sys.modules[file]).items() if name.endswith("_Weights")).DEFAULT
    shown = weights.transforms()
    return {
        "size": shown.crop_size[0],
        "frames": FRAMES,
        "mean": tuple(shown.mean),
        "std": tuple(shown.std),
        "actions": tuple(weights.meta["categories"]),
    }


def _of_transformers(module: nn.Module) -> dict[str, Any]:
    """From the config that every network of transformers carries."""
    config: Any = getattr(module, "config", None)
    if _library(module, "transformers") is None or not hasattr(config, "num_frames"):
        return {}
    size = config.image_size
    settings = {
        "size": size if isinstance(size, int) else size[0],
        "frames": config.num_frames,
        "layout": "btchw",
        "actions": tuple(name for _, name in sorted(config.id2label.items())),
    }
    if config.model_type in _PIXELS:
        settings["mean"], settings["std"] = _PIXELS[config.model_type]
    return settings


def _of_processor(processor: Any) -> dict[str, Any]:
    """From a processor of transformers: bytes come to `rescale_factor * x - offset`, and from there by mean and std."""
    if processor is None:
        return {}
    try:
        factor = processor.rescale_factor if processor.do_rescale else 1.0
        offset = float(getattr(processor, "offset", type(processor).__name__.startswith("Vivit")))
        mean, std = (processor.image_mean, processor.image_std) if processor.do_normalize else ([0.0] * 3, [1.0] * 3)
        return {
            "scale": 255 * float(factor),
            "mean": tuple(offset + float(value) for value in mean),
            "std": tuple(float(value) for value in std),
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise StganError(
            f"a {type(processor).__name__} does not say how it prepares clips; give scale, mean and std instead"
        ) from error
