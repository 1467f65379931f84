"""The `motion` preset: the sequence prior's guidance and annealing written out, and what is not computed."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stgan import STGAN
from stgan.errors import StganError
from stgan.networks import SequencePrior
from stgan.pipeline import ClipRequest
from stgan.sampling import MOTION, ROBUST, Action, ClipRandomness, Init, Networks, Preset, sample
from stgan.sampling.spaces import KEPT_APPEARANCE, WhitenedSpace, denoiser, encode

LEFT = 1


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> STGAN:
    return STGAN.from_pretrained(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def networks(model: STGAN) -> Networks:
    parts = {name: checkpoint.network for name, checkpoint in model.checkpoints.items()}
    steering, sequences = (parts["lrcn"],), parts["sequence_prior"]
    return Networks(parts["generator"], parts["encoder"], parts["code_prior"], steering, sequences)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[int] | None]]:
    """The actions that the sequence prior was told, call by call."""
    seen: list[list[int] | None] = []
    denoise = SequencePrior.denoise

    def spied(self: SequencePrior, noisy: Tensor, sigma: float, actions: Tensor | None = None) -> Tensor:
        seen.append(None if actions is None else actions.tolist())
        return denoise(self, noisy, sigma, actions)

    monkeypatch.setattr(SequencePrior, "denoise", spied)
    yield seen


def one(model: STGAN, preset: Preset, **options: object) -> Tensor:
    return model.generate("left", preset=preset, iterations=4, condition="lrcn", **options)


@pytest.mark.parametrize("w", [0.0, 0.5, 1.0, 2.5])
def test_action_guidance_is_classifier_free(networks: Networks, w: float) -> None:
    """Ho & Salimans 2022: D(h; sigma) + w (D(h; sigma, action) - D(h; sigma))."""
    prior, h = networks.sequence_prior, torch.randn(2, 16, 6)
    assert prior is not None
    guided = denoiser(networks, replace(MOTION, action_guidance=w), LEFT)(h, 0.8)
    without, with_action = prior.denoise(h, 0.8), prior.denoise(h, 0.8, torch.tensor([LEFT, LEFT]))
    torch.testing.assert_close(guided, without + w * (with_action - without))
    assert not torch.allclose(with_action, without)
    assert torch.equal(denoiser(networks, replace(MOTION, action_guidance=w), None)(h, 0.8), without)


@pytest.mark.parametrize(("w", "calls"), [(0.0, [None]), (1.0, [[LEFT]]), (2.0, [[LEFT], None])])
def test_the_prior_is_asked_no_more_than_it_must(
    networks: Networks, told: list[list[int] | None], w: float, calls: list[list[int] | None]
) -> None:
    denoiser(networks, replace(MOTION, action_guidance=w), LEFT)(torch.randn(1, 16, 6), 0.8)
    assert told == calls


def test_robust_never_asks_the_sequence_prior(model: STGAN, networks: Networks, told: list[list[int] | None]) -> None:
    one(model, ROBUST)
    assert told == []
    h = torch.randn(1, 16, 6)
    assert torch.equal(denoiser(networks, ROBUST, LEFT)(h, 0.8), networks.code_prior.denoise(h, 0.8))


def test_without_steering_a_clip_is_the_solution_of_the_priors_equation(model: STGAN, networks: Networks) -> None:
    """Euler's steps of dh/dsigma = (h - D(h; sigma, action)) / sigma (Karras et al. 2022), then the last estimate."""
    preset = replace(MOTION, iterations=6, noise_level=(8.0, 0.5), guidance=0.0)
    prior = networks.sequence_prior
    assert prior is not None
    actions = torch.tensor([LEFT])
    sigmas = [8.0 * (0.5 / 8.0) ** (step / 6) for step in range(7)]
    space = WhitenedSpace(networks, preset, 16, ClipRandomness([3]), None, LEFT)
    assert space.sigmas == pytest.approx(sigmas)
    h = space.start()
    torch.testing.assert_close(h, 8.0 * space.noise)
    for sigma, following in pairwise(sigmas):
        h = h + (following - sigma) * (h - prior.denoise(h, sigma, actions)) / sigma
    codes = networks.code_prior.unwhiten(prior.denoise(h, 0.5, actions))
    found = sample(networks, Action(networks.condition, LEFT), [3], preset)
    torch.testing.assert_close(found.codes, codes, atol=1e-5, rtol=1e-4)


def test_every_frame_starts_from_its_own_noise(networks: Networks) -> None:
    noise = WhitenedSpace(networks, MOTION, 16, ClipRandomness(range(40)), None, LEFT).noise
    flat = noise.transpose(1, 2).flatten(0, 1)
    assert (flat.T.corrcoef() - torch.eye(16)).abs().max() < 0.3 and flat.std() == pytest.approx(1, abs=0.05)


class Counting:
    """A condition network that counts how often a gradient is asked of it."""

    def __init__(self, network: object) -> None:
        self.network, self.gradients, self.others = network, 0, 0

    def log_probabilities(self, videos: Tensor) -> Tensor:
        if videos.requires_grad:
            self.gradients += 1
        else:
            self.others += 1
        return self.network.log_probabilities(videos)  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(("below", "steps"), [(None, 8), (16.0, 8), (4.0, 6), (0.2, 1), (0.01, 0)])
def test_no_gradient_is_computed_above_the_level_from_which_on_it_steers(
    networks: Networks, below: float | None, steps: int
) -> None:
    """Levels 16, 8, 4, ... 1/16, of which the last is the end and takes no step."""
    preset = replace(MOTION, iterations=8, noise_level=(16.0, 2.0**-4), steered_below=below, goal=1.0)
    counting = Counting(networks.condition[0])
    values: list[float] = []
    found = sample(
        replace(networks, condition=(counting,)), Action((counting,), LEFT), [0], preset,
        on_iteration=lambda iteration, value, render: values.append(float(value[0])),
    )  # fmt: skip
    assert (counting.gradients, counting.others) == (steps, 1) and found.steps.tolist() == [steps]
    assert [math.isnan(value) for value in values] == [True] * (8 - steps) + [False] * steps


def test_steps_are_as_long_as_the_noise_level_says(networks: Networks) -> None:
    preset = replace(MOTION, iterations=4, noise_level=(16.0, 1.0), steered_below=5.0, guidance=0.3)
    space = WhitenedSpace(networks, preset, 16, ClipRandomness([0]), None, LEFT)
    assert space.learning_rates == pytest.approx([0.0, 0.0, 0.3 * 4, 0.3 * 2])


@pytest.mark.parametrize(
    "change",
    [
        {"action_guidance": 0.0},
        {"action_guidance": 2.0},
        {"steered_below": 0.1},
        {"steered_below": None},
        {"guidance": 0.0},
        {"noise_level": (5.0, 0.05)},
        {"own_noise": 0.3},
        {"share_appearance": True},
        {"space": "whitened"},
    ],
    ids=str,
)
def test_every_setting_of_motion_takes_effect(model: STGAN, change: dict) -> None:
    assert not torch.allclose(one(model, replace(MOTION, **change)), one(model, MOTION), atol=1e-4)


def test_a_target_is_sought_among_clips_of_any_action(model: STGAN, told: list[list[int] | None]) -> None:
    preset = replace(MOTION, iterations=4, goal=1e-6)
    found = model.sample([ClipRequest("x", 0)], 0, preset, "lrcn", target="lstm:3")
    assert found.videos.shape == (1, 3, 16, 16, 16) and set(map(str, told)) == {"None"}
    assert found.steps.tolist() == [sum(s <= 1 for s in [20 * (0.05 / 20) ** (i / 4) for i in range(4)])]
    told.clear()
    model.sample([ClipRequest("left", 0)], 0, preset, "lrcn")
    assert set(map(str, told)) == {"[1]"}


def test_a_clip_from_a_video_begins_at_its_coordinates_and_keeps_the_foremost(networks: Networks) -> None:
    """As in the robust preset, but for appearance, which is each frame's own here."""
    video = torch.rand(3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    space = WhitenedSpace(networks, MOTION, 16, ClipRandomness([0]), Init(video, 0.6), LEFT)
    known = networks.code_prior.whiten(encode(networks.encoder, video))
    assert space.sigmas[0] == pytest.approx(0.05 * 400**0.6)
    h = space.start()
    torch.testing.assert_close(h, known + space.sigmas[0] * space.noise)
    kept = round(KEPT_APPEARANCE * networks.code_prior.config.appearance_rank)
    assert kept == 1
    for iteration in range(MOTION.iterations):
        h = space.project(h + torch.randn_like(h), iteration)
        expected = known + space.sigmas[iteration + 1] * space.noise
        torch.testing.assert_close(h[..., :kept], expected[..., :kept])
        assert not torch.allclose(h[..., kept:], expected[..., kept:])


@pytest.mark.parametrize("frames", [1, 5, 16, 17, 24, 41])
def test_clips_of_any_length(model: STGAN, frames: int) -> None:
    video = one(model, MOTION, frames=frames)
    assert video.shape == (1, 3, frames, 16, 16) and torch.isfinite(video).all()


def test_a_model_without_one_cannot_sample_by_motion(networks: Networks) -> None:
    with pytest.raises(StganError, match="preset motion needs a sequence prior, and this model has none") as caught:
        sample(replace(networks, sequence_prior=None), Action(networks.condition, LEFT), [0], MOTION)
    assert "\n" not in str(caught.value)
