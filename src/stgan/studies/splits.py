"""The split of real clips: which train, which decide where to stop, and which test."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from stgan.errors import StganError
from stgan.names import quoted
from stgan.training.clip_data import group_of
from stgan.training.finetuning import FinetuningRecipe
from stgan.video import ClipFile

_HELD_OUT = 3  # part of the seed, so that this draw differs from those of epochs and steps


def split_by_groups(
    clips: Sequence[ClipFile], train: Collection[str], validation: Collection[str] = ()
) -> tuple[ClipFile, ...]:
    """The same clips with splits by their groups (actors): "train", "val", and "test" for all other groups.

    Raises:
        StganError: a group is named for both or unknown, a clip has none, or no group is left to test on.
    """
    known = {clip.group for clip in clips}
    both = sorted(set(train) & set(validation))
    if both:
        raise StganError(f"{quoted(both[0])} cannot both train and validate; leave it out of one")
    for group in (*train, *validation):
        if group not in known:
            there = ", ".join(sorted(filter(None, known))) or "none"
            raise StganError(f"there is no group {quoted(group)} among these clips: they have {there}")
    alone = next((clip for clip in clips if clip.group is None), None)
    if alone is not None:
        raise StganError(
            f"the group of {quoted(alone.path)} is unknown, so the clip has no split; leave it out or give its group"
        )
    if known <= {*train, *validation}:
        raise StganError("no group is left to test on; train or validate on fewer")
    sides = {**dict.fromkeys(train, "train"), **dict.fromkeys(validation, "val")}
    return tuple(replace(clip, split=sides.get(str(clip.group), "test")) for clip in clips)


def hold_out(
    clips: Sequence[ClipFile], share: float, seed: int, among: Collection[str] | None = None
) -> tuple[tuple[ClipFile, ...], tuple[ClipFile, ...]]:
    """(the other clips, clips of held-out groups). Whole groups are held out, about `share` of each action's clips.

    Groups are tried in random order. A group is held out if all its actions need more held-out clips, and each has
    another group left.

    among: the groups that may be held out, by `group_of`, so that some actions may get none; None for any.
    """
    groups: dict[str, Counter[str]] = {}
    for clip in clips:
        groups.setdefault(group_of(clip), Counter())[clip.label] += 1
    total = Counter(clip.label for clip in clips)
    left = Counter(label for labels in groups.values() for label in labels)  # groups of each action that stay
    held: Counter[str] = Counter()
    out = set()
    for i in np.random.default_rng((seed, 0, _HELD_OUT)).permutation(len(groups)):
        name = sorted(groups)[i]
        if among is not None and name not in among:
            continue
        if all(held[label] < share * total[label] and left[label] > 1 for label in groups[name]):
            out.add(name)
            held += groups[name]
            left -= Counter(dict.fromkeys(groups[name], 1))
    return (
        tuple(clip for clip in clips if group_of(clip) not in out),
        tuple(clip for clip in clips if group_of(clip) in out),
    )


def sides_of(
    real: Sequence[ClipFile], recipe: FinetuningRecipe, unseen: Collection[str] | None = None
) -> tuple[tuple[ClipFile, ...], tuple[ClipFile, ...], tuple[ClipFile, ...]]:
    """Training, validation and test clips, by their splits.

    If the recipe stops on validation clips and there are none, groups of the training clips are held out for this.

    unseen: the groups that may be held out, because no network behind the generated clips has seen them; None for any.

    Raises:
        StganError: one of the three would be empty.
    """
    train, validation, test = (tuple(clip for clip in real if clip.split == name) for name in ("train", "val", "test"))
    if recipe.stop_on == "validation" and not validation:
        train, validation = hold_out(train, recipe.validation_share, recipe.seed, unseen)
    for clips, what in ((train, "to train on"), (test, "to test on")):
        if not clips:
            raise StganError(f"there is no real clip {what}; give clips with the splits train and test, or name groups")
    if recipe.stop_on == "validation" and not validation:
        why = "every action has only one group"
        if unseen is not None:
            why = "the groups that no network behind generated clips has seen are the only ones of an action"
        raise StganError(
            f"no clip can be held out to choose where to stop, since {why}; give clips with the split val, or stop on "
            "the test clips as the paper did"
        )
    return train, validation, test
