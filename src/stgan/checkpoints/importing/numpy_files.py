"""NumPy's files: .npy, and .npz, which Chainer uses for weights. Pickles in them are never opened."""

import re
import zipfile
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from stgan.checkpoints.importing.layers import KIND_BY_AXES, MOST_BYTES, Array, FileLayer

_VERSIONS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(path: Path) -> Array:
    """Read the array of a .npy file. ValueError if it is damaged, or does not hold floating-point numbers."""
    return _array(lambda: path.open("rb"), path.stat().st_size)


def read_npz(path: Path) -> dict[str, Array]:
    """Read the arrays of a .npz file by name. Errors as for `read_npy`; also if it unpacks beyond `MOST_BYTES`."""
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
    if sum(info.file_size for info in infos.values()) > MOST_BYTES:
        raise ValueError(f"unpacked it would have more than {MOST_BYTES} bytes")

    def member(name: str) -> Callable[[], IO[bytes]]:
        return lambda: zipfile.ZipFile(path).open(name)

    return {name.removesuffix(".npy"): _array(member(name), info.file_size) for name, info in infos.items()}


def chainer_layers(arrays: dict[str, Array]) -> list[FileLayer]:
    """The layers of Chainer's arrays conv1a/W, conv1a/b, ..., in the order of their names."""
    layers = []
    for name in sorted((name[:-2] for name in arrays if name.endswith("/W")), key=natural):
        own = tuple(arrays[key] for key in (f"{name}/W", f"{name}/b") if key in arrays)
        layers.append(FileLayer(name.split("/")[-1], KIND_BY_AXES.get(len(own[0].shape), "layer"), own))
    return layers


def natural(name: str) -> list[tuple[int, str]]:
    """A sort key that places features.3 before features.16."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d{1,9})", name)]


def _array(opened: Callable[[], IO[bytes]], size: int) -> Array:
    with opened() as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _VERSIONS:
            raise ValueError(f"one of its arrays is of NumPy's format {version}, which no known file has")
        shape, fortran, dtype = _VERSIONS[version](stream)
        start = stream.tell()
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code")
    if dtype.kind != "f":
        raise ValueError(f"one of its arrays has numbers of type {dtype}, which is not floating-point")
    if min(shape, default=0) < 0 or start + prod(shape) * dtype.itemsize != size:
        raise ValueError("one of its arrays is cut short or damaged")

    def read() -> Tensor:
        with opened() as stream:
            data = stream.read()
        values = np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
        return torch.from_numpy(np.array(values, np.float32, order="C"))

    return Array(tuple(shape), read)
