"""Settings of the encoder's and the generator's training do what they say, and nothing else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from stgan.networks import AlexNet, CodePrior, Discriminator, ImageGenerator
from stgan.training import losses
from stgan.training.clip_data import ClipData
from stgan.training.code_prior_training import fit_whitening, frame_codes
from stgan.training.encoder_training import train_encoder
from stgan.training.generator_training import take_first_layers, train_generator
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
    prior = CodePrior(short.code_prior.network).eval()
    fit_whitening(prior, *frame_codes(encoder, data))
    nothing = data.select([False] * 9)

    def train(folder: Path | None = None, **changes: Any) -> tuple[TrainingRun, np.ndarray]:
        folder = folder or tmp_path / str(len(list(tmp_path.iterdir())))
        recipe = replace(short.generator, **changes)
        _, run = train_generator(recipe, encoder, prior, data, nothing, Workspace(fabric, folder))
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


def test_small_frames_first(generator: Train, short: Recipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that begins with them starts where another one of fewer stages ended, but for its last layers."""
    network = replace(short.generator.network, base_size=2, stages=((16, 8), (8,)))
    _, plain_log = generator(network=network)
    run, log = generator(network=network, small_stages=1, small_steps=60, small_batch_size=24)
    small = np.genfromtxt(next(tmp_path.glob("*/small/log.csv")), delimiter=",", names=True)
    assert small["step"][-1] == 60 and small["img"][-1] < small["img"][0]
    assert log["step"][-1] == plain_log["step"][-1] == 20 and log["img"][0] != plain_log["img"][0]
    asked = []
    monkeypatch.setattr("stgan.training.generator_training.frame_codes", lambda *arguments: asked.append(arguments))
    (folder,) = (path.parents[1] for path in tmp_path.glob("*/small/log.csv"))
    first = {name: value.clone() for name, value in run.state["generator"].state_dict().items()}
    again, _ = generator(folder, network=network, small_stages=1, small_steps=60, small_batch_size=24)
    assert not asked  # what is finished is taken as it is
    assert all(torch.equal(value, again.state["generator"].state_dict()[name]) for name, value in first.items())

    torch.manual_seed(0)
    whole = ImageGenerator(network)
    part = ImageGenerator(replace(network, stages=network.stages[:1]))
    last = {name: value.clone() for name, value in whole.named_parameters() if name.startswith(("upconv1", "upconv0"))}
    take_first_layers(whole, part)
    codes = torch.rand(2, network.code_size)
    assert torch.equal(whole.base(codes), part.base(codes))
    assert torch.equal(whole.upconv2.weight, part.upconv1.weight) and torch.equal(whole.conv2.bias, part.conv1.bias)
    assert all(torch.equal(value, whole.get_parameter(name)) for name, value in last.items())


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_layers_that_small_frames_taught_learn_at_their_own_rate(
    generator: Train, short: Recipes, tmp_path: Path, rate: float
) -> None:
    network = replace(short.generator.network, base_size=2, stages=((16, 8), (8,)))
    run, _ = generator(network=network, small_stages=1, small_steps=20, taken_rate=rate)
    small = torch.load(next(tmp_path.glob("*/small/state.pt")), weights_only=True)["state"]["generator"]
    trained = run.state["generator"].state_dict()
    torch.manual_seed(short.generator.seed)
    fresh = ImageGenerator(network).state_dict()
    ours, theirs = ("fc8.weight", "upconv2.weight", "conv2.weight"), ("fc8.weight", "upconv1.weight", "conv1.weight")
    assert all(torch.equal(trained[a], small[b]) == (rate == 0) for a, b in zip(ours, theirs, strict=True))
    assert not torch.equal(trained["upconv1.weight"], fresh["upconv1.weight"])  # these learn at any rate


def test_small_frames_count_in_the_estimate(short: Recipes, data: ClipData, fabric: Fabric, tmp_path: Path) -> None:
    encoder, prior = AlexNet(short.encoder.network).eval(), CodePrior(short.code_prior.network).eval()
    fit_whitening(prior, *frame_codes(encoder, data))
    network = replace(short.generator.network, base_size=2, stages=((16, 8), (8,)))
    seconds = []
    for small_steps in (60, 600_000):  # for twenty steps
        recipe = replace(short.generator, network=network, small_stages=1, small_steps=small_steps)
        workspace = Workspace(fabric, tmp_path, probe=3)
        _, run = train_generator(recipe, encoder, prior, data, data.select([False] * 9), workspace)
        seconds.append(run.pace.seconds)
    assert seconds[1] > 50 * seconds[0] and not list(tmp_path.iterdir())


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


def test_denoising_loss_weighs_every_noise_level_alike() -> None:
    """Karras et al. 2022: where D is as far from w as the noise's own part, 1 whatever the noise level."""
    clean, noise = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    sigma = torch.tensor([0.02, 0.5, 3.0, 20.0], dtype=torch.float64).view(4, 1)
    wide = sigma.view(4, 1, 1)
    off = wide / (1 + wide**2).sqrt()  # the standard deviation of w given w + sigma n, for w from N(0, 1)

    def denoise(noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        torch.testing.assert_close(noisy, clean + wide * noise)
        assert torch.equal(level, sigma)
        return clean - off

    assert losses.denoising_loss(denoise, clean, sigma, noise).item() == pytest.approx(1)
