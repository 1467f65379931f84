"""Clips that fooled a network beside honest ones (the paper's Figure 5), from the folder of a fooling study."""

from collections.abc import Mapping
from pathlib import Path

from stgan.errors import StganError
from stgan.names import is_file_name, printable
from stgan.report.films import alike, read_clip
from stgan.report.shown import Shown, by_action, shown_clips
from stgan.studies.fooling import FoolingStudy
from stgan.video import VideoError
from stgan.video.strips import Strip, save_strips

_MOST_ACTIONS = 12
_MOST_SETS = 4

ClipSets = Mapping[str, Mapping[str, list[Shown]]]
"""The clips of a study: by the name of the network that steered them, then by action."""
Share = tuple[str, bool, float | None]
"""An evaluator, whether it steered the clips, and the share of a set's clips of an action that it recognises. The share
is None if it does not know the action."""


def clip_sets(folder: Path, study: FoolingStudy) -> ClipSets:
    """The first 4 sets of clips of the study in this folder. A set that cannot be read is left out."""
    sets = {}
    for name in study.steered_by[:_MOST_SETS]:
        if is_file_name(name):
            try:
                sets[name] = by_action(shown_clips(folder / name, None, folder))
            except StganError:
                continue
    return sets


def first_clips(study: FoolingStudy, sets: ClipSets) -> list[tuple[str, list[tuple[str, Shown, list[Share]]]]]:
    """For each of the first 12 actions, the first clip of every set and the evaluators' shares of that set.

    Returns:
        (action, [(set, clip, shares)]) of each action.
    """
    return [
        (action, [(name, clip, _shares(study, name, action)) for name, clip in _first(sets, action)])
        for action in _actions(sets)
    ]


def draw_first_clips(path: Path, sets: ClipSets) -> bool:
    """Write the same clips as strips of eight frames. False if there is no clip that can be read."""
    labels, clips = [], []
    for action in _actions(sets):
        for name, clip in _first(sets, action):
            try:
                clips.append(read_clip(clip.clip.source).frames)
            except VideoError:
                continue
            labels.append(f"{printable(action, 10)} {printable(name, 6)}")
    if clips:
        save_strips(path, [Strip(*pair) for pair in zip(labels, alike(clips), strict=True)], columns=8)
    return bool(clips)


def _actions(sets: ClipSets) -> list[str]:
    return list(dict.fromkeys(action for clips in sets.values() for action in clips))[:_MOST_ACTIONS]


def _first(sets: ClipSets, action: str) -> list[tuple[str, Shown]]:
    return [(name, clips[action][0]) for name, clips in sets.items() if action in clips]


def _shares(study: FoolingStudy, clips: str, action: str) -> list[Share]:
    rows = (row for row in study.rows if row.clips == clips)
    return [(row.evaluator, row.fooled, row.scores.per_action.get(action)) for row in rows]
