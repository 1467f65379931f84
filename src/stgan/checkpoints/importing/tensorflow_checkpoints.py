"""TensorFlow's checkpoints, in both formats: one file (V1), or PREFIX.index and PREFIX.data-... (V2)."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from torch import Tensor

from stgan.checkpoints.importing.layers import MOST_BYTES, Array, FileLayer
from stgan.checkpoints.importing.numpy_files import natural, read_npz

_TABLE = bytes.fromhex("57fb808b247547db")  # the last bytes of an index and of a V1 file
_SECONDS = 600
_CHILD = Path(__file__).with_name("tensorflow_child.py")
_SHARD = re.compile(r"\.data-\d{5}-of-\d{5}")
_CONVOLUTION, _INNER, _OUT = re.compile(r"wc\d[a-z]?"), re.compile(r"wd\d"), ("wout", "out")


def checkpoint_files(path: Path) -> list[Path]:
    """The files of the checkpoint given by its prefix or one of its files; empty if there is no checkpoint."""
    prefix = checkpoint_prefix(path)
    index = prefix.with_name(f"{prefix.name}.index")
    if os.path.isfile(index):
        shards = [file for file in prefix.parent.iterdir() if _SHARD.fullmatch(file.name.removeprefix(prefix.name))]
        return [index, *sorted(shards)] if _is_table(index) else []
    return [path] if os.path.isfile(path) and _is_table(path) else []


def checkpoint_prefix(path: Path) -> Path:
    """TensorFlow's name of a checkpoint: its path without .index or .data-00000-of-00001."""
    return path.with_name(_SHARD.sub("", path.name.removesuffix(".index")))


def read_variables(path: Path) -> dict[str, Array]:
    """Read the variables of a C3D with TensorFlow, by the last part of their names (wc1, bd2, ...).

    Raises:
        ValueError: TensorFlow is not installed or cannot read the checkpoint, or two variables have the same name.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise ValueError('reading it needs TensorFlow: pip install "stgan[tensorflow]"')
    with tempfile.TemporaryDirectory(prefix="stgan-") as folder:
        out = Path(folder) / "variables.npz"
        _run_child(checkpoint_prefix(path), out)
        variables: dict[str, Array] = {}
        for name, array in read_npz(out).items():
            last = name.split("/")[-1]
            if last in variables:
                raise ValueError(f"it has several variables named {last}")
            variables[last] = _from_tensor(array.read())  # the file is removed
    return variables


def tensorflow_layers(variables: dict[str, Array], pool5: str) -> list[FileLayer]:
    """C3D's layers in our order of axes. TensorFlow's kernels are "time height width in out", inner products "in out".

    pool5: the order in which the first inner product reads pool5: "channels-first" (channels, rows, columns), or
           "channels-last".

    Raises:
        ValueError: a bias is missing, or the first inner product does not fit the convolutions.
    """
    names = sorted(variables, key=natural)
    convolutions = [name for name in names if _CONVOLUTION.fullmatch(name)]
    inner = [name for name in names if _INNER.fullmatch(name)] + [name for name in _OUT if name in variables][:1]
    layers = []
    for name in (*convolutions, *inner):
        bias_name = "bout" if name in _OUT else f"b{name[1:]}"
        weight, bias = variables[name], variables.get(bias_name)
        if bias is None:
            raise ValueError(f"it has no variable {bias_name}")
        is_convolution = name in convolutions
        order = (4, 3, 0, 1, 2) if is_convolution else (1, 0)
        if len(weight.shape) != len(order):
            raise ValueError(f"its variable {name} has {len(weight.shape)} axes, not {len(order)}")
        if pool5 == "channels-last" and inner and name == inner[0] and convolutions:
            weight = _channels_first(weight, variables[convolutions[-1]].shape[-1])
        kind = "convolution3d" if is_convolution else "inner product"
        layers.append(FileLayer(name, kind, (_permuted(weight, order), bias)))
    return layers


def _channels_first(weight: Array, channels: int) -> Array:
    """A matrix with its rows reordered from "height width channels" to "channels height width"."""
    rows, outputs = weight.shape
    if not channels or rows % channels:
        raise ValueError(f"the {rows} inputs of its first inner product do not fit {channels} channels")

    def read() -> Tensor:
        return weight.read().reshape(rows // channels, channels, outputs).transpose(0, 1).reshape(rows, outputs)

    return Array(weight.shape, read)


def _permuted(array: Array, order: tuple[int, ...]) -> Array:
    return Array(tuple(array.shape[axis] for axis in order), lambda: array.read().permute(order).contiguous())


def _from_tensor(tensor: Tensor) -> Array:
    return Array(tuple(tensor.shape), lambda: tensor)


def _run_child(prefix: Path, out: Path) -> None:
    try:
        child = subprocess.run(
            [sys.executable, str(_CHILD), str(prefix.absolute()), str(out), str(MOST_BYTES)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"TensorFlow did not read it within {_SECONDS} seconds") from error
    if child.returncode == 0:
        return
    lines = child.stdout.decode("utf-8", "replace").strip().splitlines()
    try:
        reason = str(json.loads(lines[-1])["error"])
    except (IndexError, ValueError, TypeError, KeyError):
        reason = f"its reader stopped with status {child.returncode}"
    raise ValueError(f"TensorFlow cannot read it, it may be damaged: {reason}")


def _is_table(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        if file.tell() < 48:  # of the footer
            return False
        file.seek(-len(_TABLE), os.SEEK_END)
        return file.read() == _TABLE
