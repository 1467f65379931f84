"""Settings of the encoder's and the generator's training do what they say, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from stgan.networks import AlexNet, Discriminator, ImageGenerator
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

    def train(folder: Path | None = None, **changes: Any) -> tuple[TrainingRun, np.ndarray]:
        folder = folder or tmp_path / str(len(list(tmp_path.iterdir())))
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


def test_noise_is_measured_in_each_codes_deviation(
    generator: Train, short: Recipes, data: ClipData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    forward = ImageGenerator.forward

    def spied(self: ImageGenerator, codes: torch.Tensor) -> torch.Tensor:
        if len(codes) == short.generator.batch_size:  # pictures are of other numbers of frames
            seen.append(codes.detach())
        return forward(self, codes)

    monkeypatch.setattr(ImageGenerator, "forward", spied)
    for noise in (0.0, 0.3):
        generator(code_noise=noise)
    plain, noisy = torch.cat(seen).chunk(2)
    untouched = ((plain > 0) & (noisy > 0)).all(0)  # by the end of the range, which is 0
    torch.manual_seed(0)
    encoder = AlexNet(short.encoder.network).eval()
    with torch.no_grad():
        deviation = torch.cat([encoder(images) for images, _ in data.frame_batches()]).std(0)
    assert untouched.sum() > 3 and noisy.min() == 0
    torch.testing.assert_close((noisy - plain).std(0)[untouched], 0.3 * deviation[untouched], rtol=0.2, atol=0)


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


def test_weights_of_pixels_in_the_image_loss() -> None:
    rng = np.random.default_rng(0)
    real, fake, weights = rng.random((2, 3, 4, 5)), rng.random((2, 3, 4, 5)), rng.random((2, 1, 4, 5))
    expected = sum((weights[n, 0] * (fake[n, c] - real[n, c]) ** 2).sum() for n in range(2) for c in range(3)) / 2
    found = losses.image_loss(*(torch.tensor(array) for array in (fake, real, weights)))
    assert found.item() == pytest.approx(expected)
