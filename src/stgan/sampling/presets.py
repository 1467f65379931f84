"""Presets of the sampler: everything about activation maximization that is not the networks or the action."""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from stgan.devices import Precision
from stgan.errors import StganError
from stgan.networks.temporal import UNIFORM_KERNEL, TemporalPadding, check_kernel


@dataclass(frozen=True)
class Preset:
    """How to sample. Fields of the other spaces are without effect.

    space: "codes": optimise z(t) itself, from N(0, 1) and clipped to [0, 30], as PPGN does.
           "whitened": optimise the code prior's coordinates, and denoise them a little after every step.
           "sequences": denoise whole sequences of codes by the sequence prior.
           "pixels": optimise the video itself, without a generator, from noise around mid-grey.

    temporal_kernel, temporal_padding: of the inflated generator.
    iterations: of activation maximization.
    regularization: lambda of Eq. 8. The paper gives no value; ours is 0 in all presets.
    epsilon1, epsilon2, epsilon3: PPGN's weights of reconstruction, gradient and noise.
    goal, patience: a clip takes no more steps once its probability under the condition networks (their
                 geometric mean, with lambda |z| taken off its logarithm), on changed videos as below, was above
                 `goal` at so many iterations in a row; it is only projected (denoised) to the end. 1 is never
                 exceeded. Targets other than actions have no goal.

    Spaces "codes" and "pixels":
    learning_rate: first and last, falling linearly; in units of the codes, or in grey levels of 255.

    Spaces "whitened" and "sequences":
    noise_level: the coordinates' noise at the start and at the end, falling geometrically.
    guidance: size (root mean square) of a step up the gradient, in units of the present noise level.
    own_noise: share of the starting noise's variance that a frame does not have in common with all others.
    own_noise_frames: how many frames (standard deviation) that own noise is smooth over; 0 for none.
    share_appearance: average the coordinates of appearance over time at every step.

    Space "sequences":
    proposals:   so many clips are drawn from the sequence prior alone; the one that the condition networks like best is
                 gone on with.
    steered_below: noise level down from which steps up the gradient are taken.
    action_guidance: how much the sequence prior heeds the action that it is told: 0 not at all, 1 as it learned to,
                 above that more than it learned to.

    Changes of the video before the condition network, drawn anew at each iteration, so that only what survives
    them is worth a gradient:
    shift: pixels. video_noise, brightness: in [0, 1] units.

    precision:   what generator, encoder and condition networks compute in while a clip is sought; "bf16-mixed" is
                 bfloat16 wherever autocast takes that for safe. The priors, and the clip as it is kept, are computed in
                 float32.
    """

    name: str
    space: Literal["codes", "whitened", "sequences", "pixels"]
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
    proposals: int = 1
    steered_below: float = 1.0
    action_guidance: float = 1.0
    share_appearance: bool = True
    goal: float = 1.0
    patience: int = 1
    shift: int = 0
    video_noise: float = 0.0
    brightness: float = 0.0
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        try:
            check_kernel(self.temporal_kernel)
        except (TypeError, ValueError) as error:
            raise StganError(f"preset {self.name}: {error}") from error
        if self.space not in ("codes", "whitened", "sequences", "pixels"):
            raise StganError(
                f"preset {self.name}: the space is codes, whitened, sequences or pixels, not {self.space!r}"
            )
        if self.temporal_padding not in ("zeros", "replicate"):
            raise StganError(f"preset {self.name}: temporal_padding is zeros or replicate, not {self.temporal_padding}")
        if self.iterations < 1:
            raise StganError(f"the number of iterations must be at least 1, not {self.iterations}")
        if not 0 < self.noise_level[1] <= self.noise_level[0] < math.inf:
            raise StganError(f"preset {self.name}: noise_level falls from a first to a last value above 0")
        if self.proposals < 1:
            raise StganError(f"preset {self.name}: the number of proposals must be at least 1, not {self.proposals}")
        if not 0 < self.goal <= 1 or not 0 <= self.own_noise <= 1:
            raise StganError(f"preset {self.name}: goal is in (0, 1] and own_noise in [0, 1]")
        if self.precision not in get_args(Precision):
            raise StganError(f"the precision is {' or '.join(get_args(Precision))}, not {self.precision!r}")


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

MOTION = Preset(
    name="motion",
    space="sequences",
    temporal_kernel=(0.02, 0.96, 0.02),
    temporal_padding="replicate",
    iterations=40,
    noise_level=(40.0, 0.05),
    proposals=4,
    action_guidance=1.5,
    guidance=0.05,
    steered_below=0.5,
    goal=0.9,
    patience=1,
    shift=4,
    video_noise=0.05,
)
"""A prior that has seen clips proposes, the condition networks choose, and refine what does not convince them yet."""

PIXELS = replace(PAPER, name="pixels", space="pixels", epsilon1=0.0)
"""What the paper says cannot work: its update on the pixels of the video themselves, with no generator as a prior.

Without a generator there is no reconstruction either, hence epsilon1 = 0.
"""

PRESETS = {preset.name: preset for preset in (MOTION, ROBUST, PAPER, PIXELS)}
