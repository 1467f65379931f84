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
from stgan.sampling.ascent import Ascent, Variable
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
_BETA1, _BETA2 = 0.9, 0.999  # of Adam
_WHITENING = 0.7  # alpha of `SpectralAdam`
_SETTLED = 0.5  # share of the steps at whose end the learning rate begins to fall
_SEEN = 4  # frames that the networks see at a step, at least
_PIXELS = 224  # the side for which the shift of a preset is meant
# Square root of the covariance of the logits of red, green and blue in frames of J-HMDB, of unit mean variance.
_COLOURS = ((0.783, 0.470, 0.399), (0.470, 0.689, 0.479), (0.399, 0.479, 0.828))


@dataclass(frozen=True, kw_only=True)
class SpectralSettings(SamplerSettings):
    """
    size:          width and height of a clip; None: what the condition networks take. The shift of `transforms` is
                   meant for 224 pixels, and is scaled.
    learning_rate: of `SpectralAdam` in the first half of the steps.
    decay:         lambda of the prior. The prior says that coefficients are N(0, 1).
    speed:         how much energy higher frequencies over time have: those of natural video, of one that moves four
                   times as slowly, or four times as fast.
    magnitudes:    "free", or "natural": coefficients keep the magnitude 1, and only their phases are optimised, as in
                   MACO (Fel et al. 2023) for images.
    diversity:     weight of the term that makes clips of one batch differ (Olah et al. 2017).
    """

    size: int | None = None
    learning_rate: float = 0.1
    decay: float = 0.5
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
    """Maximize J(h) = Phi(V(h)) - lambda/2 |h|^2 over h, Fourier coefficients of the video V(h), by `SpectralAdam`.

    In the second half, the learning rate falls to 0 along a cosine, so that what random transforms stir up settles.
    h of natural video is about N(0, 1), so that lambda pulls to its spectrum. Phi of an action is its `Evidence`. With
    a video to start from, h is the difference to its coefficients, and lambda pulls back to the video.
    """
    s, spectrum = settings, Spectrum(task, settings)
    phi = Evidence(task.phi.condition, task.phi.number) if isinstance(task.phi, Action) else task.phi
    steered, ascent = replace(task, phi=phi), Ascent(task, settings)
    everything = ascent.clips()
    h = spectrum.start()
    adam = SpectralAdam(s.decay, frequency_bands(*spectrum.space.shape).to(h.device))
    for iteration in range(s.iterations):
        falling = max(0.0, (iteration / s.iterations - _SETTLED) / (1 - _SETTLED))
        learning_rate = s.learning_rate * (1 + math.cos(math.pi * falling)) / 2
        h = adam.step(h, ascent.gradient(partial(spectrum.objective, steered), h, everything), learning_rate)
        task.report(iteration, ascent.value, partial(spectrum.videos, h))
    return Optimised(spectrum.videos(h), None, ascent.steps)


class SpectralAdam:
    """Adam whose second moment is shared by coefficients of similar frequency:

        m = beta1 m + (1 - beta1) g,  s_b = beta2 s_b + (1 - beta2) mean of g^2 in band b,  s the mean of g^2 in all
        h = h + lr (m' / sqrt(s_b'^alpha s'^(1 - alpha)) - lambda h)

    with m' and s' corrected for their start (Kingma & Ba 2015), and lambda apart from them (Loshchilov & Hutter 2019).
    Adam itself gives all coefficients the same size, so that only their phases can tell what is where. Within a band,
    this one keeps their relative sizes. Between bands, alpha decides: with 1, all grow alike, which leaves shapes faint
    among noise; with 0, the lowest frequencies grow most, which gives silhouettes.

    bands: the number of the band of each coefficient.
    """

    def __init__(self, decay: float, bands: Int[Tensor, "canvas y half"]) -> None:
        self.decay, self.bands = decay, bands
        self.sizes = bands.flatten().bincount().clamp(min=1)
        self.taken = 0
        self.m = self.s = torch.zeros(())

    def step(self, h: Variable, gradient: Variable, learning_rate: float) -> Variable:
        """h after a step up the gradient, both "batch 3 canvas y half 2"."""
        self.taken += 1
        power = gradient.square().mean((1, 5)).flatten(1)
        of_band = power.new_zeros(len(h), len(self.sizes)).index_add(1, self.bands.flatten(), power) / self.sizes
        self.m = _BETA1 * self.m + (1 - _BETA1) * gradient
        self.s = _BETA2 * self.s + (1 - _BETA2) * of_band
        m, s = self.m / (1 - _BETA1**self.taken), self.s / (1 - _BETA2**self.taken)
        everywhere = (s * self.sizes).sum(1, keepdim=True) / self.bands.numel()
        size = (s**_WHITENING * everywhere ** (1 - _WHITENING)).sqrt().clamp(min=torch.finfo(s.dtype).tiny)
        step = m / size[:, self.bands][:, None, ..., None] - self.decay * h
        return h + learning_rate * step


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

    def videos(
        self, h: Float[Tensor, "some 3 canvas y half 2"], places: Int[Tensor, "some time"] | None = None
    ) -> Videos:
        """V(h): frames of the canvas by their number, the first ones by default.

        They are the inverse Fourier transform over time, height and width, as colours, squashed to [0, 1]. Only what is
        asked for is computed.
        """
        if places is None:
            places = torch.arange(self.frames, device=h.device).expand(len(h), -1)
        with torch.autocast(h.device.type, enabled=False):
            z = torch.view_as_complex(h.float())
            if self.magnitudes == "natural":
                z = math.sqrt(2) * z / z.abs().clamp(min=1e-8)
            angles = 2 * math.pi / self.shape[0] * places[..., None] * torch.arange(self.shape[0], device=h.device)
            waves = torch.polar(torch.ones_like(angles), angles)[:, None]
            moving = (waves @ (self.amplitudes * z).flatten(-2)).unflatten(-1, z.shape[-2:])
            logits = torch.fft.irfftn(moving, self.shape[1:], (-2, -1), norm="forward")
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
        self.task = task
        self.side = task.networks.side or task.networks.image_generator.config.image_size
        shift = round(settings.transforms.shift * self.side / _PIXELS)
        self.settings = replace(settings, transforms=replace(settings.transforms, shift=shift))
        self.space = SpectralSpace(task.frames, self.side, task.random.device, settings.speed, settings.magnitudes)
        self.origin = self.space.coefficients(task.init.video) if task.init else 0.0
        self.window = self._window()
        self.views = math.ceil(_SEEN / self.window) if self.window else 1

    def start(self) -> Float[Tensor, "batch 3 canvas y half 2"]:
        """Noise: faint, unless nothing but its phases is seen."""
        noise = self.task.random.normal(3, *self.space.amplitudes.shape, 2)
        return noise if self.settings.magnitudes == "natural" and not self.task.init else _START * noise

    def videos(self, h: Float[Tensor, "some 3 canvas y half 2"]) -> Videos:
        """V(h)."""
        return self.space.videos(self.origin + h)

    def objective(
        self, task: Task, h: Float[Tensor, "some 3 canvas y half 2"], clips: Int[Tensor, " some"]
    ) -> Float[Tensor, " some"]:
        """Phi of transformed videos, of windows that the condition networks take, minus the diversity term."""
        views = clips.repeat(self.views)

        def shown(h: Tensor) -> Tensor:
            videos = self.space.videos(self.origin + h, self._places(clips))
            return videos.unflatten(2, (self.views, -1)).movedim(2, 0).flatten(0, 1)

        def value() -> Tensor:
            return task.objective(h, shown, self.settings, views).unflatten(0, (self.views, len(h))).mean(0)

        if not self.settings.diversity or len(h) < 2:
            return value()
        with recording(self.network, [self.layer], len(views)) as kept:
            phi = value()
        of_views = kept[self.layer].values.unflatten(0, (self.views, len(h)))
        return phi - self.settings.diversity * torch.stack([similarity(view) for view in of_views]).mean(0)

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

    def _places(self, clips: Int[Tensor, " some"]) -> Int[Tensor, "some time"] | None:
        """The frames that the networks see, one view after the other: None, or random parts of the canvas, which goes
        on at its beginning. Parts cost less than all overlapping windows of the video.
        """
        if self.window is None:
            return None
        length = self.space.shape[0]
        starts = (self.task.random.of(clips).uniform(self.views, 1) * length).long()
        return (starts + torch.arange(self.window, device=starts.device)).flatten(1) % length


def frequency_bands(frames: int, height: int, width: int) -> Int[Tensor, "frames height half"]:
    """Numbers of bands of coefficients of the same frequency over time, and within a quarter octave over space."""
    y = torch.fft.fftfreq(height)[:, None] * height
    x = torch.fft.rfftfreq(width) * height
    w = (torch.fft.fftfreq(frames) * frames).abs().round().long()
    f = (4 * torch.log2(torch.hypot(y, x) + 1)).round().long()
    return w[:, None, None] * (f.max() + 1) + f


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
