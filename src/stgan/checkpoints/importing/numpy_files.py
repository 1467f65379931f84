"""NumPy's files: .npy, and .npz, which Chainer uses for weights. Pickles in them are never opened."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from stgan.archives import open_archive
from stgan.checkpoints.importing.layers import KIND_BY_AXES, MOST_BYTES, Array, FileLayer
from stgan.tensor_files import LONGEST_HEADER, npy_header


def read_npy(path: Path) -> Array:
    """Read the array of a .npy file. ValueError if it is damaged, or does not hold floating-point numbers."""
    with path.open("rb") as file:
        return _array(file.read(LONGEST_HEADER), path.stat().st_size, lambda: path.open("rb"))


def read_npz(path: Path) -> dict[str, Array]:
    """Read the arrays of a .npz file by name. Errors as for `read_npy`; also if it unpacks beyond `MOST_BYTES`."""

    @contextmanager
    def member(name: str) -> Iterator[IO[bytes]]:
        with open_archive(path, MOST_BYTES) as archive, archive.open(name) as stream:
            yield stream

    arrays = {}
    with open_archive(path, MOST_BYTES) as archive:
        for info in archive.infolist():
            with archive.open(info) as stream:
                head = stream.read(LONGEST_HEADER)
            name = info.filename
            arrays[name.removesuffix(".npy")] = _array(head, info.file_size, partial(member, name))
    return arrays


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


def _array(head: bytes, size: int, opened: Callable[[], AbstractContextManager[IO[bytes]]]) -> Array:
    """An array by the first bytes of its file, of `size` bytes in all. opened: opens the file to read the values."""
    shape, fortran, dtype, start = npy_header(head, size)
    if dtype.kind != "f":
        raise ValueError(f"one of its arrays has numbers of type {dtype}, which is not floating-point")

    def read() -> Tensor:
        with opened() as stream:
            data = stream.read(size)  # without a limit, zipfile would first unpack what is behind
        values = np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
        return torch.from_numpy(np.array(values, np.float32, order="C"))

    return Array(tuple(shape), read)
