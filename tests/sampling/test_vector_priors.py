"""`robust` and `motion` of models whose priors are of vector codes: what is kept, guided, and solved."""

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
    VECTOR_PRESETS,
    Action,
    Activation,
    ClipRandomness,
    CodePriorSettings,
    GuidedSettings,
    Init,
    Networks,
    SequencePriorSettings,
    Target,
    sample,
)
from stgan.sampling.denoising import exponential_sigmas
from stgan.sampling.guided import Denoising
from stgan.sampling.starts import encode
from stgan.sampling.task import Task
from stgan.sampling.vector_priors import CodeDenoiser, SequenceDenoiser

ROBUST, MOTION = VECTOR_PRESETS["robust"], VECTOR_PRESETS["motion"]
assert isinstance(ROBUST, GuidedSettings) and isinstance(MOTION, GuidedSettings)
LEFT, ANY = 1, 3


@pytest.fixture(scope="module")
def model(vector_model: Path) -> STGAN:
    return STGAN.from_pretrained(vector_model, device="cpu")


@pytest.fixture(scope="module")
def networks(model: STGAN) -> Networks:
    return model.steering(condition="lrcn").networks


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


def test_names_of_presets_stand_for_those_of_vectors(model: STGAN, video: Tensor) -> None:
    assert model.preset() == model.preset("motion") == MOTION and model.preset("robust") == ROBUST
    assert model.preset(init=True) == ROBUST
    for preset in ("motion", "robust"):
        samples = model.sample(model.steering(), "left", [0], 0, model.preset(preset, 2))
        assert samples.codes is not None and samples.codes.shape == (1, 16, 12) and samples.codes.min() >= 0
        assert samples.videos.shape == (1, 3, 16, 16, 16)
    chosen = model.generate("left", iterations=2, init=video)
    assert torch.equal(chosen, model.generate("left", preset="robust", iterations=2, init=video))
    assert {"code_prior", "sequence_prior"} < model.hashes(model.steering()).keys()


def test_a_video_to_start_from_is_where_denoising_starts(networks: Networks, video: Tensor) -> None:
    prior = networks.code_prior
    assert prior is not None
    start = CodeDenoiser(task_of(networks, (0, 1), Init(video, 0.01)), CodePriorSettings(), "robust").starts(1e-6)
    shared = prior.share_appearance(prior.whiten(encode(networks.encoder, video)))
    torch.testing.assert_close(start, shared.expand(2, -1, -1), atol=1e-4, rtol=1e-4)


def test_what_is_kept_of_the_video_stays_through_every_step(networks: Networks, video: Tensor) -> None:
    denoising = Denoising(task_of(networks, init=Init(video, 1.0)), ROBUST)
    assert networks.code_prior is not None and isinstance(denoising.prior, CodeDenoiser)
    known = networks.code_prior.share_appearance(networks.code_prior.whiten(encode(networks.encoder, video)))
    sigmas = exponential_sigmas(*ROBUST.noise_level, 5)
    h, solver = denoising.start(sigmas), denoising.solver()
    for sigma, following in pairwise(sigmas):
        h = denoising.step(solver, h + torch.randn_like(h), sigma, following)
        torch.testing.assert_close(h[..., :1], (known + following * denoising.prior.noise)[..., :1])


def test_appearance_is_shared_unless_it_is_switched_off(networks: Networks) -> None:
    assert networks.code_prior is not None
    appearance = networks.code_prior.config.appearance_rank

    def change(settings: GuidedSettings) -> Tensor:
        denoising = Denoising(task_of(networks), settings)
        h = denoising.start([3.0, 1.0]) + torch.randn(1, 16, 6)
        return denoising.step(denoising.solver(), h, 3.0, 1.0)[..., :appearance].diff(dim=1).abs().max()

    assert change(ROBUST) < 1e-6 < 0.1 < change(prior_of(ROBUST, share_appearance=False))


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
    denoising = Denoising(task_of(networks), prior_of(MOTION, guidance_scale=w))
    denoising.step(denoising.solver(), torch.randn(1, 16, 12), 3.0, 2.0)
    assert sorted(conditions) == sorted(calls)


def test_robust_never_asks_the_sequence_prior_nor_motion_the_code_prior(
    model: STGAN, conditions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model.generate("left", preset="robust", iterations=2)
    assert conditions == []
    monkeypatch.setattr(CodePrior, "denoise", lambda *arguments: pytest.fail("the code prior was asked"))
    model.generate("left", preset="motion", iterations=2)


def test_without_steering_a_clip_is_the_solution_of_the_priors_equation(networks: Networks) -> None:
    """Euler's steps of dh/dsigma = (h - D(h; sigma, action)) / sigma (Karras et al. 2022), then the last estimate."""
    preset = prior_of(
        replace(MOTION, iterations=6, noise_level=(8.0, 0.5), step_size=0.0), proposals=1, guidance_scale=1.0
    )
    prior = networks.sequence_prior
    assert prior is not None
    actions, h = torch.tensor([LEFT]), 8.0 * ClipRandomness([3]).normal(16, 12)
    for sigma, following in pairwise(exponential_sigmas(8.0, 0.5, 6)):
        h = h + (following - sigma) * (h - prior.denoise(h, sigma, actions)) / sigma
    found = sample(networks, Action(networks.condition, LEFT), [3], preset)
    torch.testing.assert_close(found.codes, prior.codes(prior.denoise(h, 0.5, actions)), atol=1e-5, rtol=1e-4)


def test_motion_starts_from_noise_alone(model: STGAN, networks: Networks, video: Tensor) -> None:
    for ask in (
        lambda: sample(networks, Action(networks.condition, LEFT), [0], MOTION, init=Init(video, 0.5)),
        lambda: model.generate("left", preset="motion", iterations=2, init=video),
        lambda: model.sample(model.steering(), "left", [0], 0, MOTION, init=model.init(video)),
    ):
        with pytest.raises(StganError, match="preset motion starts from noise alone; choose robust") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_a_model_without_a_prior_cannot_sample(networks: Networks) -> None:
    for preset, role in ((MOTION, "sequence_prior"), (ROBUST, "code_prior")):
        with pytest.raises(StganError, match=f"needs a {role.replace('_', ' ')}; choose another preset"):
            sample(replace(networks, **{role: None}), Action(networks.condition, LEFT), [0], preset)
