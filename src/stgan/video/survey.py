"""Look at every clip of a folder before a training: what is there, what cannot be read, what would spoil the figures.

Clips with equal frames are found by their hash. Near-duplicates (another encoding, size or cut) are not.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median_low

from stgan.names import printable, quoted
from stgan.records import Count, Text
from stgan.video.clip_cache import ClipCache
from stgan.video.decoding import ClipFacts, in_order, inspect_clip
from stgan.video.folders import ClipFile, ClipFolder
from stgan.video.io import VideoError

SURVEY = "survey.json"
"""Name of a file with `Survey.summary`."""
TRAIN = "train"
_WINDOW = 16  # frames; what the networks look at
_FEW = 5  # clips of an action
_IMBALANCE = 10
_TOLERATED = 1 / 3  # of the clips may be unreadable
_NAMED = 5  # names in a sentence, the others are counted


@dataclass(frozen=True)
class Lengths:
    """Frames of the shortest, the middle and the longest clip."""

    min: Count
    median: Count
    max: Count


@dataclass(frozen=True)
class ActionSurvey:
    """The readable clips of one action. groups: how many are named; splits: clips by split, if there are splits."""

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
    """Clips with identical frames. across: which of "split", "group" and "label" are not the same for all of them."""

    clips: tuple[ClipFile, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(clip.path for clip in self.clips)

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
    """What `survey.json` holds: a survey without its files' facts; paths are relative to the folder.

    sizes: clips by "WIDTHxHEIGHT". frame_rates: clips by frames a second. See `Survey` for the others.
    """

    clips: Count
    readable: Count
    groups: Count
    splits: dict[Text, Count]
    frames: Lengths | None
    sizes: dict[Text, Count]
    frame_rates: dict[Text, Count]
    actions: dict[Text, ActionSurvey]
    unreadable: dict[Text, Text]
    duplicates: tuple[DuplicateNames, ...]
    leaking_groups: dict[Text, dict[Text, Count]]
    problems: tuple[Text, ...]
    warnings: tuple[Text, ...]


@dataclass(frozen=True)
class Survey:
    """What `survey_clips` found.

    facts: of the clips that can be read. unreadable: why the others cannot, a sentence each.
    """

    folder: ClipFolder
    facts: dict[Path, ClipFacts]
    unreadable: dict[Path, str]

    @cached_property
    def readable(self) -> ClipFolder:
        """The clips that can be read, in the folder's order."""
        return replace(self.folder, clips=tuple(clip for clip in self.folder.clips if clip.path in self.facts))

    @cached_property
    def actions(self) -> dict[str, ActionSurvey]:
        """Each action of the folder, also those of which no clip can be read."""
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
        """Of all readable clips; None if there are none."""
        return self._lengths(self.readable.clips)

    @property
    def sizes(self) -> dict[tuple[int, int], int]:
        """Readable clips by (height, width), the commonest first."""
        return dict(Counter((self.facts[c.path].height, self.facts[c.path].width) for c in self._clips).most_common())

    @property
    def frame_rates(self) -> dict[float, int]:
        """Readable clips by frames per second (to two decimals), the commonest first."""
        return dict(Counter(round(self.facts[clip.path].fps, 2) for clip in self._clips).most_common())

    @cached_property
    def duplicates(self) -> tuple[Duplicate, ...]:
        """Clips that show the same frames, also a file that is listed twice."""
        same: dict[tuple[str, int, int], list[ClipFile]] = defaultdict(list)
        for clip in self.readable.clips:
            facts = self.facts[clip.path]
            same[facts.sha256, facts.height, facts.width].append(clip)
        return tuple(Duplicate(tuple(clips)) for clips in same.values() if len(clips) > 1)

    @cached_property
    def leaking_groups(self) -> dict[str, dict[str, int]]:
        """Groups with clips in "train" and in another split, and how many in each."""
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
        """What makes a training impossible, a sentence each."""
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
        """What a training can live with but its user should know, a sentence each."""
        return [*self._about_files(), *self._about_amounts(), *self._about_groups(), *self._about_duplicates()]

    def summary(self) -> SurveySummary:
        """Everything above but the files' facts."""
        return SurveySummary(
            clips=len(self.folder),
            readable=len(self.readable),
            groups=len(self.readable.groups),
            splits=self.splits,
            frames=self.lengths,
            sizes={f"{width}x{height}": count for (height, width), count in self.sizes.items()},
            frame_rates={f"{rate:g}": count for rate, count in self.frame_rates.items()},
            actions=self.actions,
            unreadable={self._relative(path): reason for path, reason in self.unreadable.items()},
            duplicates=tuple(
                DuplicateNames(tuple(map(self._relative, each.paths)), each.across) for each in self.duplicates
            ),
            leaking_groups=self.leaking_groups,
            problems=tuple(self.problems()),
            warnings=tuple(self.warnings()),
        )

    @property
    def _clips(self) -> tuple[ClipFile, ...]:
        return self.readable.clips

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
                "drawn equally often, so the few clips will be learned by heart."
            )
        return found

    def _about_groups(self) -> list[str]:
        found = []
        grouped = [clip for clip in self._clips if clip.group is not None]
        if 0 < len(grouped) < len(self._clips):
            partly = Counter(clip.label for clip in self._clips if clip.group is None)
            found.append(
                f"no group (actor or source video) is given for {_count(sum(partly.values()), 'clip')} of "
                f"{_names(list(partly))}, while others have one: each counts as a group of its own; complete the list."
            )
        single = [a for a, survey in self.actions.items() if survey.groups == 1 and survey.clips > 1]
        if single:
            found.append(
                f"all clips of {_names(single)} come from one group: whether the action is recognised when someone "
                "else does it cannot be measured."
            )
        leaks = self.leaking_groups
        if leaks:
            clips = sum(counts[TRAIN] for counts in leaks.values())
            found.append(
                f"the splits share {_count(len(leaks), 'group')} ({_names(list(leaks))}), {_count(clips, 'clip')} to "
                "train on: figures on the other splits will be too good, because the networks have seen the same "
                "people and scenes; leave these clips out of the training."
            )
        return found

    def _about_duplicates(self) -> list[str]:
        found = []
        if self.duplicates:
            first = " = ".join(repr(self._relative(path)) for path in self.duplicates[0].paths[:3])
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
        torn = [each for each in self.duplicates if "group" in each.across and all(clip.group for clip in each.clips)]
        if torn:
            found.append(
                f"more than one group is given to {_count(len(torn), 'set')} of clips with the same frames: figures on "
                "unseen groups will be too good."
            )
        if self.leaking_duplicates:
            found.append(
                f"the splits share {_count(len(self.leaking_duplicates), 'set')} of clips with the same frames: "
                f"figures on the splits other than {TRAIN!r} will be too good."
            )
        return found


def survey_clips(
    folder: ClipFolder,
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
    cache: ClipCache | None = None,
) -> Survey:
    """Decode every clip of `folder` once and say what is there.

    Args:
        folder: the clips.
        progress: called after each clip with the number done and the number in all.
        workers: decoding threads; default: one a core, at most eight.
        cache: decode into this cache, and take from it what is known already. Without it no more than a frame a
            worker is kept in memory, and nothing on disk.

    Raises:
        StganError: the cache cannot be written or has no room.
    """
    outcomes: dict[Path, ClipFacts | VideoError] = {}
    paths = list(dict.fromkeys(clip.path for clip in folder.clips))
    if cache is not None:
        found = cache.inspect(folder, progress=progress, workers=workers)
        outcomes = {clip.path: outcome for clip, outcome in zip(folder.clips, found, strict=True)}
    else:
        with closing(in_order(_inspect, paths, workers)) as inspected:
            for path, outcome in zip(paths, inspected, strict=True):
                outcomes[path] = outcome
                if progress is not None:
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


def _inspect(path: Path) -> ClipFacts | VideoError:
    try:
        return inspect_clip(path)
    except VideoError as error:
        return error


def _relative(path: Path, folder: ClipFolder) -> str:
    return Path(os.path.relpath(path, folder.root)).as_posix()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _names(names: list[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
