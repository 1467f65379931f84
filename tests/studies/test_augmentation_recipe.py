"""The recipe of an augmentation experiment: what it says, what replaces it, and what is wrong with it."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from stgan.errors import StganError
from stgan.networks import C3D, R2Plus1D
from stgan.studies.augmentation_recipe import DEFAULT, AugmentationRecipe, load_augmentation_recipe
from stgan.training.finetuning import with_classes, with_new_head
from stgan.training.recipes import parse_overrides


def load(*settings: str) -> AugmentationRecipe:
    return load_augmentation_recipe(DEFAULT, parse_overrides(settings, ("seeds",)))


def test_the_recipe_that_is_used_without_one() -> None:
    recipe = load()
    values = yaml.safe_load(DEFAULT.read_text())
    assert recipe.seeds == tuple(values["seeds"])
    assert recipe.training.iterations == values["training"]["iterations"]
    one, again = recipe.initial.checkpoint(), recipe.initial.checkpoint()
    assert isinstance(one.network, C3D) and one.hash == again.hash
    assert load("initial.seed=1").initial.checkpoint().hash != one.hash
    network = with_new_head(one, with_classes(one, 5), 0)
    assert network.log_probabilities(torch.rand(1, 3, 16, 48, 40)).shape == (1, 5)


def test_weights_are_drawn_without_touching_the_randomness_of_others() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    load().initial.checkpoint()
    assert torch.equal(torch.rand(4), expected)


def test_settings_replace_those_of_the_recipe(tmp_path: Path) -> None:
    before = load()
    after = load("training.every=1", "initial.network.dropout=0.1", "training.augmentation.shift=2", "seeds=[3, 9]")
    assert after.seeds == (3, 9)
    assert (after.training.iterations, after.training.every) == (before.training.iterations, 1)
    assert after.initial.network.dropout == 0.1 and after.initial.network.stages == before.initial.network.stages
    assert after.training.augmentation.shift == 2
    assert after.training.augmentation.brightness == before.training.augmentation.brightness
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({
        "seeds": [7],
        "initial": {
            "architecture": "r2plus1d",
            "network": {"stem": 4, "widths": [4, 8], "preprocessing": {"size": 16}},
        },
    }))  # fmt: skip
    recipe = load_augmentation_recipe(own)
    assert recipe.seeds == (7,) and recipe.training.iterations == 5000
    assert isinstance(recipe.initial.checkpoint().network, R2Plus1D)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("judge.name=c3d", "judge: unknown name; known are initial, training, seeds"),
        ("seeds.a=1", "seeds: must be a list"),
        ("initial.architecture=c4d", "one of lrcn, c3d, r2plus1d, temporal_stream, tcn, not 'c4d'"),
        ("initial.architecture=[c3d]", "architecture must be one of"),
        ("initial.network=c3d", "initial.network: must hold names and values"),
        ("initial.network.depth=3", "initial.network.depth: unknown name"),
        ("initial.seed=-1", "initial.seed: must be at least 0"),
        ("training.zoom=2", "training.zoom: unknown name"),
        ("training.iterations=7", "multiple of every"),
        ("training.learning_rate=1e-3", "has to be written 1.0e-3"),
        ("training.learning_rate=0", "learning_rate: must be at least"),
        ("training.head_learning_rate=-1.0", "head_learning_rate: must be at least"),
        ("training.head_learning_rate=.nan", "a finite number"),
        ("training.weight_decay=-1", "weight_decay: must be at least 0"),
        ("training.batch_size=0", "batch_size: must be at least 1, not '0'"),
        ("training.windows=10000000000", "windows: must be at most 100000"),
        ("training.windows=0", "windows: must be at least 1"),
        ("training.crop=0.9", "crop: must be at least 1"),
        ("training.real_share=1.0", "real_share: must be below 1"),
        ("training.real_share=0.999", "has no clips of one kind"),
        ("training.in_view=1", "in_view: must be true or false"),
        ("training.schedule=linear", "schedule: must be 'constant' or 'one_cycle'"),
        ("training.max_norm=-1.0", "max_norm: must be at least 0"),
        ("training.label_smoothing=1.5", "label_smoothing: must be at most 0.99"),
        ("training.stop_on=luck", "stop_on: must be 'validation' or 'test'"),
        ("training.validation_share=1.0", "validation_share: must be below 1"),
        ("training.augmentation=none", "training.augmentation: must hold names and values"),
        ("training.augmentation.mirror=2", "training.augmentation.mirror: must be at most 1"),
        ("training.augmentation.flip=1", "training.augmentation.flip: unknown name"),
    ],
)
def test_wrong_settings(setting: str, message: str) -> None:
    with pytest.raises(StganError) as caught:
        load(setting)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "seeds", [[], [0, 0], [1.5], [True], [-1], 3, "0", [1 << 62] * 2, list(range(1001)), [None], {"a": 1}]
)
def test_seeds_that_are_none(seeds: Any, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"seeds": seeds}))
    with pytest.raises(StganError, match="seeds"):
        load_augmentation_recipe(tmp_path / "r.yaml")


@pytest.mark.parametrize("values", [{"initial": None}, {"initial": [1]}, {"training": 5}, {"training": None}])
def test_sections_that_hold_nothing(values: Any, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(StganError, match="must hold names and values"):
        load_augmentation_recipe(tmp_path / "r.yaml")
    with pytest.raises(StganError, match="cannot be read"):
        load_augmentation_recipe(tmp_path / "gone.yaml")
    with pytest.raises(StganError, match="not a regular file"):
        load_augmentation_recipe(Path("/dev/zero"))


@pytest.mark.parametrize("setting", [
    "preprocessing.size=2", "preprocessing.size=null", "preprocessing.size=1000000", "stages=[]", "stages=[[0]]",
    "frames=1", "hidden_sizes=[-3]", "dropout=7",
])  # fmt: skip
def test_networks_that_do_not_work(setting: str) -> None:
    with pytest.raises(StganError) as caught:
        load(f"initial.network.{setting}").initial.checkpoint()
    assert "\n" not in str(caught.value)
