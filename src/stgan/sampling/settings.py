"""What every sampler can be set to."""

import math
import reprlib
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from stgan.devices import Precision
from stgan.errors import StganError
from stgan.networks.temporal import TemporalPadding, check_kernel


def check_kind(name: str, value: object, kind: Any, wanted: str) -> None:
    """StganError unless the value is of a type. wanted: what it must be, for the message."""
    if not isinstance(value, kind):
        raise StganError(f"{name} must be {wanted}, not {reprlib.repr(value)}")


def check_range(
    name: str, value: object, least: int | float, most: int | float = math.inf, *, whole: bool = False
) -> None:
    """StganError unless the value is a finite number (a whole one) from `least` to `most`."""
    kind = int if whole else int | float
    right = isinstance(value, kind) and not isinstance(value, bool) and least <= value <= most and math.isfinite(value)
    if not right:
        what = "a whole number" if whole else "a number"
        limits = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
        raise StganError(f"{name} must be {what} {limits}, not {value!r}")


def check_pair(name: str, pair: object) -> None:
    """StganError unless the value is two finite numbers of at least 0."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise StganError(f"{name} must be two numbers, the first and the last, not {pair!r}")
    for number in pair:
        check_range(name, number, 0)


@dataclass(frozen=True)
class Inflation:
    """How the image generator becomes a video generator (Eq. 6-7).

    kernel:  weights over neighbouring frames, an odd number of them, with the sum 1; the paper's are 1/3, 1/3, 1/3.
    padding: "zeros" (the paper's) or "replicate", which repeats the first and the last frame.
    """

    kernel: tuple[float, ...]
    padding: TemporalPadding

    def __post_init__(self) -> None:
        try:
            check_kernel(self.kernel)
        except (TypeError, ValueError) as error:
            raise StganError(str(error)) from error
        if self.padding not in get_args(TemporalPadding):
            raise StganError(f"the padding in time is {' or '.join(get_args(TemporalPadding))}, not {self.padding!r}")


@dataclass(frozen=True)
class Transforms:
    """Random changes of a video before the condition networks see it, drawn anew for each clip and iteration.

    Only what survives them raises the objective, so noise that fools a network does not.

    shift:      at most so many pixels in each direction.
    noise:      standard deviation of Gaussian noise, of videos in [0, 1].
    brightness: at most so much is added to or taken from all pixels, of videos in [0, 1].
    rotation:   at most so many degrees in each direction.
    zoom:       the side of the part that is seen, as a share of the frame's, is drawn between these. Above 1 the frame
                is surrounded by grey, so that what is in it has to be larger to be seen.
    flip:       whether half of the videos are mirrored. Not for networks that tell left from right.
    """

    shift: int = 0
    noise: float = 0.0
    brightness: float = 0.0
    rotation: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    flip: bool = False

    def __post_init__(self) -> None:
        check_range("shift", self.shift, 0, 1024, whole=True)
        check_range("rotation", self.rotation, 0, 180)
        check_pair("zoom", self.zoom)
        if not 0.05 <= self.zoom[0] <= self.zoom[1] <= 3:
            raise StganError(f"zoom is a share from 0.05 on and one of at most 3, not less, unlike {self.zoom}")
        check_range("noise", self.noise, 0, 1)
        check_range("brightness", self.brightness, 0, 1)


S = TypeVar("S", bound="SamplerSettings")


@dataclass(frozen=True, kw_only=True)
class SamplerSettings:
    """Settings that all samplers have. Each sampler has a subclass with its own.

    name:           of the preset; the manifest records it.
    iterations:     how many there are.
    regularization: lambda of Eq. 8. The paper gives no value; all presets have 0.
    goal, patience: a clip takes no more steps once its objective was above log(goal) at `patience` iterations in a row.
                    The objective is the log probability of the action, minus lambda |z|, on a transformed video. A goal
                    of 1 is never reached. Targets other than actions have no goal.
    transforms:     of the video before the condition networks.
    precision:      of the networks while a clip is optimised: "32-true", or "bf16-mixed" (autocast to bfloat16). A
                    given frame and the finished clip are always computed in float32.
    """

    name: str
    iterations: int
    regularization: float = 0.0
    goal: float = 1.0
    patience: int = 1
    transforms: Transforms = Transforms()
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        check_range("the number of iterations", self.iterations, 1, whole=True)
        check_range("regularization", self.regularization, 0)
        check_range("goal", self.goal, 1e-12, 1)
        check_range("patience", self.patience, 1, whole=True)
        if self.precision not in get_args(Precision):
            raise StganError(f"the precision is {' or '.join(get_args(Precision))}, not {self.precision!r}")

    @property
    def needs(self) -> str | None:
        """The prior without which it cannot sample: None or the role of a prior in a model."""
        return None

    @property
    def together(self) -> int:
        """So many clips of an action should be made at a time, because they depend on each other."""
        return 1

    @property
    def conditional(self) -> bool:
        """Whether the prior is conditional on the action, so that it has to know the action."""
        return False

    def unconditional(self: S) -> S:
        """The same without the prior being conditional on the action."""
        return self
