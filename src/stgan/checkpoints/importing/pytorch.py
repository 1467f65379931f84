"""PyTorch's files: state dicts by torch.save, in its old and new formats, and .safetensors. Only tensors are read.

`weights_only=True` runs no code, but a pickle may still allocate any amount of memory (a bytearray of any length).
So the names that a pickle uses are checked first, and only those of tensors are allowed.
"""

import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from stgan.archives import is_archive, open_archive
from stgan.checkpoints.description import check_header
from stgan.checkpoints.importing.layers import KIND_BY_AXES, MOST_BYTES, Array, FileLayer
from stgan.checkpoints.importing.numpy_files import natural
from stgan.errors import is_out_of_memory

_MOST_PICKLED = 1 << 22  # bytes of the tensors' description; that of a thousand tensors takes 0.1 MB
_PICKLES = 5  # in an old file before its values: a mark, a version, the machine, the tensors, their keys
_TENSORS = re.compile(
    r"torch\._utils _rebuild_(tensor|tensor_v2|parameter)|collections OrderedDict|torch\.nn\.parameter Parameter|"
    r"torch ([A-Z][A-Za-z]*Storage|Size)"
)
_ELSEWHERE = ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4")  # other ways to name something
_FLOATING = ("F16", "BF16", "F32", "F64")


def read_safetensors(path: Path) -> dict[str, Array]:
    """Read the floating-point tensors of a file, by name.

    Raises:
        ValueError, SafetensorError: the file is damaged.
    """

    def read(name: str) -> Tensor:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name).float()

    check_header(path)
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
        _check_pickles(path, zipped)
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


def _check_pickles(path: Path, zipped: bool) -> None:
    """ValueError for pickles that name anything but tensors, or for a compressed archive."""
    if zipped:
        with open_archive(path, MOST_BYTES) as archive:
            infos = archive.infolist()
            if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
                raise ValueError("it is compressed, which torch.save does not do")
            # PyTorch reads this member of the first one's folder, in whatever case its name is written.
            wanted = infos[0].filename.partition("/")[0] + "/data.pkl" if infos else ""
            described = [info for info in infos if info.filename.lower().endswith("data.pkl")]
            names = [info.filename for info in described]
            if names != [wanted] or described[0].file_size > _MOST_PICKLED:
                raise ValueError("it is not a file of torch.save, or holds more than tensors")
            pickles, count = io.BytesIO(archive.read(described[0])), 1
    else:
        with path.open("rb") as file:
            pickles, count = io.BytesIO(file.read(_MOST_PICKLED)), _PICKLES
    for _ in range(count):
        for operation, argument, _ in pickletools.genops(pickles):
            if operation.name in _ELSEWHERE or (operation.name == "GLOBAL" and not _TENSORS.fullmatch(str(argument))):
                raise ValueError(
                    f"it holds more than tensors ({str(argument)[:60]!r}), which could run code; "
                    "save the state_dict alone"
                )
