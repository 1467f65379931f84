"""Eq. 8 by PPGN's update (Nguyen et al. 2017, as in its published code): the presets `paper` and `pixels`."""

from dataclasses import dataclass
from functools import partial

from jaxtyping import Float, Int
from torch import Tensor

from stgan.devices import arithmetic
from stgan.errors import StganError
from stgan.sampling.ascent import Ascent, mean_absolute
from stgan.sampling.settings import Inflation, SamplerSettings, check_pair, check_range
from stgan.sampling.starts import encode
from stgan.sampling.task import Optimised, Task, Videos

LARGEST_CODE = 30.0
"""PPGN clips codes to [0, 30]; they are ReLU activations, hence the lower end."""

GREY_LEVEL = 1 / 255
"""Unit of noise and steps on pixels, so that the paper's constants mean the same there as on bytes."""


@dataclass(frozen=True, kw_only=True)
class PPGNSettings(SamplerSettings):
    """
    inflation:     of the generator; None: there is no generator, and the pixels themselves are optimised.
    learning_rate: the first and the last one, linear in between; in units of codes, or in grey levels of 255.
    epsilon1, epsilon2, epsilon3: weights of reconstruction, gradient and noise.
    """

    inflation: Inflation | None
    learning_rate: tuple[float, float] = (1.0, 0.1)
    epsilon1: float = 0.0
    epsilon2: float = 1.0
    epsilon3: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("epsilon1", "epsilon2", "epsilon3"):
            check_range(name, getattr(self, name), 0)
        check_pair("learning_rate", self.learning_rate)
        if not self.epsilon2 or not any(self.learning_rate):
            raise StganError("with epsilon2 0 or learning_rate (0, 0) the condition networks would have no effect")
        if self.inflation is None and self.epsilon1:
            raise StganError("without a generator there is no reconstruction, so epsilon1 must be 0")


def ppgn(task: Task, settings: PPGNSettings) -> Optimised:
    """Maximize J(h) = Phi(G(h)) - lambda |h| of Eq. 8 over h, the codes z(t) of all frames, or the video's pixels:

        d = epsilon1 (R(h) - h) + epsilon2 dJ/dh + epsilon3 N(0, 1)
        h = clip(h + lr d / |d|)

    R(h) = E(G(h)) is the reconstruction, frame by frame; |d| is the mean of absolute values of a clip.
    """
    s, ascent = settings, Ascent(task, settings)
    variable = Codes(task, s, s.inflation) if s.inflation else Pixels(task, s)
    h = variable.start()
    for iteration, lr in enumerate(linear_schedule(*s.learning_rate, s.iterations)):
        clips = ascent.clips()
        if lr and len(clips):
            x = h[clips]
            d = s.epsilon2 * ascent.gradient(variable.objective, x, clips)
            if s.epsilon1:
                d = d + s.epsilon1 * (variable.reconstruct(x) - x)
            if s.epsilon3:
                d = d + s.epsilon3 * task.random.of(clips).normal(*x.shape[1:])
            h = h.index_copy(0, clips, x + lr * variable.unit * d / mean_absolute(d))
        h = variable.clip(h)
        task.report(iteration, ascent.value, partial(variable.videos, h))
    return Optimised(variable.videos(h), h if s.inflation else None, ascent.steps)


def linear_schedule(start: float, end: float, steps: int) -> list[float]:
    """`steps` values from `start` to `end` with equal differences."""
    return [start + (end - start) * step / max(1, steps - 1) for step in range(steps)]


class Codes:
    """h is a code for each frame, "batch time code", from N(0, 1) or the codes of a video."""

    unit = 1.0

    def __init__(self, task: Task, settings: PPGNSettings, inflation: Inflation) -> None:
        self.task, self.settings, self.videos = task, settings, task.generator(inflation)

    def start(self) -> Float[Tensor, "batch time code"]:
        if self.task.init:
            return encode(self.task.networks.encoder, self.task.init.video).expand(len(self.task.random), -1, -1)
        return self.task.random.normal(self.task.frames, self.task.networks.image_generator.config.code_size)

    def objective(self, h: Float[Tensor, "some time code"], clips: Int[Tensor, " some"]) -> Float[Tensor, " some"]:
        """J."""
        return self.task.objective(h, self.videos, self.settings, clips)

    def reconstruct(self, h: Float[Tensor, "some time code"]) -> Float[Tensor, "some time code"]:
        """R(h) = E(G(h)), frame by frame."""
        networks, timer = self.task.networks, self.task.timer
        with arithmetic(self.settings.precision, h.device):
            images = timer("reconstruction_generator", networks.image_generator, h.flatten(0, 1))
            return timer("reconstruction_encoder", networks.encoder, images).to(h.dtype).view_as(h)

    def clip(self, h: Float[Tensor, "batch time code"]) -> Float[Tensor, "batch time code"]:
        """h in the range of codes."""
        return h.clamp(0, LARGEST_CODE)


class Pixels:
    """h is the video itself minus mid-grey, in [-0.5, 0.5], from faint noise or a video."""

    unit = GREY_LEVEL

    def __init__(self, task: Task, settings: PPGNSettings) -> None:
        self.task, self.settings = task, settings

    def start(self) -> Videos:
        if self.task.init:
            return (self.task.init.video - 0.5).expand(len(self.task.random), -1, -1, -1, -1)
        side = self.task.networks.image_generator.config.image_size
        return GREY_LEVEL * self.task.random.normal(3, self.task.frames, side, side)

    def videos(self, h: Videos) -> Float[Tensor, "batch 3 time side side"]:
        """The square that is kept."""
        return self.task.networks.crop(h + 0.5)

    def objective(self, h: Float[Tensor, "some 3 t y x"], clips: Int[Tensor, " some"]) -> Float[Tensor, " some"]:
        """J."""
        return self.task.objective(h, self.videos, self.settings, clips)

    def reconstruct(self, h: Float[Tensor, "some 3 t y x"]) -> Float[Tensor, "some 3 t y x"]:
        """h itself: without a generator, nothing is reconstructed."""
        return h

    def clip(self, h: Videos) -> Videos:
        """h in the range of pixels."""
        return h.clamp(-0.5, 0.5)
