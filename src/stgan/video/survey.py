"""Survey of a folder of clips before training: its contents, unreadable clips, and what would bias the results.

Clips with equal frames are found by their hash. Near-duplicates (another encoding, size or cut) are not found.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import median_low

from stgan.names import printable, quoted
from stgan.records import Count, Text
from stgan.video.clip_cache import ClipCache
from stgan.video.clip_folder import ClipFile, ClipFolder
from stgan.video.decoding import ClipFacts, attempt, in_order, inspect_clip
from stgan.video.io import VideoError

SURVEY = "survey.json"
"""Name of a file with `Survey.summary`."""
TRAIN = "train"
_WINDOW = 16  # frames of the networks' input
_FEW = 5  # clips of an action; fewer give a warning
_IMBALANCE = 10  # ratio of clips of two actions that gives a warning
_TOLERATED = 1 / 3  # fraction of the clips that may be unreadable
_NAMED = 5  # names in a sentence; the others are counted
_ODD = {
    "variable_rate": (
        "the time between frames varies in {}",
        "frames are taken as they are, so the action moves at a varying speed; convert the clips to a constant rate.",
    ),
    "interlaced": (
        "the frames of {} are interlaced",
        "edges that move look like combs; deinterlace the clips.",
    ),
    "stretched": (
        "the pixels of {} are not square",
        "frames are taken as they are stored, so people look too wide or too narrow; scale the clips to square pixels.",
    ),
    "tilted": (
        "players rotate {} by an angle that is no quarter turn",
        "the nearest quarter turn is used; rotate the clips themselves.",
    ),
}
"""Facts of clips that give a warning: what is so in so many clips, and what follows."""


@dataclass(frozen=True)
class Lengths:
    """Frames of the shortest, the median and the longest clip."""

    min: Count
    median: Count
    max: Count


@dataclass(frozen=True)
class ActionSurvey:
    """The clips of one action. clips: readable ones; groups: their number; splits: clips by split, if they have one."""

    clips: Count
    unreadable: Count
    groups: Count
    splits: dict[Text, Count]
    frames: Lengths | None

    @property
    def to_train_on(self) -> int:
        return self.splits.get(TRAIN, 0) if self.splits else self.clips


@dataclass(frozen=True)
class Duplicate:
    """Clips with identical frames. across: those of "split", "group" and "label" that differ between the clips."""

    clips: tuple[ClipFile, ...]

    @property
    def across(self) -> tuple[str, ...]:
        values: dict[str, set[object]] = {
            "split": {clip.split for clip in self.clips},
            "group": {clip.group or clip.path for clip in self.clips},
            "label": {clip.label for clip in self.clips},
        }
        return tuple(name for name, found in values.items() if len(found) > 1)


@dataclass(frozen=True)
class DuplicateNames:
    """The paths of duplicates, relative to the folder. across: see `Duplicate`."""

    clips: tuple[Text, ...]
    across: tuple[Text, ...]


@dataclass(frozen=True, kw_only=True)
class SurveySummary:
    """The content of `survey.json`: a survey without the facts of single clips. Paths are relative to the folder.

    sizes: clips by "WIDTHxHEIGHT". frame_rates: clips by frames per second. layout: see `ClipFolder`. turned,
    variable_rate, interlaced, stretched, tilted: numbers of clips, see `DecodedVideo`. For the others see `Survey`.
    """

    layout: Text = ""

    clips: Count
    readable: Count
    groups: Count
    splits: dict[Text, Count]
    frames: Lengths | None
    sizes: dict[Text, Count]
    frame_rates: dict[Text, Count]
    turned: Count = 0
    variable_rate: Count = 0
    interlaced: Count = 0
    stretched: Count = 0
    tilted: Count = 0
    actions: dict[Text, ActionSurvey]
    unreadable: dict[Text, Text]
    duplicates: tuple[DuplicateNames, ...]
    leaking_groups: dict[Text, dict[Text, Count]]
    problems: tuple[Text, ...]
    warnings: tuple[Text, ...]


@dataclass(frozen=True)
class Survey:
    """The result of `survey_clips`.

    facts: those of the readable clips. unreadable: why the other clips cannot be read, a sentence each.
    """

    folder: ClipFolder
    facts: dict[Path, ClipFacts]
    unreadable: dict[Path, str]

    @cached_property
    def readable(self) -> ClipFolder:
        """The readable clips, in the folder's order."""
        return replace(self.folder, clips=tuple(clip for clip in self.folder.clips if clip.path in self.facts))

    @cached_property
    def actions(self) -> dict[str, ActionSurvey]:
        """Every action of the folder, including those without readable clips."""
        clips: dict[str, list[ClipFile]] = {action: [] for action in self.folder.actions}
        lost = Counter(clip.label for clip in self.folder.clips if clip.path in self.unreadable)
        for clip in self.readable.clips:
            clips[clip.label].append(clip)
        return {
            action: ActionSurvey(
                clips=len(own),
                groups=len({clip.group for clip in own if clip.group is not None}),
                splits=dict(Counter(clip.split for clip in own if clip.split is not None)),
                frames=self._lengths(own),
                unreadable=lost[action],
            )
            for action, own in clips.items()
        }

    @property
    def splits(self) -> dict[str, int]:
        """Readable clips by split; empty if the clips have none."""
        return dict(Counter(clip.split for clip in self.readable.clips if clip.split is not None))

    @property
    def lengths(self) -> Lengths | None:
        """The lengths of the readable clips; None if there are none."""
        return self._lengths(self.readable.clips)

    @property
    def sizes(self) -> dict[tuple[int, int], int]:
        """Readable clips by (height, width), the most frequent first."""
        return dict(Counter((facts.height, facts.width) for facts in self._facts).most_common())

    @property
    def frame_rates(self) -> dict[float, int]:
        """Readable clips by frames per second (to two decimals), the most frequent first."""
        return dict(Counter(round(facts.fps, 2) for facts in self._facts).most_common())

    @property
    def turned(self) -> int:
        """The number of readable clips that were turned upright."""
        return sum(facts.turned for facts in self._facts)

    @cached_property
    def duplicates(self) -> tuple[Duplicate, ...]:
        """Sets of clips with the same frames, including files that are listed twice."""
        same: dict[tuple[str, int, int], list[ClipFile]] = defaultdict(list)
        for clip in self.readable.clips:
            facts = self.facts[clip.path]
            same[facts.sha256, facts.height, facts.width].append(clip)
        return tuple(Duplicate(tuple(clips)) for clips in same.values() if len(clips) > 1)

    @cached_property
    def leaking_groups(self) -> dict[str, dict[str, int]]:
        """Groups with clips in "train" and in another split, and their clips by split."""
        sides: dict[str, Counter[str]] = defaultdict(Counter)
        for clip in self.readable.clips:
            if clip.group is not None and clip.split is not None:
                sides[clip.group][clip.split] += 1
        return {group: dict(counts) for group, counts in sorted(sides.items()) if TRAIN in counts and len(counts) > 1}

    @property
    def leaking_duplicates(self) -> tuple[Duplicate, ...]:
        """Duplicates with a clip in "train" and one in another split."""
        return tuple(
            duplicate
            for duplicate in self.duplicates
            if "split" in duplicate.across and TRAIN in {clip.split for clip in duplicate.clips}
        )

    def problems(self) -> list[str]:
        """Reasons why training is impossible, a sentence each."""
        total, lost = len(self.folder), len(self.folder) - len(self.readable)
        if lost == total:
            return [f"none of the {total} clips can be read; the first: {next(iter(self.unreadable.values()), '')}"]
        found = []
        if lost > _TOLERATED * total:
            first = next(iter(self.unreadable.values()))
            found.append(f"{lost} of {total} clips cannot be read, more than a third; the first: {first}")
        if len(self.actions) < 2:
            found.append(f"there is only one action, {self.folder.actions[0]!r}: a classifier needs at least two.")
        without = [action for action, survey in self.actions.items() if not survey.to_train_on]
        if len(without) == len(self.actions):
            found.append(f"no readable clip is in the split {TRAIN!r}: there is nothing to train on.")
        elif without:
            where = f" in the split {TRAIN!r}" if self.splits else ""
            found.append(f"no readable clip{where} shows {_names(without)}: add some, or take the action out.")
        return found

    def warnings(self) -> list[str]:
        """Facts that do not prevent training but affect its results, a sentence each."""
        return [
            *self.folder.notes,
            *self._about_files(),
            *self._about_amounts(),
            *self._about_groups(),
            *self._about_duplicates(),
        ]

    def summary(self) -> SurveySummary:
        """The survey without the facts of single clips."""
        return SurveySummary(
            layout=self.folder.layout,
            clips=len(self.folder),
            readable=len(self.readable),
            groups=len(self.readable.groups),
            splits=self.splits,
            frames=self.lengths,
            sizes={f"{width}x{height}": count for (height, width), count in self.sizes.items()},
            frame_rates={f"{rate:g}": count for rate, count in self.frame_rates.items()},
            turned=self.turned,
            variable_rate=len(self._with("variable_rate")),
            interlaced=len(self._with("interlaced")),
            stretched=len(self._with("stretched")),
            tilted=len(self._with("tilted")),
            actions=self.actions,
            unreadable={self._relative(path): reason for path, reason in self.unreadable.items()},
            duplicates=tuple(
                DuplicateNames(tuple(self._relative(clip.path) for clip in each.clips), each.across)
                for each in self.duplicates
            ),
            leaking_groups=self.leaking_groups,
            problems=tuple(self.problems()),
            warnings=tuple(self.warnings()),
        )

    @property
    def _facts(self) -> list[ClipFacts]:
        return [self.facts[clip.path] for clip in self.readable.clips]

    def _with(self, fact: str) -> list[Path]:
        """The readable clips of which one of the facts in `_ODD` is true."""
        return [clip.path for clip in self.readable.clips if getattr(self.facts[clip.path], fact)]

    def _lengths(self, clips: Iterable[ClipFile]) -> Lengths | None:
        frames = [self.facts[clip.path].frames for clip in clips]
        return Lengths(min(frames), median_low(frames), max(frames)) if frames else None

    def _relative(self, path: Path) -> str:
        return _relative(path, self.folder)

    def _about_files(self) -> list[str]:
        found = []
        if self.unreadable and self.facts:
            lost, first = _count(len(self.unreadable), "clip"), next(iter(self.unreadable.values()))
            found.append(f"{lost} cannot be read and will be left out; the first: {first}")
        short = [facts.frames for facts in self.facts.values() if facts.frames < _WINDOW]
        if short:
            found.append(
                f"{_count(len(short), 'clip')} (the shortest of {_count(min(short), 'frame')}) of fewer than {_WINDOW} "
                "frames will be played back and forth to fill a window."
            )
        if len(self.frame_rates) > 1:
            rates = [f"{rate:g} ({count})" for rate, count in self.frame_rates.items()]
            found.append(
                f"the frame rates differ, {_names(rates)}: frames are taken as they are, so the same action moves at "
                "different speeds; convert the clips to one rate if they differ much."
            )
        for fact, (what, then) in _ODD.items():
            if odd := self._with(fact):
                found.append(f"{what.format(_count(len(odd), 'clip'))}, first {self._relative(odd[0])!r}: {then}")
        if len(self.sizes) > 1:
            sizes = [f"{width}x{height} ({count})" for (height, width), count in self.sizes.items()]
            found.append(f"the frame sizes differ, {_names(sizes)}: of each frame the central square is used.")
        return found

    def _about_amounts(self) -> list[str]:
        found = []
        amounts = {action: survey.to_train_on for action, survey in self.actions.items() if survey.to_train_on}
        few = [f"{action} ({amount})" for action, amount in amounts.items() if amount < _FEW]
        if few:
            found.append(
                f"fewer than {_FEW} clips to train on show {_names(few)}: expect these actions to be confused."
            )
        if amounts and max(amounts.values()) >= _IMBALANCE * min(amounts.values()):
            least, most = min(amounts, key=amounts.__getitem__), max(amounts, key=amounts.__getitem__)
            found.append(
                f"{most!r} has {amounts[most]} clips to train on and {least!r} only {amounts[least]}: actions are "
                "drawn equally often, so the few clips will be overfitted."
            )
        return found

    def _about_groups(self) -> list[str]:
        found = []
        clips = self.readable.clips
        ungrouped = Counter(clip.label for clip in clips if clip.group is None)
        if 0 < ungrouped.total() < len(clips):
            found.append(
                f"no group (actor or source video) is given for {_count(ungrouped.total(), 'clip')} of "
                f"{_names(list(ungrouped))}, while others have one: each counts as a group of its own; complete the "
                "list."
            )
        single = [a for a, survey in self.actions.items() if survey.groups == 1 and survey.clips > 1]
        if single:
            found.append(
                f"all clips of {_names(single)} come from one group: the recognition of these actions by other people "
                "cannot be measured."
            )
        leaks = self.leaking_groups
        if leaks:
            leaking = _count(sum(counts[TRAIN] for counts in leaks.values()), "clip")
            found.append(
                f"the splits share {_count(len(leaks), 'group')} ({_names(list(leaks))}), {leaking} to train on: "
                "scores on the other splits will be too high, because the networks have seen the same people and "
                "scenes; leave these clips out of the training."
            )
        return found

    def _about_duplicates(self) -> list[str]:
        found = []
        if self.duplicates:
            first = " = ".join(repr(self._relative(clip.path)) for clip in self.duplicates[0].clips[:3])
            extra = sum(len(each.clips) - 1 for each in self.duplicates)
            found.append(
                f"the frames of another clip are repeated in {_count(extra, 'clip')}, first {first}: keep one of each."
            )
        contradicting = [each for each in self.duplicates if "label" in each.across]
        if contradicting:
            clips = contradicting[0].clips
            labels = sorted({clip.label for clip in clips})
            found.append(
                f"more than one label is given to {_count(len(contradicting), 'set')} of clips with the same frames, "
                f"first {self._relative(clips[0].path)!r} ({_names(labels)}): correct them."
            )
        divided = [each for each in self.duplicates if "group" in each.across and all(c.group for c in each.clips)]
        if divided:
            found.append(
                f"more than one group is given to {_count(len(divided), 'set')} of clips with the same frames: scores "
                "on unseen groups will be too high."
            )
        if self.leaking_duplicates:
            found.append(
                f"the splits share {_count(len(self.leaking_duplicates), 'set')} of clips with the same frames: "
                f"scores on the splits other than {TRAIN!r} will be too high."
            )
        return found


def survey_clips(
    folder: ClipFolder,
    *,
    progress: Callable[[int, int], None] | None = None,
    cache: ClipCache | None = None,
) -> Survey:
    """Decode every clip of `folder` once and survey the results.

    Args:
        folder: the clips.
        progress: called after each clip with the number done and the total.
        cache: decode into this cache, and use what it holds already. Without it, memory holds one frame per worker,
            and nothing is written.

    Raises:
        StganError: the cache cannot be written or has no room.
    """
    progress = progress or (lambda done, total: None)
    outcomes: dict[Path, ClipFacts | VideoError] = {}
    paths = list(dict.fromkeys(clip.path for clip in folder.clips))
    if cache is not None:
        found = cache.inspect(folder, progress)
        outcomes = {clip.path: outcome for clip, outcome in zip(folder.clips, found, strict=True)}
    else:
        with closing(in_order(partial(attempt, inspect_clip), paths)) as inspected:
            for path, outcome in zip(paths, inspected, strict=True):
                outcomes[path] = outcome
                progress(len(outcomes), len(paths))
    return Survey(
        folder,
        {path: outcome for path, outcome in outcomes.items() if isinstance(outcome, ClipFacts)},
        {
            path: str(outcome).replace(quoted(path), quoted(_relative(path, folder)))
            for path, outcome in outcomes.items()
            if isinstance(outcome, VideoError)
        },
    )


def _relative(path: Path, folder: ClipFolder) -> str:
    return Path(os.path.relpath(path, folder.root)).as_posix()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _names(names: list[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
