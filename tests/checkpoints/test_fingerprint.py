"""Two networks that share weights are recognised, whatever they are wrapped in, and others are told apart."""

import copy
import time
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from stgan.checkpoints.fingerprint import RELATED, as_text, fingerprint, from_text, shared
from stgan.checkpoints.own_classifier import own_checkpoint
from stgan.networks import adapt

NAMES = ("grow", "left", "right")


class Net(nn.Module):
    def __init__(self, seed: int = 0, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layer, self.norm = nn.Conv3d(3, 16, 3, 2), nn.BatchNorm3d(16)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.norm(self.layer(x))).mean((2, 3, 4)))


class Inside(nn.Module):
    """A wrapper with a normalisation of its own."""

    def __init__(self, module: nn.Module, register: bool = True) -> None:
        super().__init__()
        self.inner: Any = module if register else [module]
        self.register_buffer("mean", torch.full((1, 3, 1, 1, 1), 0.45))

    def forward(self, x: Tensor) -> Tensor:
        return (self.inner if isinstance(self.inner, nn.Module) else self.inner[0])((x - self.mean) / 0.225)


class Holding(nn.Module):
    """A wrapper that registers nothing but a mean, and calls what `hold` made of the network."""

    def __init__(self, hold: Any, module: nn.Module) -> None:
        super().__init__()
        self.call = hold(module)
        self.register_buffer("mean", torch.full((1, 3, 1, 1, 1), 0.45))

    def forward(self, x: Tensor) -> Tensor:
        return self.call(x - self.mean)


class Holder:
    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, x: Tensor) -> Tensor:
        return self.module(x)


class Together(nn.Module):
    """Several networks whose outputs are averaged."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.several = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([module(x) for module in self.several]).mean(0)


def in_type(kind: torch.dtype) -> Any:
    return lambda module: module.to(kind)


PRECISIONS = {str(kind): in_type(kind) for kind in (torch.float16, torch.bfloat16, torch.float64)}
WRAPPERS: dict[str, Any] = {
    "DataParallel": nn.DataParallel,
    "Sequential": nn.Sequential,
    "normalisation": Inside,
    "in a list": lambda module: Inside(module, register=False),
    "in an object": partial(Holding, Holder),
    "in a closure": partial(Holding, lambda module: lambda x: module(x)),
    "in a partial function": partial(Holding, lambda module: partial(module.__call__)),
    "a method": partial(Holding, lambda module: module.forward),
    "several": lambda module: Together(module, Net(5), Net(6)),
    "compiled": lambda module: torch.compile(nn.Sequential(module)),
}
SCRIPTS: dict[str, Any] = {
    "trace": lambda module: torch.jit.trace(module, torch.rand(1, 3, 4, 8, 8)),
    "frozen": lambda module: torch.jit.freeze(torch.jit.trace(module, torch.rand(1, 3, 4, 8, 8))),
    "script": torch.jit.script,
}


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=4, unique=True),
    st.lists(st.sampled_from(sorted(PRECISIONS)), max_size=1),
    st.sampled_from(["", *sorted(SCRIPTS)]),
)
def test_a_network_is_recognised_in_any_wrapping(wrappers: list[str], precision: list[str], script: str) -> None:
    module: Any = Net().eval()
    if script:
        module = SCRIPTS[script](module)
    for name in precision:
        module = module if script == "frozen" else PRECISIONS[name](module)  # its constants have their types
    for name in wrappers:
        module = WRAPPERS[name](module)
    plain, wrapped = fingerprint(Net()), from_text(as_text(fingerprint(module)))
    assert shared(plain, wrapped) == shared(wrapped, plain) == 1
    assert shared(fingerprint(Net(1)), wrapped) == 0


@pytest.mark.parametrize("wrapper", [nn.DataParallel, nn.Sequential, Inside, torch.compile, SCRIPTS["trace"]])
def test_the_hash_of_a_wrapped_network_is_among_the_ancestors(wrapper: Any) -> None:
    """Manifests of before have no fingerprints, but hashes."""
    settings = {"size": 16, "frames": 8, "mean": 0.5, "std": 0.25}
    plain, wrapped = (own_checkpoint(adapt(module, NAMES, **settings)) for module in (Net(), wrapper(Net().eval())))
    assert plain.hash in {wrapped.hash, *wrapped.ancestors.values()}
    other = own_checkpoint(adapt(wrapper(Net(1).eval()), NAMES, **settings))
    assert plain.hash not in {other.hash, *other.ancestors.values()}


def test_frozen_scripts_have_hashes_of_their_own() -> None:
    frozen = [
        own_checkpoint(adapt(SCRIPTS["frozen"](Net(i).eval()), NAMES, size=8, frames=4, mean=0.0, std=1.0))
        for i in (0, 1)
    ]
    assert frozen[0].hash != frozen[1].hash


def test_a_wrapper_that_registers_no_weights_does_not_make_all_networks_one() -> None:
    for wrapper in (
        WRAPPERS["in a list"],
        WRAPPERS["in an object"],
        lambda module: nn.Sequential(Inside(module, False)),
    ):
        one, other = (
            own_checkpoint(adapt(wrapper(Net(seed).eval()), NAMES, size=16, frames=8, mean=0.5, std=0.25))
            for seed in (0, 1)
        )
        assert not {one.hash, *one.ancestors.values()} & {other.hash, *other.ancestors.values()}


def test_lists_of_weights_in_a_frozen_script_count() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.GRU(3, 8, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.cells(x)[0]

    network = Recurrent().eval()
    frozen = torch.jit.freeze(torch.jit.trace(network, torch.rand(1, 4, 3)))
    assert shared(fingerprint(network), fingerprint(frozen)) == 1


def test_a_variable_without_a_value_holds_nothing() -> None:
    def made() -> Any:
        def call(x: Tensor) -> Tensor:
            return later(x)

        return call
        later = Net()

    assert fingerprint(Holding(lambda module: made(), Net())) == {}


def test_a_copy_of_a_script_can_steer() -> None:
    """Its parameters are computed from those of the original, which autograd remembers."""
    script = copy.deepcopy(SCRIPTS["trace"](Net().eval()))
    assert not any(parameter.is_leaf for parameter in script.parameters())
    classifier = adapt(script, NAMES, size=16, frames=8, mean=0.5, std=0.25)
    assert not any(parameter.requires_grad for parameter in classifier.module.parameters())


def test_a_new_head_and_a_new_backbone_leave_their_shares() -> None:
    plain, head, backbone = Net(), Net(), Net()
    head.head, backbone.layer = nn.Linear(16, 7), nn.Conv3d(3, 16, 3)
    kept = shared(fingerprint(plain), fingerprint(head))
    assert kept == pytest.approx(1296 / (1296 + 48), abs=0.02) and kept >= RELATED
    assert shared(fingerprint(plain), fingerprint(backbone)) == pytest.approx(48 / (1296 + 48), abs=0.02)


def test_a_reparametrized_and_a_scaled_network_are_recognised() -> None:
    plain, normed = fingerprint(Net()), Net()
    parametrizations.weight_norm(normed.layer)
    assert shared(plain, fingerprint(normed)) == 1
    scaled = Net()
    with torch.no_grad():
        scaled.layer.weight *= 3
    assert shared(plain, fingerprint(scaled)) == 1


def test_what_every_network_has_does_not_count() -> None:
    def untrained() -> nn.Module:
        return nn.Sequential(nn.BatchNorm3d(512), nn.LayerNorm(512), nn.Embedding(1, 3))

    assert not fingerprint(untrained()) and shared(fingerprint(untrained()), fingerprint(untrained())) == 0


def test_the_text_holds_the_largest_tensors_and_nothing_else_is_read() -> None:
    module = nn.ModuleList(nn.Linear(16, 8 + i, bias=False) for i in range(300))
    text = as_text(fingerprint(module))
    read = from_text(text)
    assert len(read) == 256 and min(read.values()) == 16 * (8 + 300 - 256) and len(text) < 5000
    assert from_text("") == {}
    for wrong in ("x", text + " ", " " + text, f"{text} {'0' * 10}:1", "0123456789:0", "0123456789:-1", "012345678:12"):
        with pytest.raises(ValueError, match="no fingerprint"):
            from_text(wrong)


def test_it_takes_little_time() -> None:
    module = nn.Linear(2048, 2560)  # 20 MB
    started = time.process_time()
    fingerprint(module)
    assert time.process_time() - started < 1
