"""A trial run of a loaded network: settings and weights that fit each other may still not work."""

from typing import Any

import torch
from torch import Tensor, nn

from stgan.networks import Encoder, Given, ImageGenerator, MapCodec, MapPrior

_MOST_NUMBERS = 1 << 27  # outputs of a layer for one clip: 512 MiB in float32, ten times the published C3D's


@torch.no_grad()
def try_out(network: nn.Module) -> None:
    """Run a network in eval mode once, on a mid-grey clip or image, or a code of zeros.

    Raises:
        ValueError: a layer would need too much memory, or the output is not finite.
        Exception: any error of the network itself.
    """
    layers = [layer for layer in network.modules() if hasattr(layer, "out_channels")]
    handles = [layer.register_forward_pre_hook(_check_size) for layer in layers]
    try:
        outputs = _run(network)
    finally:
        for handle in handles:
            handle.remove()
    if not all(torch.isfinite(output).all() for output in outputs):
        raise ValueError("its weights and settings lead to numbers that are not finite")


def _run(network: Any) -> list[Tensor]:
    config = network.config
    if isinstance(network, MapCodec):
        side = 2 * config.encoder.stride
        return list(network(_grey(1, 3, side, side)))
    if isinstance(network, MapPrior):
        noisy = torch.zeros(1, config.frames, config.channels, config.grid, config.grid)
        known = (None, Given(noisy[:, 0], torch.zeros(1, dtype=torch.long)))
        return [
            network.denoise(noisy, float(sigma), None, given)
            for sigma in (config.sigma_min, config.sigma_max)
            for given in known
        ]
    if isinstance(network, ImageGenerator):
        return [network(torch.zeros(1, config.code_size))]
    size = getattr(config, "frame", config).preprocessing.size or 64
    if isinstance(network, Encoder):
        return [network(_grey(1, 3, size, size))]
    frames = getattr(config, "frames", getattr(config, "min_frames", 2))
    return list(network.features_and_log_probabilities(_grey(1, 3, frames, size, size)))


def _grey(*shape: int) -> Tensor:
    _check_numbers(torch.Size(shape).numel())
    return torch.full(shape, 0.5)


def _check_size(layer: Any, inputs: tuple[Tensor, ...]) -> None:
    """Check the output of a convolution before it runs. A transposed one multiplies the pixels by its stride."""
    (x,) = inputs
    sides = [side + 2 * pad for side, pad in zip(x.shape[2:], layer.padding, strict=True)]
    grows = torch.Size(layer.stride).numel() if layer.transposed else 1
    _check_numbers(torch.Size(sides).numel() * max(layer.in_channels, layer.out_channels) * grows)


def _check_numbers(count: int) -> None:
    if count > _MOST_NUMBERS:
        raise ValueError(f"one of its layers would output {count} numbers for a single clip")
