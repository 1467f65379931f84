"""Networks that steered clips, wrapped in the ways in which people wrap networks."""

import copy
import os
from collections import deque, namedtuple
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import repeat
from pathlib import Path
from random import Random
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

from stgan.checkpoints.checkpoint import Checkpoint
from stgan.checkpoints.fingerprint import as_text, fingerprint
from stgan.checkpoints.own_classifier import own_checkpoint
from stgan.errors import StganError
from stgan.networks import adapt
from stgan.scoring.clips import Clip, SteeredBy
from stgan.scoring.evaluators import as_evaluator

_SIZE, _FRAMES, _CLASSES = 12, 4, 5


class Wrappings:
    """A network steers in one wrapping and scores in another: stgan has to see that, and not to say it of another."""

    def __init__(self, folder: Path, model: str) -> None:
        torch.compiler.set_stance("force_eager")  # torch.compile wraps, and compiles nothing
        self.folder, self.out, self.case = folder, folder / "out", ""
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(self.out)
        _compiled(nn.Identity())(torch.ones(1))  # imports what it needs
        _exported(_Convolutional().eval())

    def damage(self, rng: Random) -> Path:
        self.case = str(rng.random())
        return self.folder

    def attempt(self, path: Path) -> None:
        rng = Random(self.case)
        torch.manual_seed(rng.randrange(1 << 30))
        kind = rng.choice((_Convolutional, _Recurrent, _Attentive))
        network, other, steers, scores = kind(), kind(), _ways(rng), _ways(rng)
        try:
            steered = [_clip(_wrapped(network, steers))]
            judges = [as_evaluator(_wrapped(each, scores), "judge") for each in (network, other)]
        except StganError as error:
            raise AssertionError(f"{steers}, {scores}: {error}") from error
        said, of_other = (judge.relation(steered) for judge in judges)
        assert said, f"not recognised: {kind.__name__} steers as {steers} and scores as {scores}"
        assert of_other == "", f"recognised: another {kind.__name__}; {steers}, {scores}; {of_other}"


# The outputs of these networks are below 0, so that they are not taken for probabilities by chance.
class _Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.head = nn.Conv3d(3, 8, 3, 2), nn.BatchNorm3d(8), nn.Linear(8, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(*self.children(), x)

    @staticmethod
    def run(layer: nn.Module, norm: nn.Module, head: nn.Module, x: Tensor) -> Tensor:
        return -5 + head(torch.tanh(norm(layer(x))).mean((2, 3, 4)))


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.cells, self.head = (
            nn.Conv2d(3, 8, 3, 4),
            nn.GRU(8, 8, batch_first=True),
            nn.Linear(8, _CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.run(*self.children(), x)

    @staticmethod
    def run(layer: nn.Module, cells: nn.Module, head: nn.Module, x: Tensor) -> Tensor:
        frames = torch.stack([layer(frame).mean((2, 3)) for frame in x.unbind(2)], 1)
        return -5 + head(cells(frames)[0].mean(1))


class _Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv3d(3, 8, (2, 6, 6), (2, 6, 6))
        self.blocks = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        self.head = nn.Linear(8, _CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(*self.children(), x)

    @staticmethod
    def run(layer: nn.Module, blocks: nn.Module, head: nn.Module, x: Tensor) -> Tensor:
        return -5 + head(blocks(layer(x).flatten(2).mT).mean(1))


class _Renamed(nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.run, self.parts = network.run, nn.ModuleList(network.children())

    def forward(self, x: Tensor) -> Tensor:
        return self.run(*self.parts, x)


class _Functional(nn.Module):
    """A network of zeros, and its values beside it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.values = {**dict(network.named_parameters()), **dict(network.named_buffers())}
        self.skeleton, self.dtype = [copy.deepcopy(network)], _dtype(network)
        for each in self.skeleton[0].parameters():
            each.data.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return functional_call(self.skeleton[0], self.values, x.to(self.dtype))


class _OfArrays(nn.Module):
    """A network without values, which are NumPy arrays."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.arrays = {name: value.detach().numpy() for name, value in network.state_dict().items()}
        self.skeleton = [copy.deepcopy(network).to("meta")]

    def forward(self, x: Tensor) -> Tensor:
        values = {name: torch.from_numpy(array) for name, array in self.arrays.items()}
        return functional_call(self.skeleton[0], values, x)


class _Inside(nn.Module):
    """hold: keeps the network somewhere, and returns how to call it."""

    def __init__(self, hold: Callable[[nn.Module, nn.Module], Callable], network: nn.Module, mean: float = 0.0) -> None:
        super().__init__()
        self.dtype = _dtype(network)
        self.register_buffer("mean", torch.full((1, 3, 1, 1, 1), mean))
        self.call = hold(self, network)

    def forward(self, x: Tensor) -> Tensor:
        return self.call((x.to(self.dtype) - self.mean.to(self.dtype)) / 0.9)


class _Together(nn.Module):
    """An ensemble, the other half of which nobody knows."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.several, self.dtype = nn.ModuleList([network, _Convolutional()]), _dtype(network)

    def forward(self, x: Tensor) -> Tensor:
        return self.several[0](x.to(self.dtype)).float() + self.several[1](x.float())


class _Adapted(nn.Module):
    """New layers before a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.first, self.network, self.dtype = nn.Conv3d(3, 3, 1), network, _dtype(network)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(self.first(x.float()).to(self.dtype))


def _dtype(network: Any) -> torch.dtype:
    if isinstance(kind := getattr(network, "dtype", None), torch.dtype):
        return kind
    own = (getattr(child, "dtype", None) for child in network.children())
    known = (kind for kind in own if isinstance(kind, torch.dtype))
    return next(known, next((each.dtype for each in network.parameters()), torch.float32))


def _registered(outer: nn.Module, network: nn.Module) -> Callable:
    outer.network = network
    return lambda x: outer.network(x)


def _in_a_list(outer: nn.Module, network: nn.Module) -> Callable:
    outer.networks = [{"first": (network,)}]
    return lambda x: outer.networks[0]["first"][0](x)


def _in_an_object(outer: nn.Module, network: nn.Module) -> Callable:
    outer.settings = SimpleNamespace(network=network)
    return lambda x: outer.settings.network(x)


def _in_a_closure(outer: nn.Module, network: nn.Module) -> Callable:
    return lambda x: network(x)


def _in_a_class(outer: nn.Module, network: nn.Module) -> Callable:
    holder = type("Holder", (), {"networks": (network,), "__call__": lambda self, x: self.networks[0](x)})
    return holder()


@dataclass(slots=True)
class _Slotted:
    network: Any

    def __call__(self, x: Tensor) -> Tensor:
        return self.network(x)


class _Guarded:
    """An object of which nothing but the call may run."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, x: Tensor) -> Tensor:
        return self.network(x)

    def _refuse(self, *_: Any) -> Any:
        raise AssertionError("code of the wrapped object ran")

    __iter__ = __len__ = __bool__ = __eq__ = __hash__ = __getattr__ = __repr__ = _refuse  # type: ignore[assignment]
    other = property(_refuse)


def _in_a_generator(outer: nn.Module, network: nn.Module) -> Callable:
    def answers() -> Any:
        answer = None
        while True:
            answer = network((yield answer))

    running = answers()
    next(running)
    return running.send


def _in_a_cache(outer: nn.Module, network: nn.Module) -> Callable:
    box = [network]
    load = cache(lambda: box.pop())
    load()
    return lambda x: load()(x)


def _in_a_default(outer: nn.Module, network: nn.Module) -> Callable:
    def call(x: Tensor, *, inner: Any = network) -> Tensor:
        return inner(x)

    return call


def _in_an_attribute_of_a_function(outer: nn.Module, network: nn.Module) -> Callable:
    def call(x: Tensor) -> Tensor:
        return outer.call.network(x)

    call.network = network
    return call


def _in_a_global(outer: nn.Module, network: nn.Module) -> Callable:
    names = {"network": network}
    exec("def call(x): return [network(each) for each in (x,)][0]", names)
    return names["call"]


def _in_a_global_of_a_module(outer: nn.Module, network: nn.Module) -> Callable:
    module = ModuleType("users")
    module.network, module.other = network, _Convolutional()
    names: dict[str, Any] = {"users": module}
    exec("def call(x): return users.network(x)", names)
    return names["call"]


def _in_an_array(outer: nn.Module, network: nn.Module) -> Callable:
    array = np.empty((1, 2), object)
    array[0, 1] = network
    return lambda x: array[0, 1](x)


def _in(contain: Callable[[Any], Any], get: Callable[[Any], Any]) -> Callable:
    """A hold with the network in a container."""

    def hold(outer: nn.Module, network: nn.Module) -> Callable:
        container = contain(network)
        return lambda x: get(container)(x)

    return hold


def _new_head(network: Any) -> nn.Module:
    network.head = nn.Linear(network.head.in_features, _CLASSES)
    return network


def _scaled(network: Any) -> nn.Module:
    with torch.no_grad():
        network.layer.weight *= 3
    return network


def _trace(network: nn.Module) -> Any:
    clip = torch.rand(1, 3, _FRAMES, _SIZE, _SIZE, dtype=_dtype(network))
    return torch.jit.trace(network, clip, check_trace=False)


def _traced_function(network: nn.Module) -> nn.Module:
    # The clip needs a gradient, else attention takes a faster way that has none.
    clip = torch.rand(1, 3, _FRAMES, _SIZE, _SIZE, dtype=_dtype(network), requires_grad=True)
    script = torch.jit.trace(lambda x: network(x), clip, check_trace=False)
    return _Inside(lambda outer, _: script, network)


def _exported(network: nn.Module) -> Any:
    clips = torch.rand(2, 3, _FRAMES, _SIZE, _SIZE, dtype=_dtype(network))
    return torch.export.export(network, (clips,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()


def _frozen(network: nn.Module) -> nn.Module:
    return network.requires_grad_(False)


def _compiled(network: nn.Module) -> Any:
    return torch.compile(nn.Sequential(network), backend="eager")


def _channels_last(network: nn.Module) -> nn.Module:
    for each in network.parameters():
        if each.ndim == 5:
            each.data = each.data.to(memory_format=torch.channels_last_3d)
    return network


def _pruned(network: Any) -> nn.Module:
    prune.l1_unstructured(network.layer, "weight", 0.3)
    prune.remove(network.layer, "weight")
    return network


_CHANGES: dict[str, Callable[[Any], nn.Module]] = {
    "a new head": _new_head,
    "rounded to half precision": lambda network: network.half().float(),
    "scaled": _scaled,
    "pruned": _pruned,
}
_NORMS: dict[str, Callable[[Any], nn.Module]] = {
    "weight norm": lambda network: _with(network, parametrizations.weight_norm),
    "spectral norm": lambda network: _with(network, parametrizations.spectral_norm),
}
_FORMS: dict[str, Callable[[Any], nn.Module]] = {
    "as it is": lambda network: network,
    "renamed": _Renamed,
    "channels last": _channels_last,
    "bfloat16": lambda network: network.bfloat16(),
    "float64": lambda network: network.double(),
    "functional": _Functional,
    "of arrays": _OfArrays,
    "averaged": AveragedModel,
}
_SCRIPTS: dict[str, Callable[[Any], nn.Module]] = {  # they take long
    "traced": _trace,
    "frozen": lambda network: torch.jit.freeze(_trace(network)),
    "traced and copied": lambda network: copy.deepcopy(_trace(network)),
    "halved and traced": lambda network: _trace(network.bfloat16()),
    "a traced function": lambda network: _traced_function(_frozen(network)),
    "exported": _exported,
}
_WRAPPERS: dict[str, Callable[[Any], nn.Module]] = {
    "DataParallel": nn.DataParallel,
    "Sequential": nn.Sequential,
    "compiled": _compiled,
    "a wrapper": partial(_Inside, _registered),
    "a wrapper that normalises": partial(_Inside, _registered, mean=0.1),
    "in a list": partial(_Inside, _in_a_list),
    "in an object": partial(_Inside, _in_an_object),
    "in a closure": partial(_Inside, _in_a_closure),
    "in a class attribute": partial(_Inside, _in_a_class),
    "in slots": partial(_Inside, lambda outer, network: _Slotted(network)),
    "in an object that must not run": partial(_Inside, _in(_Guarded, lambda held: held)),
    "in a generator": partial(_Inside, _in_a_generator),
    "in a cache": partial(_Inside, _in_a_cache),
    "in a cached function": partial(_Inside, lambda outer, network: lru_cache(2)(lambda x: network(x))),
    "in a default": partial(_Inside, _in_a_default),
    "in an attribute of a function": partial(_Inside, _in_an_attribute_of_a_function),
    "in a global variable": partial(_Inside, _in_a_global),
    "in a global variable of a module": partial(_Inside, _in_a_global_of_a_module),
    "in an array": partial(_Inside, _in_an_array),
    "in a deque": partial(_Inside, _in(lambda network: deque([network]), lambda held: held[0])),
    "in a set": partial(_Inside, _in(lambda network: frozenset([network]), lambda held: next(iter(held)))),
    "in a named tuple": partial(_Inside, _in(namedtuple("Named", "network"), lambda held: held.network)),
    "in a mapping": partial(_Inside, _in(lambda network: MappingProxyType({1: network}), lambda held: held[1])),
    "in an iterator": partial(_Inside, _in(repeat, next)),
    "a bound method": partial(_Inside, lambda outer, network: network.forward),
    "a partial function": partial(_Inside, lambda outer, network: partial(network.__call__)),
    "an ensemble": _Together,
    "behind an adapter": _Adapted,
}
_WITHOUT_NORMS = ("functional", "of arrays")
_WAYS = {**_CHANGES, **_NORMS, **_FORMS, **_SCRIPTS, **_WRAPPERS}


def _with(network: Any, parametrize: Callable[[nn.Module], nn.Module]) -> nn.Module:
    parametrize(network.layer)
    return network


def _ways(rng: Random) -> list[str]:
    """What is done to a network, one after the other."""
    changes = rng.sample(list(_CHANGES), rng.choice((0, 0, 1, 2)))
    norms = rng.sample(list(_NORMS), rng.choice((0, 0, 0, 1)))
    forms = _SCRIPTS if rng.random() < 0.15 else [each for each in _FORMS if not (norms and each in _WITHOUT_NORMS)]
    return [*changes, *norms, rng.choice(list(forms)), *rng.sample(list(_WRAPPERS), rng.choice((0, 1, 1, 2, 4)))]


def _wrapped(network: nn.Module, ways: list[str]) -> Checkpoint:
    module: Any = copy.deepcopy(network).eval()
    for way in ways:
        module = _WAYS[way](module)
        with suppress(NotImplementedError):  # a program of torch.export stays in the mode of its export
            module.eval()
    actions = [f"action{i}" for i in range(_CLASSES)]
    return own_checkpoint(adapt(module, actions, size=_SIZE, frames=_FRAMES, mean=0.4, std=0.2))


def _clip(steers: Checkpoint) -> Clip:
    """A clip whose manifest says what this network left in it."""
    hashes = frozenset([steers.hash, *steers.ancestors.values()])
    return Clip(
        Path("clip"), "clip", steering=SteeredBy(("own",), hashes, {"own": as_text(fingerprint(steers.network))})
    )
