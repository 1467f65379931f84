"""Reading a checkpoint's files without PyTorch."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open

from stgan.errors import StganError, is_out_of_memory
from stgan.names import is_file_name, one_line, quoted
from stgan.records import read_record
from stgan.tensor_files import check_table

R = TypeVar("R")

FORMAT: Literal[1] = 1
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
_LARGEST_CONFIG = 1 << 20  # bytes of `config.json`
_BUFFERS = frozenset(
    (
        "running_mean", "running_var", "num_batches_tracked",  # of batch normalisation
        "mean", "variance",  # of the priors
        "mean_volume",  # of C3D
    )
)  # fmt: skip
"""Names of the networks' buffers."""
_DTYPES = ("F16", "F32", "F64", "I64")  # those that NumPy has too


class CheckpointError(StganError):
    """A checkpoint that is missing, damaged, or not what it claims to be."""


def check_inside(path: Path) -> None:
    """CheckpointError if a file is a link that leaves its folder: whoever made the folder may not choose other files.

    The hub's cache consists of links, from REPOSITORY/snapshots/REVISION/... to REPOSITORY/blobs/...
    """
    folder, file = path.parent.resolve(), path.resolve()
    repositories = [parent.parent for parent in folder.parents if parent.name == "snapshots"]
    if file.parent != folder and not any(file.is_relative_to(each / "blobs") for each in repositories[:1]):
        raise CheckpointError(f"{quoted(path)} is a link that leaves its folder; put the file itself there")


@contextmanager
def open_weights(path: Path, framework: str) -> Iterator[Any]:
    """Open a safetensors file for "pt" or "numpy". CheckpointError if it is missing, damaged, or elsewhere."""
    if not os.path.isfile(path):
        raise CheckpointError(f"weights are missing: there is no {quoted(path)}")
    check_inside(path)
    try:
        check_table(path)
        with safe_open(path, framework=framework) as file:
            yield file
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise CheckpointError(f"{quoted(path)} is not a readable safetensors file: {one_line(error)}") from error


def difference(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> str:
    """The difference between shapes of tensors by name, in words; empty if there is none."""
    wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if not wrong:
        return ""
    first, shape = wrong[0], expected.get(wrong[0], "none")
    return (
        f"{len(wrong)} tensors differ, the first is {quoted(first)} ({found.get(first, 'missing')} in the file, "
        f"{shape} expected)"
    )


def check_actions(actions: Sequence[str], path: Path) -> None:
    """CheckpointError unless `actions`, read from `path`, are different and can name folders."""
    bad = [action for action in actions if not is_file_name(action)]
    if bad or len(set(actions)) < len(actions):
        which = f", unlike {quoted(bad[0])}" if bad else ""
        raise CheckpointError(f"{quoted(path)}: actions must be different words that can name a folder{which}")


@dataclass(frozen=True)
class CheckpointConfig:
    """`config.json`. network, config: name and settings of the architecture. actions, provenance: see `Checkpoint`."""

    format: Literal[1]
    network: str
    config: dict[str, Any]
    actions: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


def read_config(path: Path) -> CheckpointConfig:
    """Read a `config.json`. CheckpointError if it is missing, damaged or of another version."""
    config = read_file(path, CheckpointConfig)
    check_actions(config.actions, path)
    return config


def read_file(path: Path, kind: Callable[..., R]) -> R:
    """Read a record from a JSON file of a checkpoint or a model. CheckpointError if that fails."""
    if not os.path.isfile(path):
        raise CheckpointError(f"there is no {quoted(path)}; is this a checkpoint folder?")
    check_inside(path)
    try:
        return read_record(path, kind, most=_LARGEST_CONFIG)
    except StganError as error:
        raise CheckpointError(str(error)) from error


def check_unambiguous(name: str, what: str, meant: Path, remedy: str = "") -> None:
    """CheckpointError if `name`, which stands for `what`, also names another folder or file here.

    meant:  where `what` is.
    remedy: what to do if `what` is wanted; default: use its path.
    """
    path = Path(name)
    if path.exists() and not (meant.exists() and path.samefile(meant)):
        raise CheckpointError(
            f"{quoted(name)} is {what}, and there is a folder or file of that name here; write "
            f"{quoted(f'./{name}')} for that, or {remedy or quoted(meant)} for {what}"
        )


@dataclass(frozen=True)
class Description:
    """What is known of a checkpoint without building its network.

    network:    the name of its architecture, as in `NETWORKS`.
    parameters: the number of trained values, without buffers.
    hash:       `weights_hash` of its weights; None if they are stored in a type that only PyTorch reads.
    """

    network: str
    parameters: int
    provenance: dict[str, Any]
    hash: str | None


def describe_checkpoint(folder: Path) -> Description:
    """Read `config.json` and the weights. Only `load_checkpoint` checks whether they fit each other.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    config = read_config(folder / CONFIG)
    with open_weights(folder / WEIGHTS, "numpy") as file:
        slices = {name: file.get_slice(name) for name in sorted(file.keys())}
        readable = all(part.get_dtype() in _DTYPES for part in slices.values())
        digest = hash_of_arrays((name, _rounded(file.get_tensor(name))) for name in slices) if readable else None
    trained = [part.get_shape() for name, part in slices.items() if name.rpartition(".")[2] not in _BUFFERS]
    return Description(
        network=config.network,
        parameters=sum(map(prod, trained)),
        provenance=config.provenance,
        hash=digest,
    )


def hash_of_arrays(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """SHA-256 of names, shapes and values, hexadecimal. The arrays come sorted by name, floats in float16."""
    digest = hashlib.sha256()
    for name, value in arrays:
        digest.update(f"{name} {value.shape} ".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _rounded(value: np.ndarray) -> np.ndarray:
    """Round floats to float16, by way of float32, in which the networks compute."""
    if value.dtype.kind != "f":
        return value
    with np.errstate(over="ignore"):
        return value.astype(np.float32).astype(np.float16)
