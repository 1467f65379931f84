"""The user's own classifiers, given as Python objects or by "module:function".

"module:function" runs the user's code. This is the only place in stgan that runs code the package does not contain.
"torchvision:NAME" and "hf:ORG/NAME" run none (see `named_classifiers`).
"""

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from stgan.checkpoints.checkpoint import Checkpoint, weights_hash
from stgan.checkpoints.fingerprint import as_text, fingerprint
from stgan.checkpoints.named_classifiers import is_named_classifier, named_classifier
from stgan.errors import StganError
from stgan.names import is_file_name, one_line, quoted
from stgan.networks import VideoClassifier, adapt

OWN = "own"
"""The name of a classifier to which the user gives none."""

Classifier = nn.Module | Checkpoint
"""A `VideoClassifier`, a network that `adapt` recognises, or a classifier's checkpoint."""

_FILE = "stgan_own_classifier"  # the name of a module that comes from a file
_SPEC = re.compile(r"(?P<module>.+):(?P<function>[A-Za-z_]\w*)")


def own_checkpoints(
    networks: Classifier | Mapping[str, Classifier], device: torch.device | str = "cpu"
) -> dict[str, Checkpoint]:
    """Classifiers that steer as checkpoints, by name. Their networks are moved to the device in place.

    networks: one, which is named "own", or several by name.

    Raises:
        StganError: one is not a classifier or cannot steer, a name cannot be used, or they know different actions.
    """
    if not isinstance(networks, Mapping):
        networks = {OWN: networks}
    if not networks:
        raise StganError("condition names no network; give a classifier, or leave it away to use those of the model")
    if bad := [name for name in networks if not isinstance(name, str) or not is_file_name(name)]:
        raise StganError(f"a condition network cannot be named {quoted(str(bad[0]))}; use a single word")
    checkpoints = {name: own_checkpoint(network, device) for name, network in networks.items()}
    for checkpoint in checkpoints.values():
        if isinstance(checkpoint.network, VideoClassifier):
            checkpoint.network.check_steering()
        elif not checkpoint.actions or not hasattr(checkpoint.network, "log_probabilities"):
            raise StganError(f"{type(checkpoint.network).__name__} without named actions is no classifier")
    if len({checkpoint.actions for checkpoint in checkpoints.values()}) != 1:
        raise StganError("condition networks can only steer together if they name the same actions in the same order")
    return checkpoints


def own_checkpoint(network: Classifier, device: torch.device | str = "cpu") -> Checkpoint:
    """A classifier, or a network of features, as a checkpoint. The hash is that of the wrapped network.

    The ancestors are its inner modules that have most of its weights: the network itself if this is a wrapper. A frozen
    script, and a wrapper that does not register its network, have no weights that PyTorch knows of: the hash is that of
    the fingerprint.
    """
    if isinstance(network, Checkpoint):
        network.network.to(device)
        return network
    if not isinstance(network, nn.Module):
        raise StganError(f"a classifier is a torch.nn.Module or a checkpoint, not a {type(network).__name__}")
    classifier = adapt(network)
    weights, tensors = _weights(classifier.module), fingerprint(classifier.module)
    if _size(weights) <= sum(tensors.values()) / 2:
        identity, wrapped = hashlib.sha256(as_text(tensors).encode()).hexdigest(), {}
    else:
        identity, half = weights_hash(weights), _size(weights) / 2
        inner = {name: _weights(module) for name, module in classifier.module.named_modules() if name}
        wrapped = {name: weights_hash(each) for name, each in inner.items() if _size(each) > half}
    return Checkpoint(classifier.to(device), classifier.actions, {"ancestors": wrapped}, identity)


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}


def _size(weights: Mapping[str, Tensor]) -> int:
    return sum(value.numel() for value in weights.values())


def is_own_classifier(name: str) -> bool:
    """Whether a name is MODULE:FUNCTION, torchvision:NAME or hf:ORG/NAME."""
    return (is_named_classifier(name) or _SPEC.fullmatch(name) is not None) and not os.path.exists(name)


def load_own_classifier(spec: str, device: torch.device | str = "cpu") -> Checkpoint:
    """Load a named classifier, or call a function of the user that returns one. Its code runs with the user's rights.

    spec: see `named_classifier`; or "module:function". The module is a dotted name, searched in the current folder
          first, or a .py file, whose folder is searched for its own imports. The function takes no arguments and
          returns what `own_checkpoint` takes.

    Raises:
        StganError: there is no such module or function, it raises, or its result is no such network.
    """
    if is_named_classifier(spec):
        return own_checkpoint(named_classifier(spec), device)
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise StganError(f"a classifier of your own is named MODULE:FUNCTION or FILE.py:FUNCTION, not {quoted(spec)}")
    where, name = match["module"], match["function"]
    try:
        module = _from_file(Path(where)) if where.endswith(".py") else _from_path(where)
    except StganError:
        raise
    except (Exception, SystemExit) as error:
        raise StganError(f"{quoted(where)} cannot be imported: {type(error).__name__}: {one_line(error)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise StganError(f"{quoted(where)} has no function {name!r}; define one that returns your classifier")
    try:
        network = function()
    except StganError:
        raise
    except (Exception, SystemExit) as error:
        raise StganError(f"{quoted(spec)} raised {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(network, nn.Module | Checkpoint):
        raise StganError(f"{quoted(spec)} returned a {type(network).__name__}; it has to return your classifier")
    return own_checkpoint(network, device)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise StganError(f"there is no file {quoted(path)} with a classifier of your own")
    _search_first(path.resolve().parent)
    spec = importlib.util.spec_from_file_location(_FILE, path)
    assert spec and spec.loader  # true for every .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[_FILE] = module  # dataclasses look up their module there
    spec.loader.exec_module(module)
    return module


def _from_path(name: str) -> ModuleType:
    _search_first(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module itself imports something that is missing
        raise StganError(
            f"there is no module {quoted(name)} here or among the installed ones; "
            "name a module or a file, as in my_classifier.py:make"
        ) from error


def _search_first(folder: Path) -> None:
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
