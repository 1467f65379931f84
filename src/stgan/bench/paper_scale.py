"""The paper's loop at the paper's sizes: Table 1's generator steered by LRCN or C3D as published, PPGN's update.

Time and memory hang on sizes, not on what the weights know, so the weights are random.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from stgan.bench.estimating import Estimate, weights
from stgan.bench.machine import MatmulPrecision
from stgan.devices import machine
from stgan.errors import StganError
from stgan.networks import (
    C3D,
    LRCN,
    AlexNet,
    AlexNetConfig,
    C3DConfig,
    GeneratorConfig,
    ImageGenerator,
    LRCNConfig,
    inflate,
)
from stgan.networks.layout import channels_last
from stgan.sampling import PAPER, Action, Networks, window_of
from stgan.version import __version__

CONDITION = ("lrcn", "c3d")
FORMAT = 1

# Measured: layers keep copies of weights in layouts of their own, and need working space.
_COPIES = 0.5  # as a share of the weights
_WORKING = 1.15  # as a multiple of what the gradient needs
_WIDTHS = (0.01, 4.0)
_EVEN = 0.01  # of a classifier's usual last weights: all actions are about as likely, so gradients never vanish


@dataclass(frozen=True)
class Scale:
    """Sizes of the loop. width: of every layer, as a factor of the published one; pictures keep their size."""

    frames: int = 16
    batch: int = 1
    width: float = 1.0

    def __post_init__(self) -> None:
        if not _WIDTHS[0] <= self.width <= _WIDTHS[1]:
            raise StganError(f"the width must be from {_WIDTHS[0]:g} to {_WIDTHS[1]:g}, not {self.width:g}")

    def channels(self, number: int) -> int:
        """So many at full width; even, as some convolutions come in two groups."""
        return max(2, 2 * round(number * self.width / 2))

    def generator(self) -> GeneratorConfig:
        full, of = GeneratorConfig(), self.channels
        return replace(
            full,
            code_size=of(full.code_size),
            hidden_size=of(full.hidden_size),
            base_channels=of(full.base_channels),
            stages=tuple(tuple(map(of, stage)) for stage in full.stages),
        )

    def encoder(self, full: AlexNetConfig | None = None) -> AlexNetConfig:
        full, of = full or AlexNetConfig(), self.channels
        return replace(full, channels=tuple(map(of, full.channels)), code_size=of(full.code_size))

    def lrcn(self) -> LRCNConfig:
        full = LRCNConfig()
        assert isinstance(full.frame, AlexNetConfig)
        return replace(full, frame=self.encoder(full.frame), lstm_size=self.channels(full.lstm_size))

    def c3d(self) -> C3DConfig:
        full, of = C3DConfig(), self.channels
        return replace(
            full,
            stages=tuple(tuple(map(of, stage)) for stage in full.stages),
            hidden_sizes=tuple(map(of, full.hidden_sizes)),
        )

    def networks(self, condition: str, device: torch.device | str, seed: int = 0) -> Networks:
        """The paper's networks with random weights, steered by "lrcn" or "c3d"; on "meta" without any.

        Raises:
            StganError: there is no such condition network, or it does not take clips of so few frames.
        """
        if condition not in CONDITION:
            raise StganError(f"unknown condition {condition!r}; there are {' and '.join(CONDITION)}")
        with torch.device("meta"):  # torch's own weights would take seconds, and are too small for so many layers
            steering = LRCN(self.lrcn()) if condition == "lrcn" else C3D(self.c3d())
            networks = Networks(ImageGenerator(self.generator()), AlexNet(self.encoder()), (steering,))
        if self.frames < (window_of(steering) or 1):
            raise StganError(
                f"{condition} takes clips of at least {window_of(steering)} frames, not {self.frames}; "
                "lrcn takes clips of any length"
            )
        if torch.device(device).type != "meta":
            generator = torch.Generator(device).manual_seed(seed)
            for network in (networks.image_generator, networks.encoder, steering):
                channels_last(randomize(network.to_empty(device=device), generator))
            steering.fc8.weight.mul_(_EVEN)
        return networks

    def memory_needed(self, condition: str) -> int:
        """Bytes of the weights and of what generating keeps beside them, about; nothing of it is allocated."""
        networks = self.networks(condition, "meta")
        kept: dict[int, torch.UntypedStorage] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage
            return tensor

        codes = torch.empty(self.batch, self.frames, networks.image_generator.config.code_size, device="meta")
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            Action(networks.condition, 0)(inflate(networks.image_generator)(codes.requires_grad_()))
        held = weights(networks)
        for each in held:
            kept.pop(each.untyped_storage()._cdata, None)
        needed = sum(storage.nbytes() for storage in kept.values())
        return round((1 + _COPIES) * sum(each.nbytes for each in held) + _WORKING * needed)

    def largest_batch(self, condition: str, memory: float) -> int:
        """How many clips at a time need at most so many bytes, about; 0 if not even one does."""
        one, two = (replace(self, batch=batch).memory_needed(condition) for batch in (1, 2))
        return max(0, int((memory - one) // (two - one)) + 1)


@torch.no_grad()
def randomize(network: nn.Module, generator: torch.Generator) -> nn.Module:
    """Weights from N(0, 2 / number of inputs) as He et al. (2015), no biases; ready to steer."""
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.ndim == 1:
                parameter.zero_()
                continue
            inputs: float = parameter[0].numel()
            if isinstance(module, nn.ConvTranspose2d):
                inputs = parameter[:, 0].numel() / (module.stride[0] * module.stride[1])
            parameter.normal_(std=(2 / inputs) ** 0.5, generator=generator)
    return network.eval().requires_grad_(False)


def record(
    estimates: Mapping[str, Estimate],
    published: Mapping[str, Estimate],
    scale: Scale,
    device: torch.device,
    precision: MatmulPrecision,
    matmul_flops: float,
    num_videos: int,
    memory: float,
) -> dict[str, Any]:
    """What `stgan bench paper-scale --json` writes, for any program to read; keys may be added.

    Of the run: format, version, preset, frames, batch, width, precision, torch, device, threads, num_videos, and
    matmul_flops_per_second: of a large matrix product, the rate that the others are held against.

    conditions: by the network that steered,
        seconds_per_iteration:  the median of iterations_timed; also seconds_of_fastest_iteration, ..._slowest_iteration
        parts:                  of that iteration, by `PARTS`: seconds and flops of each
        flops_per_iteration:    floating point operations, two a multiply-add; all figures of time are of a batch
        flops_per_second:       the rate reached
        seconds_at_floor:       of an iteration, if all of it ran at matmul_flops_per_second
        peak_memory_bytes:      held at most by the weights and beside them; weights_bytes of it by the weights
        iterations:             of a video by the preset
        seconds_at_end:         of rendering the finished videos and judging them once more
        seconds_per_video:      iterations and end, divided by the batch
        hours_for_num_videos:   at that pace, one after another on this device
        clips_per_second:       the same pace
        largest_batch:          that needs at most memory_gb, about
        conv3d:                 seconds_per_iteration and clips_per_second with plain 3D convolutions as a generator,
                                and speedup: how many times as long an iteration takes then; null if it was not timed
    """
    conditions = {}
    for name, of in estimates.items():
        seconds, flops = of.seconds_per_iteration, of.flops_per_iteration
        conditions[name] = {
            "seconds_per_iteration": seconds,
            "seconds_of_fastest_iteration": of.seconds_range[0],
            "seconds_of_slowest_iteration": of.seconds_range[1],
            "iterations_timed": of.iterations_timed,
            "parts": {part: asdict(figures) for part, figures in of.parts.items()},
            "flops_per_iteration": flops,
            "flops_per_second": flops / seconds,
            "seconds_at_floor": flops / matmul_flops,
            "weights_bytes": of.weights_bytes,
            "peak_memory_bytes": of.peak_memory_bytes,
            "iterations": of.iterations,
            "seconds_at_end": of.seconds_at_end,
            "seconds_per_video": of.seconds_per_video,
            "hours_for_num_videos": of.hours(num_videos),
            "clips_per_second": 1 / of.seconds_per_video,
            "largest_batch": scale.largest_batch(name, memory * 1e9),
            "conv3d": published.get(name)
            and {
                "seconds_per_iteration": published[name].seconds_per_iteration,
                "clips_per_second": 1 / published[name].seconds_per_video,
                "speedup": published[name].seconds_per_iteration / seconds,
            },
        }
    return {
        "format": FORMAT,
        "version": __version__,
        "preset": PAPER.name,
        **asdict(scale),
        "precision": precision,
        "memory_gb": memory,
        **machine(device),
        "num_videos": num_videos,
        "matmul_flops_per_second": matmul_flops,
        "conditions": conditions,
    }
