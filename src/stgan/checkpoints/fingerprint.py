"""Fingerprints of networks, which show that two networks share weights, whatever they are wrapped in.

`weights_hash` identifies a network with the names of its weights, so a wrapper changes it. A fingerprint is the set of
the tensors of a network without their names.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.jit._recursive import wrap_cpp_module

Fingerprint = Mapping[str, int]
"""The number of values of each tensor of a network, by the first 10 digits of the hash of their signs."""

RELATED = 0.1
"""Two networks that share this part of the weights of the smaller one, or more, share an ancestor."""

_DIGITS = 10
_FEWEST = 8  # positive and negative values of a tensor: others, such as zeros, ones and variances, look all alike
_MOST_TENSORS = 256  # in a text: 5 kB
_TEXT = re.compile(rf"(?:[0-9a-f]{{{_DIGITS}}}:[1-9][0-9]{{0,14}}(?: (?!$)|$)){{0,{_MOST_TENSORS}}}")


@torch.no_grad()
def fingerprint(network: nn.Module) -> Fingerprint:
    """The fingerprint of a network: of its parameters, its buffers, and tensors and networks among its attributes.

    A tensor counts by the signs of its values, in their order. Signs are the same in every precision, after scaling,
    and in each shape.
    """
    found = {}
    for tensor in _tensors(network):
        signs = torch.signbit(tensor.detach().flatten()).cpu().numpy()
        negative = int(signs.sum())
        if min(negative, signs.size - negative) >= _FEWEST:
            found[hashlib.sha256(np.packbits(signs).tobytes()).hexdigest()[:_DIGITS]] = signs.size
    return found


def shared(one: Fingerprint, other: Fingerprint) -> float:
    """The number of weights that two networks share, as a share in [0, 1] of the weights of the smaller one."""
    smaller = min(sum(one.values()), sum(other.values()))
    common = sum(size for digest, size in one.items() if other.get(digest) == size)
    return min(1.0, common / smaller) if smaller else 0.0


def as_text(tensors: Fingerprint) -> str:
    """A fingerprint as "HASH:SIZE HASH:SIZE ...", with the 256 largest tensors, largest first."""
    largest = sorted(tensors.items(), key=lambda item: (-item[1], item[0]))[:_MOST_TENSORS]
    return " ".join(f"{digest}:{size}" for digest, size in largest)


@lru_cache(maxsize=64)  # all clips of a folder have the same
def from_text(text: str) -> Fingerprint:
    """What `as_text` wrote. ValueError if it is anything else."""
    if not _TEXT.fullmatch(text):
        raise ValueError("this is no fingerprint of a network")
    return {digest: int(size) for digest, _, size in (item.partition(":") for item in text.split())}


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    """All floating-point tensors that a network holds, each once."""
    pending: list[Any] = [network]
    seen: dict[int, Any] = {}  # holds the values, because Python gives the id of a deleted one to another
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if not isinstance(value, Tensor):
            pending += _held(value)
        elif value.is_floating_point() and not value.is_meta:
            yield value


def _held(value: Any) -> Iterable[Any]:
    """What a value holds: items, arguments and variables that a function is bound to, or attributes.

    The attributes of a network are its parameters, buffers and modules, and those that it does not register. PyTorch's
    other objects are left out: some know every network of the process.
    """
    if isinstance(value, torch.jit.ScriptModule):
        return *value.parameters(), *value.buffers(), *_constants(value)
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, MethodType):
        return (value.__self__,)
    if isinstance(value, torch._C.ScriptMethod):
        return (wrap_cpp_module(value.owner),)
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if isinstance(value, FunctionType):
        return value.__defaults__, value.__kwdefaults__, *_outer_variables(value)
    if isinstance(value, type | ModuleType) or (_is_of_torch(value) and not isinstance(value, nn.Module)):
        return ()
    return getattr(value, "__dict__", {}).values()


def _outer_variables(function: FunctionType) -> Iterator[Any]:
    """The variables of outer functions that a function uses."""
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # one that has no value yet
            yield cell.cell_contents


def _is_of_torch(value: Any) -> bool:
    return type(value).__module__.split(".")[0] == "torch"


def _constants(script: torch.jit.ScriptModule) -> list[Any]:
    """The constants in the code of a frozen script, which has no parameters: tensors, lists of tensors, and others."""
    graph = getattr(script, "graph", None)  # a script may have no forward
    nodes = graph.findAllNodes("prim::Constant") if graph is not None else ()
    return [node.output().toIValue() for node in nodes]
