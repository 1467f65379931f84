"""Presets of the sampler: everything about activation maximization that is not the networks or the action."""

from dataclasses import dataclass
from typing import Literal

from stgan.networks.temporal import UNIFORM_KERNEL, TemporalPadding


@dataclass(frozen=True)
class Preset:
    """
    space:            "codes": optimise z(t) from N(0, 1), clipped to [0, 30]. "whitened": optimise the code
                      prior's coordinates from one of its samples, repeated over time, and stay near it.
    epsilon1..3:      weights of PPGN's update: reconstruction, gradient, noise.
    regularization:   lambda of Eq. 8. The paper gives no value; neither preset needs one (ours: 0).
    start_noise:      whitened: spread of the frames' first coordinates around the common start.
    prior_pull:       whitened: fraction of the way to the denoised coordinates after each step (first, last).
    prior_sigma:      whitened: noise level of that denoising (first, last iteration, falling geometrically).
    share_appearance: whitened: average the appearance coordinates over time after each step.
    shift, blur, video_noise, brightness: random changes of the video before the condition network, so that only
                      what survives them is worth a gradient: pixels, pixels (sigma), and [0, 1] units.
    views:            how many such changes a gradient is the mean of.
    stop_probability: whitened: stop once the condition network gives the unchanged video this probability for
                      `patience` iterations in a row; None runs all iterations.
    """

    name: str
    temporal_kernel: tuple[float, ...]
    temporal_padding: TemporalPadding
    space: Literal["codes", "whitened"]
    iterations: int
    learning_rate: tuple[float, float]
    epsilon1: float = 0.0
    epsilon2: float = 1.0
    epsilon3: float = 0.0
    regularization: float = 0.0
    start_noise: float = 0.0
    prior_pull: tuple[float, float] = (0.0, 0.0)
    prior_sigma: tuple[float, float] = (0.5, 0.1)
    share_appearance: bool = False
    smoothing: float = 0.0
    shift: int = 0
    blur: float = 0.0
    video_noise: float = 0.0
    brightness: float = 0.0
    views: int = 1


PAPER = Preset(
    name="paper",
    temporal_kernel=UNIFORM_KERNEL,
    temporal_padding="zeros",
    space="codes",
    iterations=100,
    learning_rate=(1.0, 0.1),
    epsilon1=1e-5,
    epsilon2=1.0,
    epsilon3=1e-17,
)
"""As published: PPGN's constants, codes from N(0, 1), uniform temporal kernel, zero padding in time."""

ROBUST = Preset(
    name="robust",
    temporal_kernel=(0.1, 0.8, 0.1),
    temporal_padding="replicate",
    space="whitened",
    iterations=40,
    learning_rate=(0.15, 0.03),
    start_noise=0.1,
    prior_pull=(0.2, 0.2),
    prior_sigma=(0.5, 0.15),
    share_appearance=True,
    shift=4,
    video_noise=0.05,
)
"""The default: stays where codes of real frames are, and gradients survive small changes of the video."""

PRESETS = {preset.name: preset for preset in (ROBUST, PAPER)}
