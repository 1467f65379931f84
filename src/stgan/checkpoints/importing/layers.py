"""What every format is read as: layers of arrays whose shapes are known before their numbers are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from torch import Tensor

MOST_BYTES = 1 << 30
"""Of a file, and of its numbers unpacked. The largest known one, C3D in single precision, has 320 MB."""

Shape = tuple[int, ...]


class Convolution(NamedTuple):
    """What a file says of a convolution beside its weights; alike for rows and columns (and, in 3D, for time)."""

    stride: int
    padding: int


@dataclass(frozen=True)
class Array:
    """Numbers of a file. `read` copies them to a float32 tensor of that shape."""

    shape: Shape
    read: Callable[[], Tensor]

    def reshaped(self, shape: Shape) -> "Array":
        return Array(shape, lambda: self.read().reshape(shape))

    def with_axes(self, axes: int) -> "Array":
        """Without the ones before its shape that Caffe fills four or five axes with.

        Raises:
            ValueError: it has other numbers than ones there, or too few axes.
        """
        extra = len(self.shape) - axes
        if extra < 0 or prod(self.shape[:extra]) != 1:
            raise ValueError(f"an array is {shown(self.shape)} where {axes} axes are expected")
        return self.reshaped(self.shape[extra:]) if extra else self


@dataclass(frozen=True)
class FileLayer:
    """A layer by the name that it has in its file.

    kind:        "convolution", "deconvolution", "convolution3d" (weights "out in ..."; "in out ..." of a
                 deconvolution), "inner product" ("out in"), or the file's own word, such as "lstm".
    arrays:      weights, then the bias where there is one; a layer without numbers is none here.
    convolution: what the file says of it, if it says anything.
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
        """ValueError if it has none: all of these networks have one in each of these layers."""
        if len(self.arrays) != 2:
            raise ValueError(f"its layer {self.name!r} has {len(self.arrays)} arrays, not weights and a bias")
        return self.arrays[1]

    def __str__(self) -> str:
        return f"{self.name} {shown(self.weight.shape)}"


def named(layers: Sequence[FileLayer], kinds: dict[str, str]) -> dict[str, FileLayer]:
    """The layers of these names, which must be of these kinds.

    Raises:
        ValueError: one is missing, there twice, or of another kind.
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
    """4096x9216; what is hostile is cut."""
    text = "x".join(str(length) if length < 10**9 else "huge" for length in shape[:8])
    return text + "x..." * (len(shape) > 8) or "a single number"
