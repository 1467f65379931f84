"""Networks that were never saved as checkpoints: the user's own classifiers, from Python or by "module:function".

The second runs the user's code. It is the one place that does, and only what the user names there.
"""

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
from stgan.checkpoints.description import one_line
from stgan.errors import StganError
from stgan.names import is_file_name, quoted
from stgan.networks import adapt

OWN = "own"
"""What a classifier is called whose user gives it no name."""

Classifier = nn.Module | Checkpoint
"""A `VideoClassifier`, a network that `adapt` recognises, or a classifier's checkpoint."""

_FILE = "stgan_own_classifier"  # the name of a module that comes from a file
_SPEC = re.compile(r"(?P<module>.+):(?P<function>[A-Za-z_]\w*)")


def own_checkpoints(
    networks: Classifier | Mapping[str, Classifier], device: torch.device | str = "cpu"
) -> dict[str, Checkpoint]:
    """Classifiers by name, on a device (in place), with the hashes by which they are recognised.

    networks: one, which is called "own", or several by name.

    Raises:
        StganError: one is no classifier, a name cannot be one, or they know different actions.
    """
    if not isinstance(networks, Mapping):
        networks = {OWN: networks}
    if bad := [name for name in networks if not isinstance(name, str) or not is_file_name(name)]:
        raise StganError(f"a condition network cannot be called {quoted(str(bad[0]))}; name it by a word")
    checkpoints = {name: own_checkpoint(network, device) for name, network in networks.items()}
    if len({checkpoint.actions for checkpoint in checkpoints.values()}) != 1:
        raise StganError("condition networks steer together only if they name the same actions in the same order")
    return checkpoints


def own_checkpoint(network: Classifier, device: torch.device | str = "cpu") -> Checkpoint:
    """A classifier as a checkpoint. Its hash is that of the network inside, however it was wrapped."""
    if isinstance(network, Checkpoint):
        if not network.actions or not hasattr(network.network, "log_probabilities"):
            raise StganError(f"{type(network.network).__name__} without named actions is no classifier")
        network.network.to(device)
        return network
    classifier = adapt(network)
    weights = {name: value for name, value in classifier.module.state_dict().items() if isinstance(value, Tensor)}
    return Checkpoint(classifier.to(device), classifier.actions, hash=weights_hash(weights))


def is_own_classifier(name: str) -> bool:
    """Whether a name is MODULE:FUNCTION."""
    return _SPEC.fullmatch(name) is not None and not os.path.exists(name)


def load_own_classifier(spec: str, device: torch.device | str = "cpu") -> Checkpoint:
    """The classifier that a function of the user's returns. The code is run with all the rights of the user.

    spec: "module:function"; the module by its dotted name (the current folder is looked into first) or as a .py file,
          beside which it finds its own imports. The function is called without arguments and returns what
          `own_checkpoint` takes.

    Raises:
        StganError: there is no such module or function, it raises, or what it returns cannot steer.
    """
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
    _look_first_into(path.resolve().parent)
    spec = importlib.util.spec_from_file_location(_FILE, path)
    assert spec and spec.loader  # as there are for every .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[_FILE] = module  # as an import does: dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def _from_path(name: str) -> ModuleType:
    _look_first_into(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # of what the module itself imports
        raise StganError(
            f"there is no module {quoted(name)} here or among the installed ones; "
            "name a module or a file, as in my_classifier.py:make"
        ) from error


def _look_first_into(folder: Path) -> None:
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
