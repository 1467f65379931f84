"""The sequence prior's training: what it learns from, that it learns, and that it resumes exactly."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from stgan.networks import CodePrior, Encoder, SequencePrior
from stgan.training.code_prior import fit_whitening, frame_codes
from stgan.training.data import ClipData, to_images
from stgan.training.losses import denoising_loss
from stgan.training.recipes import load_recipes
from stgan.training.run import TrainingRun, Workshop
from stgan.training.sequence_prior import (
    SequencePriorRecipe,
    code_sequences,
    fit_spectrum,
    train_sequence_prior,
    windows_of,
)


@pytest.fixture(scope="module")
def recipe(recipes: Path) -> SequencePriorRecipe:
    return load_recipes(recipes, 3).sequence_prior


@pytest.fixture(scope="module")
def networks(recipes: Path, data: ClipData) -> tuple[Encoder, CodePrior]:
    """What codes and coordinates are; untrained, which does for learning how they follow each other."""
    torch.manual_seed(0)
    all_recipes = load_recipes(recipes, 3)
    encoder = Encoder(all_recipes.encoder.network).eval()
    prior = CodePrior(all_recipes.code_prior.network).eval()
    fit_whitening(prior, *frame_codes(encoder, data))
    return encoder, prior


@torch.no_grad()
def coordinates(networks: tuple[Encoder, CodePrior], frames: np.ndarray) -> Tensor:
    encoder, prior = networks
    return prior.whiten(encoder(to_images(torch.from_numpy(frames.copy()))))


def test_versions_are_the_clip_its_shifts_and_mirror_images_of_both(
    recipe: SequencePriorRecipe, networks: tuple[Encoder, CodePrior], data: ClipData
) -> None:
    some = data.select([number % 4 == 0 for number in range(9)])
    plain = code_sequences(*networks, some, replace(recipe, copies=3, shift=2, mirror=False))
    both = code_sequences(*networks, some, replace(recipe, copies=3, shift=2, mirror=True))
    for clip, versions, mirrored in zip(some.clips, plain, both, strict=True):
        assert versions.shape == (3, 20, 8) and mirrored.shape == (6, 20, 8)
        torch.testing.assert_close(versions[0], coordinates(networks, clip), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(mirrored[::2], versions, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(mirrored[1], coordinates(networks, clip[:, :, ::-1]), atol=1e-4, rtol=1e-4)
        padded = np.pad(clip, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
        moves = [coordinates(networks, padded[:, y : y + 16, x : x + 16]) for y in range(5) for x in range(5)]
        for version in versions:
            assert min((version - moved).abs().max() for moved in moves) < 1e-4
    drawn = torch.stack([versions[1:] - versions[:1] for versions in plain])
    assert drawn.abs().amax((2, 3)).count_nonzero() > 3  # most versions are moved
    again = code_sequences(*networks, some, replace(recipe, copies=3, shift=2, mirror=False))
    assert all(map(torch.equal, plain, again))
    (alone,) = code_sequences(*networks, some.select([True, False, False]), replace(recipe, copies=1, mirror=False))
    assert torch.equal(alone, plain[0][:1])


def test_windows_are_cut_from_the_version_that_is_asked_for() -> None:
    sequences = [torch.arange(2 * 6 * 2).view(2, 6, 2).float(), -torch.arange(2 * 4 * 2).view(2, 4, 2).float()]
    windows = [(1, np.array([0, 1, 2])), (0, np.array([3, 4, 5])), (0, np.array([1, 0, 1]))]
    cut = windows_of(sequences, windows, np.array([1, 0, 1]))
    assert torch.equal(cut, torch.stack([sequences[1][1, :3], sequences[0][0, 3:], sequences[0][1, [1, 0, 1]]]))


def test_it_learns_how_codes_follow_each_other(
    recipe: SequencePriorRecipe,
    networks: tuple[Encoder, CodePrior],
    data: ClipData,
    tmp_path: Path,
    fabric: Fabric,
) -> None:
    network = replace(recipe.network, width=32, dropout=0.0)
    longer = replace(recipe, network=network, steps=200, learning_rate=0.01, ema=0.9)
    unseen = data.select([number % 3 == 2 for number in range(9)])
    seen = data.select([number % 3 != 2 for number in range(9)])
    prior, run = train_sequence_prior(longer, *networks, seen, unseen, Workshop(fabric, tmp_path))
    assert run.step == 200 and not any(module.training for module in prior.modules())
    log = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    assert log["denoising"][-1] < log["denoising"][0]
    validation = np.genfromtxt(tmp_path / "validation.csv", delimiter=",", names=True)
    assert len(validation) == 10 and np.isfinite(validation["denoising"]).all()

    torch.manual_seed(1)
    windows = torch.stack([versions[0, :16] for versions in code_sequences(*networks, seen, longer)])
    sigma, noise, actions = torch.full((6, 1), 1.0), torch.randn_like(windows), torch.tensor(seen.labels)

    def loss(network: SequencePrior) -> float:
        return denoising_loss(lambda w, s: network.denoise(w, s, actions), windows, sigma, noise).item()

    with torch.no_grad():
        white, wiener = SequencePrior(longer.network), SequencePrior(longer.network)
        wiener.spectrum.copy_(prior.spectrum)
        assert loss(prior) < 0.98 * loss(wiener) and loss(wiener) < loss(white)


def test_the_spectrum_is_the_variance_of_each_frequency(recipe: SequencePriorRecipe, data: ClipData) -> None:
    network = SequencePrior(recipe.network)
    white = [torch.randn(1, 20, 8, generator=torch.Generator().manual_seed(n)) * 2 for n in range(9)]
    fit_spectrum(network, white, data)
    assert network.spectrum.shape == (16, 8) and network.spectrum.mean() == pytest.approx(4, rel=0.2)
    still = [torch.full((1, 20, 8), value) for value in (1.0, -1.0, 1.0) * 3]
    fit_spectrum(network, still, data)
    torch.testing.assert_close(network.spectrum[0], torch.full((8,), 16.0))
    torch.testing.assert_close(network.spectrum[1:], torch.full((15, 8), 1e-4))


@pytest.mark.parametrize(("untold", "untouched"), [(1.0, slice(0, 3)), (0.0, slice(3, 4))])
def test_only_what_is_told_is_learned(
    recipe: SequencePriorRecipe,
    networks: tuple[Encoder, CodePrior],
    data: ClipData,
    tmp_path: Path,
    fabric: Fabric,
    untold: float,
    untouched: slice,
) -> None:
    changed = replace(recipe, steps=20, untold=untold, weight_decay=0.0, ema=0.0)
    nothing = data.select([False] * 9)
    prior, _ = train_sequence_prior(changed, *networks, data, nothing, Workshop(fabric, tmp_path))
    torch.manual_seed(changed.seed)
    before, after = SequencePrior(changed.network).action.weight, prior.action.weight
    rows = torch.arange(4)
    assert torch.equal(after[untouched], before[untouched])
    touched = [row for row in rows if row not in rows[untouched]]
    assert all((after[row] - before[row]).abs().max() > 1e-3 for row in touched)


def test_interrupted_training_equals_an_uninterrupted_one(
    recipe: SequencePriorRecipe,
    networks: tuple[Encoder, CodePrior],
    data: ClipData,
    tmp_path: Path,
    fabric: Fabric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorter, nothing = replace(recipe, steps=30), data.select([False] * 9)
    arguments = (shorter, *networks, data, nothing)
    whole, _ = train_sequence_prior(*arguments, Workshop(fabric, tmp_path / "whole"))
    take_step = TrainingRun._take_step

    def interrupted(self: TrainingRun, *rest: object) -> object:
        if self.step == 17:
            os.kill(os.getpid(), signal.SIGINT)
        return take_step(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingRun, "_take_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_sequence_prior(*arguments, Workshop(fabric, tmp_path / "parts"))
    monkeypatch.undo()
    assert torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["step"] == 18
    resumed, run = train_sequence_prior(*arguments, Workshop(fabric, tmp_path / "parts"))
    assert run.step == 30
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_state_for_other_codes_is_set_aside(
    recipe: SequencePriorRecipe,
    networks: tuple[Encoder, CodePrior],
    data: ClipData,
    tmp_path: Path,
    fabric: Fabric,
) -> None:
    shorter, nothing, (encoder, prior) = replace(recipe, steps=20), data.select([False] * 9), networks
    train_sequence_prior(shorter, encoder, prior, data, nothing, Workshop(fabric, tmp_path))
    before = (tmp_path / "state.pt").read_bytes()
    other = Encoder(encoder.config).eval()
    train_sequence_prior(shorter, other, prior, data, nothing, Workshop(fabric, tmp_path))
    assert (tmp_path / "state.previous.pt").read_bytes() == before != (tmp_path / "state.pt").read_bytes()
