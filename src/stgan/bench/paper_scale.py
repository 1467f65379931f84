"""The paper's loop at the paper's sizes: Table 1's generator steered by LRCN or C3D as published, PPGN's update.

The weights are random, because time and memory depend on sizes only.
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

# Measured: layers keep copies of weights in other memory layouts, and need working memory.
_COPIES = 0.5  # as a share of the weights
_WORKING = 1.15  # as a multiple of what the gradient needs
_WIDTHS = (0.01, 4.0)
_LAST_LAYER = 0.01  # factor of a classifier's last weights: all actions get about the same probability, so that no
# gradient vanishes


@dataclass(frozen=True)
class Scale:
    """Sizes of the loop.

    frames: frames of a clip.
    batch:  clips that are made together.
    width:  channels of every layer, as a factor of the published number, 0.01 to 4. Frames keep their size.
    """

    frames: int = 16
    batch: int = 1
    width: float = 1.0

    def __post_init__(self) -> None:
        if not _WIDTHS[0] <= self.width <= _WIDTHS[1]:
            raise StganError(f"the width must be from {_WIDTHS[0]:g} to {_WIDTHS[1]:g}, not {self.width:g}")

    def channels(self, number: int) -> int:
        """The number of channels at this width; even, because some convolutions have two groups."""
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
        """The paper's networks with random weights, where "lrcn" or "c3d" steers; on the device "meta" without weights.

        Raises:
            StganError: there is no such condition network, or it does not take clips of so few frames.
        """
        if condition not in CONDITION:
            raise StganError(f"unknown condition {condition!r}; there are {' and '.join(CONDITION)}")
        with torch.device("meta"):  # torch's initial weights take seconds, and are too small for this depth
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
            steering.fc8.weight.mul_(_LAST_LAYER)
        return networks

    def memory_needed(self, condition: str) -> int:
        """An estimate of the bytes that generation needs, including the weights. Nothing of it is allocated."""
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
        """An estimate of the largest batch that needs at most so many bytes; 0 if one clip needs more."""
        one, two = (replace(self, batch=batch).memory_needed(condition) for batch in (1, 2))
        return max(0, int((memory - one) // (two - one)) + 1)


@torch.no_grad()
def randomize(network: nn.Module, generator: torch.Generator) -> nn.Module:
    """Set weights to draws from N(0, 2 / number of inputs), as He et al. (2015), and biases to 0; in eval mode."""
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
    """What `stgan bench paper-scale --json` writes. Later versions may add keys. Times are those of a whole batch.

    The run: format, version, preset, frames, batch, width, precision, torch, device, threads, num_videos, and
    matmul_flops_per_second: the rate of a large matrix product, to compare the other rates with.

    conditions: for each network that steered,
        seconds_per_iteration:  median of iterations_timed; also seconds_of_fastest_iteration, ..._slowest_iteration
        parts:                  seconds and flops of each of `PARTS` in that iteration
        flops_per_iteration:    floating point operations; a multiply-add counts as two
        flops_per_second:       the measured rate
        seconds_at_floor:       time of an iteration at the rate matmul_flops_per_second
        peak_memory_bytes:      peak of all memory, including weights_bytes
        iterations:             the preset's number of iterations
        seconds_at_end:         time to render the finished videos and to compute their probabilities
        seconds_per_video:      iterations and end, divided by the batch size
        hours_for_num_videos, clips_per_second: the same speed in other units
        largest_batch:          estimate of the largest batch that fits into memory_gb
        conv3d:                 seconds_per_iteration and clips_per_second of the generator with plain 3D convolutions,
                                and speedup: the ratio of the times of an iteration; null if it was not timed
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
