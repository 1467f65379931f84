"""EfficientNet-Lite in the naming of efficientnet-pytorch: `_conv_stem`, `_bn0`, `_blocks.0._depthwise_conv`, ...

A batch normalization follows every convolution. Its constants are fixed, so they are folded into the convolution.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from stgan.checkpoints.importing.layers import Array, FileLayer, named
from stgan.networks import EfficientNetLite, EfficientNetLiteConfig

STEM = "_conv_stem"
"""A layer that identifies such a file."""

_EPSILON = 1e-3  # of TensorFlow's batch normalization
_SIZES = {  # (channels of the sixth stage, number of blocks): (width, depth, pixels)
    (192, 16): (1.0, 1.0, 224),
    (192, 21): (1.0, 1.1, 240),
    (208, 21): (1.1, 1.2, 260),
}
"""Lite0 to Lite2, and the frame size that they were trained with."""


def efficientnet_lite(layers: Sequence[FileLayer]) -> tuple[EfficientNetLiteConfig, dict[str, Array], list[str]]:
    """EfficientNet-Lite, with its classifier as the code layer. Returns what `image_networks.generator` returns.

    Raises:
        ValueError: the layers are none of Lite0 to Lite2, or a layer is missing or of another kind.
    """
    blocks = sum(layer.name.endswith("._depthwise_conv") for layer in layers)
    last = next((layer for layer in layers if layer.name == f"_blocks.{blocks - 2}._project_conv"), None)
    size = _SIZES.get((last.weight.shape[0] if last else 0, blocks))
    if size is None:
        raise ValueError(f"it has {blocks} blocks, which is none of EfficientNet-Lite0 to Lite2")
    width, depth, pixels = size
    default = EfficientNetLiteConfig(width=width, depth=depth)
    config = replace(default, preprocessing=replace(default.preprocessing, size=pixels))
    with torch.device("meta"):
        network = EfficientNetLite(config)
    pairs = {"stem": (STEM, "_bn0"), "head": ("_conv_head", "_bn1")}
    for number, block in enumerate(network.blocks):
        theirs = f"_blocks.{number}."
        for norm, part in enumerate(("expand", "depthwise", "project")):
            if getattr(block, part) is not None:
                pairs[f"blocks.{number}.{part}"] = (f"{theirs}_{part}_conv", f"{theirs}_bn{norm}")
    kinds = {"_fc": "inner product"}
    for convolution, norm_name in pairs.values():
        kinds |= {convolution: "convolution", norm_name: "batch norm"}
    found = named(layers, kinds)
    arrays = {"fc6.weight": found["_fc"].weight, "fc6.bias": found["_fc"].bias}
    for ours, (convolution, norm_name) in pairs.items():
        arrays[f"{ours}.weight"], arrays[f"{ours}.bias"] = _folded(found[convolution], found[norm_name])
    return config, arrays, [layer.name for layer in layers if layer.name not in found]


def _folded(convolution: FileLayer, norm: FileLayer) -> tuple[Array, Array]:
    """Weights and bias of a convolution with the batch normalization that follows it."""
    if len(convolution.arrays) != 1:
        raise ValueError(f"its layer {convolution.name!r} has a bias before its batch normalization")
    gamma, beta, mean, variance = norm.arrays
    if any(array.shape != convolution.weight.shape[:1] for array in norm.arrays):
        raise ValueError(f"its layer {norm.name!r} does not fit {convolution.name!r} before it")

    def factor() -> Tensor:
        return gamma.read() * (variance.read() + _EPSILON).rsqrt()

    return (
        Array(convolution.weight.shape, lambda: convolution.weight.read() * factor().view(-1, 1, 1, 1)),
        Array(beta.shape, lambda: beta.read() - mean.read() * factor()),
    )
