"""Classifiers of torchvision, transformers and pytorchvideo: their input settings, read from the network.

These libraries are not imported here. Whoever made such a network has imported its library.
"""

import sys
from collections.abc import Sequence
from typing import Any

from torch import nn

from stgan.errors import StganError
from stgan.networks.adapter import VideoClassifier

FRAMES = 16
"""For torchvision's networks, which do not state how many frames they were trained on. Most take any number."""

_PIXELS: dict[str, tuple[Any, Any]] = {
    "videomae": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "timesformer": (0.45, 0.225),
    "vivit": (0.5, 0.5),
}
"""Mean and std of the published checkpoints of transformers, by model type. The networks do not hold them."""

_NEEDED = ("size", "frames", "mean", "std")


def adapt(
    module: nn.Module, actions: Sequence[str] | None = None, *, processor: Any = None, **settings: Any
) -> VideoClassifier:
    """A `VideoClassifier` around a network, with the settings of its library.

    Known libraries are torchvision.models.video (size, mean, std and, with 400 outputs, the classes of Kinetics), the
    video classifiers of transformers (frames, size and the classes in their config), and pytorchvideo.models (mean,
    std, the two pathways of SlowFast, and whether the head ends in a softmax). `nn.DataParallel` around a network is
    taken off. The short side of a frame is resized to the network's size, without first resizing to a larger size and
    cropping a border.

    Args:
        actions: class names in the order of the outputs; required to steer if the network does not name them.
        processor: the image or video processor of a network from transformers, which holds mean and std. By default,
            those of the published VideoMAE, TimeSformer and ViViT are used.
        settings: arguments of `VideoClassifier`; they have precedence. A network of pytorchvideo needs `size` and
            `frames`, one of an unknown library also `mean` and `std`.

    Raises:
        StganError: a setting is missing or unknown, or the output is wrong (see `VideoClassifier`).
    """
    if isinstance(module, VideoClassifier):
        if actions is not None or processor is not None or settings:
            raise StganError("this network is already a VideoClassifier; pass its module with the new settings")
        return module
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        module = module.module
    of_library = _of_torchvision(module) | _of_transformers(module) | _of_pytorchvideo(module)
    known = of_library | _of_processor(processor) | settings
    kind, names = type(module).__name__, known.pop("actions", None)
    if missing := [name for name in _NEEDED if name not in known]:
        raise StganError(
            f"{', '.join(missing)} of a {kind} are unknown; set them: "
            "adapt(network, actions, size=112, frames=16, mean=0.45, std=0.225)"
        )
    if unknown := sorted(set(known) - set(VideoClassifier.__init__.__annotations__)):
        raise StganError(f"a VideoClassifier has no setting {unknown[0]!r}")
    return VideoClassifier(module, (names or ()) if actions is None else actions, **known)


def _library(module: nn.Module, name: str) -> str | None:
    """The module of the library that defines the network's class or one of its base classes; None if there is none."""
    files = (kind.__module__ for kind in type(module).__mro__)
    return next((file for file in files if file.startswith(f"{name}.")), None)


def _of_torchvision(module: nn.Module) -> dict[str, Any]:
    """The evaluation settings of the published weights, from the module of the network's class."""
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
    """The settings in the config that every network of transformers has."""
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


def _of_pytorchvideo(module: nn.Module) -> dict[str, Any]:
    """Mean and std of its published networks, and what the parts say. They hold neither the size nor the frames."""
    if _library(module, "pytorchvideo") is None:
        return {}
    parts = {type(part).__name__ for part in module.modules()}
    heads = [part for part in module.modules() if type(part).__module__ == "pytorchvideo.models.head"]
    end = next((type(head.activation) for head in heads if hasattr(head, "activation")), None)
    return {
        "mean": 0.45,
        "std": 0.225,
        "layout": "slowfast" if "MultiPathWayWithFuse" in parts else "bcthw",
        "output": "probabilities" if end is nn.Softmax else "sigmoid" if end is nn.Sigmoid else "logits",
    }


def _of_processor(processor: Any) -> dict[str, Any]:
    """A processor of transformers maps bytes to `rescale_factor * x - offset`, then applies mean and std."""
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
            f"the settings of a {type(processor).__name__} cannot be read; set scale, mean and std instead"
        ) from error
