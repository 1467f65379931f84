"""Caffe's files: weights (.caffemodel) and means (.binaryproto), of Caffe itself and of Facebook's C3D.

The field numbers come from src/caffe/proto/caffe.proto of BVLC/caffe and facebookarchive/C3D. The two differ in a blob:
field 5 is Caffe's packed values, but C3D's width, a number; C3D's values are in field 6. This difference tells them
apart.
"""

import mmap
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stgan.checkpoints.importing.layers import Array, Convolution, FileLayer
from stgan.checkpoints.importing.wire import BYTES, VARINT, Budget, Field, fields, varints

_LAYER, _V1_LAYER = 100, 2  # fields of a network; C3D has the older one only
_MOST_LAYERS, _MOST_BLOBS = 2000, 32
_KINDS = {
    4: "convolution",
    14: "inner product",
    39: "deconvolution",
    30: "convolution3d",
}  # V1LayerParameter; 30 is C3D's
_KIND_NAMES = {"Convolution": "convolution", "InnerProduct": "inner product", "Deconvolution": "deconvolution"}


def open_message(path: Path) -> memoryview:
    """The bytes of a file, mapped into memory."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def is_network(message: memoryview) -> bool:
    """Whether a message looks like a network with layers."""
    return any(field.number in (_LAYER, _V1_LAYER) and field.way == BYTES for field in fields(message, Budget()))


def is_blob(message: memoryview) -> bool:
    """Whether a message looks like a single blob, such as a mean."""
    found = {(field.number, field.way) for field in fields(message, Budget())}
    return bool(found & {(1, VARINT), (7, BYTES)}) and bool(found & {(5, BYTES), (6, BYTES), (8, BYTES)})


def read_caffemodel(path: Path) -> list[FileLayer]:
    """Read the layers that have weights, in the order of the file.

    Raises:
        ValueError: the file is damaged, or has too many layers or blobs.
    """
    layers, count, budget = [], 0, Budget()
    for field in fields(open_message(path), budget):
        if field.number not in (_LAYER, _V1_LAYER) or field.way != BYTES:
            continue
        count += 1
        if count > _MOST_LAYERS:
            raise ValueError(f"it has more than {_MOST_LAYERS} layers")
        layer = _layer(field, budget)
        if layer.arrays:
            layers.append(layer)
    return layers


def read_binaryproto(path: Path) -> Array:
    """Read the single blob of a file. ValueError if it is damaged."""
    return _blob(open_message(path), Budget())[0]


def _layer(field: Field, budget: Budget) -> FileLayer:
    v1 = field.number == _V1_LAYER
    name_field, type_field, blob_field, convolution_field = (4, 5, 6, 10) if v1 else (1, 2, 7, 106)
    name = kind = ""
    blobs: list[tuple[Array, bool]] = []
    settings: memoryview | None = None
    assert isinstance(field.value, memoryview)  # of BYTES
    for number, way, value in fields(field.value, budget):
        if number == name_field and isinstance(value, memoryview):
            name = bytes(value[:200]).decode("utf-8", "replace")
        elif number == type_field:
            kind = _kind(value)
        elif number == convolution_field and isinstance(value, memoryview):
            settings = value
        elif number == blob_field and way == BYTES and isinstance(value, memoryview):
            blobs.append(_blob(value, budget))
            if len(blobs) > _MOST_BLOBS:
                raise ValueError(f"its layer {name!r} has more than {_MOST_BLOBS} blobs")
    of_c3d = any(is_c3d for _, is_c3d in blobs)
    if kind == "convolution" and blobs and len(blobs[0][0].shape) == 5:  # Caffe's convolutions have any number of axes
        kind = "convolution3d"
    return FileLayer(name, kind, tuple(array for array, _ in blobs), _convolution(settings, of_c3d, budget))


def _kind(value: int | memoryview) -> str:
    if isinstance(value, int):
        return _KINDS.get(value, f"layer of type {value}")
    word = bytes(value[:50]).decode("utf-8", "replace")
    return _KIND_NAMES.get(word, word.lower())


def _convolution(message: memoryview | None, of_c3d: bool, budget: Budget) -> Convolution | None:
    """Stride and padding. Where a file has several for rows, columns or time, the last one is used."""
    if message is None:
        return None
    stride, padding = 1, 0
    for number, _, value in fields(message, budget):
        numbers = [value] if isinstance(value, int) else varints(value, budget) if number in (3, 6) and value else []
        if numbers and number == (7 if of_c3d else 6):
            stride = numbers[-1]
        elif numbers and number == 3:
            padding = numbers[-1]
    return Convolution(stride, padding)


def _blob(message: memoryview, budget: Budget) -> tuple[Array, bool]:
    """An array, and whether it is in C3D's format."""
    found = list(fields(message, budget))
    of_c3d = any(field.number == 5 and field.way == VARINT for field in found)
    legacy: dict[int, int] = {}
    shape: tuple[int, ...] | None = None
    values, kind = memoryview(b""), "<f4"
    for number, way, value in found:
        if isinstance(value, int):
            legacy[number] = value
        elif way == BYTES and number == (6 if of_c3d else 5) and value:
            values, kind = value, "<f4"
        elif way == BYTES and number == 8 and value and not of_c3d:
            values, kind = value, "<f8"
        elif way == BYTES and number == 7 and not of_c3d:
            shape = _shape(value, budget)
    if shape is None:
        shape = tuple(legacy.get(axis, 0) for axis in range(1, 6 if of_c3d else 5))
    count = len(values) // np.dtype(kind).itemsize
    if prod(shape) != count or count * np.dtype(kind).itemsize != len(values):
        raise ValueError(f"one of its arrays has {count} values, which do not fit its shape")
    return Array(shape, lambda: _tensor(values, kind, shape)), of_c3d


def _shape(message: memoryview, budget: Budget) -> tuple[int, ...]:
    shape: list[int] = []
    for number, _, value in fields(message, budget):
        if number == 1:
            shape += [value] if isinstance(value, int) else varints(value, budget)
    return tuple(shape)


def _tensor(values: memoryview, kind: str, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.frombuffer(values, kind).astype(np.float32).reshape(shape))
