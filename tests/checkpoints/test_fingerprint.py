"""Two networks that share weights are recognised, whatever they are wrapped in, and others are told apart."""

import copy
import time
from collections import deque
from functools import cache, lru_cache, partial
from types import ModuleType
from typing import Any

import numpy as np
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


class Slotted:
    __slots__ = ("module",)

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, x: Tensor) -> Tensor:
        return self.module(x)


class Guarded(Holder):
    """An object whose code must not run when it is only looked at."""

    def _refuse(self, *_: Any) -> Any:
        raise AssertionError("code of the wrapped object ran")

    __iter__ = __len__ = __bool__ = __eq__ = __hash__ = __getattr__ = _refuse  # type: ignore[assignment]
    other = property(_refuse)


GLOBALS = ModuleType("globals")


def in_a_class(module: nn.Module) -> nn.Module:
    return type("Classy", (nn.Module,), {"held": (module,), "forward": lambda self, x: self.held[0](x)})()


def in_a_global(module: nn.Module) -> nn.Module:
    """Two global variables of one module, of which the wrapper names one."""
    GLOBALS.named, GLOBALS.other = module, Net(1)
    return Holding(lambda _: lambda x: torch.cat([GLOBALS.named(each) for each in (x,)]), module)


def in_a_cache(module: nn.Module) -> Any:
    @cache
    def load() -> Any:
        return box.pop()

    box = [module]
    load()
    return lambda x: load()(x)


def in_a_default(module: nn.Module) -> Any:
    def call(x: Tensor, *, network: Any = module) -> Tensor:
        return network(x)

    return call


def in_arrays(module: nn.Module) -> nn.Module:
    """The weights are NumPy arrays, and object arrays of these."""
    if isinstance(module, torch.jit.ScriptModule) or next(module.parameters(), torch.zeros(0)).dtype == torch.bfloat16:
        return Holding(lambda held: np.array([held, None], object), module)
    arrays = [each.detach().numpy() for each in (*module.parameters(), *module.buffers())]
    return Holding(lambda held: np.array([*arrays, held], object), module)


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
    "in a class attribute": in_a_class,
    "in a global variable": in_a_global,
    "in slots": partial(Holding, Slotted),
    "in a deque": partial(Holding, lambda module: deque([module])),
    "in a generator": partial(Holding, lambda module: (module(x) for x in [torch.zeros(1)])),
    "in a cache": partial(Holding, in_a_cache),
    "in a cached function": partial(Holding, lambda module: lru_cache(lambda x: module(x))),
    "in a default": partial(Holding, in_a_default),
    "in arrays": in_arrays,
    "in an object that must not run": partial(Holding, lambda module: [Guarded(module)]),
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


def test_a_program_of_torch_export_is_recognised() -> None:
    program = torch.export.export(Net().eval(), (torch.rand(1, 3, 4, 8, 8),))
    for holding in (program.module(), Holding(lambda _: program, Net())):
        assert shared(fingerprint(Net()), fingerprint(holding)) == 1


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


def test_arrays_alone_are_recognised() -> None:
    arrays = {name: value.numpy() for name, value in Net().state_dict().items()}
    assert shared(fingerprint(Net()), fingerprint(Holding(lambda _: arrays, Net()))) == 1


def test_what_is_beside_a_network_is_not_its_own() -> None:
    """Modules, exceptions with their frames, and earlier calls of a method know networks that the network does not."""

    class Cached(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.net, self.torch, self.globals = Net(seed), torch, GLOBALS

        @lru_cache  # noqa: B019 (what people write)
        def grid(self, size: int) -> Tensor:
            return torch.linspace(-1, 1, size)

    one, other = Cached(0), Cached(1)
    GLOBALS.named = other
    assert (len(one.grid(3)), len(other.grid(4))) == (3, 4)
    try:
        raise ValueError("with a frame that knows the other network")
    except ValueError as error:
        one.error = error  # type: ignore[assignment]
    assert shared(fingerprint(one), fingerprint(other)) == 0


def test_odd_tensors_and_arrays_count_for_nothing() -> None:
    causal = torch.zeros(16, 16).masked_fill(torch.ones(16, 16).triu(1).bool(), -torch.inf)
    odd = [
        nn.parameter.UninitializedParameter(),
        torch.nested.nested_tensor([torch.randn(30), torch.randn(40)]),
        torch.sparse_coo_tensor(torch.zeros(2, 1), torch.ones(1), (1 << 40, 1 << 20)),
        torch.zeros(1).expand(1 << 40),
        torch.randn(40, device="cpu").to("meta"),
        np.broadcast_to(np.float64(-1), (1 << 40,)),
        np.zeros(3, [("a", "f4")]),
        np.zeros((), object),
        causal,
    ]
    assert fingerprint(Holding(lambda _: odd, Net())) == {}
    small = torch.randn(40).to(torch.float8_e4m3fn), np.linspace(-1, 1, 30, dtype=">f8"), torch.randn(50).to_sparse()
    assert sorted(fingerprint(Holding(lambda _: small, Net())).values()) == [30, 40, 50]


def test_registered_weights_come_before_all_that_a_network_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stgan.checkpoints.fingerprint._MOST_OBJECTS", 1000)
    module = nn.Sequential(nn.Sequential(Net()))
    endless: list[Any] = [[number] for number in range(2000)]
    endless.append(endless)
    module.index = endless  # type: ignore[assignment]
    assert shared(fingerprint(Net()), fingerprint(module)) == 1


def test_a_small_network_is_recognised_beside_thousands_of_larger_tensors() -> None:
    torch.manual_seed(0)
    small = nn.ModuleList(nn.Linear(16, 8 + i, bias=False) for i in range(20))
    large = nn.ParameterList(torch.randn(600) for _ in range(3000))
    text = as_text(fingerprint(nn.ModuleList([large, small])))
    assert len(from_text(text)) == 2048 and len(text) < 1 << 16  # 16 of them fit in a line of a manifest
    assert shared(fingerprint(small), from_text(text)) > 0.5


def test_only_fingerprints_are_read() -> None:
    text = as_text(fingerprint(nn.ModuleList(nn.Linear(16, 8 + i, bias=False) for i in range(30))))
    assert len(from_text(text)) == 30
    assert from_text("") == {}
    many = " ".join(["0123456789:1"] * 2049)
    for wrong in ("x", text + " ", " " + text, many, "0123456789:0", "0123456789:-1", "012345678:12"):
        with pytest.raises(ValueError, match="no fingerprint"):
            from_text(wrong)


def test_it_takes_little_time() -> None:
    module = nn.Linear(2048, 2560)  # 20 MB
    started = time.process_time()
    fingerprint(module)
    assert time.process_time() - started < 1
