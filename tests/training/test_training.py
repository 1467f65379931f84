"""Every stage on clips made in the test: it learns, resumes exactly, and leaves a model that generates."""

import json
import math
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from lightning_fabric import Fabric

from stgan import STGAN
from stgan.errors import StganError
from stgan.training import classifier_training, losses
from stgan.training.classifier_training import ClassifierRecipe, Predictions, train_classifier
from stgan.training.clip_data import Augmentation, ClipData, gaussian_blur
from stgan.training.consistency import check_recipes
from stgan.training.estimate import estimate
from stgan.training.interruption import Interruptible
from stgan.training.model import ModelTraining, Roles
from stgan.training.plan import SAMPLES
from stgan.training.recipes import load_recipe, load_recipes, parse_overrides
from stgan.training.run import TrainingRun, Workspace, identity
from stgan.training.step_randomness import StepRandomness


@pytest.fixture(scope="module")
def nothing(data: ClipData) -> ClipData:
    return data.select([False] * 9)


@pytest.fixture(scope="module")
def trained(recipes: Path, data: ClipData, tmp_path_factory: pytest.TempPathFactory, fabric: Fabric) -> ModelTraining:
    root = tmp_path_factory.mktemp("trained")
    training = ModelTraining(load_recipes(recipes, 3), data, root / "model", Workspace(fabric, root / "work"))
    training.train_all()
    return training


def test_training_leaves_a_model_that_generates(trained: ModelTraining) -> None:
    model = STGAN.from_pretrained(trained.out, device="cpu")
    assert model.actions == ("grow", "left", "right")
    for preset in ("motion", "robust"):
        assert model.generate("left", preset=preset, iterations=2, condition="c3d").shape == (1, 3, 16, 16, 16)
    assert model.preset().name == "motion"
    maps = list((trained.workspace.folder / "maps").iterdir())
    assert len(maps) == 2  # of training and of validation clips, for both priors


def test_every_network_has_a_card_and_its_ancestors(trained: ModelTraining) -> None:
    hashes = {stage: trained.train(stage).hash for stage in trained.stages}
    for stage in trained.stages:
        card = (trained.out / stage / "README.md").read_text()
        assert "moving squares" in card and "| steps, seed |" in card
        provenance = json.loads((trained.out / stage / "config.json").read_text())["provenance"]
        assert provenance["data"]["clips"] == 9 and provenance["seconds"] >= 0
    for stage, former, actions in (
        ("generator", ("encoder",), ()),
        ("map_codec", ("encoder",), ()),
        ("clip_prior", ("map_codec",), trained.data.actions),
    ):
        config = json.loads((trained.out / stage / "config.json").read_text())
        assert config["provenance"]["ancestors"] == {name: hashes[name] for name in former}
        assert config["actions"] == list(actions)
    card = (trained.out / "c3d" / "README.md").read_text()
    assert "accuracy on unseen groups" in card and "accuracy on validation clips" in card
    assert "8 to train on, 1 to validate, 0 to test" in card


def test_finished_stages_are_kept_until_their_recipe_changes(
    trained: ModelTraining,
    tiny_clips: Path,
    recipes: Path,
    data: ClipData,
    fabric: Fabric,
    tmp_path: Path,
    recipe_values: dict,
) -> None:
    before = (trained.out / "c3d" / "model.safetensors").stat().st_mtime_ns
    trained.train("c3d")
    assert (trained.out / "c3d" / "model.safetensors").stat().st_mtime_ns == before
    changed = tmp_path / "recipes"
    changed.mkdir()
    for path in recipes.iterdir():
        (changed / path.name).write_text(path.read_text())
    (changed / "c3d.yaml").write_text(yaml.safe_dump({**recipe_values["c3d"], "steps": 20, "folds": []}))
    ModelTraining(load_recipes(changed, 3), data, trained.out, Workspace(fabric, tmp_path / "work")).train("c3d")
    assert (trained.out / "c3d" / "model.safetensors").stat().st_mtime_ns > before


def test_a_finished_stage_is_kept_whatever_settings_came_later(
    trained: ModelTraining, data: ClipData, fabric: Fabric, tmp_path: Path
) -> None:
    """Settings that an older version did not know have the values that it worked with."""
    out = shutil.copytree(trained.out, tmp_path / "model")
    weights = out / "evaluator" / "model.safetensors"
    config = weights.with_name("config.json")
    values = json.loads(config.read_text())
    recipe = values["provenance"]["recipe"]
    assert recipe.pop("folds") == [] and recipe.pop("frozen") is False  # a list in the file, a tuple by default
    del recipe["augmentation"]["noise"], recipe["network"]["preprocessing"]["fit"]
    config.write_text(json.dumps(values))
    time = weights.stat().st_mtime_ns
    again = ModelTraining(trained.recipes, data, out, Workspace(fabric, tmp_path / "work"))
    again.train("evaluator")
    assert weights.stat().st_mtime_ns == time and not (tmp_path / "work").exists()
    recipe["steps"] += 1
    config.write_text(json.dumps(values))
    again.train("evaluator")
    assert weights.stat().st_mtime_ns > time


def test_values_from_a_file_and_by_default_name_the_same_training(recipes: Path) -> None:
    """Lists for tuples and whole numbers for others: what a training is recognised by does not hang on who wrote it."""
    path = recipes / "evaluator.yaml"
    recipe = load_recipe(ClassifierRecipe, path, {}, num_classes=3)
    written = {"folds": [], "augmentation": {"mirror": 0, "contrast": 0.2}, "network": {"preprocessing": {"scale": 1}}}
    assert load_recipe(ClassifierRecipe, path, written, num_classes=3) == recipe
    assert identity(load_recipe(ClassifierRecipe, path, written, num_classes=3), "data") == identity(recipe, "data")
    assert identity(load_recipe(ClassifierRecipe, path, {"steps": 21}, num_classes=3), "data") != identity(
        recipe, "data"
    )


def test_losses_fall(trained: ModelTraining) -> None:
    folder = trained.workspace.folder / "generator"
    log = np.genfromtxt(folder / "log.csv", delimiter=",", names=True)
    assert log["img"][-1] < log["img"][0]
    assert (folder / "step_000040.png").is_file() and list((folder / "tensorboard").iterdir())
    validation = np.genfromtxt(folder / "validation.csv", delimiter=",", names=True)
    assert validation["step"].tolist() == list(range(4, 41, 4)) and np.isfinite(validation["psnr"]).all()


def test_classifier_learns_which_way_a_square_moves(
    recipes: Path, data: ClipData, nothing: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    recipe = load_recipe(ClassifierRecipe, recipes / "c3d.yaml", {"steps": 120}, num_classes=3)
    network, _ = train_classifier(recipe, data, nothing, Workspace(fabric, tmp_path))
    assert classifier_training.test_classifier(network, data).summary()["accuracy"] >= 8 / 9


def test_interrupted_training_equals_an_uninterrupted_one(
    recipes: Path, data: ClipData, nothing: ClipData, tmp_path: Path, fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(ClassifierRecipe, recipes / "c3d.yaml", {"steps": 40}, num_classes=3)
    whole, _ = train_classifier(recipe, data, nothing, Workspace(fabric, tmp_path / "whole"))
    take_step = TrainingRun._take_step

    def interrupted(self: TrainingRun, *arguments: object) -> object:
        if self.step == 25:
            os.kill(os.getpid(), signal.SIGINT)
        return take_step(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingRun, "_take_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_classifier(recipe, data, nothing, Workspace(fabric, tmp_path / "parts"))
    monkeypatch.undo()
    assert torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["step"] == 26  # the step was finished first
    resumed, run = train_classifier(recipe, data, nothing, Workspace(fabric, tmp_path / "parts"))
    assert run.step == 40
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    logs = [
        [row.split(",")[::2] for row in (tmp_path / part / "log.csv").read_text().splitlines()]
        for part in ("whole", "parts")
    ]
    assert logs[0] == logs[1]


def test_piece_by_piece_with_compact_states(
    recipes: Path, data: ClipData, nothing: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    """A deadline that has passed lets one step be taken; the state of each piece is without Adam's moments."""
    recipe = load_recipe(ClassifierRecipe, recipes / "c3d.yaml", {"steps": 20}, num_classes=3)
    sizes = []
    for compact in (False, True):
        workspace = Workspace(fabric, tmp_path / str(compact), deadline=time.monotonic(), compact=compact)
        for step in (1, 2, 3):
            with pytest.raises(KeyboardInterrupt):
                train_classifier(recipe, data, nothing, workspace)
            state = torch.load(workspace.folder / "state.pt", weights_only=True)
            assert state["step"] == step and bool(state["state"]["optimizer"]["state"]) is not compact
        sizes.append((workspace.folder / "state.pt").stat().st_size)
        _, run = train_classifier(recipe, data, nothing, replace(workspace, deadline=math.inf))
        assert run.step == 20
    assert sizes[1] < 0.5 * sizes[0]


def test_ctrl_c_that_is_ignored_stays_ignored() -> None:
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruptible() as interruption:
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN and not interruption.requested
    finally:
        signal.signal(signal.SIGINT, former)


def test_damaged_state_is_refused(
    recipes: Path, data: ClipData, nothing: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    recipe = load_recipe(ClassifierRecipe, recipes / "c3d.yaml", {"steps": 20}, num_classes=3)
    for content in (b"not a state", b"\x80\x02.", b""):
        (tmp_path / "state.pt").write_bytes(content)
        with pytest.raises(StganError, match="cannot resume"):
            train_classifier(recipe, data, nothing, Workspace(fabric, tmp_path))


def test_state_of_another_recipe_or_other_clips_is_set_aside(
    recipes: Path, data: ClipData, nothing: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    recipe = load_recipe(ClassifierRecipe, recipes / "c3d.yaml", {"steps": 20}, num_classes=3)
    _, run = train_classifier(recipe, data, nothing, Workspace(fabric, tmp_path))
    for other, clips in ((replace(recipe, learning_rate=0.5), data), (recipe, data.select([True] * 8 + [False]))):
        before = (tmp_path / "state.pt").read_bytes()
        _, run = train_classifier(other, clips, nothing, Workspace(fabric, tmp_path))
        assert run.step == 20 and (tmp_path / "state.previous.pt").read_bytes() == before
        assert len((tmp_path / "log.csv").read_text().splitlines()) == 3  # of this training alone: a header, 1 and 20


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_what_is_not_finite_stops_the_training_before_the_weights_change(
    bad: str, tmp_path: Path, fabric: Fabric
) -> None:
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    wrapped, optimizer = fabric.setup(network, optimizer)
    before = network.weight.clone()
    run = TrainingRun(Workspace(fabric, tmp_path), {}, 0)

    def step(random: StepRandomness, batch: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        value = wrapped(batch[0])
        loss = (value * float("nan") if bad == "loss" else (value - value.detach()).abs().sqrt()).sum()
        run.update(loss, wrapped, optimizer)
        return {"loss": loss}

    with pytest.raises(StganError, match="not a finite number"):
        run.loop(3, lambda random: (torch.ones(2, 1),), step, description="x")
    assert torch.equal(network.weight, before)


def test_each_process_gets_its_share_of_the_same_batch(data: ClipData) -> None:
    whole = StepRandomness(3, 5)
    frames = data.frames(6, whole, 2)
    noise = whole.normal(6, 2)
    for rank in range(2):
        part = StepRandomness(3, 5, rank, 2)
        mine = slice(3 * rank, 3 * rank + 3)
        for all_rows, rows in zip(frames, data.frames(6, part, 2), strict=True):
            assert torch.equal(all_rows[mine], rows)
        assert torch.equal(noise[mine], part.normal(3, 2))
    windows, _ = data.windows(4, StepRandomness(3, 5))
    assert torch.equal(windows[2:], data.windows(4, StepRandomness(3, 5, 1, 2))[0])


def test_roles_follow_splits_and_held_out_groups(data: ClipData) -> None:
    splits = ["train", "val", "test"] * 3
    roles = Roles.of(replace(data, splits=splits), ("left/clip0", "left/clip2"))
    assert [len(part.clips) for part in (roles.train, roles.validation, roles.test)] == [2, 4, 3]
    assert "left/clip0" in roles.validation.groups and "left/clip2" in roles.test.groups
    every = Roles.of(data, ())
    assert len(every.train.clips) == 9 and not every.validation.clips and not every.test.clips


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["generator.network.code_size=12"], "differ in code_size"),
        (["generator.network.stages=[[16]]", "model.size=32"], "draws frames of 16 pixels"),
        (["c3d.network.frames=8"], "frames is 8"),
        (["temporal_stream.network.frames=8"], "frames is 8"),
        (["generator.discriminator.kernels=[3, 31]"], "generator.discriminator of the recipes does not work"),
        (["encoder.network.strides=[9, 9, 9, 9, 9]"], "encoder.network of the recipes does not work"),
        (["model.evaluators=[c3d]"], "named twice"),
        (["encoder.batch_size=1"], "batch_size: must be at least 2, not '1'"),
        (["model.size=100000"], "size: must be at most 1024"),
        (["model.name=a/b"], "cannot name a folder"),
        (["nothing.steps=30"], "no stage 'nothing'"),
        (["encoder.steps=many"], "encoder.yaml': steps: must be a whole number, not 'many'"),
        (["encoder.steps=30.5"], "steps: must be a whole number, not '30.5'"),
        (["c3d.architecture=[]"], "architecture must be one of lrcn, c3d"),
        (["c3d.augmentation.blur=x"], "augmentation.blur: must be a number, not 'x'"),
        (["c3d.augmentation=[1]"], "augmentation: must hold names"),
        (["c3d.augmentation.noise=.nan"], "augmentation.noise: must be a finite number"),
        (["c3d.label_smoothing=5"], "label_smoothing: must be at most 0.99"),
        (["generator.network.stages=5"], "network.stages: must be a list"),
        (["frame_prior.network.grid=x"], "network.grid: must be a whole number"),
        (["encoder.network.code_size=[24]"], "network.code_size: must be a whole number"),
        (["generator.adversarial_from=1.5"], "adversarial_from: must be at most 1"),
        (["generator.prior_fraction=0.5"], "prior_fraction: unknown name; known are network, "),
        (["generator.feature_share=0.0"], "feature_share: must be above 0"),
        (["generator.steps=3"], "steps: must be at least 20"),
        (["generator.foreground=-1.0"], "foreground: must be at least 0"),
        (["encoder.foreground=x"], "foreground: must be a number"),
        (["encoder.shift=-1"], "shift: must be at least 0"),
        (["map_codec.crop=6"], "multiples of the network's stride"),
        (["map_codec.network.generator.patch=4"], "the encoder's maps have 3 channels and stride 4"),
        (["map_codec.network.encoder.widths=[-4, 8]"], "map_codec.network of the recipes does not work"),
        (["map_codec.discriminator.widths=[4]"], "map_codec.discriminator of the recipes does not work"),
        (["frame_prior.network.grid=8"], "is for maps of 3 channels on 8x8 places, but the map codec makes 3 on 4x4"),
        (["clip_prior.network.channels=4"], "is for maps of 4 channels"),
        (["clip_prior.network.frames=8"], r"cannot set network\.frames: the clips decide it"),
        (["clip_prior.network.widths=[-1]"], "clip_prior.network of the recipes does not work"),
        (["clip_prior.network.dropout=2.0"], "network.dropout: must be at most 1"),
        (["clip_prior.mirror=often"], "mirror: must be true or false, not 'often'"),
        (["clip_prior.mirror=1"], "mirror: must be true or false"),
        (["clip_prior.unconditional=2.0"], "unconditional: must be at most 1"),
        (["clip_prior.copies=0"], "copies: must be at least 1"),
        (["clip_prior.batch_size=1"], "batch_size: must be at least 2"),
        (["encoder.initial.x=1"], "initial: must be text"),
        (["encoder.network.preprocessing.size=big"], "network.preprocessing.size: must be a whole number"),
        (["encoder.decoder.stages=[[16, many]]"], r"decoder.stages\[0\]\[1\]: must be a whole number, not 'many'"),
        (["encoder.network.preprocessing.mean=[0, 0]"], r"network.preprocessing.mean\[2\]: is missing"),
        (["c3d.network.pad_last_pool=often"], "network.pad_last_pool: must be true or false or must be 'after'"),
        (["c3d.folds=[[1]]"], r"folds\[0\]\[0\]: must be text"),
        (["model.condition=c3d"], "condition: must be a list"),
        (["model.size=.inf"], "size: must be a whole number"),
        (["model.minutes=.inf"], "minutes: must be a finite number"),
        (["model.name=2026-01-01"], "JSON cannot hold"),
    ],
)
def test_recipes_that_do_not_fit_are_refused_before_any_training(
    recipes: Path, settings: list[str], message: str
) -> None:
    with pytest.raises(StganError, match=message):
        check_recipes(load_recipes(recipes, 3, parse_overrides(settings)))


def test_settings_replace_parts_of_recipes(recipes: Path) -> None:
    overrides = parse_overrides(["generator.network.hidden_size=40", "c3d.augmentation.blur=0.5", "model.held_out=[a]"])
    changed = load_recipes(recipes, 3, overrides)
    assert changed.generator.network.hidden_size == 40 and changed.generator.network.base_channels == 16
    assert changed.classifiers["c3d"].augmentation.blur == 0.5 and changed.classifiers["c3d"].augmentation.shift == 1
    assert changed.model.held_out == ("a",)


@pytest.mark.parametrize("setting", ["steps=3", "generator.steps", "=3", "generator.=3", "a.b=[", ".b=1"])
def test_settings_with_mistakes(setting: str) -> None:
    with pytest.raises(StganError):
        parse_overrides([setting])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 3}, r"stepz: unknown name \(did you mean steps\?\); known are network, decoder"),
        ({"steps": 3}, "steps: must be at least 20"),
        ({"seed": -1}, "seed: must be at least 0"),
        ({"learning_rate": -1.0}, "learning_rate: must be at least"),
        ({"learning_rate": "1e-3"}, "must be a number, not '1e-3' .* has to be written 1.0e-3"),
        ({"network": {"channelz": [1]}}, r"network.channelz: unknown name \(did you mean channels\?\)"),
        ({"architecture": "efficientnet"}, "one of alexnet, efficientnet_lite, not 'efficientnet'"),
        ({"architecture": "efficientnet_lite", "network": {"width": 5}}, "network.width: must be at most 4"),
    ],
)
def test_recipes_with_mistakes(change: dict, message: str, recipes: Path, tmp_path: Path, recipe_values: dict) -> None:
    folder = shutil.copytree(recipes, tmp_path / "recipes")
    (folder / "encoder.yaml").write_text(yaml.safe_dump({**recipe_values["encoder"], **change}))
    with pytest.raises(StganError, match=message):
        load_recipes(folder, 3)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", ""])
def test_recipes_that_are_no_recipes(text: str, recipes: Path, tmp_path: Path) -> None:
    path = shutil.copytree(recipes, tmp_path / "recipes") / "encoder.yaml"
    path.write_text(text)
    with pytest.raises(StganError, match=str(path)):
        load_recipes(path.parent, 3)


def test_losses_are_equations_1_to_5() -> None:
    rng = np.random.default_rng(0)
    real, fake = rng.random((2, 3, 4, 4)), rng.random((2, 3, 4, 4))
    expected = sum(((fake[n] - real[n]) ** 2).sum() for n in range(2)) / 2
    for loss in (losses.image_loss, losses.feature_loss):
        assert loss(torch.tensor(fake), torch.tensor(real)).item() == pytest.approx(expected)
    d_real, d_fake = np.array([0.9, 0.6]), np.array([0.2, 0.4])
    adversarial = losses.adversarial_loss(torch.tensor(np.log(d_fake)))
    assert adversarial.item() == pytest.approx(-(np.log(0.2) + np.log(0.4)) / 2)
    discriminator = losses.discriminator_loss(torch.tensor(np.log(d_real)), torch.tensor(np.log(1 - d_fake)))
    assert discriminator.item() == pytest.approx(-(np.log(0.9 * 0.6) + np.log(0.8 * 0.6)) / 2)


def test_augmentation_keeps_range_and_shape_and_can_do_nothing() -> None:
    videos = torch.rand(3, 3, 4, 16, 16)
    changed = Augmentation()(videos, StepRandomness(0, 0))
    assert changed.shape == videos.shape and changed.min() >= 0 and changed.max() <= 1
    assert not torch.allclose(changed, videos)
    nothing = replace(
        Augmentation(), mirror=0.0, shift=0, zoom=0.0, brightness=0.0, contrast=0.0, colour=0.0, blur=0.0, noise=0.0
    )
    torch.testing.assert_close(nothing(videos, StepRandomness(0, 0)), videos, atol=1e-5, rtol=0)
    mirrored = replace(nothing, mirror=1.0)(videos, StepRandomness(0, 0))
    torch.testing.assert_close(mirrored, videos.flip(-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("part", ["blur", "noise"])
def test_without_blur_or_noise_all_other_changes_stay_the_same(part: str) -> None:
    videos = torch.rand(4, 3, 5, 16, 16) / 2 + 0.25
    other = "noise" if part == "blur" else "blur"
    for kept in (0.0, getattr(Augmentation(), other)):
        changes = replace(Augmentation(), **{other: kept})
        almost, none = (replace(changes, **{part: value})(videos, StepRandomness(3, 8)) for value in (1e-9, 0.0))
        torch.testing.assert_close(none, almost, atol=1e-6, rtol=0)
        assert not torch.allclose(none, changes(videos, StepRandomness(3, 8)), atol=1e-3)


def test_blur_is_each_clips_own_and_keeps_the_mean() -> None:
    videos = torch.zeros(2, 3, 2, 15, 15)
    videos[..., 7, 7] = 1
    blurred = gaussian_blur(videos, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(blurred[0], videos[0])
    torch.testing.assert_close(blurred.sum((3, 4)), videos.sum((3, 4)))
    profile = np.exp(-0.5 * np.arange(-3, 4) ** 2)
    profile /= profile.sum()
    np.testing.assert_allclose(blurred[1, 0, 0, 4:11, 4:11].numpy(), np.outer(profile, profile), atol=1e-6)


def test_predictions_are_pooled() -> None:
    pooled = Predictions((0, 1), (0, 0)) + Predictions((2,), (2,))
    assert pooled.summary()["correct"] == 2 and pooled.summary()["clips"] == 3


@pytest.mark.slow
def test_the_estimate_counts_more_than_steps(recipes: Path, data: ClipData, tmp_path: Path, fabric: Fabric) -> None:
    folds = ModelTraining(
        load_recipes(recipes, 3, parse_overrides(["evaluator.folds=[[left/clip0], [left/clip1]]", "c3d.folds=[]"])),
        data,
        tmp_path / "model",
        Workspace(fabric, tmp_path / "work"),
    )
    costs = estimate(folds)
    assert list(costs) == [*folds.stages, SAMPLES]
    assert all(cost.step > 0 and cost.other > 0 for stage, cost in costs.items() if stage != SAMPLES)
    assert costs[SAMPLES].step == 0 and costs[SAMPLES].other > 0
    assert not list(tmp_path.rglob("*.*"))  # nothing is kept
