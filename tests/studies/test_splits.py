"""Which clips train, validate and test: by groups, by shares, and by the splits that they come with."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stgan.errors import StganError
from stgan.studies.splits import hold_out, sides_of, split_by_groups
from stgan.training.finetuning import FinetuningRecipe
from stgan.video import ClipFile

ACTORS = "abcdef"
RECIPE = FinetuningRecipe(validation_share=0.3)


def clips_of(groups: list[str | None], split: str | None = None) -> tuple[ClipFile, ...]:
    """A clip of each group, of two actions in turn."""
    return tuple(ClipFile(Path(f"{i}.mp4"), f"action{i % 2}", group, split) for i, group in enumerate(groups))


groups = st.lists(st.sampled_from(ACTORS), min_size=1, max_size=12)


@given(groups, st.sets(st.sampled_from(ACTORS), max_size=4), st.sets(st.sampled_from(ACTORS), max_size=2))
def test_groups_are_put_on_sides(groups: list[str], train: set[str], validation: set[str]) -> None:
    clips = clips_of(groups)  # type: ignore[arg-type]
    if train & validation or not train | validation < {*groups}:
        with pytest.raises(StganError) as caught:
            split_by_groups(clips, train, validation)
        assert "\n" not in str(caught.value)
        return
    found = split_by_groups(clips, train, validation)
    assert [replace(clip, split=None) for clip in found] == list(clips)
    expected = {group: "train" if group in train else "val" if group in validation else "test" for group in ACTORS}
    assert [clip.split for clip in found] == [expected[group] for group in groups]
    if train:  # what was put on sides stays there
        sides = sides_of(found, replace(RECIPE, stop_on="validation" if validation else "test"))
        assert [{clip.split for clip in side} for side in sides] == [
            {"train"},
            {"val"} if validation else set(),
            {"test"},
        ]


@pytest.mark.parametrize(
    ("groups", "train", "validation", "message"),
    [
        ("abc", "a", "a", "'a' cannot both train and validate"),
        ("abc", "ax", "b", "no group 'x' among these clips: they have a, b, c"),
        ("abc", "a", "y", "no group 'y'"),
        ("abc", "ac", "b", "no group is left to test on"),
        (["a", None], "a", "", r"the group of '1\.mp4' is unknown"),
        ([None], "a", "", "they have none"),
    ],
)
def test_sides_that_cannot_be(groups: list[str | None], train: str, validation: str, message: str) -> None:
    with pytest.raises(StganError, match=message):
        split_by_groups(clips_of(list(groups)), [*train], [*validation])


@given(groups, st.integers(0, 9))
def test_clips_without_a_validation_split_lend_some(groups: list[str], seed: int) -> None:
    train, test = clips_of(groups, "train"), clips_of(["z"], "test")  # type: ignore[arg-type]
    several = Counter(label for label, _ in {(clip.label, clip.group) for clip in train})
    assume(max(several.values()) > 1)
    recipe = replace(RECIPE, seed=seed)
    lent = {clip.group for clip in hold_out(train, 0.3, seed, {"a"})[1]}
    assert lent <= {"a"} and not hold_out(train, 0.3, seed, ())[1]
    if lent:
        assert sides_of((*train, *test), recipe, {"a"})[1] == tuple(clip for clip in train if clip.group == "a")
    try:
        sides = sides_of((*train, *test), recipe)
    except StganError as error:  # every group is some action's only one
        assert "only one group" in str(error)
        assert not hold_out(train, 0.3, seed)[1]
        return
    assert sides == (*hold_out(train, 0.3, seed), test)
    assert sides_of((*train, *test), replace(recipe, stop_on="test")) == (train, (), test)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (["train", "train"], "no real clip to test on"),
        (["test", "val"], "no real clip to train on"),
        ([None, None], "give clips with the splits train and test"),
        (["train", "test"], "only one group"),
    ],
)
def test_splits_that_lack_a_side(splits: list[str | None], message: str) -> None:
    clips = [replace(clip, split=split) for clip, split in zip(clips_of(["a", "b"]), splits, strict=True)]
    with pytest.raises(StganError, match=message):
        sides_of(clips, RECIPE)


@given(
    groups=st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 2), min_size=1, max_size=6)), max_size=12),
    share=st.floats(0.05, 0.9),
    seed=st.integers(0, 9),
)
def test_held_out_groups(groups: list[tuple[int, list[int]]], share: float, seed: int) -> None:
    clips = [
        ClipFile(Path(f"{number}_{i}.mp4"), f"action{label}", f"group{number}" if kind else None)
        for number, (kind, labels) in enumerate(groups)
        for i, label in enumerate(labels)
    ]
    rest, held = hold_out(clips, share, seed)
    assert sorted((*rest, *held), key=str) == sorted(clips, key=str)
    assert not {clip.group for clip in rest} & {clip.group for clip in held} - {None}
    assert {clip.label for clip in rest} == {clip.label for clip in clips}
    assert hold_out(clips[::-1], share, seed)[1] == held[::-1]
    total, most = Counter(clip.label for clip in clips), Counter(clip.label for clip in held)
    assert all(most[label] < share * total[label] + max(len(labels) for _, labels in groups) for label in most)


def test_about_the_share_is_held_out_of_every_action() -> None:
    clips = [
        ClipFile(Path(f"{label}{group}_{i}.mp4"), f"a{label}", f"a{label}_g{group}")
        for label in range(20) for group in range(18) for i in range(4 + group % 4)
    ]  # fmt: skip
    held = Counter(clip.label for clip in hold_out(clips, 0.1, 0)[1])
    total = Counter(clip.label for clip in clips)
    assert held.keys() == total.keys() and all(0.1 <= held[label] / total[label] < 0.2 for label in total)
