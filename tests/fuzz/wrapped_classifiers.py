"""Networks that steered clips, wrapped in the ways in which people wrap networks."""

import copy
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

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
    "averaged": AveragedModel,
}
_SCRIPTS: dict[str, Callable[[Any], nn.Module]] = {  # they take long
    "traced": _trace,
    "frozen": lambda network: torch.jit.freeze(_trace(network)),
    "traced and copied": lambda network: copy.deepcopy(_trace(network)),
    "halved and traced": lambda network: _trace(network.bfloat16()),
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
    "a bound method": partial(_Inside, lambda outer, network: network.forward),
    "a partial function": partial(_Inside, lambda outer, network: partial(network.__call__)),
    "an ensemble": _Together,
    "behind an adapter": _Adapted,
}
_WAYS = {**_CHANGES, **_NORMS, **_FORMS, **_SCRIPTS, **_WRAPPERS}


def _with(network: Any, parametrize: Callable[[nn.Module], nn.Module]) -> nn.Module:
    parametrize(network.layer)
    return network


def _ways(rng: Random) -> list[str]:
    """What is done to a network, one after the other."""
    changes = rng.sample(list(_CHANGES), rng.choice((0, 0, 1, 2)))
    norms = rng.sample(list(_NORMS), rng.choice((0, 0, 0, 1)))
    forms = _SCRIPTS if rng.random() < 0.15 else [form for form in _FORMS if form != "functional" or not norms]
    return [*changes, *norms, rng.choice(list(forms)), *rng.sample(list(_WRAPPERS), rng.choice((0, 1, 1, 2, 4)))]


def _wrapped(network: nn.Module, ways: list[str]) -> Checkpoint:
    module: Any = copy.deepcopy(network).eval()
    for way in ways:
        module = _WAYS[way](module).eval()
    actions = [f"action{i}" for i in range(_CLASSES)]
    return own_checkpoint(adapt(module, actions, size=_SIZE, frames=_FRAMES, mean=0.4, std=0.2))


def _clip(steers: Checkpoint) -> Clip:
    """A clip whose manifest says what this network left in it."""
    hashes = frozenset([steers.hash, *steers.ancestors.values()])
    return Clip(
        Path("clip"), "clip", steering=SteeredBy(("own",), hashes, {"own": as_text(fingerprint(steers.network))})
    )
