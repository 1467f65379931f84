"""Real clips beside generated ones of the same action, as frames."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stgan.names import printable
from stgan.report.films import alike, read_clip
from stgan.report.page import image_uri
from stgan.video import VideoError
from stgan.video.strips import Strip, save_strips, thumbnails

_FRAMES = 8  # of a clip
_EACH = 2  # clips of an action and side
_TRIED = 6  # files at most that are opened to find these clips
_MOST_ACTIONS = 12
_WIDEST = 1024  # pixels of a strip in a page

Frames = UInt8[np.ndarray, "time height width 3"]


@dataclass(frozen=True)
class SideBySide:
    """Strips of an action's clips, as data URIs."""

    action: str
    real: list[str]
    generated: list[str]


def side_by_side(folder: Path, sources: Mapping[str, Sequence[str]], path: Path) -> list[SideBySide]:
    """The first two real and generated clips of each of the first 12 actions, eight frames of each clip.

    If there are any, `path` gets one picture of all of them, with real clips on the left.

    Args:
        folder: the folder of the record; paths are relative to it.
        sources: "real" and "generated" files, each in a folder with the name of its action. Links and files that
            cannot be read are left out.
    """
    actions = sorted({Path(name).parent.name for names in sources.values() for name in names} - {""})[:_MOST_ACTIONS]
    clips = {
        action: {side: list(_readable(folder, action, names))[:_EACH] for side, names in sources.items()}
        for action in actions
    }
    found = {action: sides for action, sides in clips.items() if any(sides.values())}
    if found:
        _save(path, found)
    return [
        SideBySide(action, *([_picture(frames) for frames in sides.get(side, ())] for side in ("real", "generated")))
        for action, sides in found.items()
    ]


def _readable(folder: Path, action: str, names: Sequence[str]) -> Iterator[Frames]:
    """Eight frames each of the first clips of this action."""
    for name in [name for name in names if Path(name).parent.name == action][:_TRIED]:
        try:
            path = folder / name
            # A page may be given away, so a record must not bring in the target of a link.
            if path.is_file() and not path.is_symlink():
                yield thumbnails(read_clip(path).frames, _FRAMES)
        except (VideoError, OSError, ValueError):
            continue


def _save(path: Path, found: Mapping[str, Mapping[str, list[Frames]]]) -> None:
    """One row for each pair: eight frames of a real clip, a gap, eight frames of a generated clip."""
    every = [frames for sides in found.values() for clips in sides.values() for frames in clips]
    gap = np.full_like(every[0][:1], 255)
    strips = []
    for action, sides in found.items():
        for row in range(max(map(len, sides.values()))):
            both = [sides.get(side, []) for side in ("real", "generated")]
            shown = [clips[row] if row < len(clips) else None for clips in both]
            left, right = (gap.repeat(_FRAMES, 0) if clip is None else alike([gap, clip])[1] for clip in shown)
            strips.append(Strip(printable(action, 12), np.concatenate((left, gap, right))))
    save_strips(path, strips, columns=2 * _FRAMES + 1)


def _picture(frames: Frames) -> str:
    picture = Image.fromarray(np.concatenate(list(frames), axis=1))
    picture.thumbnail((_WIDEST, _WIDEST))
    return image_uri(picture)
