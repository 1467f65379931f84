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

from stgan.errors import StganError
from stgan.networks import AlexNet, Encoder, SequencePrior
from stgan.training.clip_data import ClipData, to_images
from stgan.training.losses import denoising_loss
from stgan.training.recipes import load_recipes
from stgan.training.run import TrainingRun, Workspace
from stgan.training.sequence_prior_training import (
    SequencePriorRecipe,
    Sequences,
    code_sequences,
    draw_windows,
    fit_basis,
    train_sequence_prior,
)
from stgan.training.step_randomness import StepRandomness


@pytest.fixture(scope="module")
def recipe(recipes: Path) -> SequencePriorRecipe:
    return load_recipes(recipes, 3).sequence_prior


@pytest.fixture(scope="module")
def encoder(recipes: Path) -> Encoder:
    """What codes are; untrained, which does for learning how they follow each other."""
    torch.manual_seed(0)
    return AlexNet(load_recipes(recipes, 3).encoder.network).eval()


@torch.no_grad()
def codes_of(encoder: Encoder, frames: np.ndarray) -> Tensor:
    return encoder(to_images(torch.from_numpy(frames.copy())))


def each(sequences: Sequences) -> list[Tensor]:
    """The codes of the clips, one by one: versions, time, code."""
    ends = [*sequences.first[1:], len(sequences.codes)]
    parts = [sequences.codes[first:end] for first, end in zip(sequences.first, ends, strict=True)]
    return [part.unflatten(0, (sequences.versions, -1)) for part in parts]


def test_versions_are_the_clip_its_shifts_and_mirror_images_of_both(
    recipe: SequencePriorRecipe, encoder: Encoder, data: ClipData
) -> None:
    some = data.select([number % 4 == 0 for number in range(9)])
    plain = each(code_sequences(encoder, some, replace(recipe, copies=3, shift=2, mirror=False)))
    both = each(code_sequences(encoder, some, replace(recipe, copies=3, shift=2, mirror=True)))
    for clip, versions, mirrored in zip(some.clips, plain, both, strict=True):
        assert versions.shape == (3, 20, 24) and mirrored.shape == (6, 20, 24)
        torch.testing.assert_close(versions[0], codes_of(encoder, clip), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(mirrored[::2], versions, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(mirrored[1], codes_of(encoder, clip[:, :, ::-1]), atol=1e-5, rtol=1e-4)
        padded = np.pad(clip, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
        moves = [codes_of(encoder, padded[:, y : y + 16, x : x + 16]) for y in range(5) for x in range(5)]
        for version in versions:
            assert min((version - moved).abs().max() for moved in moves) < 1e-5
    drawn = torch.stack([versions[1:] - versions[:1] for versions in plain])
    assert drawn.abs().amax((2, 3)).count_nonzero() > 3  # most versions are moved
    again = each(code_sequences(encoder, some, replace(recipe, copies=3, shift=2, mirror=False)))
    assert all(map(torch.equal, plain, again))
    (alone,) = each(code_sequences(encoder, some.select([True, False, False]), replace(recipe, copies=1, mirror=False)))
    assert torch.equal(alone, plain[0][:1])


def test_windows_are_of_every_version_and_shared_out_among_processes(
    recipe: SequencePriorRecipe, encoder: Encoder, data: ClipData
) -> None:
    sequences = code_sequences(encoder, data, recipe)
    windows, clips = draw_windows(sequences, data, 24, StepRandomness(0, 1))
    seen = set()
    for window, clip in zip(windows, clips, strict=True):
        places = [
            (version, start)
            for version in range(2)
            for start in range(5)
            if torch.equal(each(sequences)[clip][version, start : start + 16], window)
        ]
        assert places
        seen.update(places)
    assert len({version for version, _ in seen}) == 2 and len({start for _, start in seen}) > 2
    assert {data.labels[clip] for clip in clips} == {0, 1, 2}
    halves = [draw_windows(sequences, data, 24, StepRandomness(0, 1, rank, 2)) for rank in (0, 1)]
    assert torch.equal(torch.cat([half[0] for half in halves]), windows)
    assert halves[0][1] + halves[1][1] == clips


def test_the_basis_is_that_of_the_principal_components_of_windows(recipe: SequencePriorRecipe) -> None:
    network = SequencePrior(recipe.network)
    mixing = torch.randn(20, 16 * 24, generator=torch.Generator().manual_seed(0))
    windows = (torch.randn(300, 20, generator=torch.Generator().manual_seed(1)) * torch.logspace(0, -2, 20)) @ mixing
    windows = (windows + 3).view(300, 16, 24)
    fit_basis(network, windows)
    centred = windows.double().numpy() - windows.double().numpy().mean((0, 1))
    moments = np.einsum("na,nb->ab", *[centred.reshape(300, -1)] * 2) / 300
    values, vectors = np.linalg.eigh(moments)
    assert network.unit.item() == pytest.approx(values[-8:].mean() ** 0.5, rel=1e-5)
    np.testing.assert_allclose(network.variance.numpy(), values[:-9:-1] / values[-8:].mean(), rtol=1e-4)
    agreement = np.abs((network.basis.detach().numpy() * vectors.T[:-9:-1]).sum(1))
    np.testing.assert_allclose(agreement, 1, atol=1e-4)  # each of them, but for its sign
    y = network.coordinates(windows)
    torch.testing.assert_close(y.square().mean(0), network.variance, rtol=1e-3, atol=1e-5)
    rebuilt = network.codes(network.expand(y))
    assert (rebuilt - windows.clamp(min=0)).square().mean() < 0.2 * windows.var()


def test_a_basis_of_scenes_and_of_motion(recipe: SequencePriorRecipe) -> None:
    """The motion, a hundredth of what scenes differ by, is kept, as it is not without a scene_rank."""
    random = torch.Generator().manual_seed(0)
    scenes = 10 * torch.randn(300, 1, 12, generator=random) @ torch.randn(12, 24, generator=random)
    moves = torch.randn(300, 3, generator=random) @ torch.randn(3, 16 * 24, generator=random)
    moves = moves.view(300, 16, 24) - moves.view(300, 16, 24).mean(1, keepdim=True)
    windows = 1000 + scenes + moves  # no code is negative
    kept = {}
    for scene_rank in (0, 5):
        network = SequencePrior(replace(recipe.network, scene_rank=scene_rank))
        fit_basis(network, windows)
        y = network.coordinates(windows)
        torch.testing.assert_close(y.square().mean(0), network.variance, rtol=1e-2, atol=1e-5)
        rebuilt = network.codes(network.expand(y))
        lost = (rebuilt - rebuilt.mean(1, keepdim=True)) - moves
        kept[scene_rank] = 1 - (lost.square().sum() / moves.square().sum()).item()
    assert kept[0] < 0.1 and kept[5] > 0.99


def test_a_basis_of_more_directions_than_there_are_is_refused(recipe: SequencePriorRecipe) -> None:
    for distinct in (5, 8):
        some = torch.rand(distinct, 16, 24)
        windows = torch.cat([some, some - 2 * (some - some.mean((0, 1)))])  # as many again, in the same directions
        network = SequencePrior(replace(recipe.network, rank=distinct + 1))
        with pytest.raises(StganError, match=f"fewer directions than the {distinct + 1} that") as caught:
            fit_basis(network, windows)
        assert "\n" not in str(caught.value)
        fit_basis(SequencePrior(replace(recipe.network, rank=distinct)), windows)


def test_it_learns_how_codes_follow_each_other(
    recipe: SequencePriorRecipe, encoder: Encoder, data: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    network = replace(recipe.network, width=32, dropout=0.0)
    longer = replace(recipe, network=network, steps=200, learning_rate=0.01, ema=0.9)
    unseen = data.select([number % 3 == 2 for number in range(9)])
    seen = data.select([number % 3 != 2 for number in range(9)])
    prior, run = train_sequence_prior(longer, encoder, seen, unseen, Workspace(fabric, tmp_path))
    assert run.step == 200 and not any(module.training for module in prior.modules())
    log = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    assert log["denoising"][-1] < log["denoising"][0]
    validation = np.genfromtxt(tmp_path / "validation.csv", delimiter=",", names=True)
    assert len(validation) == 10 and np.isfinite(validation["denoising"]).all()

    windows, clips = draw_windows(code_sequences(encoder, seen, longer), seen, 64, StepRandomness(5, 0))
    clean, actions = prior.coordinates(windows), torch.tensor([seen.labels[clip] for clip in clips])
    sigma, noise = torch.full((64, 1), 1.0), torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    wiener = SequencePrior(network).eval()
    wiener.variance.copy_(prior.variance)

    def loss(denoiser: SequencePrior) -> float:
        return denoising_loss(
            lambda y, s: denoiser.denoise_coordinates(y, s, actions), clean, sigma, noise
        ).item()  # fmt: skip

    with torch.no_grad():
        assert loss(prior) < 0.9 * loss(wiener)


def test_what_it_works_in_is_not_learned(
    recipe: SequencePriorRecipe, encoder: Encoder, data: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    nothing = data.select([False] * 9)
    prior, _ = train_sequence_prior(replace(recipe, steps=20), encoder, data, nothing, Workspace(fabric, tmp_path))
    fitted = SequencePrior(recipe.network)
    fit_basis(fitted, draw_windows(code_sequences(encoder, data, recipe), data, 2048, StepRandomness(0, 0))[0])
    for name in ("mean", "unit", "variance", "basis"):
        assert torch.equal(getattr(prior, name), getattr(fitted, name)), name
    gram = prior.basis @ prior.basis.T
    torch.testing.assert_close(gram, torch.eye(8), atol=1e-5, rtol=0)


def test_few_steps_are_timed_of_clips_too_few_for_a_basis(
    recipe: SequencePriorRecipe, encoder: Encoder, data: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    wide = replace(recipe, network=replace(recipe.network, rank=200), copies=1)
    few, nothing = data.select([True] * 3 + [False] * 6), data.select([False] * 9)
    with pytest.raises(StganError, match="fewer directions"):
        train_sequence_prior(wide, encoder, few, nothing, Workspace(fabric, tmp_path))
    _, run = train_sequence_prior(wide, encoder, few, nothing, Workspace(fabric, tmp_path, probe=3))
    assert run.pace.seconds > 0 and run.pace.fed > 0 and not (tmp_path / "log.csv").exists()


@pytest.mark.parametrize(("unconditional", "untouched"), [(1.0, slice(0, 3)), (0.0, slice(3, 4))])
def test_only_what_is_told_is_learned(
    recipe: SequencePriorRecipe,
    encoder: Encoder,
    data: ClipData,
    tmp_path: Path,
    fabric: Fabric,
    unconditional: float,
    untouched: slice,
) -> None:
    changed = replace(recipe, steps=20, unconditional=unconditional, weight_decay=0.0, ema=0.0)
    nothing = data.select([False] * 9)
    prior, _ = train_sequence_prior(changed, encoder, data, nothing, Workspace(fabric, tmp_path))
    torch.manual_seed(changed.seed)
    before, after = SequencePrior(changed.network).action.weight, prior.action.weight
    rows = torch.arange(4)
    assert torch.equal(after[untouched], before[untouched])
    touched = [row for row in rows if row not in rows[untouched]]
    assert all((after[row] - before[row]).abs().max() > 1e-3 for row in touched)


def test_interrupted_training_equals_an_uninterrupted_one(
    recipe: SequencePriorRecipe,
    encoder: Encoder,
    data: ClipData,
    tmp_path: Path,
    fabric: Fabric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorter, nothing = replace(recipe, steps=30), data.select([False] * 9)
    arguments = (shorter, encoder, data, nothing)
    whole, _ = train_sequence_prior(*arguments, Workspace(fabric, tmp_path / "whole"))
    take_step = TrainingRun._take_step

    def interrupted(self: TrainingRun, *rest: object) -> object:
        if self.step == 17:
            os.kill(os.getpid(), signal.SIGINT)
        return take_step(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingRun, "_take_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_sequence_prior(*arguments, Workspace(fabric, tmp_path / "parts"))
    monkeypatch.undo()
    assert torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["step"] == 18
    resumed, run = train_sequence_prior(*arguments, Workspace(fabric, tmp_path / "parts"))
    assert run.step == 30
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_state_for_other_codes_is_set_aside(
    recipe: SequencePriorRecipe,
    encoder: Encoder,
    data: ClipData,
    tmp_path: Path,
    fabric: Fabric,
) -> None:
    shorter, nothing = replace(recipe, steps=20), data.select([False] * 9)
    train_sequence_prior(shorter, encoder, data, nothing, Workspace(fabric, tmp_path))
    before = (tmp_path / "state.pt").read_bytes()
    other = AlexNet(encoder.config).eval()
    train_sequence_prior(shorter, other, data, nothing, Workspace(fabric, tmp_path))
    assert (tmp_path / "state.previous.pt").read_bytes() == before != (tmp_path / "state.pt").read_bytes()
