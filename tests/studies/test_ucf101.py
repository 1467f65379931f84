"""The evaluation on UCF-101: a rehearsal of all of it, what a stage needs, and what its recipe may say."""

import json
from pathlib import Path

import pytest
from augmentation_records import experiment
from hypothesis import given
from hypothesis import strategies as st
from manifest_lines import read_lines

from stgan.checkpoints import find_model
from stgan.cli.reproduce import ucf101
from stgan.errors import StganError
from stgan.studies.rehearsal import TREE, rehearsed, write_tree, write_weights
from stgan.studies.ucf101 import STAGES, Reproduction, StageRecord, compare_with_paper, draw_classes
from stgan.studies.ucf101_recipe import DEFAULT, load_recipe
from stgan.training.recipes import parse_overrides
from stgan.video.ucf101_names import CLASSES


@given(st.integers(1, 300), st.integers(0, 1000))
def test_classes_are_drawn_uniformly_and_from_the_seed_alone(num: int, seed: int) -> None:
    counts = draw_classes(CLASSES, num, seed)
    assert sum(counts.values()) == num and counts == draw_classes(CLASSES, num, seed)
    assert set(counts) <= set(CLASSES) and min(counts.values()) >= 1


def test_ten_thousand_videos_are_spread_as_chance_has_it() -> None:
    counts = draw_classes(CLASSES, 10_000, 0)
    expected = 10_000 / 101
    assert len(counts) == 101
    chi_squared = sum((counts[name] - expected) ** 2 / expected for name in CLASSES)
    assert 60 < chi_squared < 150  # 100 degrees of freedom: 99.9 % lie within
    assert counts != draw_classes(CLASSES, 10_000, 1)


def test_the_recipe_beside_the_others_is_the_one_that_the_command_uses() -> None:
    beside = Path(__file__).parents[2] / "recipes" / "ucf101.yaml"
    assert beside.read_bytes() == DEFAULT.read_bytes()
    recipe = load_recipe()
    assert (recipe.generate.num_videos, recipe.generate.iterations, recipe.generate.condition) == (10_000, 100, "lrcn")
    assert recipe.fooled.condition == recipe.score.evaluator and recipe.select.most == 100
    assert recipe.generate.preset == recipe.fooled.preset == "paper" and recipe.augment.batch_size == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["generate.num=5"], "generate.num: unknown name"),
        (["generate.num_videos=many"], "generate.num_videos: must be a whole number"),
        (["score.evaluator=judge"], "'judge', which is not among the weights"),
        (["judge.name=c3d"], "judge: unknown name; known are weights, "),
        (["augment.iterations=7"], "multiple of every"),
        (["weights.a/b={kind: c3d, files: [x]}"], "cannot name a folder"),
        (["generate.num_videos=0"], "generate.num_videos: must be at least 1"),
        (["generate.preset=papers"], "preset is one of"),
        (["select.least=abc"], "select.least: must be a number, not 'abc'"),
        (["select.most=1.5"], "select.most: must be a whole number"),
        (["initial.x=1"], "initial: must be text"),
        (["weights.c3d.files=c3d"], "weights.c3d.files: must be a list"),
        (["weights.c3d.files=[1]"], r"weights.c3d.files\[0\]: must be text"),
        (["weights.c3d=3"], "weights.c3d: must hold names and values"),
        (["data.split=4"], "data.split: must be"),
        (["augment.augmentation.blur=x"], "augment.augmentation.blur: must be a number"),
    ],
)
def test_wrong_settings_are_answered_with_one_sentence(settings: list[str], message: str) -> None:
    with pytest.raises(StganError, match=message) as caught:
        load_recipe(DEFAULT, parse_overrides(settings))
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files of the published formats, and a tree of made clips."""
    root = tmp_path_factory.mktemp("rehearsal")
    write_weights(root / "weights")
    write_tree(root / "data")
    return root


def reproduction(made: Path, out: Path, **changes: object) -> Reproduction:
    settings = [f"{name}={value}" for name, value in changes.items()]
    recipe = rehearsed(load_recipe(DEFAULT, parse_overrides(settings)))
    return Reproduction(recipe, out, data=made / "data", weights=made / "weights", device="cpu", published=TREE)


def test_stages_tell_which_one_they_need(made: Path, tmp_path: Path) -> None:
    work = reproduction(made, tmp_path / "out")
    for stage in STAGES[2:]:
        with pytest.raises(StganError, match=f"stage {stage} needs stage"):
            work.run(stage)
    assert not any(work.is_done(stage) for stage in STAGES)


def test_missing_weights_and_clips_are_named(made: Path, tmp_path: Path) -> None:
    work = reproduction(made, tmp_path / "out")
    work.weights = tmp_path
    with pytest.raises(StganError, match=r"lacks 7 of 7 files.*stgan weights fetch deepsim-fc6.*with a browser lrcn"):
        work.run("weights")
    work.data = None
    with pytest.raises(StganError, match="--data FOLDER"):
        work.run("data")
    (tmp_path / "data").symlink_to(made / "data")
    whole = Reproduction(work.recipe, tmp_path / "out", data=made / "data", weights=tmp_path, device="cpu")
    with pytest.raises(StganError, match=r"not the whole of UCF-101.*data\.incomplete=true"):
        whole.run("data")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_rehearsal_passes_every_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    ucf101(out=out, rehearse=True, device="cpu")
    shown = capsys.readouterr().out
    assert "Remaining stages, on cpu" in shown and "the figures come from untrained networks" in shown
    values = json.loads((out / "results.json").read_text())
    assert values["rehearsal"] and set(values["records"]) == set(STAGES)
    assert [line["published"] for line in values["lines"]] == [23.44, 66.33, 70.07, 0.156, 0.506, 0.522]
    assert all(line["measured"] is not None for line in values["lines"])
    assert [line["fooled"] for line in values["lines"]] == [False, True, False, False, False, False]
    assert find_model(out / "model").actions == CLASSES
    generated, fooled = (read_lines(out / name) for name in ("generated", "fooled"))
    assert len(generated) == 8 and len(fooled) == 4
    assert {name for entry in generated for name in entry["hashes"]["condition"]} == {"lrcn"}
    assert {name for entry in fooled for name in entry["hashes"]["condition"]} == {"c3d"}
    assert values["records"]["generate"]["result"]["size"] == 227
    assert values["records"]["fooled"]["result"]["size"] == 256
    augmented = values["records"]["augment"]["result"]
    (run,) = augmented["runs"]
    assert len({arm["start"] for arm in run["arms"]}) == 1  # the same initial weights
    assert [line["measured"] for line in values["lines"][3:]] == [arm["chosen"]["test"] for arm in run["arms"]]
    assert not augmented["proven"] and augmented["clips"]["test"] == 101
    before = {path: path.stat().st_mtime_ns for path in (out / "records").iterdir() if path.name != "data.json"}
    clips = {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4")}
    ucf101(out=out, rehearse=True, device="cpu")  # nothing is done again
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert clips == {path: path.stat().st_mtime_ns for path in out.rglob("*.mp4")}


def test_lines_without_records_say_what_was_published() -> None:
    lines = compare_with_paper({})
    assert all(line.measured is None for line in lines) and len(lines) == 6
    former = StageRecord("augment", {}, {"arms": [{"name": "real"}]}, 1.0)  # as it was before there were several seeds
    assert compare_with_paper({"augment": former}) == lines
    with pytest.raises(StganError, match="the record of stage score: inception_score"):
        compare_with_paper({"score": StageRecord("score", {}, {"inception_score": 3}, 1.0)})


def test_lines_of_the_augmentation_experiment() -> None:
    result = experiment([(0.25, 0.5, 0.75)])
    lines = compare_with_paper({"augment": StageRecord("augment", {}, result, 1.0)})[3:]
    assert [(line.published, line.measured, line.num) for line in lines] == [
        (0.156, 0.25, 40), (0.506, 0.5, 18), (0.522, 0.75, 58),
    ]  # fmt: skip
    assert all(tuple(line.interval or ()) == (0.0, 1.0) for line in lines)
