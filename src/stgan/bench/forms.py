"""Table 1's generator in two forms: plain 3D convolutions, as published, and factorised ones, as stgan runs it.

Both run forward and backward to the codes. They are timed alternately, so that changes in the machine's speed affect
both alike.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from stgan.bench.machine import PeakMemory, matmul_rate, synchronize
from stgan.bench.operations import OperationCounter
from stgan.bench.paper_scale import Scale, randomize
from stgan.devices import machine
from stgan.networks import ImageGenerator, VideoGenerator, inflate
from stgan.networks.layout import channels_last
from stgan.version import __version__

FORMAT = 1
_GIGA = 1e9

Form = Callable[[Tensor], Tensor]
"""Codes to videos."""


@dataclass(frozen=True)
class Timing:
    """The timing of one form. The trunk is all layers after the fully connected ones, forward and backward.

    seconds:       the time forward and backward to the codes; the median of all rounds.
    trunk_seconds: the part of it that the trunk takes.
    trunk_flops:   floating point operations of the trunk's convolutions; a multiply-add counts as two.
    memory_bytes:  the peak of the memory besides the weights.
    """

    seconds: float
    trunk_seconds: float
    trunk_flops: float
    memory_bytes: int


@dataclass(frozen=True)
class FormsComparison:
    """Both forms, timed and compared.

    memory_format:       the memory format in which the 3D convolutions are faster; they are timed in it.
    output_error:        |factorised - conv3d| / |conv3d|, 2-norms, of the videos minus their mean.
    gradient_error:      the same of the gradient to the codes, if both forms have the same active units
                         (see `SamePattern`).
    free_gradient_error: the same of the gradient, if each form has its own active units.
    matmul_flops:        operations per second of a large matrix product; the median of all rounds.
    """

    conv3d: Timing
    factorised: Timing
    memory_format: str
    output_error: float
    gradient_error: float
    free_gradient_error: float
    matmul_flops: float
    rounds: int

    @property
    def speedup(self) -> float:
        return self.conv3d.seconds / self.factorised.seconds

    @property
    def share_of_matmul(self) -> float:
        """The rate of the factorised trunk, divided by the rate of a matrix product."""
        return self.factorised.trunk_flops / self.factorised.trunk_seconds / self.matmul_flops


def compare(
    scale: Scale, device: torch.device, rounds: int = 7, seed: int = 0, on_round: Callable[[], None] = lambda: None
) -> FormsComparison:
    """Time both forms alternately, on random weights and codes, and compare their results.

    Before each timed pass, the same form runs once without being timed, as in a loop that calls one generator.
    """
    randomness = torch.Generator(device).manual_seed(seed)
    with torch.device("meta"):
        image_generator = ImageGenerator(scale.generator())
    randomize(image_generator.to_empty(device=device), randomness)
    network = inflate(channels_last(image_generator))
    shape = (scale.batch, scale.frames, network.image_generator.config.code_size)
    codes = torch.randn(shape, device=device, generator=randomness).relu()
    conv3d, memory_format = _fastest_conv3d(network, codes)
    forms: Mapping[str, Form] = {"conv3d": conv3d, "factorised": network}

    memory, laps = {}, {name: list[tuple[float, float]]() for name in forms}
    for name, form in forms.items():
        with PeakMemory(device) as peak:
            passes(network, form, codes)
        memory[name] = peak.bytes
    rates = []
    for _ in range(rounds):
        rates.append(matmul_rate(device, seconds=0.2))
        for name, form in forms.items():
            passes(network, form, codes)  # not timed: the other form has left its data in memory and caches
            laps[name].append(passes(network, form, codes))
        on_round()
    with OperationCounter() as operations:
        _, of_trunk = passes(network, conv3d, codes, lambda: operations.total)

    def timing(name: str, flops: float) -> Timing:
        whole, trunk = (statistics.median(column) for column in zip(*laps[name], strict=True))
        return Timing(whole, trunk, flops, memory[name])

    return FormsComparison(
        conv3d=timing("conv3d", of_trunk),
        factorised=timing("factorised", of_trunk / len(network.temporal_kernel)),
        memory_format=memory_format,
        **errors(conv3d, network, codes),
        matmul_flops=statistics.median(rates),
        rounds=rounds,
    )


def passes(
    network: VideoGenerator, form: Form, codes: Tensor, read: Callable[[], float] | None = None
) -> tuple[float, float]:
    """What `read` counts (by default seconds) during forward and backward: in total, and in the trunk."""
    marks = []

    def mark(*ignored: Any) -> None:
        synchronize(codes.device)
        marks.append(float(read()) if read else time.perf_counter())

    def on_base(module: Any, inputs: Any, output: Tensor) -> None:
        mark()
        output.register_hook(mark)

    hook = network.image_generator.fc6.register_forward_hook(on_base)
    try:
        codes = codes.detach().requires_grad_()
        mark()
        video = form(codes)
        torch.autograd.grad(video, codes, torch.ones_like(video))
        mark()
    finally:
        hook.remove()
    start, base, back, end = marks
    return end - start, back - base


class SamePattern(TorchFunctionMode):
    """In its first block it records which units of leaky ReLUs are active; in later blocks the same units are active.

    The slope of a unit whose input is 0 except for rounding is arbitrary. So the float32 gradients of two orders of
    the same sums differ by far more than the sums. With the same slopes the gradients can be compared.
    """

    def __init__(self) -> None:
        super().__init__()
        self.active: list[Tensor] = []
        self.place: int | None = None

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self.place = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not F.leaky_relu_:
            return func(*args, **(kwargs or {}))
        x, slope = args
        if self.place is None:
            self.active.append(x > 0)
            return func(x, slope)
        active = self.active[self.place]
        self.place += 1
        if x.ndim == 5 and active.ndim == 4:  # "batch channel time y x" of what was "frame channel y x"
            active = active.unflatten(0, (len(x), -1)).transpose(1, 2)
        return torch.where(active, x, slope * x)


def errors(conv3d: Form, factorised: Form, codes: Tensor) -> dict[str, float]:
    """The three errors of `FormsComparison`, by name."""
    codes = codes.detach().requires_grad_()

    def gradient(video: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(video.square().sum(), codes)
        return found

    pattern = SamePattern()
    with pattern:
        ours = factorised(codes)
    with pattern:
        pinned = conv3d(codes)
    ours_gradient = gradient(ours)
    theirs = conv3d(codes)
    return {
        "output_error": relative(ours - theirs.mean(), theirs - theirs.mean()),
        "gradient_error": relative(ours_gradient, gradient(pinned)),
        "free_gradient_error": relative(ours_gradient, gradient(theirs)),
    }


def relative(ours: Tensor, theirs: Tensor) -> float:
    """|ours - theirs| / |theirs|, 2-norms."""
    return float((ours - theirs).detach().double().norm() / theirs.detach().double().norm())


def record(comparison: FormsComparison, scale: Scale, device: torch.device) -> dict[str, Any]:
    """What `stgan bench generator --json` writes. Later versions may add keys.

    conv3d_s, factorised_s: seconds of forward and backward, medians; speedup: their ratio.
    relative_error:         the larger one of output_error and gradient_error.
    matmul_gflops:          the rate of a large float32 matrix product, in 10^9 operations per second.
    conv3d_gflops, factorised_gflops: the rate of the trunk's convolutions. Each form counts its own operations; the
                            factorised form has a third of them.
    The other keys are the fields of `FormsComparison` and of the machine.
    """
    conv3d, factorised = comparison.conv3d, comparison.factorised
    return {
        "format": FORMAT,
        "version": __version__,
        "conv3d_s": conv3d.seconds,
        "factorised_s": factorised.seconds,
        "speedup": comparison.speedup,
        "relative_error": max(comparison.output_error, comparison.gradient_error),
        "matmul_gflops": comparison.matmul_flops / _GIGA,
        "conv3d_gflops": conv3d.trunk_flops / conv3d.trunk_seconds / _GIGA,
        "factorised_gflops": factorised.trunk_flops / factorised.trunk_seconds / _GIGA,
        "share_of_matmul": comparison.share_of_matmul,
        **asdict(comparison),
        **asdict(scale),
        **machine(device),
    }


def _fastest_conv3d(network: VideoGenerator, codes: Tensor) -> tuple[Form, str]:
    """The published form in its fastest memory format."""
    tried: dict[str, tuple[float, Form]] = {}
    for name, memory_format in (("contiguous", torch.contiguous_format), ("channels_last_3d", torch.channels_last_3d)):
        layers = network.conv3d_layers()
        for layer in layers:
            layer.weight = layer.weight.contiguous(memory_format=memory_format)
        form = partial(network.forward_conv3d, layers=layers)
        tried[name] = min(passes(network, form, codes)[0] for _ in range(2)), form
    best = min(tried, key=lambda name: tried[name][0])
    return tried[best][1], best
