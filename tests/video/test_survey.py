"""What is said about a folder of clips before a training."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stgan.records import as_plain
from stgan.video import ClipCache, ClipFile, ClipFolder, find_clips, read_video, write_video
from stgan.video.decoding import ClipFacts
from stgan.video.survey import Survey, survey_clips

Row = tuple[str, str | None, str | None]  # label, group, split


def facts(sha256: str, frames: int = 20, height: int = 48, width: int = 64, fps: float = 25.0) -> ClipFacts:
    return ClipFacts(frames, height, width, fps, sha256)


def survey_of(rows: list[Row], change: Callable[[int], ClipFacts | str] | None = None) -> Survey:
    """A survey of clips that need not exist: `change` gives a clip's facts or why it cannot be read."""
    root = Path("clips")
    clips = tuple(ClipFile(root / row[0] / f"{i}.mp4", *row) for i, row in enumerate(rows))
    found = {clip.path: change(i) if change else facts(str(i)) for i, clip in enumerate(clips)}
    return Survey(
        ClipFolder(root, clips),
        {path: each for path, each in found.items() if isinstance(each, ClipFacts)},
        {path: each for path, each in found.items() if isinstance(each, str)},
    )


def good(amount: int = 6, split: str | None = None) -> list[Row]:
    return [(label, f"actor{i % 3}", split) for label in ("run", "walk") for i in range(amount)]


def only(sentences: list[str]) -> str:
    (sentence,) = sentences
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def test_nothing_to_complain_about() -> None:
    survey = survey_of(good())
    assert survey.problems() == survey.warnings() == []
    assert survey.readable == survey.folder


def test_a_real_survey(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, label in enumerate(["run", "run", "walk"]):
        (tmp_path / label).mkdir(exist_ok=True)
        frames = rng.integers(0, 255, (5 + number, 16, 24, 3), dtype=np.uint8)
        write_video(tmp_path / label / f"{number}.mp4", frames, fps=30.0 if number else 25.0)
    (tmp_path / "walk" / "copy of 2.mp4").write_bytes((tmp_path / "walk" / "2.mp4").read_bytes())
    (tmp_path / "walk" / "broken\n.avi").write_text("no video")
    clips = find_clips(tmp_path)
    for cache in (ClipCache(tmp_path / "cache", 8), None):
        calls: list[tuple[int, int]] = []
        survey = survey_clips(clips, progress=lambda *call: calls.append(call), cache=cache)  # noqa: B023
        assert calls == [(number, 5) for number in range(1, 6)]
        broken = tmp_path / "walk" / "broken\n.avi"
        assert list(survey.unreadable) == [broken] and str(tmp_path) not in survey.unreadable[broken]
        assert [clip.path for clip in survey.readable.clips] == [c.path for c in clips.clips if c.path != broken]
        assert survey.sizes == {(16, 24): 4} and survey.frame_rates == {30.0: 3, 25.0: 1}
        assert survey.lengths and vars(survey.lengths) == {"min": 5, "median": 6, "max": 7}
        (same,) = survey.duplicates
        assert {clip.path.name for clip in same.clips} == {"2.mp4", "copy of 2.mp4"} and same.across == ("group",)
        assert survey.actions["walk"].clips == 2 and survey.actions["walk"].unreadable == 1
        for path, found in survey.facts.items():
            assert (found.frames, found.height, found.width, 3) == read_video(path).frames.shape
        summary = as_plain(survey.summary())
        assert summary["unreadable"].keys() == {"walk/broken\n.avi"} and str(tmp_path) not in json.dumps(summary)


def test_a_known_survey_is_taken_from_the_cache(
    tmp_path: Path, tiny_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips, cache = find_clips(tiny_clips), ClipCache(tmp_path, 8)
    first = survey_clips(clips, cache=cache)
    monkeypatch.setattr("stgan.video.clip_cache.decode_clip", pytest.fail)
    assert survey_clips(clips, cache=ClipCache(tmp_path, 8)) == first
    assert len(cache.load(first.readable)) == 9


def test_what_makes_a_training_impossible() -> None:
    assert "only one action, 'run'" in only(survey_of(good()[:6]).problems())
    assert "none of the 12 clips can be read; the first: broken 0." in only(
        survey_of(good(), lambda i: f"broken {i}.").problems()
    )
    lost = survey_of(good(), lambda i: "broken." if i in (1, 2, 3, 7, 8) else facts(str(i)))
    assert "5 of 12 clips cannot be read, more than a third" in only(lost.problems())
    some = survey_of(good(), lambda i: "broken." if i in (1, 2, 7, 8) else facts(str(i)))
    assert some.problems() == [] and "4 clips cannot be read and will be left out" in some.warnings()[0]
    gone = survey_of([*good(), ("sit", None, None)], lambda i: "broken." if i == 12 else facts(str(i)))
    assert "no readable clip shows sit" in only(gone.problems())
    tested = survey_of([*good(split="train"), ("sit", "actor0", "test"), ("jump", "actor9", "val")])
    assert "no readable clip in the split 'train' shows jump, sit" in only(tested.problems())

    assert "nothing to train on" in only(survey_of(good(split="test")).problems())


def test_few_clips_and_imbalance() -> None:
    rows = good() + [("sit", f"actor{i}", None) for i in range(2)]
    assert "sit (2)" in only(survey_of(rows).warnings())
    assert "'run' has 20 clips to train on and 'sit' only 2" in survey_of(good(20) + rows[12:]).warnings()[1]
    one_group = [(label, "ann" if label == "run" else group, split) for label, group, split in good()]
    assert "all clips of run come from one group" in only(survey_of(one_group).warnings())  # type: ignore[arg-type]


def test_unlike_clips() -> None:
    assert "1 clip (the shortest of 3 frames) of fewer than 16" in only(
        survey_of(good(), lambda i: facts(str(i), frames=20 if i else 3)).warnings()
    )
    assert "25 (11), 29.97 (1)" in only(
        survey_of(good(), lambda i: facts(str(i), fps=25.0 if i else 29.97003)).warnings()
    )
    assert "64x48 (11), 64x40 (1)" in only(
        survey_of(good(), lambda i: facts(str(i), height=48 if i else 40)).warnings()
    )


@pytest.mark.parametrize("fact", ["variable_rate", "interlaced", "stretched", "tilted"])
def test_odd_clips(fact: str) -> None:
    survey = survey_of(good(), lambda i: replace(facts(str(i)), **{fact: i in (3, 5)}))
    assert "2 clips" in (warning := only(survey.warnings())) and "first 'run/3.mp4': " in warning
    assert as_plain(survey.summary())[fact] == 2


def test_clips_with_and_without_a_group() -> None:
    rows = [(label, None if i in (0, 3) else group, split) for i, (label, group, split) in enumerate(good())]
    assert "is given for 2 clips of run, while" in only(survey_of(rows).warnings())  # type: ignore[arg-type]


def test_leaking_groups() -> None:
    rows = [*good(8, "train"), ("run", "actor1", "test"), ("walk", "actor1", "val"), ("run", "dan", "test")]
    survey = survey_of(rows)
    assert survey.leaking_groups == {"actor1": {"train": 6, "test": 1, "val": 1}}
    assert "the splits share 1 group (actor1), 6 clips to train on: scores" in only(survey.warnings())
    clean = [*good(8, "train"), ("run", "dan", "test"), ("walk", "dan", "val")]
    assert survey_of(clean).leaking_groups == {} and survey_of(clean).warnings() == []


def test_duplicates_and_what_they_cross() -> None:
    rows = [*good(6, "train"), ("run", "dan", "test"), ("run", "dan", "test")]

    def across(*same: int) -> Survey:
        return survey_of(rows, lambda i: facts("same" if i in same else str(i)))

    assert across(0, 3).duplicates[0].across == ()
    assert "repeated in 1 clip, first 'run/0.mp4' = 'run/3.mp4'" in only(across(0, 3).warnings())
    assert across(0, 1).duplicates[0].across == ("group",)
    assert "more than one group is given to 1 set" in across(0, 1).warnings()[1]
    assert across(0, 6).duplicates[0].across == ("label",)
    assert "1 set of clips with the same frames, first 'run/0.mp4' (run, walk)" in across(0, 6).warnings()[1]
    leak = across(0, 12)
    assert leak.duplicates[0].across == ("split", "group") and leak.leaking_duplicates == leak.duplicates
    assert "the splits share 1 set of clips with the same frames" in leak.warnings()[2]
    assert across(12, 13).leaking_duplicates == ()
    shape = survey_of(rows, lambda i: facts("same" if i < 2 else str(i), height=24 if i else 48, width=64))
    assert shape.duplicates == ()


groups = st.sampled_from([None, "ann", "bob", "cy"])
one_row = st.tuples(st.sampled_from(["run", "walk", "sit"]), groups, st.sampled_from(["train", "val", "test"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(one_row, min_size=1, max_size=12), st.lists(st.sampled_from(["x", "y", "", "z"]), min_size=12))
def test_every_clip_is_counted_once_whatever_the_folder(rows: list[Row], contents: list[str]) -> None:
    survey = survey_of(rows, lambda i: facts(contents[i]) if contents[i] else "broken.")
    assert len(survey.readable) + len(survey.unreadable) == len(rows)
    assert sum(action.clips for action in survey.actions.values()) == len(survey.readable)
    assert sum(action.unreadable for action in survey.actions.values()) == len(survey.unreadable)
    for counts in (survey.splits, survey.sizes, survey.frame_rates):
        assert sum(counts.values()) == len(survey.readable)
    repeated = [clip.path for duplicate in survey.duplicates for clip in duplicate.clips]
    assert len(set(repeated)) == len(repeated) and set(repeated) <= set(survey.facts)
    assert len({facts.sha256 for facts in survey.facts.values()}) == len(survey.facts) - len(repeated) + len(
        survey.duplicates
    )
    for group, sides in survey.leaking_groups.items():
        for split, count in sides.items():
            own = [c for c in survey.readable.clips if (c.group, c.split) == (group, split)]
            assert len(own) == count > 0
    for sentence in survey.problems() + survey.warnings():
        assert only([sentence])
    as_plain(survey.summary())


@pytest.mark.real
def test_the_official_split_of_jhmdb_leaks_and_the_strict_one_does_not(real_data: Path) -> None:
    official, strict = (find_clips(real_data / "jhmdb", split_column=column) for column in ("split", "strict"))
    made_up = {clip.path: facts(str(clip.path)) for clip in official.clips}
    assert len(Survey(official, made_up, {}).leaking_groups) == 19
    assert "19 groups" in only(Survey(official, made_up, {}).warnings())
    assert Survey(strict, made_up, {}).leaking_groups == {}
