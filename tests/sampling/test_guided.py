"""Guided denoising (`robust`, `motion`): its equations written out, what is kept, and what is not computed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from solving import solved
from torch import Tensor

from stgan import STGAN
from stgan.devices import Precision
from stgan.errors import StganError
from stgan.networks import C3D, LRCN, Given, MapPrior, MapVideoGenerator
from stgan.networks.map_prior import with_frame
from stgan.sampling import (
    MOTION,
    PAPER,
    ROBUST,
    Action,
    Activation,
    ClipPriorSettings,
    ClipRandomness,
    FramePriorSettings,
    GuidedSettings,
    Inflation,
    Init,
    Networks,
    PPGNSettings,
    SamplerSettings,
    Target,
    Transforms,
    clip_seed,
    sample,
)
from stgan.sampling.denoising import Solver, exponential_sigmas
from stgan.sampling.guided import Denoising
from stgan.sampling.map_priors import ClipDenoiser, FrameDenoiser
from stgan.sampling.objectives import over_windows
from stgan.sampling.starts import encode
from stgan.sampling.task import Task

LEFT, ANY = 1, 3
ALONE = replace(MOTION, prior=ClipPriorSettings(), frame=None, step_size=0.2, guided_below=1.0, patience=5)
"""The clip prior alone, with one proposal and large steps."""
MAP = (3, 4, 4)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def networks(model: STGAN) -> Networks:
    parts = {name: checkpoint.network for name, checkpoint in model.checkpoints.items()}
    maps = {role: parts[role] for role in ("map_codec", "frame_prior", "clip_prior")}
    return Networks(parts["generator"], parts["encoder"], (parts["lrcn"],), **maps)


@pytest.fixture(scope="module")
def video() -> Tensor:
    return torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def conditions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The action that the clip prior was conditional on, for each clip, in one batch or several."""
    seen: list[int] = []
    denoise = MapPrior.denoise

    def spied(self: MapPrior, noisy: Tensor, sigma: float, actions: Tensor | None = None, *given: Any) -> Tensor:
        if self.config.frames > 1:
            seen.extend([ANY] * len(noisy) if actions is None else actions.tolist())
        return denoise(self, noisy, sigma, actions, *given)

    monkeypatch.setattr(MapPrior, "denoise", spied)
    yield seen


def task_of(networks: Networks, seeds: Sequence[int] = (3,), init: Init | None = None) -> Task:
    return Task(networks, Action(networks.condition, LEFT), ClipRandomness(seeds), 16, init)


def prior_of(settings: GuidedSettings, **changes: Any) -> GuidedSettings:
    return replace(settings, prior=replace(settings.prior, **changes))


def transforms_of(settings: GuidedSettings, **changes: Any) -> GuidedSettings:
    return replace(settings, transforms=replace(settings.transforms, **changes))


def one(model: STGAN, preset: SamplerSettings, **options: object) -> Tensor:
    return model.generate("left", preset=preset, iterations=4, condition="lrcn", **options)


def frame_noise(networks: Networks, seeds: Sequence[int]) -> Tensor:
    return FrameDenoiser(task_of(networks, seeds), ROBUST.prior, "robust").noise  # type: ignore[arg-type]


def test_frames_of_robust_share_most_of_their_noise(networks: Networks) -> None:
    noise = frame_noise(networks, range(60))
    assert noise.shape == (60, 16, *MAP)
    flat = noise.transpose(0, 1).flatten(1)
    assert flat.std() == pytest.approx(1, abs=0.05)
    correlation = flat.corrcoef()
    assert correlation[0, 15] == pytest.approx(0.7, abs=0.05) and 0.9 < correlation[0, 1] < 1
    assert abs(float(noise.flatten(1).corrcoef()[0, 1])) < 0.2  # clips share nothing


def test_a_frame_is_denoised_by_itself(networks: Networks) -> None:
    prior, h = networks.frame_prior, torch.randn(2, 16, *MAP)
    assert prior is not None
    settings = FramePriorSettings(scene=0, smooth_frames=0.0)
    found = FrameDenoiser(task_of(networks, (0, 1)), settings, "robust").denoise(h, 0.7)
    for time in (0, 7, 15):
        torch.testing.assert_close(found[:, time : time + 1], prior.denoise(h[:, time : time + 1], 0.7))


def test_a_video_to_start_from_is_where_denoising_starts(networks: Networks, video: Tensor) -> None:
    """By robust: SDEdit (Meng et al. 2022). By motion, unless its motion may change altogether."""
    assert networks.map_codec is not None
    maps = encode(networks.map_codec.encoder, video)
    task = task_of(networks, (0, 1), Init(video, 0.5))
    start = FrameDenoiser(task, ROBUST.prior, "robust").starts(2.0)  # type: ignore[arg-type]
    torch.testing.assert_close(start, maps + 2 * frame_noise(networks, (0, 1)))
    start = ClipDenoiser(task_of(networks, (0, 1), Init(video, 0.5)), MOTION.prior, "motion").starts(2.0)  # type: ignore[arg-type]
    noise = 2 * ClipRandomness((0, 1)).normal(16, *MAP)
    torch.testing.assert_close(start, maps + noise)
    start = ClipDenoiser(task_of(networks, (0, 1), Init(video, 1.0)), MOTION.prior, "motion").starts(2.0)  # type: ignore[arg-type]
    torch.testing.assert_close(start, noise)


@pytest.mark.parametrize("preset", [ROBUST, MOTION], ids=lambda preset: preset.name)
@pytest.mark.parametrize(("strength", "first"), [(1.0, 4.0), (0.5, 2.0), (0.25, 2**0.5)])
def test_strength_is_the_share_of_the_denoising_that_is_done(
    networks: Networks,
    video: Tensor,
    preset: GuidedSettings,
    strength: float,
    first: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    levels: list[float] = []
    step = Solver.step

    def noted(self: Solver, h: Tensor, sigma: float, following: float) -> Tensor:
        levels.extend([sigma, following])
        return step(self, h, sigma, following)

    monkeypatch.setattr(Solver, "step", noted)
    settings = replace(preset, noise_level=(4.0, 1.0), iterations=1, guided_below=None)
    sample(networks, Action(networks.condition, LEFT), [0], settings, init=Init(video, strength))
    assert levels == pytest.approx([first, 1.0])


@pytest.mark.parametrize("frames", [1, 5, 16, 24, 41])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_motion_keeps_the_middle_frame_of_the_video(networks: Networks, frames: int, strength: float) -> None:
    """Its map to the bit, whatever steered; everything else is the prior's."""
    assert networks.map_codec is not None
    video = torch.rand(3, frames, 16, 16, generator=torch.Generator().manual_seed(0))
    preset, init = replace(ALONE, iterations=3, guided_below=None, goal=1.0), Init(video, strength)
    phi, shown = Action(networks.condition, LEFT), []
    codes = sample(
        networks, phi, [0, 1], preset, frames=frames, init=init,
        on_iteration=lambda i, value, render: shown.append(render()),
    ).codes  # fmt: skip
    maps, middle = encode(networks.map_codec.encoder, video), frames // 2
    assert codes is not None and torch.equal(codes[:, middle], maps[:, middle].expand(2, -1, -1, -1))
    others = [time for time in range(frames) if time != middle]
    assert all((codes[:, time] - maps[:, time]).abs().max() > 1e-2 for time in others)


def test_motion_first_draws_a_frame_and_animates_it(networks: Networks) -> None:
    """By the frame prior, which is told the action; then the noise of the clip is drawn."""
    prior, frame_settings = networks.frame_prior, MOTION.frame
    assert prior is not None and frame_settings
    told = replace(frame_settings, prior=FramePriorSettings(guidance_scale=1.0), step_size=0.0)
    preset = replace(MOTION, prior=ClipPriorSettings(), iterations=3, step_size=0.0, frame=told)
    actions, random = torch.tensor([LEFT, LEFT]), ClipRandomness([3, 4])
    sigmas = exponential_sigmas(*told.noise_level, told.iterations)
    h = solved(
        lambda h, sigma: prior.denoise(h, sigma, actions), prior.start(random.normal(1, *MAP), sigmas[0]), sigmas
    )
    frame = prior.denoise(h, sigmas[-1], actions)[:, 0]
    found = sample(networks, Action(networks.condition, LEFT), [3, 4], preset)
    assert found.codes is not None and not torch.allclose(frame[0], frame[1], atol=0.1)
    torch.testing.assert_close(found.codes[:, 8], frame, atol=1e-4, rtol=1e-4)

    clip_prior, given = networks.clip_prior, Given(frame, torch.tensor([8, 8]))
    assert clip_prior is not None
    first, last = MOTION.noise_level
    sigmas = exponential_sigmas(first, last, 3)
    h = solved(lambda h, s: clip_prior.denoise(h, s, actions, given), first * random.normal(16, *MAP), sigmas)
    torch.testing.assert_close(found.codes, clip_prior.denoise(h, last, actions, given), atol=1e-3, rtol=1e-3)


def test_all_proposals_of_a_clip_animate_its_frame(networks: Networks) -> None:
    task = task_of(networks, range(6))
    denoising = Denoising(task, replace(MOTION, prior=ClipPriorSettings(proposals=3)))
    prior = denoising.prior
    assert isinstance(prior, ClipDenoiser) and prior.given is not None
    frames, starts = prior.given.unflatten(0, (3, 6)), prior.starts
    assert torch.equal(frames[0], frames[1]) and torch.equal(frames[0], frames[2])
    every: list[Tensor] = []
    prior.starts = lambda sigma: every.append(starts(sigma)) or every[0]  # type: ignore[method-assign, func-returns-value]
    h = denoising.start(exponential_sigmas(40.0, 0.05, 4))
    chosen = [[torch.equal(h[clip], every[0][6 * number + clip]) for number in range(3)] for clip in range(6)]
    assert [sum(row) for row in chosen] == [1] * 6 and len({row.index(True) for row in chosen}) > 1
    assert torch.equal(prior.given, frames[0])


@pytest.mark.parametrize("condition", ["lrcn", "c3d", "both"])
def test_the_condition_networks_steer_the_frame(model: STGAN, condition: str) -> None:
    """LRCN sees the frame alone, C3D a clip that stands still; where both steer a clip, LRCN steers its frame."""
    steering = model.steering(["left"], condition=condition)
    assert MOTION.frame
    strong, alone = replace(MOTION.frame, transforms=Transforms()), replace(MOTION, step_size=0.0)
    frames, values = [], []
    for frame in (strong, replace(strong, step_size=0.0)):
        codes = model.sample(steering, "left", range(4), 0, replace(alone, frame=frame)).codes
        assert codes is not None
        frames.append(steering.networks.map_codec.generator(codes[:, 8]).unsqueeze(2))  # type: ignore[union-attr]
        phi = steering.objectives["left"]
        assert isinstance(phi, Action)
        seen = phi.of_frames()
        assert len(seen.condition) == 1 and isinstance(seen.condition[0], C3D if condition == "c3d" else LRCN)
        values.append(float(seen(frames[-1]).mean()))
    assert values[0] > values[1] and not torch.equal(*frames)


def test_a_frame_is_a_clip_that_stands_still_for_a_network_of_windows(networks: Networks, video: Tensor) -> None:
    frame = video[None, :, :1]
    for network in networks.condition:
        still = frame.expand(-1, -1, 16, -1, -1)
        window = over_windows(network.log_probabilities, frame, 16)
        torch.testing.assert_close(window, network.log_probabilities(still))


def test_with_all_its_strength_motion_takes_a_frame_and_no_motion_from_a_video(
    networks: Networks, video: Tensor
) -> None:
    preset, phi = replace(ALONE, iterations=3), Action(networks.condition, LEFT)
    elsewhere = video.flip(1)
    elsewhere[:, 8] = video[:, 8]
    same_frame = [
        [sample(networks, phi, [0], preset, init=Init(start, strength)).videos for start in (video, elsewhere)]
        for strength in (1.0, 0.5)
    ]
    assert torch.equal(*same_frame[0]) and not torch.allclose(*same_frame[1], atol=1e-3)
    other = sample(networks, phi, [0], preset, init=Init(video.flip(1), 1.0)).videos
    assert not torch.allclose(other, same_frame[0][0], atol=1e-3)


EAGER = replace(ROBUST, goal=0.2, patience=2)
"""An untrained network is at 1/3 at once, so that goals matter."""


@pytest.mark.parametrize(
    "other",
    [
        replace(EAGER, inflation=Inflation((1 / 3, 1 / 3, 1 / 3), "replicate")),
        replace(EAGER, inflation=replace(EAGER.inflation, padding="zeros")),
        replace(EAGER, noise_level=(0.5, 0.1)),
        replace(EAGER, goal=1.0),
        replace(EAGER, guided_below=0.5),
        transforms_of(EAGER, shift=0),
        transforms_of(EAGER, noise=0.0),
        replace(EAGER, step_size=0.1),
        replace(EAGER, multistep=False),
        prior_of(EAGER, own_noise=0.1),
        prior_of(EAGER, own_noise_frames=0.0),
        prior_of(EAGER, scene=0),
        prior_of(EAGER, smooth_frames=0.0),
        prior_of(EAGER, smooth_above=10.0),
    ],
)
def test_every_setting_of_robust_takes_effect(model: STGAN, other: GuidedSettings) -> None:
    assert not torch.equal(one(model, other), one(model, EAGER))


def test_codes_can_be_optimised_with_the_settings_of_robust(model: STGAN) -> None:
    """As the ablation `codes` does."""
    codes = PPGNSettings(
        name="codes", inflation=ROBUST.inflation, iterations=3, epsilon1=PAPER.epsilon1, transforms=ROBUST.transforms
    )
    assert not torch.equal(one(model, codes), one(model, ROBUST))


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(("w", "v"), [(0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (2.5, 1.0), (2.5, 1.5), (2.0, 2.0)])
def test_guidance_is_classifier_free(networks: Networks, video: Tensor, w: float, v: float, started: bool) -> None:
    """Brooks et al. 2023, Eq. 3, of which Ho & Salimans 2022 is the case without a given frame, or with v = 1."""
    prior, h, sigma = networks.clip_prior, torch.randn(2, 16, *MAP), 0.7
    settings = ClipPriorSettings(guidance_scale=w, frame_guidance=v)
    assert prior is not None and networks.map_codec is not None
    task = task_of(networks, (0, 1), Init(video, 1.0) if started else None)
    frame = encode(networks.map_codec.encoder, video)[:, 8].repeat(2, 1, 1, 1)
    given = Given(frame, torch.tensor([8, 8])) if started else None
    without, with_action = (prior.denoise(h, sigma, actions, given) for actions in (None, torch.tensor([LEFT, LEFT])))
    found = ClipDenoiser(task, settings, "motion").denoise(h, sigma)
    free = prior.denoise(h, sigma)
    expected = free + v * (without - free) + w * (with_action - without)
    torch.testing.assert_close(found, expected if given is None else with_frame(expected, given))
    assert not torch.allclose(with_action, without)
    target = Activation(networks.condition[0], Target("lstm"))  # type: ignore[arg-type]
    of_target = ClipDenoiser(replace(task, phi=target), settings, "motion")
    expected -= w * (with_action - without)
    torch.testing.assert_close(of_target.denoise(h, sigma), expected if given is None else with_frame(expected, given))


@pytest.mark.parametrize(("w", "calls"), [(0.0, [ANY]), (1.0, [LEFT]), (2.0, [LEFT, ANY])])
def test_the_prior_runs_no_more_than_it_must(
    networks: Networks, conditions: list[int], w: float, calls: list[int]
) -> None:
    denoising = Denoising(task_of(networks), prior_of(ALONE, guidance_scale=w))
    denoising.solver().step(torch.randn(1, 16, *MAP), 3.0, 2.0)
    assert sorted(conditions) == sorted(calls)


def test_robust_never_asks_the_clip_prior(model: STGAN, networks: Networks, conditions: list[int]) -> None:
    one(model, ROBUST)
    assert conditions == []
    sample(replace(networks, clip_prior=None), Action(networks.condition, LEFT), [0], replace(ROBUST, iterations=1))


def test_motion_asks_the_frame_prior_for_a_frame_alone(networks: Networks, video: Tensor) -> None:
    bare, phi = replace(networks, frame_prior=None), Action(networks.condition, LEFT)
    with pytest.raises(StganError, match="preset motion needs a frame prior; choose"):
        sample(bare, phi, [0], MOTION)
    sample(bare, phi, [0], replace(ALONE, iterations=1))
    sample(bare, phi, [0], replace(MOTION, iterations=1), init=Init(video, 0.5))  # its frame is the video's


def test_without_steering_a_clip_is_the_solution_of_the_priors_equation(networks: Networks) -> None:
    """From noise, dh/dsigma = (h - D(h; sigma, action)) / sigma (Karras et al. 2022), then the last estimate."""
    preset = replace(ALONE, iterations=6, noise_level=(8.0, 0.5), step_size=0.0)
    prior = networks.clip_prior
    assert prior is not None
    actions, sigmas = torch.tensor([LEFT]), exponential_sigmas(8.0, 0.5, 6)
    h = solved(lambda h, sigma: prior.denoise(h, sigma, actions), 8.0 * ClipRandomness([3]).normal(16, *MAP), sigmas)
    found = sample(networks, Action(networks.condition, LEFT), [3], preset)
    torch.testing.assert_close(found.codes, prior.denoise(h, 0.5, actions), atol=1e-5, rtol=1e-4)


def test_without_steering_a_clip_of_robust_is_the_video_edited(networks: Networks, video: Tensor) -> None:
    free = replace(ROBUST.prior, scene=0, smooth_frames=0.0)
    preset = replace(ROBUST, prior=free, iterations=6, noise_level=(4.0, 0.25), step_size=0.0)
    prior, codec = networks.frame_prior, networks.map_codec
    assert prior is not None and codec is not None

    def denoise(h: Tensor, sigma: float) -> Tensor:
        return prior.denoise(h[0].unsqueeze(1), sigma).transpose(0, 1)

    h = encode(codec.encoder, video) + frame_noise(networks, [3])
    h = denoise(solved(denoise, h, exponential_sigmas(1.0, 0.25, 6)), 0.25)
    found = sample(networks, Action(networks.condition, LEFT), [3], preset, init=Init(video, 0.5))
    torch.testing.assert_close(found.codes, h, atol=1e-5, rtol=1e-4)
    generator = MapVideoGenerator(codec.generator, ROBUST.inflation.kernel, ROBUST.inflation.padding)
    torch.testing.assert_close(found.videos, generator(h).clamp(0, 1), atol=1e-4, rtol=0)


def test_frames_of_robust_share_their_scene_and_follow_from_each_other(networks: Networks) -> None:
    def estimate(sigma: float, precision: Precision = "32-true", **changes: Any) -> Tensor:
        settings = replace(ROBUST, precision=precision, prior=replace(ROBUST.prior, **changes))
        h = torch.randn(2, 16, *networks.frame_prior.mean.shape, generator=torch.Generator().manual_seed(0))
        return Denoising(task_of(networks, [0, 1]), settings).codes(h, sigma)

    free = estimate(1.0, scene=0, smooth_frames=0.0)
    basis = networks.frame_prior.space_basis
    for scene in (1, 3):
        found, own = (basis @ each @ basis.mT for each in (estimate(1.0, scene=scene, smooth_frames=0.0), free))
        low = (..., slice(scene), slice(scene))
        torch.testing.assert_close(found[low], own[low].mean(1, keepdim=True).expand_as(found[low]))
        own[low] = found[low]
        torch.testing.assert_close(found, own)
    shared = basis[:2] @ estimate(1.0, precision="bf16-mixed") @ basis[:2].mT  # not rounded to bfloat16
    torch.testing.assert_close(shared, shared.mean(1, keepdim=True).expand_as(shared))
    smooth = estimate(1.0, scene=0, smooth_frames=2.0)
    weights = torch.exp(-((torch.arange(16.0) - 5) / 2).square())
    expected = torch.einsum("t,btcyx->bcyx", weights / weights.sum(), free)
    torch.testing.assert_close(smooth[:, 5], expected)
    torch.testing.assert_close(estimate(0.3, scene=0, smooth_frames=2.0), estimate(0.3, scene=0, smooth_frames=0.0))


def test_every_frame_starts_from_its_own_noise(networks: Networks) -> None:
    start = Denoising(task_of(networks, range(40)), ALONE).start([40.0, 1.0]) / 40
    flat = start.transpose(0, 1).flatten(1)
    assert (flat.corrcoef() - torch.eye(16)).abs().max() < 0.2 and flat.std() == pytest.approx(1, abs=0.05)


class Counting:
    """A condition network that counts the clips that it is asked about, those of which a gradient is wanted apart."""

    def __init__(self, network: object) -> None:
        self.network, self.gradients, self.others = network, 0, 0

    def log_probabilities(self, videos: Tensor) -> Tensor:
        if videos.requires_grad:
            self.gradients += len(videos)
        else:
            self.others += len(videos)
        return self.network.log_probabilities(videos)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(("below", "steps"), [(99.0, 8), (16.0, 8), (4.0, 6), (0.2, 1), (0.07, 0)])
def test_no_gradient_is_computed_above_the_level_from_which_on_it_steers(
    networks: Networks, below: float, steps: int
) -> None:
    """Levels 16, 8, 4, ... 1/16, of which the last is the end and takes no step."""
    preset = replace(ALONE, iterations=8, noise_level=(16.0, 2.0**-4), guided_below=below, goal=1.0)
    counting = Counting(networks.condition[0])
    values: list[float] = []
    found = sample(
        replace(networks, condition=(counting,)), Action((counting,), LEFT), [0], preset,
        on_iteration=lambda iteration, value, render: values.append(float(value[0])),
    )  # fmt: skip
    assert (counting.gradients, counting.others) == (steps, 1) and found.steps.tolist() == [steps]
    assert [math.isnan(value) for value in values] == [True] * (8 - steps) + [False] * steps


@pytest.mark.parametrize("target", [None, "lstm:3"])
def test_the_proposal_that_phi_rates_highest_is_used(model: STGAN, networks: Networks, target: str | None) -> None:
    """The proposals are noises that a clip's own randomness draws one after another; each becomes a clip unguided."""
    preset = replace(prior_of(ALONE, proposals=3), iterations=5, step_size=0.0)
    steering = model.steering(["left"] if target is None else [], condition="lrcn", target=target)
    (action,) = steering.objectives
    chosen = model.sample(steering, action, range(10), 0, preset)
    randomness = ClipRandomness([clip_seed(0, action, index) for index in range(10)])
    phi = Action(networks.condition, LEFT) if target is None else Activation(
        networks.condition[0], Target.parse(target)  # type: ignore[arg-type]
    )  # fmt: skip
    sigmas, videos, values = exponential_sigmas(*preset.noise_level, 5), [], []
    for _ in range(3):
        denoising = Denoising(Task(networks, phi, randomness, 16), prior_of(preset, proposals=1))
        h = solved(denoising.prior.denoise, denoising.start(sigmas), sigmas)
        videos.append(denoising.videos(h, sigmas[-1]).clamp(0, 1))
        values.append(phi(videos[-1]))
    best = torch.stack(values).argmax(0)
    assert len(set(best.tolist())) > 1
    expected = torch.stack([videos[number][clip] for clip, number in enumerate(best)])
    torch.testing.assert_close(chosen.videos, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(chosen.value, torch.stack(values).amax(0), atol=1e-4, rtol=0)


def test_choosing_needs_no_gradient(networks: Networks) -> None:
    preset = replace(prior_of(ALONE, proposals=4), iterations=4, step_size=0.0)
    counting = Counting(networks.condition[0])
    sample(replace(networks, condition=(counting,)), Action((counting,), LEFT), [0, 1], preset)
    assert (counting.gradients, counting.others) == (0, 2 * 4 + 2)


def test_a_step_is_as_long_as_the_noise_level_says(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    """From level 16 down to 1 in four steps, guided below 5: h moves by 0.3 times 4, then 0.3 times 2."""
    moved: list[float] = []
    before: dict[str, Tensor] = {}

    def unmoved(self: Solver, h: Tensor, sigma: float, following: float) -> Tensor:
        moved.append((h - before.get("h", h)).square().mean().sqrt().item())
        before["h"] = h
        return h

    monkeypatch.setattr(Solver, "step", unmoved)
    preset = replace(ALONE, iterations=4, noise_level=(16.0, 1.0), guided_below=5.0, step_size=0.3, goal=1.0)
    sample(networks, Action(networks.condition, LEFT), [3], preset)
    assert moved == pytest.approx([0.0, 0.0, 0.3 * 4, 0.3 * 2], rel=1e-4)


@pytest.mark.parametrize(
    "other",
    [
        prior_of(ALONE, guidance_scale=0.0),
        prior_of(ALONE, guidance_scale=2.0),
        replace(ALONE, guided_below=0.1),
        replace(ALONE, guided_below=9.0),
        replace(ALONE, step_size=0.0),
        replace(ALONE, noise_level=(5.0, 0.05)),
        replace(ALONE, inflation=Inflation((0.3, 0.4, 0.3), "replicate")),
        transforms_of(ALONE, shift=0),
        transforms_of(ALONE, noise=0.0),
        replace(ALONE, multistep=False),
        replace(ALONE, frame=MOTION.frame),
        replace(ALONE, frame=replace(MOTION.frame, step_size=0.0)),
        replace(ALONE, prior=FramePriorSettings()),
    ],
)
def test_every_setting_of_motion_takes_effect(model: STGAN, other: GuidedSettings) -> None:
    assert not torch.allclose(one(model, other), one(model, ALONE), atol=1e-4)


def test_a_target_is_sought_among_clips_of_any_action(model: STGAN, conditions: list[int]) -> None:
    preset = replace(ALONE, iterations=4, goal=1e-6)
    found = model.sample(model.steering(condition="lrcn", target="lstm:3"), "lrcn.lstm_3", [0], 0, preset)
    assert found.videos.shape == (1, 3, 16, 16, 16) and set(conditions) == {ANY}
    assert found.steps.tolist() == [sum(sigma <= 1 for sigma in exponential_sigmas(*preset.noise_level, 4)[:-1])]
    conditions.clear()
    model.sample(model.steering(condition="lrcn"), "left", [0], 0, preset)
    assert set(conditions) == {LEFT}


@pytest.mark.parametrize(("target", "condition"), [(None, "both"), ("lstm:3", "lrcn"), ("fc8:2", "c3d")])
def test_steering_raises_what_is_asked_for(model: STGAN, target: str | None, condition: str) -> None:
    """Beside the clip of the same seed that nothing steered."""
    preset = transforms_of(replace(ALONE, iterations=20, goal=1.0), shift=0, noise=0.0)
    steering = model.steering(["right"] if target is None else [], condition=condition, target=target)
    (name,) = steering.objectives
    free, steered = (
        model.sample(steering, name, [0], 0, replace(preset, step_size=step_size)).value[0] for step_size in (0.0, 0.2)
    )
    assert steered > free + 1e-4


@pytest.mark.parametrize("frames", [1, 5, 16, 17, 24, 41])
def test_clips_of_any_length(model: STGAN, frames: int) -> None:
    video = one(model, MOTION, frames=frames)
    assert video.shape == (1, 3, frames, 16, 16) and torch.isfinite(video).all()


def test_a_model_without_a_part_cannot_sample(networks: Networks) -> None:
    for preset, part, message in (
        (MOTION, "clip_prior", "preset motion needs a clip prior; choose"),
        (ROBUST, "frame_prior", "preset robust needs a frame prior; choose"),
        (ROBUST, "map_codec", "no map codec; choose another preset"),
    ):
        with pytest.raises(StganError, match=message) as caught:
            sample(replace(networks, **{part: None}), Action(networks.condition, LEFT), [0], preset)
        assert "\n" not in str(caught.value)
