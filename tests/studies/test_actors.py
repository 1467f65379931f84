"""The experiment for several numbers of actors: what its recipe may say, and a small study from clips to record."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from lightning_fabric import Fabric
from tiny_recipes import PIXELS, RECIPES

from stgan.errors import StganError
from stgan.studies.actors import ActorsStudy, load_actors_recipe, read_study
from stgan.studies.augmentation import run_augmentation
from stgan.studies.generating import first_clips
from stgan.studies.provenance import content_hashes, read_networks
from stgan.studies.splits import split_by_groups
from stgan.training.recipes import PARTS, load_recipes, parse_overrides
from stgan.training.run import TrainingRun
from stgan.video import find_clips, write_video

ACTORS = ("ann", "bob", "cleo", "dan")
STUDY = {
    "settings": {"two": ["ann", "bob"], "one": ["ann"]}, "primary": "one", "validation": ["cleo"],
    "num": 2, "preset": "robust", "by": "diversity",
}  # fmt: skip
AUGMENTATION = {
    "seeds": [0, 1],
    "initial": {
        "network": {"stages": [[4], [8]], "hidden_sizes": [8], "pad_last_pool": False, "preprocessing": PIXELS}
    },
    "training": {"iterations": 2, "every": 1, "batch_size": 4, "augmentation": {"shift": 1}},
}
FEW_STEPS = [*PARTS, "c3d", "evaluator"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of each actor for each of two actions: a square that moves left or right."""
    root = tmp_path_factory.mktemp("actors")
    with (root / "clips.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "group"])
        for number, actor in enumerate(ACTORS):
            for label, way in (("left", -1), ("right", 1)):
                frames = np.full((20, 16, 16, 3), 50 + 12 * number, np.uint8)
                for t in range(20):
                    left = (6 if way > 0 else 10) + way * (t // 4)
                    frames[t, 4 + number : 9 + number, left - 4 : left] = 230
                write_video(root / f"{actor}_{label}.mp4", frames)
                table.writerow([f"{actor}_{label}.mp4", label, actor])
    return root


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    model = {**RECIPES["model"], "held_out": [], "evaluators": ["evaluator"]}
    classifier = {name: value for name, value in RECIPES["c3d"].items() if name != "folds"}
    values = {**RECIPES, "model": model, "c3d": classifier, "study": STUDY, "augmentation": AUGMENTATION}
    for name, content in values.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["study.validation=[ann]"], "'ann' cannot both train and validate"),
        (["study.settings.one=[eve]"], "there is no group 'eve' among these clips: they have ann, bob, cleo, dan"),
        (["study.validation=[eve]"], "there is no group 'eve'"),
        (["study.settings.two=[ann, bob, dan]"], "no group is left to test on"),
        (["study.validation=[]"], "validation must name groups"),
        (["study.settings.one=[]"], "must be a list of groups"),
        (["study.settings.one=ann"], "settings.one: must be a list"),
        (["study.settings.one=[3]"], "settings.one[0]: must be text"),
        (["study.settings.a/b=[ann]"], "cannot name a folder"),
        (["study.settings.runs=[ann]"], "'runs' cannot name a folder"),
        (["study.settings=3"], "settings: must hold names"),
        (["study.primary=three"], "the primary setting, 'three', is not among the settings"),
        (["study.by=luck"], "by: must be 'inception', 'confidence' or 'diversity', not 'luck'"),
        (["study.preset=fast"], "preset is one of"),
        (["study.num=0"], "num: must be at least 1"),
        (["study.most=0"], "most: must be at least 1"),
        (["study.evaluator=c3d"], "the evaluator is one of the model's, evaluator, not 'c3d'"),
        (["study.evaluator=evil.py:make"], "one of the model's, evaluator, not 'evil.py:make'"),
        (["study.actors=3"], "actors: unknown name"),
        (["augmentation.seeds=[]"], "seeds must be 1 to 1000 different numbers"),
        (["augmentation.training.crop=0.5"], "crop: must be at least 1"),
        (["augmentation.initial.network.stages=[]"], "does not work"),
    ],
)
def test_what_is_wrong_is_wrong_before_anything_is_trained(
    settings: list[str], message: str, data: Path, recipes: Path, tmp_path: Path, fabric: Fabric
) -> None:
    with pytest.raises(StganError) as caught:
        ActorsStudy(data, recipes, tmp_path / "out", fabric, overrides=parse_overrides(settings))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_results_do_not_go_among_the_clips(data: Path, recipes: Path, fabric: Fabric) -> None:
    with pytest.raises(StganError, match=r"lies in .*; choose a folder apart from the clips"):
        ActorsStudy(data, recipes, data / "out", fabric)
    assert not (data / "out").exists()


def test_the_recipes_that_come_with_the_project() -> None:
    folder = Path(__file__).parents[2] / "recipes" / "augmentation"
    recipe = load_actors_recipe(folder)
    assert recipe.primary in recipe.settings
    assert all(not {*groups} & {*recipe.validation} for groups in recipe.settings.values())
    assert recipe.evaluator in load_recipes(folder, 10).model.evaluators


@pytest.mark.slow
def test_a_study_from_clips_to_record(
    data: Path, recipes: Path, tmp_path: Path, fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    few = parse_overrides([f"{stage}.steps=20" for stage in FEW_STEPS])
    study = ActorsStudy(data, recipes, tmp_path, fabric, overrides=few, say=said.append)
    with pytest.raises(StganError, match="there is no setting 'three'; there are two, one"):
        study.run("three")
    study.run("two")
    assert study.write() is None and not (tmp_path / "study.json").exists()  # the primary one is to come
    study.run("one")
    steps = [f"{name}: {what}" for name in ("two", "one") for what in ("model", "generate", "select", "augment")]
    assert said == steps

    record = json.loads((tmp_path / "study.json").read_text())
    found = read_study(tmp_path / "study.json")
    assert [setting.name for setting in found.settings] == ["two", "one"] and found.primary.name == "one"
    clips = find_clips(data).clips
    content = content_hashes(clips)
    for setting, actors in zip(found.settings, (["ann", "bob"], ["ann"]), strict=True):
        assert setting.actors == len(actors) and setting.result.seeds == (0, 1)
        assert setting.result.groups["train"] == tuple(actors) and setting.result.groups["validation"] == ("cleo",)
        assert setting.result.clips == {
            "train": 2 * len(actors), "validation": 2, "test": 2 * (3 - len(actors)),
        }  # fmt: skip
        assert setting.result.proven and str(tmp_path) not in json.dumps(record)
        saw = sorted(content[clip.path] for clip in clips if clip.group in actors)
        networks = read_networks(tmp_path / setting.name / "selected")
        assert {"generator", "condition network c3d", "selecting evaluator"} <= {each.role for each in networks}
        assert all(sorted(network.seen) == saw for network in networks)

    # The clips of a model that saw two actors are refused where one of them is to judge.
    for validation in ("bob", "cleo"):
        with pytest.raises(StganError, match=r"was trained on '.*/bob_\w+\.mp4', which is held out"):
            run_augmentation(
                study.augmentation.initial.checkpoint(),
                split_by_groups(clips, ["ann"], [validation]),
                first_clips(tmp_path / "two" / "selected", 2),
                study.augmentation.training,
                tmp_path / "refused",
                fabric,
                networks=read_networks(tmp_path / "two" / "selected"),
            )

    def no_step(*arguments: Any) -> None:
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr(TrainingRun, "_take_step", no_step)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/generated/**/*.mp4")}
    for name in ("two", "one"):
        ActorsStudy(data, recipes, tmp_path, fabric, overrides=few, say=said.append).run(name)
    assert made and made == {path: path.stat().st_mtime_ns for path in made}
    again = json.loads((tmp_path / "study.json").read_text())
    assert [each["result"] for each in again["settings"]] == [each["result"] for each in record["settings"]]
