"""Table 1's generator in its two forms, side by side: plain 3D convolutions, as published, and factorised, as it runs.

Forward and backward to the codes, in turn, so that both meet the machine in the same moods.
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
    """Of one form. The trunk is what lies between the inner products and the video, there and back.

    seconds:       of forward and backward to the codes, the median of all rounds.
    trunk_seconds: of that, in the trunk.
    trunk_flops:   floating point operations of its convolutions, two a multiply-add.
    memory_bytes:  held at most beside the weights.
    """

    seconds: float
    trunk_seconds: float
    trunk_flops: float
    memory_bytes: int


@dataclass(frozen=True)
class FormsComparison:
    """
    memory_format: of the 3D convolutions: the faster one for them.
    output_error, gradient_error: |factorised - conv3d| / |conv3d|, 2-norms: of the video's difference to grey, and of
        the gradient to the codes, where both have the same units active (see `SamePattern`).
    free_gradient_error: the same where each has its own.
    matmul_flops: a second, of a large matrix product, the median of all rounds.
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
        """The rate of the factorised trunk, as a share of a matrix product's."""
        return self.factorised.trunk_flops / self.factorised.trunk_seconds / self.matmul_flops


def compare(
    scale: Scale,
    device: torch.device,
    rounds: int = 7,
    seed: int = 0,
    on_round: Callable[[], None] = lambda: None,
) -> FormsComparison:
    """Time both forms in turn, on random weights and codes; and hold their results against each other.

    Before each pass that is timed there is one of the same form that is not: a generator is called in loops.
    """
    randomness = torch.Generator(device).manual_seed(seed)
    with torch.device("meta"):
        image_generator = ImageGenerator(scale.generator())
    network = inflate(channels_last(_filled(image_generator, device, randomness)))
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
            passes(network, form, codes)  # memory and caches as the other form left them
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
    """What `read` counts (by default seconds) in forward and backward: in all, and in the trunk."""
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
    """Within its block leaky ReLUs let through the units that they did in the first block, whatever their input.

    A unit that is 0 but for rounding has one slope or the other at random, so that float32 gradients of any two
    orders of the same sums differ by far more than the sums do. With the same slopes they can be compared.
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
    """Of `FormsComparison`."""
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
    """What `stgan bench generator --json` writes, for any program to read; keys may be added.

    conv3d_s, factorised_s: seconds of forward and backward, medians; speedup: their ratio.
    relative_error:         the larger one of the video's and the gradient's.
    matmul_gflops:          the rate of a large matrix product of float32, in 10^9 operations a second.
    conv3d_gflops, factorised_gflops: the rate of the trunk's convolutions; each of its own operations, of which the
                            factorised ones are a third.
    Also the fields of `FormsComparison`, and what it ran on.
    """
    of = comparison
    return {
        "format": FORMAT,
        "version": __version__,
        "conv3d_s": of.conv3d.seconds,
        "factorised_s": of.factorised.seconds,
        "speedup": of.speedup,
        "relative_error": max(of.output_error, of.gradient_error),
        "matmul_gflops": of.matmul_flops / _GIGA,
        "conv3d_gflops": of.conv3d.trunk_flops / of.conv3d.trunk_seconds / _GIGA,
        "factorised_gflops": of.factorised.trunk_flops / of.factorised.trunk_seconds / _GIGA,
        "share_of_matmul": of.share_of_matmul,
        **asdict(comparison),
        **asdict(scale),
        **machine(device),
    }


def _filled(image_generator: ImageGenerator, device: torch.device, randomness: torch.Generator) -> ImageGenerator:
    randomize(image_generator.to_empty(device=device), randomness)
    return image_generator


def _fastest_conv3d(network: VideoGenerator, codes: Tensor) -> tuple[Form, str]:
    """The published form in the memory format that suits it best."""
    tried: dict[str, tuple[float, Form]] = {}
    for name, memory_format in (("contiguous", torch.contiguous_format), ("channels_last_3d", torch.channels_last_3d)):
        layers = network.conv3d_layers()
        for layer in layers:
            layer.weight = layer.weight.contiguous(memory_format=memory_format)
        form = partial(network.forward_conv3d, layers=layers)
        tried[name] = min(passes(network, form, codes)[0] for _ in range(2)), form
    best = min(tried, key=lambda name: tried[name][0])
    return tried[best][1], best
