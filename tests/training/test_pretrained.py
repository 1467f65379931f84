"""A model whose encoder, LRCN and evaluator start from networks that learned elsewhere, on clips made in the test."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning_fabric import Fabric
from tiny_recipes import GENERATOR

from stgan import STGAN
from stgan.checkpoints import assemble, pretrained
from stgan.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from stgan.checkpoints.pretrained import find_pretrained, freeze
from stgan.errors import StganError
from stgan.networks import AlexNet, AlexNetConfig, EfficientNetLite, EfficientNetLiteConfig, Preprocessing
from stgan.training.classifier_training import train_classifier
from stgan.training.clip_data import ClipData
from stgan.training.consistency import check_recipes
from stgan.training.model import ModelTraining
from stgan.training.recipes import load_recipes
from stgan.training.run import Workspace
from stgan.video import ClipCache, find_clips

FRAME = {"width": 0.25, "stages": 2, "head": False, "grid": 2, "batch_norm": True, "preprocessing": {"size": 16}}


@pytest.fixture(scope="module")
def initial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two networks that share nothing, as checkpoints."""
    folders = {}
    for seed, name in enumerate(("first", "second")):
        torch.manual_seed(seed)
        folders[name] = tmp_path_factory.mktemp(name)
        save_checkpoint(folders[name], EfficientNetLite(EfficientNetLiteConfig(width=0.25, code_size=3)), half=False)
    return folders


@pytest.fixture(scope="module")
def values(recipe_values: dict[str, dict[str, Any]], initial: dict[str, Path]) -> dict[str, dict[str, Any]]:
    first, second = ({"initial": str(initial[name]), "frozen": True} for name in ("first", "second"))
    frame = {**FRAME, "code_size": 24}
    few = {"augmentation": {"mirror": 0.0}, "steps": 20, "batch_size": 6}
    generator = {**recipe_values["generator"], "steps": 20}
    return {
        **recipe_values,
        "model": {**recipe_values["model"], "condition": ["lrcn"], "evaluators": ["evaluator"], "clip_size": 12},
        "encoder": {
            **recipe_values["encoder"],
            "architecture": "efficientnet_lite",
            "network": frame,
            "decoder": {**GENERATOR, "stages": []},
            "steps": 20,
            **first,
        },
        "generator": generator,
        "lrcn": {
            "architecture": "lrcn",
            "network": {"frame": {"architecture": "efficientnet_lite", **frame}, "lstm_size": 8},
            **first,
            **few,
        },
        "evaluator": {
            "architecture": "tcn",
            "network": {"frame": {"architecture": "efficientnet_lite", **frame}, "width": 8},
            "size": 12,
            **second,
            **few,
        },
    }


@pytest.fixture(scope="module")
def recipes(values: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    for name, settings in values.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture(scope="module")
def smaller(tiny_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipData:
    return ClipData.load(find_clips(tiny_clips), ClipCache(tmp_path_factory.mktemp("smaller"), 12))


def test_a_model(
    recipes: Path, data: ClipData, smaller: ClipData, initial: dict[str, Path], tmp_path: Path, fabric: Fabric
) -> None:
    workspace = Workspace(fabric, tmp_path / "work")
    training = ModelTraining(load_recipes(recipes, 3), data, tmp_path / "model", workspace, {12: smaller})
    training.train_all()
    first, second = (load_checkpoint(initial[name]) for name in ("first", "second"))
    encoder, lrcn, evaluator = (load_checkpoint(tmp_path / "model" / name) for name in ("encoder", "lrcn", "evaluator"))
    for checkpoint, network, start in (
        (encoder, encoder.network, first),
        (lrcn, lrcn.network.frame_network, first),
        (evaluator, evaluator.network.frame_network, second),
    ):
        assert start.hash in checkpoint.ancestors.values()
        kept = start.network.blocks[1].project.weight
        torch.testing.assert_close(network.blocks[1].project.weight, kept, rtol=1e-3, atol=1e-6)  # half precision
    assert not set(evaluator.ancestors.values()) & set(lrcn.ancestors.values())
    assert evaluator.provenance["data"]["clips"] == 9
    model = STGAN.from_pretrained(tmp_path / "model", device="cpu")
    assert model.steering().side == 12 and model.image_size == 16
    assert model.generate("left", preset="robust", iterations=2).shape == (1, 3, 16, 12, 12)
    before = (tmp_path / "model" / "lrcn" / "model.safetensors").stat().st_mtime_ns
    training.train("lrcn")
    assert (tmp_path / "model" / "lrcn" / "model.safetensors").stat().st_mtime_ns == before
    gone = initial["first"].rename(tmp_path / "gone")  # a network that is there does not need them any more
    try:
        assert training.train("lrcn").hash == lrcn.hash
    finally:
        gone.rename(initial["first"])
    assemble(tmp_path / "model", "again", evaluators=["evaluator"])
    assert STGAN.from_pretrained(tmp_path / "model", device="cpu").steering().side == 12


def test_other_weights_to_start_from_begin_anew(
    recipes: Path, data: ClipData, initial: dict[str, Path], tmp_path: Path, fabric: Fabric
) -> None:
    """Also where they are in the same place."""
    recipe = load_recipes(recipes, 3).classifiers["lrcn"]
    recipe = replace(recipe, initial=str(tmp_path / "start"))
    kept = []
    for name in ("first", "second"):
        shutil.copytree(initial[name], tmp_path / "start", dirs_exist_ok=True)
        nothing = data.select([False] * len(data.clips))
        network, _ = train_classifier(recipe, data, nothing, Workspace(fabric, tmp_path / "work"))
        kept.append(network.frame_network.blocks[1].project.weight)
    assert not torch.equal(*kept)


def test_frozen_keeps_the_moments_of_batch_normalizations() -> None:
    shape = ((4,) * 5, (5, 3, 3, 3, 3), (2, 1, 1, 1, 1), (0, 1, 1, 1, 1), (1,) * 5)
    encoder = AlexNet(AlexNetConfig(*shape, code_size=6, batch_norm=True, preprocessing=Preprocessing(size=35)))
    freeze(encoder)
    encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder(torch.rand(4, 3, 35, 35))
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"norm6.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert encoder.norm6.training and not encoder.eval().norm6.training


def test_sizes_that_do_not_fit(recipes: Path) -> None:
    crop = {"size": 14, "fit": "crop", "mean": [0.5] * 3, "std": [0.25] * 3}
    cases = {
        "clip_size is 20, but the frames have 16 pixels": {"model": {"clip_size": 20}},
        "smaller than the 14-pixel crop": {"lrcn": {"network": {"frame": {"preprocessing": crop}}}},
        r"architecture must be one of .* not '\[1\]'": {"encoder": {"architecture": [1]}},
    }
    for message, values in cases.items():
        with pytest.raises(StganError, match=message):
            check_recipes(load_recipes(recipes, 3, values))


def test_a_folder_with_the_name_of_known_weights(
    initial: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pretrained, "installed", lambda known: tmp_path / known.file)
    shutil.copytree(initial["first"], "efficientnet-lite0")
    with pytest.raises(StganError, match=r"'efficientnet-lite0' is the encoder of .* './efficientnet-lite0' for that"):
        find_pretrained("efficientnet-lite0")
    assert find_pretrained("./efficientnet-lite0").hash == find_pretrained(str(initial["first"])).hash


def test_not_frozen(recipes: Path, data: ClipData, initial: dict[str, Path], tmp_path: Path, fabric: Fabric) -> None:
    recipe = replace(load_recipes(recipes, 3).classifiers["lrcn"], frozen=False)
    start = load_checkpoint(initial["first"]).network.blocks[1].project.weight
    network, _ = train_classifier(recipe, data, data.select([False] * len(data.clips)), Workspace(fabric, tmp_path))
    assert not torch.equal(network.frame_network.blocks[1].project.weight, start)


def test_what_has_no_frame_network(data: ClipData, recipes: Path, tmp_path: Path, fabric: Fabric) -> None:
    whole = load_recipes(recipes, 3)
    c3d = load_recipes(recipes, 3, {"model": {"condition": ["c3d"]}}).classifiers["c3d"]
    with pytest.raises(StganError, match="a c3d has no frame network"):
        train_classifier(replace(c3d, initial="efficientnet-lite0"), data, data, Workspace(fabric, tmp_path))
    with pytest.raises(StganError, match="architecture must be one of alexnet, efficientnet_lite, not 'vgg'"):
        load_recipes(recipes, 3, {"encoder": {"architecture": "vgg"}})
    with pytest.raises(StganError, match="frozen keeps the weights of initial, but initial is empty"):
        load_recipes(recipes, 3, {"encoder": {"initial": ""}})
    with pytest.raises(StganError, match="clip_size: must be at most 1024"):
        load_recipes(recipes, 3, {"model": {"clip_size": 5000}})
    check_recipes(whole)
