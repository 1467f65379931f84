"""Presets of the sampler: everything about activation maximization that is not the networks or the action."""

from dataclasses import dataclass
from typing import Literal

from stgan.networks.temporal import UNIFORM_KERNEL, TemporalPadding


@dataclass(frozen=True)
class Preset:
    """How to sample. Fields of the other space are without effect.

    space: "codes": optimise z(t) itself, from N(0, 1) and clipped to [0, 30], as PPGN does.
           "whitened": optimise the code prior's coordinates, and denoise them a little after every step.

    temporal_kernel, temporal_padding: of the inflated generator.
    iterations: of activation maximization.
    regularization: lambda of Eq. 8. The paper gives no value; ours is 0 in both presets.

    Space "codes":
    learning_rate: first and last, falling linearly.
    epsilon1, epsilon2, epsilon3: PPGN's weights of reconstruction, gradient and noise.

    Space "whitened":
    noise_level: the coordinates' noise at the start and at the end, falling geometrically.
    guidance: size (root mean square) of a step up the gradient, in units of the present noise level.
    own_noise: share of the starting noise's variance that a frame does not have in common with all others.
    own_noise_frames: how many frames (standard deviation) that own noise is smooth over; 0 for none.
    goal, patience: a clip takes no more steps once its probability under the condition networks (their
                 geometric mean), on changed
                 videos as below, was above `goal` at so many iterations in a row; it is only denoised to the end.

    Changes of the video before the condition network, drawn anew at each iteration, so that only what survives
    them is worth a gradient:
    shift: pixels. video_noise, brightness: in [0, 1] units.
    """

    name: str
    space: Literal["codes", "whitened"]
    temporal_kernel: tuple[float, ...]
    temporal_padding: TemporalPadding
    iterations: int
    regularization: float = 0.0
    learning_rate: tuple[float, float] = (1.0, 0.1)
    epsilon1: float = 0.0
    epsilon2: float = 1.0
    epsilon3: float = 0.0
    noise_level: tuple[float, float] = (3.0, 0.1)
    guidance: float = 0.2
    own_noise: float = 0.3
    own_noise_frames: float = 6.0
    goal: float = 1.0
    patience: int = 1
    shift: int = 0
    video_noise: float = 0.0
    brightness: float = 0.0


PAPER = Preset(
    name="paper",
    space="codes",
    temporal_kernel=UNIFORM_KERNEL,
    temporal_padding="zeros",
    iterations=100,
    learning_rate=(1.0, 0.1),
    epsilon1=1e-5,
    epsilon2=1.0,
    epsilon3=1e-17,
)
"""As published: PPGN's constants, codes from N(0, 1), uniform temporal kernel, zero padding in time."""

ROBUST = Preset(
    name="robust",
    space="whitened",
    temporal_kernel=(0.05, 0.9, 0.05),
    temporal_padding="replicate",
    iterations=40,
    noise_level=(3.0, 0.1),
    guidance=0.25,
    own_noise=0.3,
    own_noise_frames=6.0,
    goal=0.9,
    patience=5,
    shift=4,
    video_noise=0.05,
)
"""The default: the condition network only ever sees what the code prior takes for codes of natural frames."""

PRESETS = {preset.name: preset for preset in (ROBUST, PAPER)}
