"""Every stage on clips made in the test: it learns, resumes exactly, and leaves a model that generates."""

import json
from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning_fabric import Fabric

from stgan import STGAN
from stgan.errors import StganError
from stgan.training import classifier as classifier_training
from stgan.training import generator as generator_training
from stgan.training.classifier import Verdicts, train_classifier, wilson_interval
from stgan.training.data import Augmentation, ClipData, gaussian_blur
from stgan.training.model import ModelTraining
from stgan.training.recipes import load_classifier_recipe, load_encoder_recipe
from stgan.training.run import TrainingRun
from stgan.video import find_clips

PIXELS = {"size": 16, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
UNITS = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
FRAME = {
    "channels": [6, 6, 6, 6, 6],
    "kernels": [3] * 5,
    "strides": [1] * 5,
    "paddings": [1] * 5,
    "groups": [1] * 5,
    "code_size": 24,
    "response_norm": False,
    "batch_norm": True,
    "preprocessing": PIXELS,
}
GENERATOR = {"code_size": 24, "hidden_size": 32, "base_channels": 16, "stages": [[16, 8]], "preprocessing": UNITS}
RECIPES = {
    "model": {
        "name": "squares",
        "description": "moving squares",
        "citation": "made here",
        "size": 16,
        "frames": 16,
        "condition": ["c3d"],
        "evaluators": ["evaluator"],
    },
    "encoder": {"network": FRAME, "decoder": GENERATOR, "steps": 30, "batch_size": 16},
    "code_prior": {
        "network": {"code_size": 24, "rank": 8, "appearance_rank": 3, "width": 24, "depth": 1},
        "steps": 60,
        "batch_size": 64,
    },
    "generator": {
        "network": GENERATOR,
        "discriminator": {
            "channels": [4, 4],
            "kernels": [3, 3],
            "strides": [2, 1],
            "code_size": 24,
            "code_layers": [8, 8],
            "hidden_size": 8,
            "preprocessing": PIXELS,
        },
        "steps": 40,
        "batch_size": 12,
    },
    "c3d": {
        "architecture": "c3d",
        "network": {
            "stages": [[6], [12]],
            "hidden_sizes": [16],
            "pad_last_pool": False,
            "batch_norm": True,
            "dropout": 0.1,
            "preprocessing": PIXELS,
        },
        "augmentation": {"mirror": 0.0, "shift": 1, "blur": 0.3},
        "steps": 60,
        "batch_size": 9,
        "learning_rate": 0.01,
        "folds": [["clip0"]],
    },
    "evaluator": {
        "architecture": "r2plus1d",
        "network": {"stem": 4, "widths": [4, 8], "preprocessing": PIXELS},
        "augmentation": {"mirror": 0.0},
        "steps": 20,
        "batch_size": 6,
    },
}


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    for name, values in RECIPES.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values))
    return folder


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="module")
def data(tiny_clips: Path) -> ClipData:
    return ClipData.load(find_clips(tiny_clips), 16)


@pytest.fixture(scope="module")
def trained(tiny_clips: Path, recipes: Path, tmp_path_factory: pytest.TempPathFactory, fabric: Fabric) -> ModelTraining:
    root = tmp_path_factory.mktemp("trained")
    training = ModelTraining(tiny_clips, recipes, root / "model", root / "work", fabric)
    training.train_all()
    return training


def test_training_leaves_a_model_that_generates(trained: ModelTraining) -> None:
    model = STGAN.from_pretrained(trained.out, device="cpu")
    assert model.actions == ("grow", "left", "right")
    assert model.generate("left", iterations=2, condition="c3d").shape == (1, 3, 16, 16, 16)


def test_every_network_has_a_card_and_its_ancestors(trained: ModelTraining) -> None:
    hashes = {stage: trained.train(stage).hash for stage in trained.stages}
    for stage in trained.stages:
        card = (trained.out / stage / "README.md").read_text()
        assert "moving squares" in card and "| steps, seed |" in card
        provenance = json.loads((trained.out / stage / "config.json").read_text())["provenance"]
        assert provenance["data"]["clips"] == 9 and provenance["seconds"] >= 0
    config = json.loads((trained.out / "generator" / "config.json").read_text())
    assert config["provenance"]["ancestors"] == {name: hashes[name] for name in ("encoder", "code_prior")}
    assert "accuracy on unseen groups" in (trained.out / "c3d" / "README.md").read_text()


def test_finished_stages_are_kept_until_their_recipe_changes(
    trained: ModelTraining, tiny_clips: Path, recipes: Path, fabric: Fabric, tmp_path: Path
) -> None:
    before = (trained.out / "c3d" / "model.safetensors").stat().st_mtime_ns
    trained.train("c3d")
    assert (trained.out / "c3d" / "model.safetensors").stat().st_mtime_ns == before
    changed = tmp_path / "recipes"
    changed.mkdir()
    for path in recipes.iterdir():
        (changed / path.name).write_text(path.read_text())
    (changed / "c3d.yaml").write_text(yaml.safe_dump({**RECIPES["c3d"], "steps": 20, "folds": []}))
    ModelTraining(tiny_clips, changed, trained.out, tmp_path / "work", fabric).train("c3d")
    assert (trained.out / "c3d" / "model.safetensors").stat().st_mtime_ns > before


def test_losses_fall(trained: ModelTraining) -> None:
    log = np.genfromtxt(trained.work / "generator" / "log.csv", delimiter=",", names=True)
    assert {"img", "feat", "adv", "code", "discr"} <= set(log.dtype.names)
    assert log["img"][-1] < log["img"][0]
    assert (trained.work / "generator" / "step_000040.png").is_file()


def test_classifier_learns_which_way_a_square_moves(
    recipes: Path, data: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    recipe = load_classifier_recipe(recipes / "c3d.yaml", 3, {"steps": 120})
    network, _ = train_classifier(recipe, data, tmp_path, fabric)
    assert classifier_training.test_classifier(network, data).summary()["accuracy"] >= 8 / 9


def test_interrupted_training_equals_an_uninterrupted_one(
    recipes: Path, data: ClipData, tmp_path: Path, fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_classifier_recipe(recipes / "c3d.yaml", 3, {"steps": 20})
    whole, _ = train_classifier(recipe, data, tmp_path / "whole", fabric)
    windows, calls = ClipData.windows, []

    def interrupted(self: ClipData, *arguments: object) -> object:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return windows(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ClipData, "windows", interrupted)
    monkeypatch.setattr(TrainingRun, "loop", partialmethod(TrainingRun.loop, save_every=0.0))
    with pytest.raises(KeyboardInterrupt):
        train_classifier(recipe, data, tmp_path / "parts", fabric)
    monkeypatch.undo()
    resumed, run = train_classifier(recipe, data, tmp_path / "parts", fabric)
    assert run.step == 20
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_state_of_another_recipe_is_refused(recipes: Path, data: ClipData, tmp_path: Path, fabric: Fabric) -> None:
    (tmp_path / "state.pt").write_bytes(b"not a state")
    recipe = load_classifier_recipe(recipes / "c3d.yaml", 3, {"steps": 20})
    with pytest.raises(StganError, match="cannot resume"):
        train_classifier(recipe, data, tmp_path, fabric)


def test_state_of_other_clips_is_refused(recipes: Path, data: ClipData, tmp_path: Path, fabric: Fabric) -> None:
    recipe = load_classifier_recipe(recipes / "c3d.yaml", 3, {"steps": 20})
    train_classifier(recipe, data, tmp_path, fabric)
    with pytest.raises(StganError, match="other clips"):
        train_classifier(recipe, data.select([True] * 8 + [False]), tmp_path, fabric)
    with pytest.raises(StganError, match="another recipe"):
        train_classifier(replace(recipe, learning_rate=0.5), data, tmp_path, fabric)


def test_loss_that_is_not_finite_stops_the_training(tmp_path: Path, fabric: Fabric) -> None:
    run = TrainingRun(fabric, tmp_path, {}, 0)
    with pytest.raises(StganError, match="not a finite number"):
        run.loop(3, lambda step, rng: {"loss": float("nan")}, description="x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, "unknown setting 'stepz'"),
        ({"steps": 3}, "at least 20"),
        ({"learning_rate": "1e-3"}, "must be a number"),
        ({"held_out": "ira"}, "must be a list"),
        ({"network": {"channelz": [1]}}, "does not describe"),
    ],
)
def test_recipes_with_mistakes(change: dict, message: str, tmp_path: Path) -> None:
    path = tmp_path / "encoder.yaml"
    path.write_text(yaml.safe_dump({**RECIPES["encoder"], **change}))
    with pytest.raises(StganError, match=message):
        load_encoder_recipe(path)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", ""])
def test_recipes_that_are_no_recipes(text: str, tmp_path: Path) -> None:
    path = tmp_path / "encoder.yaml"
    path.write_text(text)
    with pytest.raises(StganError, match=str(path)):
        load_encoder_recipe(path)


def test_losses_are_equations_1_to_5() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.random((2, 3, 4, 4)), rng.random((2, 3, 4, 4))
    expected = sum(((fake[n] - real[n]) ** 2).sum() for n in range(2)) / 2
    for loss in (generator_training.image_loss, generator_training.feature_loss):
        assert loss(torch.tensor(fake), torch.tensor(real)).item() == pytest.approx(expected)
    d_real, d_fake = np.array([0.9, 0.6]), np.array([0.2, 0.4])
    adversarial = generator_training.adversarial_loss(torch.tensor(np.log(d_fake)))
    assert adversarial.item() == pytest.approx(-(np.log(0.2) + np.log(0.4)) / 2)
    discriminator = generator_training.discriminator_loss(
        torch.tensor(np.log(d_real)), torch.tensor(np.log(1 - d_fake))
    )
    assert discriminator.item() == pytest.approx(-(np.log(0.9 * 0.6) + np.log(0.8 * 0.6)) / 2)


def test_groups_are_never_split(data: ClipData) -> None:
    rest, unseen = data.split_groups(["clip1"])
    assert set(unseen.groups) == {"clip1"} and "clip1" not in rest.groups
    assert len(rest.clips) + len(unseen.clips) == len(data.clips)


def test_augmentation_keeps_range_and_shape_and_can_do_nothing() -> None:
    videos = torch.rand(3, 3, 4, 16, 16)
    changed = Augmentation()(videos)
    assert changed.shape == videos.shape and changed.min() >= 0 and changed.max() <= 1
    assert not torch.allclose(changed, videos)
    nothing = replace(
        Augmentation(), mirror=0.0, shift=0, zoom=0.0, brightness=0.0, contrast=0.0, colour=0.0, blur=0.0, noise=0.0
    )
    torch.testing.assert_close(nothing(videos), videos, atol=1e-5, rtol=0)
    mirrored = replace(nothing, mirror=1.0)(videos)
    torch.testing.assert_close(mirrored, videos.flip(-1), atol=1e-5, rtol=0)


def test_blur_is_each_clips_own_and_keeps_the_mean() -> None:
    videos = torch.zeros(2, 3, 2, 15, 15)
    videos[..., 7, 7] = 1
    blurred = gaussian_blur(videos, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(blurred[0], videos[0])
    torch.testing.assert_close(blurred.sum((3, 4)), videos.sum((3, 4)))
    profile = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    profile /= profile.sum()
    np.testing.assert_allclose(blurred[1, 0, 0, 4:11, 4:11].numpy(), np.outer(profile, profile), atol=1e-6)


def test_wilson_interval() -> None:
    low, high = wilson_interval(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert wilson_interval(0, 5)[0] == 0 and wilson_interval(5, 5)[1] == 1
    pooled = Verdicts((0, 1), (0, 0)) + Verdicts((2,), (2,))
    assert pooled.summary()["correct"] == 2 and pooled.summary()["clips"] == 3
