"""Settings of the encoder's and the generator's training do what they say, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from stgan.networks import AlexNet, Discriminator
from stgan.training import losses
from stgan.training.clip_data import ClipData
from stgan.training.encoder_training import train_encoder
from stgan.training.generator_training import train_generator
from stgan.training.recipes import Recipes, load_recipes
from stgan.training.run import TrainingRun, Workspace

Train = Callable[..., tuple[TrainingRun, np.ndarray]]


@pytest.fixture(scope="module")
def short(recipes: Path) -> Recipes:
    """Twenty steps, of which the first and the last are logged."""
    every = load_recipes(recipes, 3)
    return replace(every, encoder=replace(every.encoder, steps=20), generator=replace(every.generator, steps=20))


@pytest.fixture
def generator(short: Recipes, data: ClipData, fabric: Fabric, tmp_path: Path) -> Train:
    """Trains a generator by the recipe with these changes, on untrained codes."""
    torch.manual_seed(0)
    encoder = AlexNet(short.encoder.network).eval()
    nothing = data.select([False] * 9)

    def train(**changes: Any) -> tuple[TrainingRun, np.ndarray]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        recipe = replace(short.generator, **changes)
        _, run = train_generator(recipe, encoder, data, nothing, Workspace(fabric, folder))
        return run, np.genfromtxt(folder / "log.csv", delimiter=",", names=True)

    return train


@pytest.mark.parametrize(("share", "calls"), [(0.0, 40), (0.5, 20)])
def test_the_discriminator_is_left_alone_until_it_is_its_turn(
    generator: Train, monkeypatch: pytest.MonkeyPatch, share: float, calls: int
) -> None:
    asked = []
    log_probability = Discriminator.log_probability

    def counted(self: Discriminator, *arguments: torch.Tensor) -> torch.Tensor:
        asked.append(1)
        return log_probability(self, *arguments)

    monkeypatch.setattr(Discriminator, "log_probability", counted)
    _, log = generator(adversarial_from=share)
    assert len(asked) == calls  # once for the generator's step and once for its own
    assert set(log.dtype.names) == {"step", "seconds", "img", "feat", "adv", "discr", "paused"}
    assert (log["adv"][0] > 0) == (log["discr"][0] > 0) == (share == 0.0)
    assert (log["paused"][0] == 1) == (share > 0.0)


def test_what_moves_counts_more(
    generator: Train, short: Recipes, data: ClipData, fabric: Fabric, tmp_path: Path
) -> None:
    (plain_run, plain), (run, log) = generator(foreground=0.0), generator(foreground=5.0)
    assert plain["img"][0] < log["img"][0] < 6 * plain["img"][0] and plain["feat"][0] == log["feat"][0]
    weights = [each.state["generator"].state_dict() for each in (plain_run, run)]
    assert any(not torch.equal(value, weights[1][name]) for name, value in weights[0].items())

    rows = []
    for foreground in (0.0, 5.0):
        folder = tmp_path / f"encoder{foreground}"
        recipe = replace(short.encoder, foreground=foreground)
        train_encoder(recipe, data, data.select([False] * 9), Workspace(fabric, folder))
        rows.append(np.genfromtxt(folder / "log.csv", delimiter=",", names=True)[0])
    assert rows[0]["image"] < rows[1]["image"] < 6 * rows[0]["image"]
    assert rows[0]["action"] == rows[1]["action"] and rows[0]["clip"] == rows[1]["clip"]


def test_features_of_a_share_of_each_batch(generator: Train, short: Recipes, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(
        "stgan.training.generator_training.feature_loss",
        lambda generated, real: compared.append(len(generated)) or losses.feature_loss(generated, real),
    )
    _, whole = generator()
    _, share = generator(feature_share=0.25)
    assert compared == [12] * 20 + [3] * 20
    assert 0.5 < share["feat"][0] / whole["feat"][0] < 2 and share["img"][0] == whole["img"][0]


def test_frames_are_shifted_as_the_recipes_say(
    generator: Train, short: Recipes, data: ClipData, fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifts = set()
    frames = ClipData.frames

    def spied(self: ClipData, count: int, random: Any, shift: int, foreground: bool) -> Any:
        shifts.add(shift)
        return frames(self, count, random, shift, foreground)

    monkeypatch.setattr(ClipData, "frames", spied)
    generator(shift=2)
    assert shifts == {2}
    nothing = data.select([False] * 9)
    train_encoder(replace(short.encoder, shift=3), data, nothing, Workspace(fabric, tmp_path / "encoder"))
    assert shifts == {2, 3}


def test_noise_on_codes_is_in_units_of_their_deviation(
    generator: Train, fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = 5 + 3 * torch.randn(40, 7)
    deviation = TrainingRun(Workspace(fabric, tmp_path), {}, 0).deviation(codes)
    torch.testing.assert_close(deviation, codes.std(correction=0))
    seen: list[torch.Tensor] = []
    log_probability = Discriminator.log_probability

    def spied(self: Discriminator, images: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        seen.append(codes.detach())
        return log_probability(self, images, codes)

    monkeypatch.setattr(Discriminator, "log_probability", spied)
    for noise in (0.0, 0.2):
        generator(code_noise=noise)
    clean, noisy = seen[0], seen[40]  # of the first steps
    assert noisy.min() >= 0
    kept = (noisy - clean)[clean > clean.std()]  # far from 0, where negative codes end
    assert kept.std() / clean.std(correction=0) == pytest.approx(0.2, rel=0.25)


def test_weights_of_pixels_in_the_image_loss() -> None:
    rng = np.random.default_rng(0)
    real, fake, weights = rng.random((2, 3, 4, 5)), rng.random((2, 3, 4, 5)), rng.random((2, 1, 4, 5))
    expected = sum((weights[n, 0] * (fake[n, c] - real[n, c]) ** 2).sum() for n in range(2) for c in range(3)) / 2
    found = losses.image_loss(*(torch.tensor(array) for array in (fake, real, weights)))
    assert found.item() == pytest.approx(expected)
