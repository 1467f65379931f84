"""Layers, the common form of all formats: arrays whose shapes are known before their values are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from torch import Tensor

MOST_BYTES = 1 << 30
"""Of a file, and of its unpacked values. The largest known file, C3D in single precision, has 320 MB."""
KIND_BY_AXES = {5: "convolution3d", 4: "convolution", 2: "inner product"}
"""Kinds of layers by the axes of their weights."""

Shape = tuple[int, ...]


class Convolution(NamedTuple):
    """Settings of a convolution in a file, the same for rows, columns and, in 3D, time."""

    stride: int
    padding: int


@dataclass(frozen=True)
class Array:
    """Values in a file. `read` copies them to a float32 tensor of this shape."""

    shape: Shape
    read: Callable[[], Tensor]

    def reshaped(self, shape: Shape) -> "Array":
        return Array(shape, lambda: self.read().reshape(shape))

    def with_axes(self, axes: int) -> "Array":
        """The array with `axes` axes: without the leading axes of length 1 that Caffe adds.

        Raises:
            ValueError: a leading axis is longer than 1, or there are too few axes.
        """
        extra = len(self.shape) - axes
        if extra < 0 or prod(self.shape[:extra]) != 1:
            raise ValueError(f"an array is {shown(self.shape)} where {axes} axes are expected")
        return self.reshaped(self.shape[extra:]) if extra else self


@dataclass(frozen=True)
class FileLayer:
    """A layer, with its name in the file.

    kind:        "convolution", "convolution3d" (axes of weights: "out in ..."), "deconvolution" ("in out ..."),
                 "inner product" ("out in"), or the file's own word, such as "lstm".
    arrays:      the weights, then the bias if there is one.
    convolution: the settings of a convolution, if the file has them.
    """

    name: str
    kind: str
    arrays: tuple[Array, ...]
    convolution: Convolution | None = None

    @property
    def weight(self) -> Array:
        return self.arrays[0]

    @property
    def bias(self) -> Array:
        """The bias. ValueError if there is none: all imported networks have one in each of these layers."""
        if len(self.arrays) != 2:
            raise ValueError(f"its layer {self.name!r} has {len(self.arrays)} arrays, not weights and a bias")
        return self.arrays[1]

    def __str__(self) -> str:
        return f"{self.name} {shown(self.weight.shape)}"


def named(layers: Sequence[FileLayer], kinds: dict[str, str]) -> dict[str, FileLayer]:
    """The layers with the names in `kinds`, by name. kinds: the kind of each layer, by its name.

    Raises:
        ValueError: a layer is missing, appears twice, or is of another kind.
    """
    found: dict[str, FileLayer] = {}
    for layer in layers:
        if layer.name in kinds and layer.name in found:
            raise ValueError(f"it has two layers {layer.name!r}")
        if layer.name in kinds:
            found[layer.name] = layer
    missing = [name for name in kinds if name not in found]
    if missing:
        there = ", ".join(layer.name for layer in layers[:30]) or "none"
        raise ValueError(f"it has no layer {missing[0]!r}; its layers are {there}")
    wrong = [name for name, kind in kinds.items() if found[name].kind != kind]
    if wrong:
        raise ValueError(f"its layer {wrong[0]!r} is of the kind {found[wrong[0]].kind}, not {kinds[wrong[0]]}")
    return found


def shown(shape: Shape) -> str:
    """A shape in words: "4096x9216". Hostile ones are shortened."""
    text = "x".join(str(length) if length < 10**9 else "huge" for length in shape[:8])
    return text + "x..." * (len(shape) > 8) or "a single number"
