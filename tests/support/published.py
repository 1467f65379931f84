"""Files as other programs write them, of the layouts of the published ones and of any width, with random weights.

Caffe's are written by the protobuf library, from the numbers of fields that the two caffe.proto publish.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_LAYER_TYPES = {"Convolution": 4, "InnerProduct": 14, "Deconvolution": 39, "Convolution3D": 30}


@dataclass(frozen=True)
class Source:
    """A layer as its program has it: weights and bias (of an LSTM W_xc, b_c, W_hc) in the program's order of axes."""

    name: str
    type: str
    arrays: tuple[np.ndarray, ...]
    stride: int = 1
    pad: int = 0
    group: int = 1


def random_layer(rng: np.random.Generator, name: str, type: str, shape: tuple[int, ...], **settings: int) -> Source:
    """Weights that keep the size of what passes through, and a bias that matters."""
    outputs = shape[1] if type == "Deconvolution" else shape[0]
    taps = np.prod(shape) / outputs / (settings["stride"] ** 2 if type == "Deconvolution" else 1)
    weight = rng.standard_normal(shape, np.float32) * np.float32((2 / taps) ** 0.5)
    return Source(name, type, (weight, rng.standard_normal(outputs, np.float32) / 5), **settings)


def deepsim(
    rng: np.random.Generator,
    code: int = 20,
    hidden: int = 24,
    base: int = 6,
    stages: Sequence[tuple[int, ...]] = ((6, 8), (7, 6), (5, 5), (4,), (3,)),
) -> list[Source]:
    """The generator: three inner products, then transposed convolutions up to `deconv0`, of small grey levels."""
    sizes = ((hidden, code), (hidden, hidden), (base * 16, hidden))
    layers = [
        random_layer(rng, name, "InnerProduct", shape)
        for name, shape in zip(("defc7", "defc6", "defc5"), sizes, strict=True)
    ]
    incoming = base
    for level, stage in zip(range(len(stages), 0, -1), stages, strict=True):
        for name, channels in zip((f"deconv{level}", f"conv{level}_1"), stage, strict=False):
            size, stride = (4, 2) if name.startswith("deconv") else (3, 1)
            shape = (incoming, channels, size, size)
            layers.append(random_layer(rng, name, "Deconvolution", shape, stride=stride, pad=1))
            incoming = channels
    return [*layers, random_layer(rng, "deconv0", "Deconvolution", (incoming, 3, 4, 4), stride=2, pad=1)]


CAFFENET = {"kernels": (11, 5, 3, 3, 3), "strides": (4, 1, 1, 1, 1), "pads": (0, 2, 1, 1, 1), "side": 6}
HYBRID = {"kernels": (7, 5, 3, 3, 3), "strides": (2, 2, 1, 1, 1), "pads": (0, 0, 1, 1, 1), "side": 6}
GROUPS = (1, 2, 1, 2, 2)


def frame_network(
    rng: np.random.Generator, layout: dict[str, Any], channels: Sequence[int] = (8, 12, 8, 10, 6), code: int = 10
) -> list[Source]:
    """conv1 to conv5 and fc6 of CaffeNet, or of LRCN's hybrid."""
    layers, incoming = [], 3
    for i, outgoing in enumerate(channels):
        kernel = layout["kernels"][i]
        shape = (outgoing, incoming // GROUPS[i], kernel, kernel)
        settings = {"stride": layout["strides"][i], "pad": layout["pads"][i], "group": GROUPS[i]}
        layers.append(random_layer(rng, f"conv{i + 1}", "Convolution", shape, **settings))
        incoming = outgoing
    return [*layers, random_layer(rng, "fc6", "InnerProduct", (code, incoming * layout["side"] ** 2))]


def lrcn(rng: np.random.Generator, size: int = 5, classes: int = 7, code: int = 12, **widths: Any) -> list[Source]:
    """LRCN: the hybrid, lstm1, fc8-final."""
    arrays = (
        rng.standard_normal((4 * size, code), np.float32) / code**0.5,
        rng.standard_normal(4 * size, np.float32) / 2,
        rng.standard_normal((4 * size, size), np.float32) / size**0.5,
    )
    last = random_layer(rng, "fc8-final", "InnerProduct", (classes, size))
    *convolutions, fc6 = frame_network(rng, HYBRID, code=code, **widths)
    fc6 = Source(fc6.name, fc6.type, (fc6.arrays[0] / 50, fc6.arrays[1]))  # of grey levels: no gate is to be shut
    return [*convolutions, fc6, Source("lstm1", "LSTM", arrays), last]


C3D_NAMES = ("conv1a", "conv2a", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b")


def c3d(
    rng: np.random.Generator,
    channels: Sequence[int] = (3, 4, 5, 6, 6, 5, 4, 4),
    hidden: tuple[int, int] = (9, 8),
    classes: int = 7,
    inner_names: Sequence[str] = ("fc6-1", "fc7-1", "fc8-1"),
    names: Sequence[str] = C3D_NAMES,
) -> list[Source]:
    """C3D for 16 frames of 112x112, as Facebook's Caffe has it."""
    layers, incoming = [], 3
    for name, outgoing in zip(names, channels, strict=True):
        layers.append(random_layer(rng, name, "Convolution3D", (outgoing, incoming, 3, 3, 3), pad=1))
        incoming = outgoing
    sizes = (incoming * 16, *hidden, classes)
    return layers + [
        random_layer(rng, name, "InnerProduct", (after, before))
        for name, before, after in zip(inner_names, sizes[:-1], sizes[1:], strict=True)
    ]


@cache
def schema(of_c3d: bool) -> dict[str, Any]:
    """Classes of the messages NetParameter and BlobProto, of Caffe or of C3D's fork of it."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{of_c3d}.proto", package=f"caffe{int(of_c3d)}", syntax="proto2")
    kind = descriptor_pb2.FieldDescriptorProto
    numbers = {"int": kind.TYPE_INT64, "float": kind.TYPE_FLOAT, "double": kind.TYPE_DOUBLE, "text": kind.TYPE_STRING}

    def message(name: str, *fields: tuple[str, int, str, bool]) -> None:
        made = file.message_type.add(name=name)
        for field, number, type, repeated in fields:
            added = made.field.add(name=field, number=number, label=3 if repeated else 1)
            if type in numbers:
                added.type = numbers[type]
                added.options.packed = repeated and type != "text"
            else:
                added.type, added.type_name = kind.TYPE_MESSAGE, f".{file.package}.{type}"

    axes = ("num", "channels", "length", "height", "width") if of_c3d else ("num", "channels", "height", "width")
    legacy = tuple((axis, i + 1, "int", False) for i, axis in enumerate(axes))
    stride = 7 if of_c3d else 6
    message("Convolution", ("num_output", 1, "int", False), ("pad", 3, "int", False), ("kernel_size", 4, "int", False),
            ("group", 5, "int", False), ("stride", stride, "int", False))  # fmt: skip
    if of_c3d:
        message("BlobProto", *legacy, ("data", 6, "float", True), ("diff", 7, "float", True))
    else:
        message("BlobShape", ("dim", 1, "int", True))
        message("BlobProto", *legacy, ("data", 5, "float", True), ("diff", 6, "float", True),
                ("shape", 7, "BlobShape", False), ("double_data", 8, "double", True))  # fmt: skip
    message("V1", ("name", 4, "text", False), ("type", 5, "int", False), ("blobs", 6, "BlobProto", True),
            ("convolution_param", 10, "Convolution", False))  # fmt: skip
    message("Layer", ("name", 1, "text", False), ("type", 2, "text", False), ("blobs", 7, "BlobProto", True),
            ("convolution_param", 106, "Convolution", False))  # fmt: skip
    message("NetParameter", ("name", 1, "text", False), ("layers", 2, "V1", True), ("layer", 100, "Layer", True))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = {name: pool.FindMessageTypeByName(f"{file.package}.{name}") for name in ("NetParameter", "BlobProto")}
    return {name: message_factory.GetMessageClass(descriptor) for name, descriptor in found.items()}


def write_caffemodel(
    path: Path,
    layers: Sequence[Source],
    form: str = "layer",
    shapes: str = "shape",
    double: bool = False,
    stated: bool = True,
) -> Path:
    """A .caffemodel.

    form:   "layer" as since 2014, "v1" as before, "c3d" as Facebook's fork.
    shapes: "shape", or "legacy": four numbers (five in the fork), where inner products are 1 x 1 x out x in.
    stated: whether strides and paddings are in it.
    """
    net = schema(form == "c3d")["NetParameter"](name="net")
    for source in layers:
        layer = (net.layer if form == "layer" else net.layers).add(name=source.name)
        layer.type = source.type if form == "layer" else _LAYER_TYPES[source.type]
        if stated and source.type.startswith(("Conv", "Deconv")):
            settings = layer.convolution_param
            settings.num_output, settings.kernel_size = len(source.arrays[1]), source.arrays[0].shape[-1]
            settings.pad, settings.stride, settings.group = source.pad, source.stride, source.group
        for array in source.arrays:
            fill(layer.blobs.add(), array, form, shapes, double)
    path.write_bytes(net.SerializeToString())
    return path


def fill(blob: Any, array: np.ndarray, form: str = "layer", shapes: str = "shape", double: bool = False) -> None:
    """Put an array into a BlobProto."""
    if form == "c3d" or shapes == "legacy":
        axes = (
            ("num", "channels", "length", "height", "width")
            if form == "c3d"
            else ("num", "channels", "height", "width")
        )
        for axis, length in zip(axes, (1,) * (len(axes) - array.ndim) + array.shape, strict=True):
            setattr(blob, axis, length)
    else:
        blob.shape.dim.extend(array.shape)
    values = array.astype("<f8" if double else "<f4").tobytes()  # as they lie in the message: fast for large ones
    number = 6 if form == "c3d" else 8 if double else 5
    blob.MergeFromString(bytes([number << 3 | 2]) + varint(len(values)) + values)


def write_binaryproto(path: Path, array: np.ndarray, form: str = "c3d") -> Path:
    """A mean volume: one blob."""
    blob = schema(form == "c3d")["BlobProto"]()
    fill(blob, array, form)
    path.write_bytes(blob.SerializeToString())
    return path


def varint(number: int) -> bytes:
    """A number on the wire, by hand."""
    digits = []
    while True:
        number, low = number >> 7, number & 0x7F
        digits.append(low | (0x80 if number else 0))
        if not number:
            return bytes(digits)


def write_chainer(path: Path, layers: Sequence[Source], compressed: bool = False) -> Path:
    """A .npz as Chainer's: conv1a/W, conv1a/b, ..., fc8/b."""
    arrays = {}
    for layer in layers:
        name = layer.name.removesuffix("-1")
        arrays |= {f"{name}/W": layer.arrays[0], f"{name}/b": layer.arrays[1]}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def tensorflow_variables(
    layers: Sequence[Source], channels_last: bool, scope: str = "var_name"
) -> dict[str, np.ndarray]:
    """Variables as C3D-tensorflow's: kernels time height width in out, inner products in x out."""
    variables = {}
    for layer, name in zip(
        layers, ("c1", "c2", "c3a", "c3b", "c4a", "c4b", "c5a", "c5b", "d1", "d2", "out"), strict=True
    ):
        weight, bias = layer.arrays
        if weight.ndim == 5:
            weight = weight.transpose(2, 3, 4, 1, 0)
        elif name == "d1" and channels_last:
            weight = weight.reshape(len(weight), -1, 4, 4).transpose(2, 3, 1, 0).reshape(-1, len(weight))
        else:
            weight = weight.T
        variables |= {f"{scope}/w{name}": np.ascontiguousarray(weight), f"{scope}/b{name}": bias}
    return variables
