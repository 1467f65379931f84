"""Several generators compared: which clips count, which are paired, and that scores are those of `evaluate`."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from generator_folders import ACTIONS, make_generator
from hypothesis import given
from hypothesis import strategies as st

from stgan.errors import StganError
from stgan.records import as_plain, as_record, write_record
from stgan.scoring import (
    Evaluator,
    GeneratorComparison,
    Judging,
    Protocol,
    Real,
    Rules,
    compare_generators,
    evaluate,
    find_generators,
    folder_clips,
    labelled_clips,
    read_generator_comparison,
)
from stgan.scoring.generator_draws import draw_positions, strata
from stgan.scoring.generators import _matched, _paired
from stgan.video import find_clips


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two alike, a flickering one, and one without a manifest that has more clips."""
    root = tmp_path_factory.mktemp("generators")
    return [
        make_generator(root / "first"),
        make_generator(root / "second"),
        make_generator(root / "flickering", flicker=40),
        make_generator(root / "more", num=5, seed=None),
    ]


@pytest.fixture(scope="module")
def real(tiny_clips: Path) -> Real:
    return Real(labelled_clips(find_clips(tiny_clips)))


@pytest.fixture(scope="module")
def comparison(folders: list[Path], evaluator: Evaluator, real: Real) -> GeneratorComparison:
    return compare_generators(find_generators(folders), Judging(evaluator, real=real), resamples=300)


def test_scores_are_those_of_evaluate(
    comparison: GeneratorComparison, folders: list[Path], evaluator: Evaluator, real: Real
) -> None:
    scores = evaluate(folder_clips(folders[2]), evaluator, real=real)
    found, beside = comparison.generators[2], scores.beside_real
    assert beside is not None and found.name == "flickering" and comparison.num_videos == 12
    for key in (
        "accuracy", "frechet_video_distance", "kernel_video_distance", "diversity", "precision", "recall", "density",
        "coverage", "motion", "flicker", "frozen", "appearance_drift",
    ):  # fmt: skip
        assert found.values[key].value == pytest.approx(getattr(scores, key), rel=1e-12), key
    assert (found.values["accuracy"].low, found.values["accuracy"].high) == scores.accuracy_interval
    inception = found.values["inception_score"]
    assert (inception.value, inception.low, inception.high) == (
        scores.inception_score.mean, scores.inception_score.low, scores.inception_score.high,
    )  # fmt: skip
    for key in ("visible_motion", "held", "diversity", "motion", "flicker", "frozen_clips", "flickering_clips"):
        assert comparison.real[key].value == pytest.approx(beside.values[key].real, rel=1e-12), key
    for each in comparison.generators:
        assert all(e.low <= e.value <= e.high for e in each.values.values() if e.low is not None and e.high is not None)


def test_a_difference_that_exists_is_found_and_no_other(comparison: GeneratorComparison) -> None:
    of = {(each.first, each.second): each for each in comparison.differences if each.metric == "flicker"}
    assert of["first", "flickering"].clear and of["first", "flickering"].better == "first"
    assert not of["first", "second"].clear and of["first", "second"].better is None
    assert comparison.best("flicker") is None  # three are alike
    alone = replace(
        comparison,
        generators=comparison.generators[1:3],
        differences=(of["second", "flickering"],),
    )
    assert alone.best("flicker") == "second" and alone.best("motion") is None


def test_only_clips_of_the_same_numbers_are_paired(comparison: GeneratorComparison) -> None:
    assert [each.drawn_with for each in comparison.generators] == ["first", "first", "first", "more"]
    assert comparison.actions == dict.fromkeys(ACTIONS, 4)
    assert "more: 12 of 15 clips count" in comparison.notes
    assert [each.fooled for each in comparison.generators] == [False, False, False, None]
    first, other = comparison.generators[0].clips, comparison.generators[3].clips
    assert [name.split("/")[0] for name in first] == [name.split("/")[0] for name in other] == list(ACTIONS) * 4


def test_pairing_makes_intervals_of_differences_narrower(
    tmp_path: Path, evaluator: Evaluator, folders: list[Path]
) -> None:
    """Brightness and place of the square are those of the number, and so is the motion."""
    make_generator(tmp_path / "other" / "first", seed=1)  # the same clips, under another seed
    paired = compare_generators(find_generators(folders[:2]), Judging(evaluator))
    apart = compare_generators(find_generators([tmp_path / "other/first", folders[1]]), Judging(evaluator))
    assert [each.drawn_with for each in apart.generators] == ["first", "second"]
    widths = [
        next(each.high - each.low for each in found.differences if each.metric == "motion") for found in (paired, apart)
    ]
    assert widths[0] < widths[1]


def test_the_same_draws_each_time(folders: list[Path], evaluator: Evaluator, comparison: GeneratorComparison) -> None:
    some = find_generators(folders[:2])
    once, again = (compare_generators(some, Judging(evaluator, rules=Rules(num=10)), resamples=50) for _ in range(2))
    assert once == again and once.num_videos == 10 and once.real == {}
    assert "frechet_video_distance" not in once.metrics and once.best("motion") is None
    other = compare_generators(some, Judging(evaluator, rules=Rules(num=10)), resamples=50, seed=1)
    assert other.generators[0].values["motion"] != once.generators[0].values["motion"]


def test_few_clips_have_no_differences(folders: list[Path], evaluator: Evaluator) -> None:
    found = compare_generators(find_generators(folders[:2]), Judging(evaluator, rules=Rules(num=6)))
    assert found.differences == () and found.generators[0].values["motion"].low is not None
    assert found.notes[-1] == "6 clips of each generator are too few to state differences; 10 are needed"


def test_several_windows_splits_and_a_feature_network(
    folders: list[Path], evaluator: Evaluator, real: Real, tiny_model: Path
) -> None:
    judging = Judging(evaluator, replace(evaluator, name="other"), real, Protocol(windows=2), Rules(splits=2))
    found = compare_generators(find_generators(folders[:2]), judging, resamples=20)
    assert (found.feature_network, found.splits) == ("other", 2) and "frechet_video_distance" in found.metrics


def test_clips_whose_numbers_all_have_come_first(tmp_path: Path) -> None:
    whole, part = make_generator(tmp_path / "whole"), make_generator(tmp_path / "part")
    lines = (part / "manifest.jsonl").read_text().splitlines(keepends=True)
    (part / "manifest.jsonl").write_text("".join(line for line in lines if '"index": 1' not in line))
    generators = find_generators([whole, part])
    chosen, _ = _matched(generators, None)
    assert [clip.name for clip in chosen[0]] == [clip.name for clip in chosen[1]] and _paired(chosen) == [
        0,
        0,
    ]
    assert {clip.name[-5] for clip in chosen[0]} == {"0", "2", "3"}


def test_clips_of_unknown_actions_are_one_pool(tmp_path: Path, folders: list[Path], evaluator: Evaluator) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    for path in folders[1].glob("*/*.mp4"):
        os.link(path, loose / path.name)
    found = compare_generators(find_generators([folders[0], loose]), Judging(evaluator), resamples=20)
    assert found.actions == {} and "accuracy" not in found.metrics and found.num_videos == 12
    assert "the actions of some clips are unknown, so no action counts" in found.notes


@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), st.integers(0, 99))
def test_a_draw_holds_as_many_clips_of_each_stratum(labels: list[int], seed: int) -> None:
    labels = sorted(labels)
    among = torch.tensor([sorted(set(labels)).index(label) for label in labels])
    assert (among[draw_positions(among, 5, seed)] == among).all()


def test_actions_with_a_single_clip_are_no_strata(folders: list[Path]) -> None:
    clips = folder_clips(folders[0])
    assert strata(clips).bincount().tolist() == [4, 4, 4] and strata(clips[:4]).tolist() == [0] * 4


def test_a_network_that_steered_names_nobody_better(
    folders: list[Path], evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    steered = replace(evaluator, hash="0" * 64)
    with pytest.raises(StganError, match="'first': evaluator steered these clips"):
        compare_generators(find_generators(folders[:3]), Judging(steered))
    found = compare_generators(find_generators(folders[:3]), Judging(steered, allow_fooled=True))
    assert found.fooled and all(each.fooled for each in found.generators)
    better = {each.metric for each in found.differences if each.better}
    assert better and not better & {"accuracy", "inception_score", "diversity"}


@pytest.mark.parametrize("kind", ["one", "twice", "many", "actions", "unknown", "single", "missing"])
def test_what_cannot_be_compared_is_a_sentence(
    kind: str, folders: list[Path], tmp_path: Path, evaluator: Evaluator
) -> None:
    first, other = folders[0], tmp_path / "other"
    words = {
        "one": "2 to 20 folders can be compared, not 1",
        "twice": "is given twice",
        "many": "2 to 20 folders can be compared, not 21",
        "actions": "no action in common",
        "unknown": "evaluator does not know the action 'swim'; name an --evaluator that does",
        "single": "two clips or more",
        "missing": "is not a folder",
    }
    if kind in ("actions", "unknown", "single"):
        make_generator(other, num=1, actions=("left",) if kind == "single" else ("swim",))
    given = {"one": [first], "twice": [first, first / ".." / first.name], "many": [first] * 21}.get(
        kind, [first, other]
    )
    if kind == "unknown":
        given = [make_generator(tmp_path / "third", actions=("swim",)), other]
        other = make_generator(other, num=2, actions=("swim",))
    with pytest.raises(StganError) as caught:
        compare_generators(find_generators(given), Judging(evaluator))
    assert words[kind] in str(caught.value) and str(caught.value).isprintable()


def test_folders_of_one_name_are_named_by_their_paths(tmp_path: Path) -> None:
    both = [make_generator(tmp_path / place / "clips", num=1) for place in "ab"]
    assert [each.name for each in find_generators(both)] == [str(path) for path in both]


def test_the_record_is_read_back_and_nothing_else(comparison: GeneratorComparison, tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    write_record(path, comparison)
    assert read_generator_comparison(path) == comparison
    plain = as_plain(comparison)
    for wrong in (
        {**plain, "generators": plain["generators"][:1]},
        {**plain, "generators": [plain["generators"][0]] * 2},
        {**plain, "num_videos": 5},
        {**plain, "differences": [{**plain["differences"][0], "first": "nobody"}]},
        {**plain, "format": "x"},
    ):
        with pytest.raises(StganError):
            as_record(GeneratorComparison, wrong, path)
    write_record(path, {**plain, "format": 2})
    with pytest.raises(StganError, match="has format 2, not 1; make it again"):
        read_generator_comparison(path)
