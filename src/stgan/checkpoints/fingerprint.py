"""Fingerprints of networks, which show that two networks share weights, whatever they are wrapped in.

`weights_hash` identifies a network with the names of its weights, so a wrapper changes it. A fingerprint is the set of
the tensors of a network without their names.
"""

import dis
import gc
import hashlib
import re
import sys
import sysconfig
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.jit._recursive import wrap_cpp_module

from stgan.errors import is_out_of_memory

Fingerprint = Mapping[str, int]
"""The number of values of each tensor of a network, by the first 10 digits of the hash of their signs."""

RELATED = 0.1
"""Two networks that share this part of the weights of the smaller one, or more, share an ancestor."""

_DIGITS = 10
_FEWEST = 8  # positive and negative values of a tensor: others, such as zeros, ones and variances, look all alike
_MOST_TENSORS = 2048  # in a text: 40 kB, and 16 networks fit in a line of a manifest
_TEXT = re.compile(rf"(?:[0-9a-f]{{{_DIGITS}}}:[1-9][0-9]{{0,14}}(?: (?!$)|$)){{0,{_MOST_TENSORS}}}")

# What is looked at of one network: its registered weights first, then the nearest.
_MOST_OBJECTS = 1 << 20
_MOST_VALUES = 1 << 31

_PLAIN = (int, float, complex, bool, str, bytes, type(None))  # they hold nothing
_KEPT = (nn.Module, Tensor, dict, list, tuple, set, frozenset)  # also those of PyTorch's classes
_OF_TORCH = re.compile(r"torch(?!\.export\.)(\.|$)")  # the modules whose other objects may know every network
_CACHED = type(lru_cache(len))
_LIBRARIES = {*sys.stdlib_module_names, "numpy", "stgan", "torch"}  # and what is installed here:
_INSTALLED = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))


@torch.no_grad()
def fingerprint(network: nn.Module) -> Fingerprint:
    """The fingerprint of a network: of all tensors and arrays that it can reach.

    These are its parameters and buffers, and what its attributes, its class, its functions and the objects and
    networks among these hold. A tensor counts by the signs of its values, in their order. Signs are the same in every
    precision, after scaling, and in each shape.
    """
    found, left = {}, _MOST_VALUES
    for array in _arrays(network):
        signs = _signs(array, left)
        left -= signs.size
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
    """A fingerprint as "HASH:SIZE HASH:SIZE ...", with at most 2048 tensors.

    They are the first by their hashes, a random sample, so that each of several networks keeps its share of them.
    """
    return " ".join(f"{digest}:{size}" for digest, size in sorted(tensors.items())[:_MOST_TENSORS])


@lru_cache(maxsize=64)  # all clips of a folder have the same
def from_text(text: str) -> Fingerprint:
    """What `as_text` wrote. ValueError if it is anything else."""
    if not _TEXT.fullmatch(text):
        raise ValueError("this is no fingerprint of a network")
    return {digest: int(size) for digest, _, size in (item.partition(":") for item in text.split())}


def _signs(array: Tensor | np.ndarray, most: int) -> np.ndarray:
    """The signs of floating-point numbers, in one row; empty for others, for masks, and for more than `most`."""
    none = np.zeros(0, bool)
    try:
        if isinstance(array, np.ndarray):
            if array.dtype.kind != "f" or array.size > most:
                return none
            with np.errstate(over="ignore"):
                numbers = torch.from_numpy(np.array(array, np.float32))
        elif not array.is_floating_point() or array.is_meta or array.numel() > most:
            return none
        else:
            numbers = array.detach() if array.layout == torch.strided else array.detach().to_dense()
        if numbers.element_size() == 1:
            numbers = numbers.float()  # few functions know float8
        is_mask = numbers.numel() and not numbers.max() and len(numbers.unique()) == 2
        # Attention adds a mask, zeros and one negative number: networks of a kind share it.
        return none if is_mask else torch.signbit(numbers.flatten()).cpu().numpy()
    except Exception as error:  # a tensor that has no values yet, or computes in a way of its own
        if is_out_of_memory(error):
            raise
        return none


def _arrays(network: nn.Module) -> Iterator[Tensor | np.ndarray]:
    """All tensors and NumPy arrays that a network can reach, each once, the nearest first."""
    pending: deque[Any] = deque([*network.parameters(), *network.buffers(), network])
    seen: dict[int, Any] = {}  # holds the values, because Python gives the id of a deleted one to another
    while pending and len(seen) < _MOST_OBJECTS:
        value = pending.popleft()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if issubclass(type(value), Tensor | np.ndarray):
            yield value
        pending.extend(each for each in _held(value) if type(each) not in _PLAIN)


def _held(value: Any) -> Iterable[Any]:
    """What a value holds, as the garbage collector sees it, so that no code of the value runs.

    Left out is what would lead to every network of the process: modules, stack frames, classes and global variables of
    libraries, global variables that a function does not name, arguments of earlier calls of a cached function, and
    PyTorch's objects that are no networks.
    """
    kind = type(value)
    if issubclass(kind, type):
        return () if _is_of_library(_module(value)) else gc.get_referents(value)
    if issubclass(kind, ModuleType | FrameType | TracebackType):
        return ()
    if issubclass(kind, np.ndarray) and value.dtype.hasobject:
        return np.asarray(value).ravel().tolist()
    if issubclass(kind, torch.jit.ScriptModule):
        return *gc.get_referents(value), *value.parameters(), *value.buffers(), *_in_methods(value._c)
    if issubclass(kind, torch._C.ScriptMethod):
        return (wrap_cpp_module(value.owner),)
    if issubclass(kind, torch.jit.ScriptFunction):
        return _in_graph(value.inlined_graph)
    if issubclass(kind, FunctionType):
        parts = value.__defaults__, value.__kwdefaults__, value.__closure__, value.__dict__
        return *parts, *_named_globals(value)
    if issubclass(kind, _CACHED):
        return _results(gc.get_referents(value))
    if _OF_TORCH.match(_module(kind)) and not issubclass(kind, _KEPT):
        return ()
    return gc.get_referents(value)


def _module(kind: type) -> str:
    return str(type.__getattribute__(kind, "__module__"))


def _is_of_library(module: str) -> bool:
    package = module.partition(".")[0]
    file = getattr(sys.modules.get(package), "__file__", None)
    return package in _LIBRARIES or str(file).startswith(_INSTALLED)


def _results(parts: list[Any]) -> list[Any]:
    """The parts of a cached function without the arguments of its calls, which are the keys of its dictionary."""
    arguments = {id(key) for part in parts if type(part) is dict for key in part}
    parts = [value for part in parts for value in (part.values() if type(part) is dict else (part,))]
    return [part for part in parts if id(part) not in arguments]


def _named_globals(function: FunctionType) -> list[Any]:
    """The global variables that a function names, also those of other modules; none for a function of a library."""
    codes = [function.__code__]
    named: set[str] = set()
    attributes: set[str] = set()
    if _is_of_library(str(function.__globals__.get("__name__"))):
        return []
    for code in codes:  # with those of functions inside it
        named.update(each.argval for each in dis.get_instructions(code) if each.opname == "LOAD_GLOBAL")
        attributes.update(code.co_names)
        codes += [each for each in code.co_consts if isinstance(each, CodeType)]
    found = [function.__globals__[name] for name in named if name in function.__globals__]
    for module in found:
        if issubclass(type(module), ModuleType):
            inner = [vars(module)[name] for name in attributes if name in vars(module)]
            found += [each for each in inner if not any(each is other for other in found)]
    return found


def _in_methods(script: Any) -> Iterator[Any]:
    """The constants and attributes that the methods of a script use."""
    for name in script._method_names():
        yield from _in_graph(script._get_method(name).inlined_graph, script)


def _in_graph(graph: Any, script: Any = None) -> list[Any]:
    """The constants in the code of a script, which hold the weights of a frozen one, and the attributes it reads."""
    constants = [node.output().toIValue() for node in graph.findAllNodes("prim::Constant")]
    known: dict[str, Any] = {next(graph.inputs()).debugName(): script} if script is not None else {}
    for node in graph.findAllNodes("prim::GetAttr"):
        owner = known.get(node.input().debugName())
        if type(owner) is torch._C.ScriptModule:
            known[node.output().debugName()] = owner.getattr(node.s("name"))  # type: ignore[attr-defined]
    return [*constants, *(each for each in known.values() if not isinstance(each, torch._C.ScriptModule))]
