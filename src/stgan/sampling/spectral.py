"""Activation maximization without a generator, on the Fourier coefficients of the video: the preset `spectral`."""

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from stgan.errors import StganError
from stgan.sampling.ascent import Ascent
from stgan.sampling.objectives import Action, Activation, Evidence, window_of
from stgan.sampling.settings import SamplerSettings, check_range
from stgan.sampling.targets import layers, recording
from stgan.sampling.task import Optimised, Task, Videos

Speed = Literal["slow", "natural", "fast"]
Magnitudes = Literal["free", "natural"]

SPEEDS: dict[Speed, float] = {"slow": 0.0005, "natural": 0.0021, "fast": 0.008}
"""How fast things move, in heights of the picture a frame: v of `natural_amplitudes`."""

_LARGEST_SIDE = 1024
_START = 0.05  # deviation of the coefficients that a clip starts from
_MARGIN = 4  # frames before the end of a clip meets its start, since Fourier series repeat
_CONTRAST = 1.3  # deviation of the logits of pixels whose coefficients are N(0, 1)
# Square root of the covariance of the logits of red, green and blue in frames of J-HMDB, of unit mean variance.
_COLOURS = ((0.783, 0.470, 0.399), (0.470, 0.689, 0.479), (0.399, 0.479, 0.828))


@dataclass(frozen=True, kw_only=True)
class SpectralSettings(SamplerSettings):
    """
    size:          width and height of a clip; None: what the condition networks take.
    learning_rate: of Adam.
    decay:         lambda of the prior. The prior says that coefficients are N(0, 1).
    speed:         how much energy higher frequencies over time have: those of natural video, of one that moves four
                   times as slowly, or four times as fast.
    magnitudes:    "free", or "natural": coefficients keep the magnitude 1, and only their phases are optimised, as in
                   MACO (Fel et al. 2023) for images.
    diversity:     weight of the term that makes clips of one batch differ (Olah et al. 2017).
    """

    size: int | None = None
    learning_rate: float = 0.1
    decay: float = 1.0
    speed: Speed = "natural"
    magnitudes: Magnitudes = "free"
    diversity: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is not None:
            check_range("the size", self.size, 8, _LARGEST_SIDE, whole=True)
        check_range("learning_rate", self.learning_rate, 1e-6, 10)
        check_range("decay", self.decay, 0, 1 / self.learning_rate)
        check_range("diversity", self.diversity, 0)
        for name, value, known in (("speed", self.speed, Speed), ("magnitudes", self.magnitudes, Magnitudes)):
            if value not in get_args(known):
                raise StganError(f"{name} is one of {', '.join(get_args(known))}, not {value!r}")
        if self.goal < 1:
            raise StganError("spectral takes all of its steps, so its goal has to be 1")

    @property
    def together(self) -> int:
        return 4 if self.diversity else 1


def spectral(task: Task, settings: SpectralSettings) -> Optimised:
    """Maximize J(h) = Phi(V(h)) - lambda/2 |h|^2 over h, Fourier coefficients of the video V(h), by Adam:

        m = beta1 m + (1 - beta1) dPhi/dh,  s = beta2 s + (1 - beta2) (dPhi/dh)^2
        h = h + lr (m' / sqrt(s') - lambda h)

    with m' and s' corrected for their start (Kingma & Ba 2015), and lambda apart from them (Loshchilov & Hutter 2019).
    h of natural video is about N(0, 1), so that lambda pulls to its spectrum. Phi of an action is its `Evidence`. With
    a video to start from, h is the difference to its coefficients, and lambda pulls back to the video.
    """
    s, spectrum = settings, Spectrum(task, settings)
    phi = Evidence(task.phi.condition, task.phi.number) if isinstance(task.phi, Action) else task.phi
    steered, ascent = replace(task, phi=phi), Ascent(task, settings)
    everything = ascent.clips()
    h = spectrum.start()
    adam = torch.optim.AdamW([h], s.learning_rate, weight_decay=s.decay, maximize=True)
    for iteration in range(s.iterations):
        h.grad = ascent.gradient(partial(spectrum.objective, steered), h, everything)
        adam.step()
        task.report(iteration, ascent.value, partial(spectrum.videos, h))
    return Optimised(spectrum.videos(h), None, ascent.steps)


class SpectralSpace:
    """Videos by their Fourier coefficients h: "batch 3 canvas y half 2", real and imaginary parts of a canvas.

    The video is the first `frames` frames of the canvas, squares of `side` pixels.
    """

    def __init__(
        self,
        frames: int,
        side: int,
        device: torch.device | str = "cpu",
        speed: Speed = "natural",
        magnitudes: Magnitudes = "free",
    ) -> None:
        self.frames, self.magnitudes = frames, magnitudes
        self.shape = (frames + _MARGIN, side, side)
        self.amplitudes = natural_amplitudes(*self.shape, SPEEDS[speed]).to(device)
        self.colours = torch.tensor(_COLOURS, device=device)

    def videos(self, h: Float[Tensor, "some 3 canvas y half 2"]) -> Videos:
        """V(h): the first frames of the canvas."""
        return self.canvas(h)[:, :, : self.frames]

    def canvas(self, h: Float[Tensor, "some 3 canvas y half 2"]) -> Videos:
        """The inverse Fourier transform over time, height and width, as colours, squashed to [0, 1]."""
        z = torch.view_as_complex(h)
        if self.magnitudes == "natural":
            z = math.sqrt(2) * z / z.abs().clamp(min=1e-8)
        logits = torch.fft.irfftn(self.amplitudes * z, self.shape, (-3, -2, -1), norm="forward")
        return torch.sigmoid(_CONTRAST * torch.einsum("ij,bjtyx->bityx", self.colours, logits))

    def coefficients(self, video: Float[Tensor, "3 time height width"]) -> Float[Tensor, "1 3 canvas y half 2"]:
        """h of a video, whose last frame turns into its first one in the margin."""
        share = torch.arange(1, _MARGIN + 1, device=video.device).view(-1, 1, 1) / (_MARGIN + 1)
        margin = video[:, -1:] + share * (video[:, :1] - video[:, -1:])
        logits = torch.logit(torch.cat([video, margin], 1), 0.5 / 255) / _CONTRAST
        plain = torch.einsum("ij,jtyx->ityx", torch.linalg.inv(self.colours), logits)
        return torch.view_as_real(torch.fft.rfftn(plain, dim=(-3, -2, -1), norm="forward") / self.amplitudes)[None]


class Spectrum:
    """The space of a task's clips, where they start in it, and the objective there."""

    def __init__(self, task: Task, settings: SpectralSettings) -> None:
        self.task, self.settings = task, settings
        self.side = task.networks.side or task.networks.image_generator.config.image_size
        self.space = SpectralSpace(task.frames, self.side, task.random.device, settings.speed, settings.magnitudes)
        self.origin = self.space.coefficients(task.init.video) if task.init else 0.0
        self.window = self._window()

    def start(self) -> Float[Tensor, "batch 3 canvas y half 2"]:
        """Noise: faint, unless nothing but its phases is seen."""
        noise = self.task.random.normal(3, *self.space.amplitudes.shape, 2)
        return noise if self.settings.magnitudes == "natural" and not self.task.init else _START * noise

    def videos(self, h: Float[Tensor, "some 3 canvas y half 2"]) -> Videos:
        """V(h)."""
        return self.space.videos(self.origin + h)

    def canvas(self, h: Float[Tensor, "some 3 canvas y half 2"]) -> Float[Tensor, "some 3 canvas y x"]:
        """What V(h) is cut from."""
        return self.space.canvas(self.origin + h)

    def objective(
        self, task: Task, h: Float[Tensor, "some 3 canvas y half 2"], clips: Int[Tensor, " some"]
    ) -> Float[Tensor, " some"]:
        """Phi of transformed videos, of the window that the condition networks take, minus the diversity term."""

        def shown(h: Tensor) -> Tensor:
            return self._cut(self.canvas(h), clips)

        if not self.settings.diversity or len(h) < 2:
            return task.objective(h, shown, self.settings, clips)
        with recording(self.network, [self.layer], len(h)) as kept:
            value = task.objective(h, shown, self.settings, clips)
        return value - self.settings.diversity * similarity(kept[self.layer].values)

    @cached_property
    def network(self) -> nn.Module:
        """The network whose features tell how similar clips are: the one that sees the longest part of a clip."""
        phi = self.task.phi
        if isinstance(phi, Activation):
            return phi.network
        return max(phi.condition, key=lambda network: window_of(network) or math.inf)  # type: ignore[return-value]

    @cached_property
    def layer(self) -> str:
        """The layer in the middle of the network, of those with several positions in space or time."""
        grey = torch.full(
            (1, 3, self.window or self.task.frames, self.side, self.side), 0.5, device=self.task.random.device
        )
        found = {name: math.prod(layer.size) for name, layer in layers(self.network, grey).items()}
        wide = [name for name, positions in found.items() if positions > 1] or list(found)
        if not wide:
            raise StganError("no layer of the condition network can tell how similar clips are; use diversity 0")
        return wide[len(wide) // 2]

    def _window(self) -> int | None:
        """The number of frames that all condition networks together see at a time; None for whole videos."""
        windows = [window_of(network) for network in self.task.networks.condition]
        longest = max((window or self.task.frames for window in windows), default=self.task.frames)
        return longest if longest < self.task.frames else None

    def _cut(
        self, canvas: Float[Tensor, "some 3 canvas y x"], clips: Int[Tensor, " some"]
    ) -> Float[Tensor, "some 3 time y x"]:
        """The video; if the networks take fewer frames, a random part of the canvas, which goes on at its beginning.

        A step with one part costs less than one with all overlapping windows of the video.
        """
        if self.window is None:
            return canvas[:, :, : self.task.frames]
        starts = (self.task.random.of(clips).uniform(1) * canvas.shape[2]).long()
        places = (starts + torch.arange(self.window, device=starts.device)) % canvas.shape[2]
        return torch.stack([video[:, place] for video, place in zip(canvas, places, strict=True)])


def similarity(values: Float[Tensor, "clips channels *position"]) -> Float[Tensor, " clips"]:
    """How similar each clip is to the others: the mean cosine between Gram matrices of a layer (Olah et al. 2017)."""
    flat = values.flatten(2) if values.ndim > 2 else values.unsqueeze(2)
    grams = F.normalize((flat @ flat.mT).flatten(1), dim=1)
    cosines = grams @ grams.mT
    return (cosines.sum(1) - cosines.diagonal()) / (len(values) - 1)


def natural_amplitudes(frames: int, height: int, width: int, velocity: float) -> Float[Tensor, "frames height half"]:
    """Deviations of the Fourier coefficients of natural video (of the logits of its grey levels).

        A^2(f, w) = 1 / ((f^2 + f0^2)^a (1 + (w / (v f))^2)^b),  f0 = 2.3, a = 2, b = 0.92

    at f cycles a height and w cycles a frame. As in Dong & Atick (1995), power depends on f and on w / f, the velocity:
    fast is rare. The values are a fit to the geometric mean of windows of 16 frames of 148 training clips of J-HMDB,
    where v is 0.0021 heights a frame; log10 of the power is off by 0.11 on average. Coefficients that are A times
    complex N(0, 1) + i N(0, 1) give a video of variance 1.
    """
    y = torch.fft.fftfreq(height, dtype=torch.float64)[:, None] * height
    x = torch.fft.rfftfreq(width, dtype=torch.float64) * height  # a pixel is as wide as high
    f2 = y.square() + x.square() + 2.3**2
    w = torch.fft.fftfreq(frames, dtype=torch.float64)[:, None, None]
    power = f2**-2.0 * (1 + w.square() / (velocity**2 * f2)) ** -0.92
    times = torch.full((len(x),), 2.0, dtype=torch.float64)  # for the half of the coefficients that is not stored
    times[[0, -1] if width % 2 == 0 else [0]] = 0.5  # of these planes, a real video has only the symmetric part
    return (power / (2 * (power * times).sum())).sqrt().float()
