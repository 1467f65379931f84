"""A checkpoint as one file that other programs read."""

import json
from pathlib import Path

import numpy as np
import torch

from stgan.checkpoints.checkpoint import Checkpoint, described, stored_tensors, write_tensors
from stgan.checkpoints.description import CheckpointError
from stgan.files import replacing
from stgan.names import quoted
from stgan.records import as_plain, write_record

EXPORTS = (".safetensors", ".npz", ".pt")
"""Endings of the files that can be written: safetensors, NumPy's, PyTorch's."""


def export_weights(checkpoint: Checkpoint, path: Path, *, half: bool = False) -> tuple[Path, ...]:
    """Write the weights by their names in the state dict, and return the files that are there now.

    What is known of the network (settings, how it wants its pixels, names of classes, provenance, hash) stands in the
    metadata of a .safetensors file under "stgan", beside the others in a file that ends in .json, as JSON.

    half: parameters in float16; buffers stay as they are.

    Raises:
        CheckpointError: the path has another ending, or there is no room.
    """
    if path.suffix not in EXPORTS:
        raise CheckpointError(f"cannot export to {quoted(path)}: its name has to end in {', '.join(EXPORTS)}")
    network = checkpoint.network
    tensors = stored_tensors(network, half)
    about = {**as_plain(described(network, checkpoint.actions, checkpoint.provenance)), "hash": checkpoint.hash}
    if path.suffix == ".safetensors":
        write_tensors(path, tensors, {"format": "pt", "stgan": json.dumps(about)})
        return (path,)
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".npz":
            np.savez(file, allow_pickle=False, **{name: tensor.numpy() for name, tensor in tensors.items()})
        else:
            torch.save(tensors, file)
    beside = path.with_name(f"{path.name}.json")
    write_record(beside, about)
    return path, beside
