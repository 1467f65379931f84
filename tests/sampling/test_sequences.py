"""The `motion` preset: the sequence prior's guidance and annealing written out, and what is not computed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stgan import STGAN
from stgan.errors import StganError
from stgan.networks import CodePrior, SequencePrior
from stgan.sampling import (
    MOTION,
    ROBUST,
    Action,
    Activation,
    ClipRandomness,
    Init,
    Networks,
    Preset,
    Target,
    clip_seed,
    sample,
)
from stgan.sampling.spaces import SequenceSpace

LEFT, ANY = 1, 3
ALONE = replace(MOTION, proposals=1, action_guidance=1.0, guidance=0.2, steered_below=1.0, patience=5)
"""Nothing is chosen among, and where it is steered, then strongly."""


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def networks(model: STGAN) -> Networks:
    parts = {name: checkpoint.network for name, checkpoint in model.checkpoints.items()}
    steering, sequences = (parts["lrcn"],), parts["sequence_prior"]
    return Networks(parts["generator"], parts["encoder"], steering, parts["code_prior"], sequences)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The action that the sequence prior was told of each sequence that it was asked about, in one batch or several."""
    seen: list[int] = []
    denoise = SequencePrior.denoise

    def spied(self: SequencePrior, noisy: Tensor, sigma: float, actions: Tensor | None = None) -> Tensor:
        seen.extend([ANY] * len(noisy) if actions is None else actions.tolist())
        return denoise(self, noisy, sigma, actions)

    monkeypatch.setattr(SequencePrior, "denoise", spied)
    yield seen


def one(model: STGAN, preset: Preset, **options: object) -> Tensor:
    return model.generate("left", preset=preset, iterations=4, condition="lrcn", **options)


def space_of(networks: Networks, preset: Preset, seeds: Sequence[int] = (3,)) -> SequenceSpace:
    return SequenceSpace(networks, preset, 16, ClipRandomness(seeds), None, Action(networks.condition, LEFT))


@pytest.mark.parametrize("w", [0.0, 0.5, 1.0, 2.5])
def test_action_guidance_is_classifier_free(networks: Networks, w: float) -> None:
    """Ho & Salimans 2022: D(h; sigma) + w (D(h; sigma, action) - D(h; sigma))."""
    prior, h = networks.sequence_prior, torch.randn(2, 16, 12)
    assert prior is not None
    preset = replace(ALONE, action_guidance=w)
    sigma = space_of(networks, preset).sigmas[25]
    without, with_action = prior.denoise(h, sigma), prior.denoise(h, sigma, torch.tensor([LEFT, LEFT]))
    found = space_of(networks, preset).reconstruct(h, 25)
    torch.testing.assert_close(found, without + w * (with_action - without))
    assert not torch.allclose(with_action, without)
    target = Activation(networks.condition[0], Target("lstm"))  # type: ignore[arg-type]
    untold = SequenceSpace(networks, preset, 16, ClipRandomness([3]), None, target)
    assert torch.equal(untold.reconstruct(h, 25), without)


@pytest.mark.parametrize(("w", "calls"), [(0.0, [ANY]), (1.0, [LEFT]), (2.0, [LEFT, ANY])])
def test_the_prior_is_asked_no_more_than_it_must(
    networks: Networks, told: list[int], w: float, calls: list[int]
) -> None:
    space_of(networks, replace(ALONE, action_guidance=w)).project(torch.randn(1, 16, 12), 3)
    assert sorted(told) == sorted(calls)


def test_robust_never_asks_the_sequence_prior(model: STGAN, told: list[int]) -> None:
    one(model, ROBUST)
    assert told == []


def test_motion_never_asks_the_code_prior(model: STGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CodePrior, "denoise", lambda *arguments: pytest.fail("the code prior was asked"))
    one(model, MOTION)


def test_without_steering_a_clip_is_the_solution_of_the_priors_equation(networks: Networks) -> None:
    """Euler's steps of dh/dsigma = (h - D(h; sigma, action)) / sigma (Karras et al. 2022), then the last estimate."""
    preset = replace(ALONE, iterations=6, noise_level=(8.0, 0.5), guidance=0.0)
    prior = networks.sequence_prior
    assert prior is not None
    actions = torch.tensor([LEFT])
    sigmas = [8.0 * (0.5 / 8.0) ** (step / 6) for step in range(7)]
    assert space_of(networks, preset).sigmas == pytest.approx(sigmas)
    h = 8.0 * ClipRandomness([3]).normal(16, 12)
    for sigma, following in pairwise(sigmas):
        h = h + (following - sigma) * (h - prior.denoise(h, sigma, actions)) / sigma
    codes = prior.codes(prior.denoise(h, 0.5, actions))
    found = sample(networks, Action(networks.condition, LEFT), [3], preset)
    torch.testing.assert_close(found.codes, codes, atol=1e-5, rtol=1e-4)


def test_every_frame_starts_from_its_own_noise(networks: Networks) -> None:
    start = space_of(networks, ALONE, range(40)).start() / 40
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


@pytest.mark.parametrize(("below", "steps"), [(99.0, 8), (16.0, 8), (4.0, 6), (0.2, 1), (0.01, 0)])
def test_no_gradient_is_computed_above_the_level_from_which_on_it_steers(
    networks: Networks, below: float, steps: int
) -> None:
    """Levels 16, 8, 4, ... 1/16, of which the last is the end and takes no step."""
    preset = replace(ALONE, iterations=8, noise_level=(16.0, 2.0**-4), steered_below=below, goal=1.0)
    counting = Counting(networks.condition[0])
    values: list[float] = []
    found = sample(
        replace(networks, condition=(counting,)), Action((counting,), LEFT), [0], preset,
        on_iteration=lambda iteration, value, render: values.append(float(value[0])),
    )  # fmt: skip
    assert (counting.gradients, counting.others) == (steps, 1) and found.steps.tolist() == [steps]
    assert [math.isnan(value) for value in values] == [True] * (8 - steps) + [False] * steps


@pytest.mark.parametrize("target", [None, "lstm:3"])
def test_the_proposal_that_is_liked_best_is_gone_on_with(model: STGAN, networks: Networks, target: str | None) -> None:
    """Of the noises that a clip's own randomness draws one after another, each made a clip by the prior alone."""
    preset = replace(ALONE, proposals=3, iterations=5, guidance=0.0)
    steering = model.steering(["left"] if target is None else [], condition="lrcn", target=target)
    (action,) = steering.objectives
    chosen = model.sample(steering, action, range(6), 0, preset)
    randomness = ClipRandomness([clip_seed(0, action, index) for index in range(6)])
    phi = Action(networks.condition, LEFT) if target is None else Activation(
        networks.condition[0], Target.parse(target)  # type: ignore[arg-type]
    )  # fmt: skip
    videos, values = [], []
    for _ in range(3):
        space = SequenceSpace(networks, replace(preset, proposals=1), 16, randomness, None, phi)
        h = space.start()
        for iteration in range(5):
            h = space.project(h, iteration)
        videos.append(space.videos(space.codes(h, 5)).clamp(0, 1))
        values.append(phi(videos[-1]))
    best = torch.stack(values).argmax(0)
    assert len(set(best.tolist())) > 1
    expected = torch.stack([videos[number][clip] for clip, number in enumerate(best)])
    torch.testing.assert_close(chosen.videos, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(chosen.value, torch.stack(values).amax(0), atol=1e-4, rtol=0)


def test_choosing_needs_no_gradient(networks: Networks) -> None:
    preset = replace(ALONE, proposals=4, iterations=4, steered_below=0.01)
    counting = Counting(networks.condition[0])
    sample(replace(networks, condition=(counting,)), Action((counting,), LEFT), [0, 1], preset)
    assert (counting.gradients, counting.others) == (0, 2 * 4 + 2)


def test_steps_are_as_long_as_the_noise_level_says(networks: Networks) -> None:
    preset = replace(ALONE, iterations=4, noise_level=(16.0, 1.0), steered_below=5.0, guidance=0.3)
    assert space_of(networks, preset).learning_rates == pytest.approx([0.0, 0.0, 0.3 * 4, 0.3 * 2])


@pytest.mark.parametrize(
    "change",
    [
        {"action_guidance": 0.0},
        {"action_guidance": 2.0},
        {"steered_below": 0.1},
        {"steered_below": 9.0},
        {"guidance": 0.0},
        {"noise_level": (5.0, 0.05)},
        {"temporal_kernel": (0.3, 0.4, 0.3)},
        {"shift": 0},
        {"video_noise": 0.0},
        {"space": "whitened"},
    ],
    ids=str,
)
def test_every_setting_of_motion_takes_effect(model: STGAN, change: dict) -> None:
    assert not torch.allclose(one(model, replace(ALONE, **change)), one(model, ALONE), atol=1e-4)


def test_a_target_is_sought_among_clips_of_any_action(model: STGAN, told: list[int]) -> None:
    preset = replace(ALONE, iterations=4, goal=1e-6)
    found = model.sample(model.steering(condition="lrcn", target="lstm:3"), "lrcn.lstm_3", [0], 0, preset)
    assert found.videos.shape == (1, 3, 16, 16, 16) and set(told) == {ANY}
    assert found.steps.tolist() == [sum(s <= 1 for s in [40 * (0.05 / 40) ** (i / 4) for i in range(4)])]
    told.clear()
    model.sample(model.steering(condition="lrcn"), "left", [0], 0, preset)
    assert set(told) == {LEFT}


def test_it_starts_from_noise_alone(networks: Networks) -> None:
    init = Init(torch.rand(3, 16, 16, 16), 0.5)
    with pytest.raises(StganError, match="preset motion starts from noise alone; choose robust") as caught:
        sample(networks, Action(networks.condition, LEFT), [0], MOTION, init=init)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("target", "condition"), [(None, "both"), ("lstm:3", "lrcn"), ("fc8:2", "c3d")])
def test_steering_raises_what_is_asked_for(model: STGAN, target: str | None, condition: str) -> None:
    """Beside the clip of the same seed that nothing steered."""
    preset = replace(ALONE, iterations=20, goal=1.0, shift=0, video_noise=0.0)
    steering = model.steering(["right"] if target is None else [], condition=condition, target=target)
    free, steered = (
        model.sample(steering, *steering.objectives, [0], 0, replace(preset, guidance=guidance)).value[0]
        for guidance in (0.0, 0.2)
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
