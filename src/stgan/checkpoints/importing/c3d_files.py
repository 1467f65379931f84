"""C3D from the layers of a file, and the published protocols of preparing its input, with their mean volumes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import torch
from torch import Tensor

from stgan.checkpoints.importing.layers import Array, FileLayer, shown
from stgan.networks import C3D, C3DConfig, Preprocessing, preprocessing

_SIZE, _FRAMES = 112, 16
_MEAN = (3, _FRAMES, 128, 171)
_CROPPED_MEAN = (_FRAMES, _SIZE, _SIZE, 3)
MOST_MEAN = prod(_MEAN)
"""The number of values of the largest mean volume."""
_PUBLISHED_STAGES = {8: (1, 1, 2, 2, 2), 5: (1, 1, 1, 1, 1)}  # by the number of convolutions
Pads = tuple[bool | Literal["after"], ...]
_NUMBER = re.compile(r"[a-z.]*(\d+)[a-z]?")  # of a stage, in the name of a convolution


@dataclass(frozen=True)
class C3DProtocol:
    """How frames become the input of a published C3D; docs/metrics.md describes the steps of each protocol.

    corner: row and column at which the 112x112 crop of the mean volume (3x16x128x171) begins; None if the volume is
            already cropped (16x112x112x3), or there is none.
    """

    preprocessing: Preprocessing
    corner: tuple[int, int] | None = None


PROTOCOLS: dict[str, C3DProtocol] = {
    "caffe": C3DProtocol(preprocessing.C3D_CAFFE, corner=(8, 29)),
    "tensorflow": C3DProtocol(preprocessing.C3D_TENSORFLOW),
    "tgan": C3DProtocol(preprocessing.C3D_TGAN, corner=(8, 29)),
    "tgan2": C3DProtocol(preprocessing.C3D_TGAN2, corner=(8, 8)),
    "jfzhang95": C3DProtocol(preprocessing.C3D_JFZHANG95),
    "mmaction": C3DProtocol(preprocessing.C3D_MMACTION),
}
"""Protocols by name: C3D's own Caffe, C3D-tensorflow, TGAN, TGANv2, and two ports to PyTorch."""


def c3d(
    layers: Sequence[FileLayer], protocol: C3DProtocol, pads: Pads, mean: Array | None
) -> tuple[C3DConfig, dict[str, Array]]:
    """The configuration and weights of a C3D for 16 frames of 112x112 pixels.

    layers: the convolutions in their order, and the inner products in theirs.
    pads:   possible paddings of the last pooling (`C3DConfig.pad_last_pool`), most likely first.

    Raises:
        ValueError: the layers do not form a C3D, or the mean is missing or of another size.
    """
    convolutions = [layer for layer in layers if layer.kind == "convolution3d"]
    inner = [layer for layer in layers if layer.kind == "inner product"]
    others = [layer for layer in layers if layer not in convolutions and layer not in inner]
    if others:
        raise ValueError(f"it has a layer {others[0].name!r} ({others[0].kind}), which C3D does not have")
    if not convolutions or len(inner) != 3:
        raise ValueError(
            f"C3D has 3D convolutions and three inner products, but it has {len(convolutions)} and {len(inner)}; "
            "its last layer may have been cut off"
        )
    weights = [layer.weight.with_axes(5) for layer in convolutions]
    if any(weight.shape[2:] != (3, 3, 3) for weight in weights):
        raise ValueError("not all of its convolutions are 3x3x3")
    odd = [layer for layer in convolutions if layer.convolution and layer.convolution != (1, 1)]
    if odd:
        raise ValueError(f"its layer {odd[0].name!r} has a stride or padding other than 1, unlike C3D")
    channels = iter(weight.shape[0] for weight in weights)
    products = [layer.weight.with_axes(2) for layer in inner]
    config = C3DConfig(
        num_classes=products[-1].shape[0],
        stages=tuple(tuple(next(channels) for _ in range(count)) for count in _stages(convolutions)),
        hidden_sizes=tuple(product.shape[0] for product in products[:-1]),
        frames=_FRAMES,
        preprocessing=protocol.preprocessing,
    )
    config = _with_padding(config, products[0].shape[1], pads)
    arrays: dict[str, Array] = {}
    names = [*(f"convolutions.{i}" for i in range(len(convolutions))), "hidden.0", "hidden.1", "fc8"]
    for name, weight, layer in zip(names, (*weights, *products), (*convolutions, *inner), strict=True):
        arrays[f"{name}.weight"], arrays[f"{name}.bias"] = weight, layer.bias.with_axes(1)
    if protocol.preprocessing.mean == "volume":
        arrays["mean_volume"] = _volume(mean, protocol)
    elif mean:
        raise ValueError("a file of a mean was given, but this protocol subtracts a mean per channel; leave it out")
    return config, arrays


def _stages(convolutions: Sequence[FileLayer]) -> list[int]:
    """Numbers of convolutions between poolings, by names such as conv3a and wc3b, or else as published."""
    numbers = [_NUMBER.fullmatch(layer.name.split("/")[-1].lower()) for layer in convolutions]
    named = [int(match[1]) for match in numbers if match]
    counts = [named.count(number) for number in dict.fromkeys(named)]
    if len(named) == len(convolutions) and list(dict.fromkeys(named)) == list(range(1, len(counts) + 1)):
        return counts
    published = _PUBLISHED_STAGES.get(len(convolutions))
    if published is None:
        raise ValueError(f"it has {len(convolutions)} convolutions whose names do not tell where the poolings are")
    return list(published)


def _with_padding(config: C3DConfig, inputs: int, pads: Pads) -> C3DConfig:
    """The config with a padding for which the last pooling has `inputs` values."""
    for pad in pads:
        padded = replace(config, pad_last_pool=pad)
        with torch.device("meta"):
            if C3D(padded).flat_size() == inputs:
                return padded
    raise ValueError(f"its first inner product has {inputs} inputs, unlike pool5 of {_FRAMES} frames of {_SIZE} pixels")


def _volume(mean: Array | None, protocol: C3DProtocol) -> Array:
    """The mean volume, cropped to the network's input: channels, frames, rows, columns."""
    corner = protocol.corner
    wanted = _MEAN if corner else _CROPPED_MEAN
    if mean is None:
        raise ValueError(f"it needs a mean volume ({shown(wanted)}): name its file too")
    shape = tuple(length for length in mean.shape if length != 1)
    if shape != wanted:
        raise ValueError(f"the mean is {shown(mean.shape)}, but this protocol subtracts one of {shown(wanted)}")

    def read() -> Tensor:
        values = mean.read().reshape(wanted)
        if corner is None:
            return values.movedim(3, 0).contiguous()
        top, left = corner
        return values[:, :, top : top + _SIZE, left : left + _SIZE].contiguous()

    return Array((3, _FRAMES, _SIZE, _SIZE), read)
