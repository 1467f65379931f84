"""Guided denoising (`robust`, `motion`): its equations written out, what is kept, and what is not computed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from stgan import STGAN
from stgan.errors import StganError
from stgan.networks import CodePrior, SequencePrior
from stgan.sampling import (
    MOTION,
    PAPER,
    ROBUST,
    Action,
    Activation,
    ClipRandomness,
    FramePriorSettings,
    GuidedSettings,
    Inflation,
    Init,
    Networks,
    PPGNSettings,
    SamplerSettings,
    SequencePriorSettings,
    Target,
    clip_seed,
    sample,
)
from stgan.sampling.denoisers import FrameDenoiser, SequenceDenoiser
from stgan.sampling.guided import Denoising, exponential_sigmas
from stgan.sampling.starts import encode
from stgan.sampling.task import Task

LEFT, ANY = 1, 3
ALONE = replace(MOTION, prior=SequencePriorSettings(), step_size=0.2, guided_below=1.0, patience=5)
"""There is one proposal, and the steps are large."""


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def networks(model: STGAN) -> Networks:
    parts = {name: checkpoint.network for name, checkpoint in model.checkpoints.items()}
    return Networks(
        parts["generator"], parts["encoder"], (parts["lrcn"],), parts["code_prior"], parts["sequence_prior"]
    )


@pytest.fixture(scope="module")
def video() -> Tensor:
    return torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def conditions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The action that the sequence prior was conditional on, for each sequence, in one batch or several."""
    seen: list[int] = []
    denoise = SequencePrior.denoise

    def spied(self: SequencePrior, noisy: Tensor, sigma: float, actions: Tensor | None = None) -> Tensor:
        seen.extend([ANY] * len(noisy) if actions is None else actions.tolist())
        return denoise(self, noisy, sigma, actions)

    monkeypatch.setattr(SequencePrior, "denoise", spied)
    yield seen


def task_of(networks: Networks, seeds: Sequence[int] = (3,), init: Init | None = None) -> Task:
    return Task(networks, Action(networks.condition, LEFT), ClipRandomness(seeds), 16, init)


def prior_of(settings: GuidedSettings, **changes: Any) -> GuidedSettings:
    return replace(settings, prior=replace(settings.prior, **changes))


def transforms_of(settings: GuidedSettings, **changes: Any) -> GuidedSettings:
    return replace(settings, transforms=replace(settings.transforms, **changes))


def one(model: STGAN, preset: SamplerSettings, **options: object) -> Tensor:
    return model.generate("left", preset=preset, iterations=4, condition="lrcn", **options)


def test_noise_levels_fall_by_a_constant_factor() -> None:
    assert exponential_sigmas(8.0, 1.0, 3) == pytest.approx([8.0, 4.0, 2.0, 1.0])


def test_a_video_to_start_from_is_where_denoising_starts(networks: Networks, video: Tensor) -> None:
    prior = networks.code_prior
    assert prior is not None
    task = task_of(networks, (0, 1), Init(video, 0.01))
    (start,) = FrameDenoiser(task, FramePriorSettings(), "robust").starts(1e-6)
    shared = prior.share_appearance(prior.whiten(encode(networks.encoder, video)))
    torch.testing.assert_close(start, shared.expand(2, -1, -1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("strength", "first"), [(1.0, 4.0), (0.5, 2.0), (0.25, 2**0.5)])
def test_strength_is_the_share_of_the_denoising_that_is_done(
    networks: Networks, video: Tensor, strength: float, first: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[float] = []
    step = Denoising.euler_step

    def noted(self: Denoising, h: Tensor, sigma: float, following: float) -> Tensor:
        levels.extend([sigma] if levels else [sigma, following])
        return step(self, h, sigma, following)

    monkeypatch.setattr(Denoising, "euler_step", noted)
    settings = replace(ROBUST, noise_level=(4.0, 1.0), iterations=1)
    sample(networks, Action(networks.condition, LEFT), [0], settings, init=Init(video, strength))
    assert levels == pytest.approx([first, 1.0])


def test_what_is_kept_of_the_video_stays_through_every_step(networks: Networks, video: Tensor) -> None:
    denoising = Denoising(task_of(networks, init=Init(video, 1.0)), ROBUST)
    assert networks.code_prior is not None and isinstance(denoising.prior, FrameDenoiser)
    known = networks.code_prior.share_appearance(networks.code_prior.whiten(encode(networks.encoder, video)))
    sigmas = exponential_sigmas(*ROBUST.noise_level, ROBUST.iterations)
    h = denoising.start(sigmas)
    for sigma, following in pairwise(sigmas):
        h = denoising.euler_step(h + torch.randn_like(h), sigma, following)
        torch.testing.assert_close(h[..., :1], (known + following * denoising.prior.noise)[..., :1])


def test_appearance_is_shared_unless_it_is_switched_off(networks: Networks) -> None:
    assert networks.code_prior is not None
    appearance = networks.code_prior.config.appearance_rank

    def change(settings: GuidedSettings) -> Tensor:
        denoising = Denoising(task_of(networks), settings)
        h = denoising.euler_step(denoising.start([3.0, 1.0]) + torch.randn(1, 16, 6), 3.0, 1.0)
        return h[..., :appearance].diff(dim=1).abs().max()

    assert change(ROBUST) < 1e-6 < 0.1 < change(prior_of(ROBUST, share_appearance=False))


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
        prior_of(EAGER, share_appearance=False),
        prior_of(EAGER, own_noise_frames=0.0),
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


@pytest.mark.parametrize("w", [0.0, 0.5, 1.0, 2.5])
def test_guidance_is_classifier_free(networks: Networks, w: float) -> None:
    """Ho & Salimans 2022: D(h; sigma) + w (D(h; sigma, action) - D(h; sigma))."""
    prior, h, sigma, settings = networks.sequence_prior, torch.randn(2, 16, 12), 0.7, SequencePriorSettings(w)
    assert prior is not None
    without, with_action = prior.denoise(h, sigma), prior.denoise(h, sigma, torch.tensor([LEFT, LEFT]))
    found = SequenceDenoiser(task_of(networks), settings, "motion").denoise(h, sigma)
    torch.testing.assert_close(found, without + w * (with_action - without))
    assert not torch.allclose(with_action, without)
    target = Activation(networks.condition[0], Target("lstm"))  # type: ignore[arg-type]
    of_target = SequenceDenoiser(replace(task_of(networks), phi=target), settings, "motion")
    assert torch.equal(of_target.denoise(h, sigma), without)


@pytest.mark.parametrize(("w", "calls"), [(0.0, [ANY]), (1.0, [LEFT]), (2.0, [LEFT, ANY])])
def test_the_prior_runs_no_more_than_it_must(
    networks: Networks, conditions: list[int], w: float, calls: list[int]
) -> None:
    Denoising(task_of(networks), prior_of(ALONE, guidance_scale=w)).euler_step(torch.randn(1, 16, 12), 3.0, 2.0)
    assert sorted(conditions) == sorted(calls)


def test_robust_never_asks_the_sequence_prior(model: STGAN, conditions: list[int]) -> None:
    one(model, ROBUST)
    assert conditions == []


def test_motion_never_asks_the_code_prior(model: STGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CodePrior, "denoise", lambda *arguments: pytest.fail("the code prior was asked"))
    one(model, MOTION)


def test_without_steering_a_clip_is_the_solution_of_the_priors_equation(networks: Networks) -> None:
    """Euler's steps of dh/dsigma = (h - D(h; sigma, action)) / sigma (Karras et al. 2022), then the last estimate."""
    preset = replace(ALONE, iterations=6, noise_level=(8.0, 0.5), step_size=0.0)
    prior = networks.sequence_prior
    assert prior is not None
    actions = torch.tensor([LEFT])
    sigmas = [8.0 * (0.5 / 8.0) ** (step / 6) for step in range(7)]
    h = 8.0 * ClipRandomness([3]).normal(16, 12)
    for sigma, following in pairwise(sigmas):
        h = h + (following - sigma) * (h - prior.denoise(h, sigma, actions)) / sigma
    codes = prior.codes(prior.denoise(h, 0.5, actions))
    found = sample(networks, Action(networks.condition, LEFT), [3], preset)
    torch.testing.assert_close(found.codes, codes, atol=1e-5, rtol=1e-4)


def test_every_frame_starts_from_its_own_noise(networks: Networks) -> None:
    start = Denoising(task_of(networks, range(40)), ALONE).start([40.0, 1.0]) / 40
    flat = start.transpose(1, 2).flatten(0, 1)
    assert (flat.T.corrcoef() - torch.eye(16)).abs().max() < 0.2 and flat.std() == pytest.approx(1, abs=0.05)


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
    chosen = model.sample(steering, action, range(6), 0, preset)
    randomness = ClipRandomness([clip_seed(0, action, index) for index in range(6)])
    phi = Action(networks.condition, LEFT) if target is None else Activation(
        networks.condition[0], Target.parse(target)  # type: ignore[arg-type]
    )  # fmt: skip
    sigmas, videos, values = exponential_sigmas(*preset.noise_level, 5), [], []
    for _ in range(3):
        denoising = Denoising(Task(networks, phi, randomness, 16), prior_of(preset, proposals=1))
        h = denoising.start(sigmas)
        for sigma, following in pairwise(sigmas):
            h = denoising.euler_step(h, sigma, following)
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

    def unmoved(self: Denoising, h: Tensor, sigma: float, following: float) -> Tensor:
        moved.append((h - before.get("h", h)).square().mean().sqrt().item())
        before["h"] = h
        return h

    monkeypatch.setattr(Denoising, "euler_step", unmoved)
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
        replace(ALONE, prior=FramePriorSettings()),
    ],
)
def test_every_setting_of_motion_takes_effect(model: STGAN, other: GuidedSettings) -> None:
    assert not torch.allclose(one(model, other), one(model, ALONE), atol=1e-4)


def test_a_target_is_sought_among_clips_of_any_action(model: STGAN, conditions: list[int]) -> None:
    preset = replace(ALONE, iterations=4, goal=1e-6)
    found = model.sample(model.steering(condition="lrcn", target="lstm:3"), "lrcn.lstm_3", [0], 0, preset)
    assert found.videos.shape == (1, 3, 16, 16, 16) and set(conditions) == {ANY}
    assert found.steps.tolist() == [sum(s <= 1 for s in [40 * (0.05 / 40) ** (i / 4) for i in range(4)])]
    conditions.clear()
    model.sample(model.steering(condition="lrcn"), "left", [0], 0, preset)
    assert set(conditions) == {LEFT}


def test_it_starts_from_noise_alone(networks: Networks) -> None:
    init = Init(torch.rand(3, 16, 16, 16), 0.5)
    with pytest.raises(StganError, match="preset motion starts from noise alone; choose robust") as caught:
        sample(networks, Action(networks.condition, LEFT), [0], MOTION, init=init)
    assert "\n" not in str(caught.value)


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


def test_a_model_without_one_cannot_sample_by_motion(networks: Networks) -> None:
    with pytest.raises(StganError, match="preset motion needs a sequence prior; choose") as caught:
        sample(replace(networks, sequence_prior=None), Action(networks.condition, LEFT), [0], MOTION)
    assert "\n" not in str(caught.value)
