"""Export of a checkpoint to a single file that other programs read."""

import json
from pathlib import Path

import numpy as np
import torch

from stgan.checkpoints.checkpoint import Checkpoint, checkpoint_config, stored_tensors, write_tensors
from stgan.checkpoints.description import CheckpointError
from stgan.files import replacing
from stgan.names import quoted
from stgan.records import as_plain, write_record

EXPORTS = (".safetensors", ".npz", ".pt")
"""File name endings of the formats that can be written: safetensors, NumPy, PyTorch."""


def export_weights(checkpoint: Checkpoint, path: Path, *, half: bool = False) -> tuple[Path, ...]:
    """Write the weights by their names in the state dict, and return the written files.

    The network's description (settings, preprocessing, class names, provenance, hash) is JSON: in the metadata of a
    .safetensors file under "stgan", otherwise in a second file whose name ends in .json.

    half: write parameters in float16; buffers are unchanged.

    Raises:
        CheckpointError: the path has another ending, or the disk has no room.
    """
    if path.suffix not in EXPORTS:
        raise CheckpointError(f"cannot export to {quoted(path)}: its name has to end in {', '.join(EXPORTS)}")
    network = checkpoint.network
    tensors = stored_tensors(network, half)
    config = checkpoint_config(network, checkpoint.actions, checkpoint.provenance)
    description = {**as_plain(config), "hash": checkpoint.hash}
    if path.suffix == ".safetensors":
        write_tensors(path, tensors, {"format": "pt", "stgan": json.dumps(description)})
        return (path,)
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".npz":
            np.savez(file, allow_pickle=False, **{name: tensor.numpy() for name, tensor in tensors.items()})
        else:
            torch.save(tensors, file)
    beside = path.with_name(f"{path.name}.json")
    write_record(beside, description)
    return path, beside
