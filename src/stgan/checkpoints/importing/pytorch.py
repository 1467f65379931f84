"""PyTorch's files: state dicts by torch.save, in its old and new formats, and .safetensors. Only tensors are read."""

import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from stgan.archives import is_archive
from stgan.checkpoints.importing.layers import KIND_BY_AXES, MOST_BYTES, Array, FileLayer
from stgan.checkpoints.importing.numpy_files import natural
from stgan.errors import is_out_of_memory
from stgan.tensor_files import check_pickles, check_table

_FLOATING = ("F16", "BF16", "F32", "F64")


def read_safetensors(path: Path) -> dict[str, Array]:
    """Read the floating-point tensors of a file, by name.

    Raises:
        ValueError, SafetensorError: the file is damaged.
    """

    def read(name: str) -> Tensor:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name).float()

    check_table(path)
    with safe_open(path, framework="pt") as file:
        slices = {name: file.get_slice(name) for name in list(file.keys())}
        floating = {name: each for name, each in slices.items() if each.get_dtype() in _FLOATING}
        return {name: Array(tuple(each.get_shape()), partial(read, name)) for name, each in floating.items()}


def read_torch_file(path: Path) -> dict[str, Array]:
    """Read the floating-point tensors of a state dict, by name, also inside another dict such as a training's state.

    Raises:
        ValueError: the file is damaged, or holds more than tensors and plain values.
    """
    zipped = is_archive(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the way in which the file was saved
        check_pickles(path, zipped, MOST_BYTES)
        try:
            values = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped or None)
        except Exception as error:  # of many types; torch's messages advise to run the file's code
            if is_out_of_memory(error):
                raise
            raise ValueError("it is damaged, or holds more than tensors; save the state_dict alone") from error
    tensors = max(_state_dicts(values), key=len, default={})
    if sum(tensor.numel() for tensor in tensors.values()) > path.stat().st_size:
        raise ValueError("it is damaged: it names more values than it has bytes")
    return {name: _array(tensor) for name, tensor in tensors.items()}


def layers_by_name(arrays: Mapping[str, Array]) -> list[FileLayer]:
    """The layers of a state dict (name.weight and name.bias), in natural order of their names.

    The statistics of a batch normalization (name.running_mean, name.running_var) follow weight and bias.
    """
    layers = []
    weights = sorted((name.removesuffix(".weight") for name in arrays if name.endswith(".weight")), key=natural)
    for name in weights:
        weight, bias = arrays[f"{name}.weight"], arrays.get(f"{name}.bias")
        kind = KIND_BY_AXES.get(len(weight.shape), "layer")
        statistics = [arrays[key] for part in ("mean", "var") if (key := f"{name}.running_{part}") in arrays]
        if bias and len(statistics) == 2:
            kind = "batch norm"
        layers.append(FileLayer(name.removeprefix("module."), kind, (weight, *([bias] if bias else []), *statistics)))
    return layers


def _array(tensor: Tensor) -> Array:
    return Array(tuple(tensor.shape), lambda: tensor.to(torch.float32, copy=True).contiguous())


def _state_dicts(values: Any) -> Iterator[dict[str, Tensor]]:
    """The tensors of a dict, and of the dicts in it."""
    for each in (values, *(values.values() if isinstance(values, dict) else ())):
        if isinstance(each, dict):
            yield {
                name: value
                for name, value in each.items()
                if isinstance(name, str) and isinstance(value, Tensor) and value.is_floating_point()
            }
