"""Image networks from the layers of published files: DeePSiM's generator, CaffeNet, AlexNet, LRCN.

Widths come from the shapes in the file. Strides and paddings come from the file's settings, or else from the papers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from stgan.checkpoints.importing.layers import Array, Convolution, FileLayer, named, shown
from stgan.networks import AlexNetConfig, GeneratorConfig, LRCNConfig
from stgan.networks.alexnet import LRCN_FRAME_NETWORK
from stgan.networks.preprocessing import LRCN_FRAMES, TORCHVISION_IMAGES

_INNER = {"defc7": "fc8", "defc6": "fc7", "defc5": "fc6"}  # DeePSiM's names, and Table 1's
_UP, _SAME = Convolution(stride=2, padding=1), Convolution(stride=1, padding=1)
_CONVOLUTIONS = tuple(f"conv{i}" for i in range(1, 6))
_GATES = (0, 1, 3, 2)  # Caffe's LSTM has input, forget, output, cell; PyTorch's input, forget, cell, output
_ALEXNET = {"conv1": 0, "conv2": 3, "conv3": 6, "conv4": 8, "conv5": 10}  # torchvision's features
_ALEXNET_CONFIG = AlexNetConfig(
    paddings=(2, 2, 1, 1, 1), groups=(1, 1, 1, 1, 1), response_norm=False, preprocessing=TORCHVISION_IMAGES
)


def generator(layers: Sequence[FileLayer]) -> tuple[GeneratorConfig, dict[str, Array], list[str]]:
    """DeePSiM's generator: defc7, defc6, defc5, deconv5, conv5_1, ..., deconv0. `conv*_1` are transposed, too.

    Returns the config, the weights by our names, and the names of unused layers, as do the functions below.

    Raises:
        ValueError: a layer is missing, of another kind, or does not fit the others.
    """
    levels = [level for level in range(1, 10) if any(layer.name == f"deconv{level}" for layer in layers)]
    ours = dict(_INNER)
    for level in reversed(levels):
        ours[f"deconv{level}"] = f"upconv{level}"
        if any(layer.name == f"conv{level}_1" for layer in layers):
            ours[f"conv{level}_1"] = f"conv{level}"
    ours["deconv0"] = "upconv0"
    if levels != list(range(1, len(levels) + 1)) or not levels:
        raise ValueError("it has no gapless deconv1, deconv2 and so on, unlike DeePSiM's generator")
    found = named(layers, {name: "inner product" if name in _INNER else "deconvolution" for name in ours})
    for name, layer in found.items():
        if layer.convolution and layer.convolution != (_UP if name.startswith("deconv") else _SAME):
            raise ValueError(f"its layer {name!r} has {_settings(layer)}, unlike DeePSiM's generator")
    first, last = found["defc7"].weight.with_axes(2), found["defc5"].weight.with_axes(2)
    base = found[f"deconv{levels[-1]}"].weight.with_axes(4).shape[0]
    side = math.isqrt(last.shape[0] // base) if base else 0
    if base * side**2 != last.shape[0]:
        raise ValueError(
            f"the {last.shape[0]} outputs of its layer 'defc5' do not form a square map of {base} channels"
        )
    stages = tuple(
        tuple(found[name].weight.with_axes(4).shape[1] for name in (f"deconv{i}", f"conv{i}_1") if name in found)
        for i in reversed(levels)
    )
    config = GeneratorConfig(
        code_size=first.shape[1], hidden_size=first.shape[0], base_channels=base, base_size=side, stages=stages
    )
    arrays = _arrays({ours[name]: layer for name, layer in found.items()}, set(_INNER.values()))
    return config, arrays, _others(layers, found)


def caffenet(layers: Sequence[FileLayer]) -> tuple[AlexNetConfig, dict[str, Array], list[str]]:
    """CaffeNet up to fc6. Errors as for `generator`."""
    return _frame_network(layers, AlexNetConfig())


def alexnet(layers: Sequence[FileLayer]) -> tuple[AlexNetConfig, dict[str, Array], list[str]]:
    """torchvision's AlexNet up to its first inner product. Errors as for `generator`.

    At 224 pixels every pooling divides without remainder, so rounding up makes no difference, and the adaptive pooling
    to 6x6 is the identity.
    """
    theirs = {f"features.{number}": name for name, number in _ALEXNET.items()} | {"classifier.1": "fc6"}
    return _frame_network(
        [replace(layer, name=theirs.get(layer.name, layer.name)) for layer in layers], _ALEXNET_CONFIG
    )


def lrcn(layers: Sequence[FileLayer]) -> tuple[LRCNConfig, dict[str, Array], list[str]]:
    """LRCN: conv1 to conv5, fc6, an LSTM whose blobs are W_xc, b_c and W_hc, and an inner product fc8...

    Raises:
        ValueError: a layer is missing, of another kind, or does not fit the others.
    """
    frame, arrays, others = _frame_network(layers, replace(LRCN_FRAME_NETWORK, preprocessing=LRCN_FRAMES))
    lstms = [layer for layer in layers if layer.kind == "lstm"]
    last = [layer for layer in layers if layer.kind == "inner product" and layer.name.startswith("fc8")]
    if len(lstms) != 1 or len(last) != 1 or len(lstms[0].arrays) != 3:
        raise ValueError("it does not have one LSTM of three blobs and one inner product fc8, as LRCN has")
    inputs, bias, recurrent = lstms[0].arrays
    inputs, bias, recurrent = inputs.with_axes(2), bias.with_axes(1), recurrent.with_axes(2)
    size = recurrent.shape[1]
    if {inputs.shape[0], bias.shape[0], recurrent.shape[0]} != {4 * size}:
        raise ValueError(f"the blobs of its layer {lstms[0].name!r} are not those of four gates of {size} cells")
    classifier = last[0]
    config = LRCNConfig(num_classes=classifier.weight.with_axes(2).shape[0], frame=frame, lstm_size=size)
    weights = {
        **{f"frame_network.{name}": array for name, array in arrays.items()},
        "lstm.weight_ih_l0": _gates(inputs),
        "lstm.weight_hh_l0": _gates(recurrent),
        "lstm.bias_ih_l0": _gates(bias),
        "lstm.bias_hh_l0": Array((4 * size,), lambda: torch.zeros(4 * size)),  # Caffe has one bias
        **_arrays({"fc8": classifier}, {"fc8"}),
    }
    return config, weights, [name for name in others if name not in (lstms[0].name, classifier.name)]


def _frame_network(
    layers: Sequence[FileLayer], default: AlexNetConfig
) -> tuple[AlexNetConfig, dict[str, Array], list[str]]:
    found = named(layers, {**dict.fromkeys(_CONVOLUTIONS, "convolution"), "fc6": "inner product"})
    convolutions = [found[name] for name in _CONVOLUTIONS]
    shapes = [layer.weight.with_axes(4).shape for layer in convolutions]
    incoming = (3, *(shape[0] for shape in shapes[:-1]))
    if any(not shape[1] or before % shape[1] for shape, before in zip(shapes, incoming, strict=True)):
        raise ValueError("the channels of its convolutions do not fit each other: " + ", ".join(map(str, convolutions)))
    settings = [layer.convolution for layer in convolutions]
    config = replace(
        default,
        channels=tuple(shape[0] for shape in shapes),
        kernels=tuple(shape[2] for shape in shapes),
        strides=tuple(each.stride if each else usual for each, usual in zip(settings, default.strides, strict=True)),
        paddings=tuple(each.padding if each else usual for each, usual in zip(settings, default.paddings, strict=True)),
        groups=tuple(before // shape[1] for before, shape in zip(incoming, shapes, strict=True)),
        code_size=found["fc6"].weight.with_axes(2).shape[0],
    )
    return config, _arrays(found, {"fc6"}), _others(layers, found)


def _arrays(layers: Mapping[str, FileLayer], inner: set[str]) -> dict[str, Array]:
    """Weights and biases by our names. inner: names of the inner products; the others are convolutions."""
    arrays: dict[str, Array] = {}
    for name, layer in layers.items():
        arrays[f"{name}.weight"] = layer.weight.with_axes(2 if name in inner else 4)
        arrays[f"{name}.bias"] = layer.bias.with_axes(1)
    return arrays


def _gates(array: Array) -> Array:
    def read() -> Tensor:
        return torch.cat([array.read().chunk(4)[gate] for gate in _GATES])

    return Array(array.shape, read)


def _others(layers: Sequence[FileLayer], found: Mapping[str, FileLayer]) -> list[str]:
    """The names of layers that are not used."""
    return [layer.name for layer in layers if layer.name not in found]


def _settings(layer: FileLayer) -> str:
    assert layer.convolution
    return f"stride {layer.convolution.stride} and padding {layer.convolution.padding} ({shown(layer.weight.shape)})"
