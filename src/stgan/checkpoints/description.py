"""What the files of a checkpoint say of its network, read without PyTorch."""

import hashlib
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open

from stgan.errors import StganError
from stgan.names import is_file_name, quoted
from stgan.records import read_record

R = TypeVar("R")

FORMAT: Literal[1] = 1
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
_LARGEST_CONFIG = 1 << 20  # bytes; of a safetensors file's table of contents too
_LONGEST_REASON = 500  # characters of an error's text
_BUFFERS = frozenset(
    (
        "running_mean", "running_var", "num_batches_tracked",  # of batch normalisation
        "mean", "to_whitened", "from_whitened", "unit", "variance",  # of the priors
        "mean_volume",  # of C3D
    )
)  # fmt: skip
"""Names of what networks keep beside their parameters."""
_DTYPES = ("F16", "F32", "F64", "I64")  # that NumPy has too


class CheckpointError(StganError):
    """A checkpoint that is missing, damaged, or not what it says."""


def check_header(path: Path) -> None:
    """ValueError for a table of contents beyond 1 MB: safetensors reads up to 100 MB, which takes it a minute."""
    with path.open("rb") as file:
        start = file.read(8)
    if len(start) == 8 and struct.unpack("<Q", start)[0] > _LARGEST_CONFIG:
        raise ValueError(f"its table of contents is longer than {_LARGEST_CONFIG} bytes")


def check_actions(actions: Sequence[str], path: Path) -> None:
    """CheckpointError unless `actions`, read from `path`, are different names that folders can have."""
    bad = [action for action in actions if not is_file_name(action)]
    if bad or len(set(actions)) < len(actions):
        which = f", unlike {quoted(bad[0])}" if bad else ""
        raise CheckpointError(f"{quoted(path)}: actions must be different words that can name a folder{which}")


@dataclass(frozen=True)
class CheckpointConfig:
    """`config.json`. network, config: the architecture and its configuration. actions, provenance: see `Checkpoint`."""

    format: Literal[1]
    network: str
    config: dict[str, Any]
    actions: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


def read_config(path: Path) -> CheckpointConfig:
    """What a `config.json` says. CheckpointError if there is none, or it is damaged or of another version."""
    config = read_file(path, CheckpointConfig)
    check_actions(config.actions, path)
    return config


def read_file(path: Path, kind: Callable[..., R]) -> R:
    """A record from a JSON file of a checkpoint or a model, or CheckpointError."""
    if not os.path.isfile(path):
        raise CheckpointError(f"there is no {quoted(path)}; is this a checkpoint folder?")
    try:
        return read_record(path, kind, most=_LARGEST_CONFIG)
    except StganError as error:
        raise CheckpointError(str(error)) from error


def check_unambiguous(name: str, what: str, meant: Path, remedy: str = "") -> None:
    """CheckpointError if a name that means `what`, which is at `meant`, is also that of another folder or file here.

    remedy: what to do if `what` is wanted; default: to write the path where it is.
    """
    path = Path(name)
    if path.exists() and not (meant.exists() and path.samefile(meant)):
        raise CheckpointError(
            f"{quoted(name)} is {what}, and there is a folder or file of that name here; write "
            f"{quoted(f'./{name}')} for that, or {remedy or quoted(meant)} for {what}"
        )


def one_line(error: BaseException, lines: int | None = None) -> str:
    """The error's text (or its first `lines`) on one line, of printable characters, if need be shortened."""
    text = " ".join(" ".join(str(error).strip().splitlines()[:lines]).split()) or type(error).__name__
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."


@dataclass(frozen=True)
class Description:
    """A checkpoint as far as it is known without building its network.

    network:    the name of its architecture, as in `NETWORKS`.
    parameters: how many numbers were trained; the statistics that a network keeps beside them do not count.
    hash:       `weights_hash` of its weights; None if they are stored in a type that only PyTorch reads.
    """

    network: str
    parameters: int
    provenance: dict[str, Any]
    hash: str | None


def describe_checkpoint(folder: Path) -> Description:
    """What config.json and the weights' file say. Whether they fit each other is only known to `load_checkpoint`.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    config, path = read_config(folder / CONFIG), folder / WEIGHTS
    if not os.path.isfile(path):
        raise CheckpointError(f"weights are missing: there is no {quoted(path)}")
    try:
        check_header(path)
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in sorted(file.keys())}
            readable = all(part.get_dtype() in _DTYPES for part in slices.values())
            digest = hash_of_arrays((name, _rounded(file.get_tensor(name))) for name in slices) if readable else None
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{quoted(path)} is not a readable safetensors file: {one_line(error)}") from error
    trained = [part.get_shape() for name, part in slices.items() if name.rpartition(".")[2] not in _BUFFERS]
    return Description(
        network=config.network,
        parameters=sum(map(prod, trained)),
        provenance=config.provenance,
        hash=digest,
    )


def hash_of_arrays(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """SHA-256 of names, shapes and values, hexadecimal; of arrays in the order of their names, floats in float16."""
    digest = hashlib.sha256()
    for name, value in arrays:
        digest.update(f"{name} {value.shape} ".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _rounded(value: np.ndarray) -> np.ndarray:
    """As PyTorch's networks compute in float32, values in float64 are rounded twice."""
    if value.dtype.kind != "f":
        return value
    with np.errstate(over="ignore"):
        return value.astype(np.float32).astype(np.float16)
