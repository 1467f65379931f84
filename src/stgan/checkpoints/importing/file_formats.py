"""Recognising the format of a file of weights by its content."""

import os
import pickle
from pathlib import Path
from typing import Literal

from stgan.archives import is_archive, open_archive
from stgan.checkpoints.description import CheckpointError
from stgan.checkpoints.importing.caffe import is_blob, is_network, open_message
from stgan.checkpoints.importing.layers import MOST_BYTES
from stgan.checkpoints.importing.tensorflow_checkpoints import checkpoint_files
from stgan.names import quoted

Format = Literal["caffemodel", "binaryproto", "npz", "npy", "torch", "safetensors", "tensorflow"]

FORMATS: dict[Format, str] = {
    "caffemodel": "Caffe, weights",
    "binaryproto": "Caffe, a blob such as a mean",
    "npz": "NumPy, several arrays (Chainer)",
    "npy": "NumPy, an array",
    "torch": "PyTorch, torch.save",
    "safetensors": "safetensors",
    "tensorflow": "TensorFlow, a checkpoint",
}
"""Formats in words."""

_OLD_TORCH = pickle.dumps(0x1950A86A20F9469CFC6C, 2)  # the first bytes that torch.save wrote until 2020


def recognise(path: Path) -> Format:
    """The format of a file, or of the TensorFlow checkpoint with this prefix.

    Raises:
        CheckpointError: there is no such file, it is too large, or its format is unknown.
    """
    try:
        found = _format(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {quoted(path)}: {getattr(error, 'strerror', None) or error}") from error
    if found is None:
        raise CheckpointError(
            f"{quoted(path)} is not a file of weights of Caffe, NumPy or Chainer, PyTorch, safetensors or TensorFlow, "
            "or it is damaged"
        )
    return found


def _format(path: Path) -> Format | None:
    if checkpoint_files(path):
        return "tensorflow"
    if not os.path.isfile(path):
        raise CheckpointError(f"there is no file {quoted(path)}")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise CheckpointError(f"{quoted(path)} is too large for any of these networks ({size} bytes)")
    with path.open("rb") as file:
        start = file.read(len(_OLD_TORCH))
    if start.startswith(b"\x93NUMPY"):
        return "npy"
    if start == _OLD_TORCH:
        return "torch"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size:
        return "safetensors"
    if is_archive(path):
        return _archive(path)
    return _message(path) if start else None


def _archive(path: Path) -> Format | None:
    with open_archive(path, MOST_BYTES) as archive:
        names = archive.namelist()
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    return "torch" if any(name.endswith("data.pkl") for name in names) else None


def _message(path: Path) -> Format | None:
    try:
        message = open_message(path)
        return "caffemodel" if is_network(message) else "binaryproto" if is_blob(message) else None
    except ValueError:
        return None
