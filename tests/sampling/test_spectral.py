"""Clips as Fourier coefficients: the spectrum they start from, what steps do, and that they show what a network saw."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stgan import STGAN
from stgan.errors import StganError
from stgan.networks import VideoClassifier, adapt
from stgan.sampling import SPECTRAL, SPEEDS, Action, ClipRandomness, Init, Networks, Transforms, clip_seed
from stgan.sampling.objectives import Evidence
from stgan.sampling.spectral import Spectrum, frequency_bands, natural_amplitudes, similarity
from stgan.sampling.task import Task
from stgan.sampling.transforms import transform

PLAIN = replace(SPECTRAL, iterations=3, transforms=Transforms())


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def networks(model: STGAN) -> Networks:
    return model.steering(condition="lrcn", preset=SPECTRAL).networks


def task(networks: Networks, clips: int = 2, **known: Any) -> Task:
    return Task(networks, Action(networks.condition, 1), ClipRandomness(range(clips)), 16, **known)


@settings(max_examples=20)
@given(frames=st.integers(2, 24), side=st.integers(8, 40), speed=st.sampled_from(sorted(SPEEDS)))
def test_natural_video_has_unit_variance_whatever_its_size(frames: int, side: int, speed: Any) -> None:
    amplitudes = natural_amplitudes(frames, side, side, SPEEDS[speed]).double()
    generator = torch.Generator().manual_seed(side)
    z = torch.randn(200, *amplitudes.shape, 2, dtype=torch.float64, generator=generator)
    video = torch.fft.irfftn(amplitudes * torch.view_as_complex(z), (frames, side, side), (-3, -2, -1), norm="forward")
    assert float(video.square().mean()) == pytest.approx(1, abs=0.15)


def test_the_spectrum_is_that_of_velocities() -> None:
    """Twice as fine and as fast has the same share: power depends on f and w / f, far above the lowest frequency."""
    power = natural_amplitudes(64, 256, 256, 0.0021).square()
    assert float(power[0, 0, 40] / power[0, 0, 80]) == pytest.approx(2**4, rel=0.02)
    share = power / power[:1]
    assert float(share[4, 0, 40]) == pytest.approx(float(share[8, 0, 80]), rel=0.01)
    assert float(power[5, 30, 20]) == pytest.approx(float(power[-5, -30, 20]), rel=1e-4)


def test_faster_presets_give_higher_frequencies_over_time_more_power() -> None:
    shares = []
    for speed in ("slow", "natural", "fast"):
        power = natural_amplitudes(16, 64, 64, SPEEDS[speed]).square()  # type: ignore[index]
        shares.append(float(power[1:].sum() / power.sum()))
    assert 2 * shares[0] < shares[1] and 1.5 * shares[1] < shares[2]


def test_a_video_to_start_from_is_what_its_coefficients_give_back(networks: Networks) -> None:
    video = torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    spectrum = Spectrum(task(networks, init=Init(video, 0.5)), PLAIN)
    h = spectrum.start()
    torch.testing.assert_close(spectrum.videos(0 * h), video.expand(2, -1, -1, -1, -1), atol=2e-3, rtol=0)


def test_a_clip_from_a_video_stays_near_it(model: STGAN) -> None:
    """However many steps are taken: the pull is back to the video, not to grey."""
    video = torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    chosen = replace(PLAIN, iterations=60, learning_rate=0.05, decay=10.0)
    changed = model.generate("left", preset=chosen, condition="c3d", init=video)
    assert 1e-3 < float((changed[0] - video).abs().mean()) < 0.1 < float((changed[0] - 0.5).abs().mean())


def test_steps_are_those_of_adam_with_a_second_moment_for_each_frequency(model: STGAN, networks: Networks) -> None:
    """Restated with loops over bands, in float64."""
    chosen = replace(PLAIN, learning_rate=0.1, decay=0.7, iterations=4)
    steering = model.steering(["left"], condition="lrcn", preset=chosen)
    one = model.sample(steering, "left", [0], 0, chosen).videos
    phi = steering.objectives["left"]
    assert isinstance(phi, Action)
    spectrum = Spectrum(Task(steering.networks, phi, ClipRandomness([clip_seed(0, "left", 0)]), 16), chosen)
    bands = frequency_bands(*spectrum.space.shape)
    h = spectrum.start().double()
    m, s = torch.zeros_like(h), torch.zeros_like(h)
    for step in range(1, 5):
        x = h.float().requires_grad_(True)
        (g,) = torch.autograd.grad(Evidence(phi.condition, phi.number)(spectrum.videos(x)).sum(), x)
        shared = torch.zeros_like(h)
        for band in bands.unique():
            shared[:, :, bands == band] = g.double()[:, :, bands == band].square().mean()
        m, s = 0.9 * m + 0.1 * g.double(), 0.999 * s + 0.001 * shared
        corrected = s / (1 - 0.999**step)
        rate = 0.1 * (1, 1, 1, 0.5)[step - 1]  # the cosine is at 0, 0, 0 and a half
        h = h + rate * (m / (1 - 0.9**step) / (corrected**0.7 * corrected.mean() ** 0.3).sqrt() - 0.7 * h)
    torch.testing.assert_close(one, spectrum.videos(h.float()), atol=1e-3, rtol=0)


def test_a_band_holds_coefficients_of_one_temporal_frequency_and_a_quarter_octave() -> None:
    bands = frequency_bands(6, 16, 16)
    f = torch.hypot(torch.fft.fftfreq(16)[:, None] * 16, torch.fft.rfftfreq(16) * 16).expand(6, -1, -1)
    w = (torch.fft.fftfreq(6) * 6).abs()[:, None, None].expand_as(f)
    for band in bands.unique():
        assert len(w[bands == band].unique()) == 1
        assert (f[bands == band].max() + 1) / (f[bands == band].min() + 1) <= 2**0.2501
    assert bands[1, 3, 5] == bands[-1, -3, 5] != bands[1, 3, 1]


def test_a_network_of_single_frames_sees_several_at_a_step_each_changed_by_itself() -> None:
    seen: list[Tensor] = []

    class Frames(nn.Module):
        def forward(self, clips: Tensor) -> Tensor:
            seen.append(clips.detach())
            return clips.mean((2, 3, 4))

    network = adapt(Frames(), ["red", "green", "blue"], size=32, frames=1, mean=0.0, std=1.0)
    seen.clear()
    chosen = replace(SPECTRAL, iterations=1, transforms=Transforms(brightness=0.4))
    STGAN.from_pretrained("weizmann", "cpu", network).generate("red", 1, seed=0, preset=chosen)
    (views,) = (clips for clips in seen if len(clips) == 4)
    assert views.shape == (4, 3, 1, 32, 32)
    light = views.mean((1, 2, 3, 4)).sort().values  # frames of noise are equally bright
    assert light.diff().min() > 0.01


def test_evidence_is_the_logit_minus_the_mean_logit() -> None:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))

    class Fixed(nn.Module):
        def log_probabilities(self, videos: Tensor) -> Tensor:
            return logits.log_softmax(1)

    value = Evidence((Fixed(), Fixed()), 3)(torch.zeros(5, 3, 2, 4, 4))
    torch.testing.assert_close(value, logits[:, 3] - logits.mean(1))


def test_natural_magnitudes_stay_natural(networks: Networks) -> None:
    spectrum = Spectrum(task(networks), replace(PLAIN, magnitudes="natural"))
    h = spectrum.start()
    torch.testing.assert_close(spectrum.videos(h), spectrum.videos(7 * h))


def test_clips_of_a_batch_are_kept_apart(model: STGAN) -> None:
    def of_each_other(diversity: float) -> float:
        chosen = replace(PLAIN, iterations=8, learning_rate=0.2, diversity=diversity)
        steering = model.steering(["left"], condition="c3d", preset=chosen)
        videos = model.sample(steering, "left", range(3), 0, chosen).videos
        spectrum = Spectrum(Task(steering.networks, steering.objectives["left"], ClipRandomness([0]), 16), chosen)
        from stgan.sampling.targets import record

        values = record(spectrum.network, videos, [spectrum.layer])[spectrum.layer].values
        return float(similarity(values).mean())

    assert of_each_other(20.0) < of_each_other(0.0)
    assert replace(PLAIN, diversity=1.0).together > 1 == PLAIN.together


def test_similarity_is_one_among_copies_and_less_among_others() -> None:
    values = torch.rand(2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(similarity(values[:1].repeat(3, 1, 1, 1, 1)), torch.ones(3))
    assert float(similarity(values * torch.eye(4)[:2].view(2, 4, 1, 1, 1)).max()) < 0.01


@pytest.mark.parametrize("wrong", [
    {"size": 4}, {"size": 64.5}, {"size": 5000}, {"learning_rate": 0.0}, {"learning_rate": math.nan}, {"decay": -1.0},
    {"decay": 100.0}, {"speed": "quick"}, {"magnitudes": "none"}, {"diversity": -1.0}, {"goal": 0.9},
    {"transforms": {"zoom": (0.0, 1.0)}}, {"transforms": {"zoom": (1.2, 1.1)}}, {"transforms": {"zoom": (1.0, 9.0)}},
])  # fmt: skip
@pytest.mark.usefixtures("unchecked")
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StganError):
        changes = {**wrong, **({"transforms": Transforms(**wrong["transforms"])} if "transforms" in wrong else {})}
        replace(SPECTRAL, **changes)


def test_a_network_that_takes_few_frames_sees_all_of_a_clip_in_turn(tiny_model: Path) -> None:
    seen: list[Tensor] = []

    class Watched(nn.Module):
        def forward(self, videos: Tensor) -> Tensor:
            seen.append(videos.detach())
            return videos.mean((2, 3, 4))

    classifier = adapt(Watched(), ["r", "g", "b"], size=16, frames=4, mean=0.0, std=1.0)
    model = STGAN.from_pretrained(tiny_model, "cpu", classifier)
    seen.clear()
    videos = model.generate("g", preset=replace(PLAIN, iterations=40))
    assert videos.shape == (1, 3, 16, 16, 16)
    during = torch.cat(seen[:40])
    assert during.shape == (40, 3, 4, 16, 16)
    # Green rises in every frame, the first and the last included.
    green = videos[0, 1].mean((1, 2)) - (videos[0, 0] + videos[0, 2]).mean((1, 2)) / 2
    assert float(green.min()) > 0.5 * float(green.max()) > 0


def test_the_size_is_that_of_the_largest_network_or_as_asked(model: STGAN, tiny_model: Path) -> None:
    def network() -> nn.Module:
        class Means(nn.Module):
            def forward(self, videos: Tensor) -> Tensor:
                return videos.mean((2, 3, 4))

        return Means()

    def classifier(size: int | None) -> VideoClassifier:
        return adapt(network(), ["r", "g", "b"], size=size, frames=4, mean=0.0, std=1.0)

    own = STGAN.from_pretrained(tiny_model, "cpu", {"small": classifier(24), "large": classifier(40)})
    assert own.generate("g", preset=PLAIN).shape[-1] == 40
    assert own.generate("g", preset=PLAIN, condition="small").shape[-1] == 24
    assert own.generate("g", preset=replace(PLAIN, size=31)).shape[-2:] == (31, 31)
    assert STGAN.from_pretrained(tiny_model, "cpu", classifier(None)).generate("g", preset=PLAIN).shape[-1] == 16


def test_turns_zooms_and_mirrors_are_what_they_say() -> None:
    """Each frame of a clip alike; a zoom of 1 to 1, a turn of 0 and no flip change nothing."""
    ramp = torch.linspace(0.2, 0.8, 33).expand(1, 3, 2, 33, 33)
    seen = [transform(ramp, Transforms(flip=True), ClipRandomness([seed])) for seed in range(20)]
    assert all(torch.equal(clip[:, :, 0], clip[:, :, 1]) for clip in seen)
    mirrored = [torch.allclose(clip, ramp.flip(-1), atol=1e-5) for clip in seen]
    assert 4 < sum(mirrored) < 16
    assert all(torch.allclose(clip, ramp if not flipped else ramp.flip(-1), atol=1e-5)
               for clip, flipped in zip(seen, mirrored, strict=True))  # fmt: skip
    slopes = [
        float(clip[0, 0, 0, 16, 20] - clip[0, 0, 0, 16, 12]) / float(ramp[0, 0, 0, 16, 20] - ramp[0, 0, 0, 16, 12])
        for clip in (transform(ramp, Transforms(zoom=(0.7, 1.3)), ClipRandomness([seed])) for seed in range(40))
    ]
    assert 0.69 < min(slopes) < 0.85 and 1.15 < max(slopes) < 1.31
    angles = []
    for seed in range(40):
        clip = transform(ramp, Transforms(rotation=30.0), ClipRandomness([seed]))[0, 0, 0]
        across, down = float(clip[16, 20] - clip[16, 12]), float(clip[20, 16] - clip[12, 16])
        angles.append(math.degrees(math.atan2(down, across)))
    assert -31 < min(angles) < -15 and 15 < max(angles) < 31


# A network that knows motion, and nothing else: gratings and dots that move in four directions at two speeds.
SIDE, FRAMES = 48, 16
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
PACES = {"slowly": 1.0, "fast": 3.0}  # pixels a frame
MOTIONS = {f"{way} {pace}": (way, pace) for way in DIRECTIONS for pace in PACES}


def textures(count: int, generator: torch.Generator) -> Tensor:
    """Sums of gratings, or blurred dots, that continue beyond their borders; mean 0, deviation 1."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    f = torch.fft.fftfreq(SIDE) * SIDE
    pictures = []
    for _ in range(count):
        picture = torch.zeros(SIDE, SIDE)
        if torch.rand(1, generator=generator) < 0.5:
            for _ in range(int(torch.randint(1, 4, (1,), generator=generator))):
                along, down = torch.randint(-5, 6, (2,), generator=generator).tolist()
                phase = 2 * math.pi * torch.rand(1, generator=generator)
                picture = picture + torch.sin(2 * math.pi * (along * x + down * y) / SIDE + phase)
        else:
            dots = int(torch.randint(8, 40, (1,), generator=generator))
            picture.view(-1)[torch.randint(0, SIDE**2, (dots,), generator=generator)] = 1
            radius = 1 + 2 * float(torch.rand(1, generator=generator))
            blur = torch.exp(-(f[:, None] ** 2 + f**2) * (2 * math.pi * radius / SIDE) ** 2 / 2)
            picture = torch.fft.ifft2(torch.fft.fft2(picture) * blur).real
        picture = picture - picture.mean()
        pictures.append(picture / picture.std().clamp(min=0.1))
    return torch.stack(pictures)


def moving(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Clips of these motions, up to 20 % slower or faster, of any contrast and brightness, with noise."""
    count, f, t = len(labels), torch.fft.fftfreq(SIDE), torch.arange(FRAMES)
    known = [(torch.tensor(DIRECTIONS[way]) * PACES[pace]).tolist() for way, pace in MOTIONS.values()]
    velocity = torch.tensor(known)[labels] * (0.8 + 0.4 * torch.rand(count, 1, generator=generator))
    along, down = (velocity[:, axis, None, None, None] * t[:, None, None] for axis in (0, 1))
    shift = torch.exp(-2j * math.pi * (f[:, None] * down + f * along))
    clips = torch.fft.ifft2(torch.fft.fft2(textures(count, generator))[:, None] * shift).real
    light = torch.rand(count, 2, 1, 1, 1, generator=generator)
    clips = (0.4 + 0.2 * light[:, 0] + (0.05 + 0.2 * light[:, 1]) * clips)[:, None].expand(-1, 3, -1, -1, -1)
    return (clips + 0.03 * torch.randn(clips.shape, generator=generator)).clamp(0, 1)


@pytest.fixture(scope="module")
def knows_motion() -> VideoClassifier:
    """A small 3D network, trained in the test to tell the motions apart."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(3, 16, 5, (1, 2, 2), 2), nn.ReLU(), nn.Conv3d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.Conv3d(32, 48, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(48, len(MOTIONS)),
    )  # fmt: skip
    generator, steps = torch.Generator().manual_seed(0), 300
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for _ in range(steps):
        labels = torch.randint(0, len(MOTIONS), (16,), generator=generator)
        loss = nn.functional.cross_entropy(network((moving(labels, generator) - 0.5) / 0.25), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return adapt(network, list(MOTIONS), size=SIDE, frames=FRAMES, mean=0.5, std=0.25)


def flow(video: Tensor) -> np.ndarray:
    """Mean optical flow in pixels a frame, to the right and down (Farneback, as OpenCV computes it)."""
    frames = [(255 * frame).byte().numpy() for frame in video.mean(0)]
    pairs = [
        cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 13, 5, 7, 1.5, 0)  # type: ignore[call-overload]
        for a, b in pairwise(frames)
    ]
    return np.mean(pairs, (0, 1, 2))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_shows_motion_in_the_direction_and_at_the_speed_that_a_network_knows(knows_motion: VideoClassifier) -> None:
    model = STGAN.from_pretrained("weizmann", "cpu", knows_motion)
    chosen = replace(SPECTRAL, iterations=60, transforms=Transforms(shift=4, noise=0.05))
    right, between = 0, math.sqrt(math.prod(PACES.values()))
    for name, (way, pace) in MOTIONS.items():
        for video in model.generate(name, 5, seed=0, preset=chosen):
            shown = flow(video)
            along = float(shown @ np.array(DIRECTIONS[way]))
            aside = abs(float(shown @ np.array(DIRECTIONS[way])[::-1]))
            right += along > aside and (along > between) == (pace == "fast")
    assert right >= 38  # 95 % of 40 clips
