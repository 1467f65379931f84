"""The clips of a data set: files, actions, groups (actors or source videos) and splits."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from stgan.errors import StganError
from stgan.names import quoted

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ClipFile:
    """One clip: its file (or its folder of frames), its action (`label`), and its group and split.

    Clips of one group (one actor, one source video) look alike, so all of them belong to the same split.
    """

    path: Path
    label: str
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class ClipFolder:
    """The clips of a folder, in a fixed order.

    layout: how the folder was read, in words. notes: what was left out of it, a sentence each.
    """

    root: Path
    clips: tuple[ClipFile, ...]
    layout: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def actions(self) -> tuple[str, ...]:
        """The labels that occur, sorted."""
        return tuple(sorted({clip.label for clip in self.clips}))

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that occur, sorted."""
        return tuple(sorted({clip.group for clip in self.clips if clip.group is not None}))

    def select(self, *, groups: Collection[str] | None = None, split: str | None = None) -> "ClipFolder":
        """The clips of these groups and this split; None means any.

        Raises:
            StganError: no clip has one of the groups or the split, or no clip has both.
        """
        self._check_known("group", set(groups or ()), self.groups)
        known_splits = sorted({clip.split for clip in self.clips if clip.split is not None})
        self._check_known("split", set() if split is None else {split}, known_splits)
        kept = tuple(
            clip
            for clip in self.clips
            if (groups is None or clip.group in groups) and (split is None or clip.split == split)
        )
        if not kept:
            raise StganError(f"no clip of {quoted(self.root)} meets the selection: loosen it.")
        return replace(self, clips=kept)

    def _check_known(self, kind: str, wanted: set[str], known: Collection[str]) -> None:
        unknown = sorted(wanted - set(known))
        if unknown:
            there = f"choose from {', '.join(known)}" if known else f"its clips have no {kind}"
            raise StganError(f"{quoted(self.root)} has no {kind} {quoted(unknown[0])}: {there}.")
