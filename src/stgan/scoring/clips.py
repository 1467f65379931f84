"""The clips to score: their files, the actions they should show, and the networks that steered them."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt

from stgan.checkpoints.fingerprint import from_text
from stgan.defaults import LARGEST_SEED
from stgan.errors import StganError
from stgan.files import sha256
from stgan.manifest import MANIFEST, Entry, Manifest
from stgan.names import quoted
from stgan.parts import RUN, read_run
from stgan.records import Count, Fraction, Number
from stgan.video import ClipFolder, TensorClip, find_clips
from stgan.video.clip_lists import LISTS
from stgan.video.decoding import Resize
from stgan.video.folders import loose_clips
from stgan.video.frame_folders import frame_files
from stgan.video.tensors import TENSORS, Range, find_tensors

Item = TypeVar("Item")
_Side = Annotated[Count, Ge(1)]


Window = Literal["first", "middle", "random"]
Short = Literal["mirror", "skip"]


@dataclass(frozen=True)
class Protocol:
    """Which part of a clip is scored.

    size:     (height, width) to which frames are brought first: they are scaled until they cover it, and the centre is
              cut out (as for the generator's training clips); None leaves them as stored. resize: the filter.
    windows:  number of windows of a clip.
    window:   "middle": the one in the middle; several are evenly spread over those that show the person. "first": it
              begins with the clip. "random": drawn by the contents of the clip and `seed`; several differ.
    stride:   every so many frames of a clip are the frames of a window.
    short:    a clip of fewer frames than a window is played back and forth ("mirror"); one of fewer than `stride` times
              the frames of a window is left out ("skip"), as by StyleGAN-V.
    fps:      frames a second at which a clip is read, see `decode_clip`; None takes all of them.
    shuffled: share of clips, in [0, 1], that are also scored with their frames in random order. The contents of a clip
              decide whether it is one of them, and its order.
    """

    size: tuple[_Side, _Side] | None = None
    windows: Annotated[Count, Ge(1)] = 1
    fps: Annotated[Number, Gt(0)] | None = None
    shuffled: Fraction = 0.0
    window: Window = "middle"
    seed: Count = 0
    stride: Annotated[Count, Ge(1)] = 1
    short: Short = "mirror"
    resize: Resize = "bicubic"


MIDDLE = Protocol()
"""The middle window of a clip, at its own size."""


@dataclass(frozen=True)
class SteeredBy:
    """The networks that steered a clip: their names, and the weight hashes of them and of their ancestors.

    tensors: the networks' fingerprints as text, by name; empty for clips of before they were recorded.
    """

    names: tuple[str, ...]
    hashes: frozenset[str]
    tensors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Clip:
    """A clip to score.

    name:     its path within the folder, with "/".
    action:   what it should show; None if unknown.
    group:    of a real clip: the actor or source video, whose clips look alike; None if unknown.
    split:    of a real clip: "train", "val" or "test"; None if unknown.
    sha256:   of the file, as the manifest has it; None without a manifest, or if it has none.
    steering: None if unknown.
    number:   of a clip that stgan made: the seed, and its number among those of its action; None if unknown.
    unit:     what it activates instead of an action: the target, and its activation under the network that steered.
    tensor:   the tensor in the file that is the clip; None if the file, or the folder of frames, is the clip.
    saved:    gives the measurements of a clip that is in a file of measurements; see `SavedMeasurements.select`.
    """

    path: Path
    name: str
    action: str | None = None
    group: str | None = None
    split: str | None = None
    sha256: str | None = None
    steering: SteeredBy | None = None
    unit: tuple[str, float] | None = None
    tensor: TensorClip | None = None
    number: tuple[int, int] | None = None
    saved: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    @property
    def source(self) -> Path | TensorClip:
        """What `read_video` reads."""
        return self.tensor or self.path

    def check_file(self) -> None:
        """Raise StganError unless the file exists and is the one that the manifest describes."""
        if self.tensor is not None:
            return  # whose reading checks its file
        try:
            if not self.path.is_file() and (self.sha256 is not None or not frame_files(self.path)):
                raise StganError(f"{quoted(self.path)} is missing; make it again with stgan generate --resume")
            if self.sha256 is None:
                return
            if self.path.is_symlink():
                raise StganError(
                    f"{quoted(self.path)} is a link; put the clip itself there, or remove it from the manifest"
                )
            if sha256(self.path) != self.sha256:
                raise StganError(
                    f"{quoted(self.path)} was changed or damaged; make it again with stgan generate --resume"
                )
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise StganError(f"{quoted(self.path)} cannot be read; check the file") from error


def folder_clips(folder: Path, say: Callable[[str], None] = lambda sentence: None, **reading: Any) -> list[Clip]:
    """The clips of a folder: those of its manifest, or without one, `given_clips` with these arguments.

    Raises:
        StganError: there are none, or the manifest or list is wrong.
    """
    if folder.name == MANIFEST:
        folder = folder.parent
    if os.path.lexists(Manifest(folder).path):
        return generated_clips(folder)
    _check_merged(folder)
    return given_clips(folder, say, **reading)


def given_clips(
    path: Path,
    say: Callable[[str], None] = lambda sentence: None,
    *,
    csv: str | None = None,
    split_column: str = "split",
    ucf_split: int = 1,
    layout: str | None = None,
    values: Range | None = None,
) -> list[Clip]:
    """The clips of a folder or file that stgan need not have made, generated or real.

    They are those of a list, if the path is one or the folder has one (`find_clips`); or the videos and folders of
    frames directly in the folder, without actions, if they are more than those in a folder for each action; or the
    latter; or, in a folder without any of these, the clips in its files of tensors (`find_tensors`), or else in those
    of its folders for each action. The path may also be such a file.

    Args:
        say: receives what is left out, a sentence each.
        csv, split_column, ucf_split: see `find_clips`.
        layout, values: see `find_tensors`.

    Raises:
        StganError: there are none, or a list or a file of tensors is wrong.
    """
    if path.suffix.lower() in LISTS and path.is_file():
        path, csv = path.parent, path.name
    if path.is_dir():
        loose = loose_clips(path) if csv is None else []
    elif path.suffix.lower() in TENSORS:
        loose = [path]
    else:
        raise StganError(f"{quoted(path)} is not a folder, a list or a file of tensors; give one of clips")
    if any(file.suffix.lower() in TENSORS for file in loose):
        tensors = find_tensors(loose, layout=layout, values=values)
        root = path if path.is_dir() else path.parent
        found = [(each, each.path.relative_to(root), action) for each, action in tensors]
        return [
            Clip(each.path, (file / each.inner).as_posix(), action or file.parent.name or None, tensor=each)
            for each, file, action in found
        ]
    if loose:
        return _with_steering([Clip(file, file.name) for file in loose])
    clips = find_clips(path, csv=csv, split_column=split_column, ucf_split=ucf_split)
    for note in clips.notes:
        say(note)
    return _with_steering(labelled_clips(clips))


def _with_steering(clips: Sequence[Clip]) -> list[Clip]:
    """The clips, with the networks that steered them if a manifest above them says so: a part of what stgan made.

    Clips that a run has made since its manifest was written count as steered like the others.
    """

    @cache
    def steering(folder: Path) -> tuple[dict[Path, SteeredBy | None], SteeredBy | None]:
        try:
            made = generated_clips(folder) if Manifest(folder).path.is_file() else []
            run = read_run(folder) if os.path.lexists(folder / RUN) else None
            others = _steered_by(folder, RUN, run.settings) if run else None
            return {clip.path: clip.steering for clip in made}, others
        except StganError:  # the list of another program
            return {}, None

    found = (steering(folder) for clip in clips for folder in (clip.path.parent, clip.path.parent.parent))
    paths = (clip.path for clip in clips for _ in range(2))
    above = [listed.get(path, others) for path, (listed, others) in zip(paths, found, strict=True)]
    return [
        replace(clip, steering=own or outer) for clip, own, outer in zip(clips, above[::2], above[1::2], strict=True)
    ]


def generated_clips(folder: Path) -> list[Clip]:
    """The clips that a folder's manifest lists. While clips are generated, these are the finished ones.

    Raises:
        StganError: there is no manifest, or it is wrong.
    """
    clips = [_generated(folder, entry) for entry in Manifest(folder).read()]
    for inner in {Path(clip.name).parent for clip in clips}:
        if (folder / inner).resolve() != folder.resolve() / inner:
            raise StganError(f"{quoted(folder / inner)} is a link; put the clips themselves there")
    if not clips:
        _check_merged(folder)
        raise StganError(
            f"{quoted(folder)} has no manifest.jsonl with clips; generate some with stgan generate --out FOLDER"
        )
    return clips


def _check_merged(folder: Path) -> None:
    if os.path.lexists(folder / RUN):
        raise StganError(
            f"{quoted(folder)} is of a run that was cut off or goes on; stgan merge {quoted(folder)} lists its clips"
        )


def labelled_clips(folder: ClipFolder) -> list[Clip]:
    """The clips of a folder whose clips have labels, such as real ones."""
    return [
        Clip(clip.path, Path(os.path.relpath(clip.path, folder.root)).as_posix(), clip.label, clip.group, clip.split)
        for clip in folder.clips
    ]


def unlisted(folder: Path, clips: Iterable[Clip]) -> list[str]:
    """Names of clips in the action folders of `folder` that are not among the listed `clips`."""
    listed = {clip.name for clip in clips}
    found = (path for inner in sorted(folder.iterdir()) if inner.is_dir() for path in sorted(inner.glob("*.mp4")))
    names = (path.relative_to(folder).as_posix() for path in found if not path.name.startswith("."))
    return [name for name in names if name not in listed]


def by_path(clips: Sequence[Clip]) -> list[Clip]:
    """The clips, with their paths as names where names are equal, as those of two folders can be."""
    times = Counter(clip.name for clip in clips)
    return [replace(clip, name=str(clip.source)) if times[clip.name] > 1 else clip for clip in clips]


def evenly(clips: Sequence[Clip], num: int) -> list[Clip]:
    """`num` of the clips, spread evenly over the actions: the first of each, then the second of each, ..."""
    of: dict[str | None, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.name):
        of.setdefault(clip.action, []).append(clip)
    turns = (clip for turn in zip_longest(*of.values()) for clip in turn if clip is not None)
    return list(turns)[:num]


def _generated(folder: Path, entry: Entry) -> Clip:
    steering = _steered_by(folder, entry.file, entry.details)
    recorded = entry.details.get("sha256")
    if "sha256" in entry.details and not _is_hash(recorded):
        raise StganError(
            f"the manifest of {quoted(folder)} has a sha256 for {quoted(entry.file)} that is no hash, so another "
            "clip could be in its place; make the clips again"
        )
    target, activation = entry.details.get("target"), entry.details.get("activation")
    unit = (target, activation) if isinstance(target, str) and isinstance(activation, float) else None
    seed = entry.details.get("seed")
    return Clip(
        folder / entry.file,
        entry.file,
        None if unit else entry.action,
        unit=unit,
        number=(seed, entry.index) if isinstance(seed, int) and 0 <= seed <= LARGEST_SEED else None,
        sha256=recorded,
        steering=steering,
    )


def _steered_by(folder: Path, file: str, details: Mapping[str, Any]) -> SteeredBy:
    """The networks that steered, by the hashes in a clip's line or in the settings of a run."""
    hashes = details.get("hashes", {})
    steered, ancestors = hashes.get("condition"), hashes.get("condition_ancestors", {})
    if not _names_hashes(steered) or not steered or not _names_hashes(ancestors):
        raise StganError(
            f"the manifest of {quoted(folder)} does not say which networks steered {quoted(file)}, by their hashes; "
            "make the clips again"
        )
    tensors = hashes.get("condition_tensors", {})
    if not _are_fingerprints(tensors) or (tensors and tensors.keys() != steered.keys()):
        raise StganError(
            f"the manifest of {quoted(folder)} has fingerprints of the networks that steered {quoted(file)} that "
            "cannot be read; make the clips again"
        )
    return SteeredBy(tuple(sorted(steered)), frozenset([*steered.values(), *ancestors.values()]), tensors)


def _names_hashes(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_hash, value.values()))


def _are_fingerprints(value: Any) -> bool:
    try:
        return isinstance(value, dict) and all(from_text(each) is not None for each in value.values())
    except (TypeError, ValueError):
        return False


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None
