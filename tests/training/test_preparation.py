"""A plan for somebody's own clips: sizes, what is held out, what is refused, and that it stays the same."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric

from stgan.errors import StganError
from stgan.training.clip_data import group_of
from stgan.training.consistency import check_recipes
from stgan.training.plan import (
    SAMPLES,
    SIZES,
    Cost,
    RecipeValues,
    choose_size,
    choose_validation,
    fit_steps,
    plan_recipes,
    samples_of_each,
    write_recipes,
)
from stgan.training.preparation import Prepared, TrainingOptions, prepare
from stgan.training.recipes import load_recipes, parse_overrides
from stgan.training.run import Workspace
from stgan.video import ClipFile, ClipFolder

NO_WISHES = TrainingOptions()


def prepared(clips: Path, out: Path, fabric: Fabric, options: TrainingOptions = NO_WISHES) -> Prepared:
    return prepare(clips, out, Workspace(fabric, out.parent / "work"), options)


def folder_of(counts: dict[tuple[str, str | None], int], split: str | None = None) -> ClipFolder:
    """So many clips of each (label, group)."""
    files = [
        ClipFile(Path(f"{label}/{group}_{n}.mp4"), label, group, split)
        for (label, group), count in counts.items()
        for n in range(count)
    ]
    return ClipFolder(Path("clips"), tuple(files))


@pytest.mark.parametrize(
    ("sides", "gpu", "size"),
    [([240], False, 64), ([240], True, 128), ([300, 20, 320], True, 256), ([50], True, 32), ([0], False, 32)],
)
def test_size_fits_the_clips_and_the_machine(sides: list[int], gpu: bool, size: int) -> None:
    assert choose_size(sides, gpu) == size


@pytest.mark.parametrize("size", SIZES)
def test_planned_recipes_work_at_every_size(size: int, tmp_path: Path) -> None:
    values = plan_recipes(folder_of({("a", "x"): 5, ("b", "y"): 5}), name="own", size=size)
    write_recipes(tmp_path, values)
    recipes = load_recipes(tmp_path, 2)
    check_recipes(recipes)
    assert recipes.model.size == size and recipes.generator.network.image_size == size
    codec = recipes.map_codec
    assert codec.network.encoder.patch == (2 if size < 128 else 4) and bool(codec.crop) == (size >= 128)
    assert recipes.frame_prior.network.grid == recipes.clip_prior.network.grid == size // codec.network.encoder.stride


groups = st.dictionaries(
    st.tuples(st.sampled_from(["bend", "walk", "wave"]), st.sampled_from([None, *"pqrstuvwxyz"])),
    st.integers(1, 6),
    min_size=1,
)


@given(groups)
def test_no_action_loses_too_much_to_validation(counts: dict[tuple[str, str | None], int]) -> None:
    clips = folder_of(counts)
    held_out = choose_validation(clips)
    assert held_out == choose_validation(replace(clips, clips=clips.clips[::-1]))
    for action in clips.actions:
        own = [clip for clip in clips.clips if clip.label == action]
        kept = [clip for clip in own if group_of(clip) not in held_out]
        assert kept and len(kept) >= 0.6 * len(own)


def test_validation_is_about_a_fifth_and_never_of_the_test_split() -> None:
    clips = folder_of({(label, f"{label}{n}"): 2 for label in "ab" for n in range(20)}, "train")
    held_out = choose_validation(clips)
    assert 6 <= len(held_out) <= 10
    assert choose_validation(folder_of({("a", "x"): 3}, "val")) == ()
    assert choose_validation(folder_of({("a", f"{n}"): 3 for n in range(9)}, "test")) == ()


def test_sides_are_not_mirrored() -> None:
    sides = plan_recipes(folder_of({("turn_left", "x"): 2, ("turn_right", "x"): 2}), name="own", size=64)
    assert sides["frame_prior"]["mirror"] is sides["clip_prior"]["mirror"] is False
    assert sides["c3d"]["augmentation"]["mirror"] == 0 and sides["evaluator"]["augmentation"]["mirror"] == 0
    others = plan_recipes(folder_of({("bright", "x"): 2, ("leftovers", "x"): 2}), name="own", size=64)
    assert "mirror" not in others["frame_prior"] and "mirror" not in others["clip_prior"]
    assert others["evaluator"]["augmentation"].get("mirror") is None and "augmentation" not in others["c3d"]


# The default steps take 60 + 40 seconds, and everything else 20.
VALUES: RecipeValues = {"model": {"size": 32}, "encoder": {"steps": 600}, "c3d": {"steps": 100, "seed": 2}}
COSTS = {"encoder": Cost(0.1, other=5.0), "c3d": Cost(0.4, other=7.0), SAMPLES: Cost(0.0, other=8.0)}


@pytest.mark.parametrize(
    ("minutes", "spent", "kept", "encoder", "c3d"),
    [
        (2.0, 0.0, [], 600, 100),
        (11 / 3, 0.0, [], 1200, 200),
        (11 / 3, 100.0, [], 600, 100),  # the time that is over counts
        (1 / 2, 0.0, [], 60, 10),  # the least: a tenth of the steps, and everything else
        (3.0, 0.0, ["c3d"], 1200, 100),  # the user's own number of steps stays
        (9.0, 0.0, ["c3d", "encoder"], 600, 100),
    ],
)
def test_steps_fit_the_minutes(minutes: float, spent: float, kept: list[str], encoder: int, c3d: int) -> None:
    fitted = fit_steps(VALUES, COSTS, minutes, spent=spent, kept=kept)
    assert fitted == {**VALUES, "encoder": {"steps": encoder}, "c3d": {"steps": c3d, "seed": 2}}


@pytest.mark.parametrize(
    ("minutes", "spent", "kept", "least"),
    [(0.49, 0.0, [], 1), (5.0, 600.0, [], 12), (1.0, 0.0, ["c3d"], 2), (1.9, 0.0, ["c3d", "encoder"], 3)],
)
def test_too_few_minutes_are_refused_with_the_least_that_will_do(
    minutes: float, spent: float, kept: list[str], least: int
) -> None:
    with pytest.raises(StganError, match=rf"--minutes {minutes:g} is too short .* the least is --minutes {least},"):
        fit_steps(VALUES, COSTS, minutes, spent=spent, kept=kept)
    fit_steps(VALUES, COSTS, float(least), spent=spent, kept=kept)


def test_minutes_that_cannot_be_kept_leave_no_plan(
    tiny_clips: Path, fabric: Fabric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, overrides = tmp_path / "own", parse_overrides(["c3d.steps=33"])
    slow = {stage: Cost(1.0, other=60.0) for stage in ("encoder", "clip_prior", "c3d", SAMPLES)}
    monkeypatch.setattr("stgan.training.preparation.estimate", lambda training: slow)
    with pytest.raises(StganError, match="--minutes 5 is too short"):
        prepared(tiny_clips, own, fabric, TrainingOptions(size=32, minutes=5.0, overrides=overrides))
    assert not (own / "recipes").exists()
    done = prepared(tiny_clips, own, fabric, TrainingOptions(size=32, minutes=60.0, overrides=overrides))
    steps = {stage: recipe.steps for stage, recipe in done.training.recipes.stages.items()}
    total = sum(cost.seconds(steps.get(stage, 0)) for stage, cost in slow.items())
    assert steps["c3d"] == 33 and 59 * 60 < total <= 60 * 60 and done.costs == slow


def test_there_are_about_as_many_samples_of_few_actions_as_of_many() -> None:
    assert [samples_of_each(actions) for actions in (2, 4, 10, 101)] == [12, 6, 3, 2]


def test_unseen_clips_are_those_that_are_not_trained_on(tiny_clips: Path, fabric: Fabric, tmp_path: Path) -> None:
    done = prepared(tiny_clips, tmp_path / "own", fabric, TrainingOptions(size=32))
    unseen = done.unseen
    assert len(unseen) == len(done.training.roles.validation.clips) > 0
    assert {group_of(clip) for clip in unseen.clips} == set(done.training.recipe.held_out)
    nothing = TrainingOptions(size=32, overrides=parse_overrides(["model.held_out=[]"]))
    assert len(prepared(tiny_clips, tmp_path / "other", fabric, nothing).unseen) == 9


def test_a_plan_is_written_and_gone_on_with(tiny_clips: Path, fabric: Fabric, tmp_path: Path) -> None:
    options = TrainingOptions(size=32, overrides=parse_overrides(["c3d.steps=33"]))
    first = prepared(tiny_clips, tmp_path / "own", fabric, options).training
    assert first.recipe.size == 32 and first.data.clips[0].shape == (20, 32, 32, 3)
    assert first.recipes.classifiers["c3d"].steps == 33
    model = yaml.safe_load((tmp_path / "own" / "recipes" / "model.yaml").read_text())
    assert model["name"] == "own" and model["held_out"] == list(first.recipe.held_out)
    again = prepared(tiny_clips, tmp_path / "own", fabric, options).training  # the same command
    assert again.recipes == first.recipes
    again = prepared(tiny_clips, tmp_path / "own", fabric).training
    assert again.recipes == first.recipes and again.data.digest == first.data.digest
    prepared(
        tiny_clips, tmp_path / "own", fabric, TrainingOptions(overrides=parse_overrides(["c3d.augmentation.blur=2.0"]))
    )
    changed = prepared(tiny_clips, tmp_path / "own", fabric).training.recipes.classifiers["c3d"]
    assert changed.augmentation.blur == 2.0 and changed.steps == 33


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TrainingOptions(size=64), "contradicts the recipes"),
        (TrainingOptions(minutes=3.0), "for a new plan"),
        (TrainingOptions(encoder=Path("x")), "for a new plan"),
    ],
)
def test_wishes_that_contradict_the_plan(
    options: TrainingOptions, message: str, tiny_clips: Path, fabric: Fabric, tmp_path: Path
) -> None:
    prepared(tiny_clips, tmp_path / "own", fabric, TrainingOptions(size=32))
    with pytest.raises(StganError, match=message):
        prepared(tiny_clips, tmp_path / "own", fabric, options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TrainingOptions(size=50), "--size must be one of"),
        (TrainingOptions(minutes=0.0), "--minutes must be"),
        (TrainingOptions(minutes=float("nan")), "--minutes must be"),
        (TrainingOptions(config=Path("nowhere")), "cannot be read"),
        (TrainingOptions(csv="none.csv"), "no file 'none.csv'"),
        (TrainingOptions(overrides={"c3d": {"folds": [["nobody"]]}}, size=32), "no group of these clips"),
        (TrainingOptions(overrides={"c3d": {"folds": [[]]}}, size=32), "must take away some"),
        (
            TrainingOptions(overrides={"model": {"held_out": [f"left/clip{n}" for n in range(3)]}}, size=32),
            "'left' is left",
        ),
    ],
)
def test_wishes_that_cannot_be_met(
    options: TrainingOptions, message: str, tiny_clips: Path, fabric: Fabric, tmp_path: Path
) -> None:
    with pytest.raises(StganError, match=message):
        prepared(tiny_clips, tmp_path / "own", fabric, options)
    assert not (tmp_path / "own" / "recipes").exists()  # or the wish would stay


def test_an_encoder_that_is_there_is_taken(tiny_clips: Path, tiny_model: Path, fabric: Fabric, tmp_path: Path) -> None:
    training = prepared(
        tiny_clips, tmp_path / "own", fabric, TrainingOptions(size=32, encoder=tiny_model / "encoder")
    ).training
    taken = training.train("encoder")
    assert training.recipes.generator.network.code_size == 12
    assert taken.hash == taken.provenance["ancestors"]["taken from"]
    assert "not trained here" in (tmp_path / "own" / "encoder" / "README.md").read_text()
    with pytest.raises(StganError, match="no encoder"):
        prepared(tiny_clips, tmp_path / "other", fabric, TrainingOptions(size=32, encoder=tiny_model / "lrcn"))


def test_unreadable_clips_are_left_out_and_told_of(tiny_clips: Path, fabric: Fabric, tmp_path: Path) -> None:
    clips = shutil.copytree(tiny_clips, tmp_path / "clips")
    (clips / "left" / "clip0.mp4").write_bytes(b"nothing")
    said: list[str] = []
    out = tmp_path / "own"
    done = prepare(clips, out, Workspace(fabric, tmp_path / "work"), TrainingOptions(size=32), say=said.append)
    assert len(done.training.data.clips) == 8
    assert any("1 clip cannot be read and will be left out" in sentence for sentence in said)
    for path in clips.glob("left/*"):
        path.write_bytes(b"nothing")
    with pytest.raises(StganError, match="left"):
        prepare(clips, out, Workspace(fabric, tmp_path / "work"), TrainingOptions())


def test_a_setting_of_no_stage_writes_no_file(tiny_clips: Path, fabric: Fabric, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("kept: true\n")
    options = TrainingOptions(size=32, overrides={f"{tmp_path}/mine": {"steps": 33}})
    with pytest.raises(StganError, match="no stage"):
        prepared(tiny_clips, tmp_path / "model", fabric, options)
    assert mine.read_text() == "kept: true\n"


@pytest.mark.parametrize("setting", ["lrcn.network.num_classes=2", "lrcn.network.architecture=c3d"])
def test_what_a_network_does_not_decide_is_not_ignored(setting: str, tmp_path: Path) -> None:
    write_recipes(tmp_path, plan_recipes(folder_of({("a", "x"): 5, ("b", "y"): 5}), name="own", size=32))
    with pytest.raises(StganError, match=r"cannot set network\."):
        load_recipes(tmp_path, 2, parse_overrides([setting]))
