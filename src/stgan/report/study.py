"""Clips that fooled a network beside honest ones (the paper's Figure 5), from the folder of a fooling study."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stgan.errors import StganError
from stgan.names import is_file_name, printable
from stgan.report.films import Film, Films, alike, read_clip
from stgan.report.shown import Shown, by_action, shown_clips
from stgan.studies.fooling import FoolingStudy
from stgan.video import VideoError
from stgan.video.strips import Strip, save_strips

_MOST_ACTIONS = 12
_MOST_SETS = 4


@dataclass(frozen=True)
class Share:
    """The share of a set's clips of an action that a judge names as asked; None if it does not know the action."""

    evaluator: str
    fooled: bool
    share: float | None


@dataclass(frozen=True)
class Beside:
    """Clips of one action, one of each set. films: set, film or None, what each judge says of the set's clips."""

    action: str
    films: list[tuple[str, Film | None, list[Share]]]


def clip_sets(folder: Path, study: FoolingStudy) -> dict[str, dict[str, list[Shown]]]:
    """The study's clips: by what steered them, then by action. A set that cannot be read is left out."""
    sets = {}
    for name in study.steered_by[:_MOST_SETS]:
        if is_file_name(name):
            try:
                sets[name] = by_action(shown_clips(folder / name, None))
            except StganError:
                continue
    return sets


def beside_each_other(study: FoolingStudy, sets: Mapping[str, Mapping[str, list[Shown]]], films: Films) -> list[Beside]:
    """For each of the first 12 actions the first clip of every set, with the verdicts on that action's clips."""
    actions = list(dict.fromkeys(action for clips in sets.values() for action in clips))[:_MOST_ACTIONS]
    rows = []
    for action in actions:
        shown = []
        for name, clips in sets.items():
            if action in clips:
                shown.append((name, films.get(clips[action][0].clip), _verdicts(study, name, action)))
        rows.append(Beside(action, shown))
    return rows


def draw_beside(path: Path, sets: Mapping[str, Mapping[str, list[Shown]]]) -> bool:
    """Write the same as strips of eight frames; whether there was anything to draw."""
    labels, clips = [], []
    for action in list(dict.fromkeys(action for found in sets.values() for action in found))[:_MOST_ACTIONS]:
        for name, found in sets.items():
            if action in found:
                try:
                    clips.append(read_clip(found[action][0].path).frames)
                except VideoError:
                    continue
                labels.append(f"{printable(action, 10)} {printable(name, 6)}")
    if clips:
        save_strips(path, [Strip(*pair) for pair in zip(labels, alike(clips), strict=True)], columns=8)
    return bool(clips)


def _verdicts(study: FoolingStudy, clips: str, action: str) -> list[Share]:
    return [
        Share(row.evaluator, row.fooled, row.scores.per_action.get(action)) for row in study.rows if row.clips == clips
    ]
