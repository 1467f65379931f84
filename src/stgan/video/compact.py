"""Clips as small files, to carry to a machine that does not have them."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from stgan.errors import StganError
from stgan.files import write_text
from stgan.names import quoted
from stgan.video.decoding import decode_clip, in_order
from stgan.video.folders import ClipFile, ClipFolder
from stgan.video.io import write_video

QUALITIES = (18, 21, 24, 27, 30, 33, 36)
"""Of x264 (its rate factor), best first; 18 is called visually lossless, of 36 blocks are seen."""

_TRIED = 24  # clips by which a quality is chosen
_MARGIN = 0.95  # of the bytes that there is room for, since clips differ


def compact_clips(
    clips: ClipFolder,
    out: Path,
    *,
    size: int,
    most_bytes: int,
    table: str = "clips.csv",
    split_column: str = "split",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[int, int]:
    """Write each clip as square frames of `size` pixels, in the best quality that all of them fit in together.

    Args:
        out: a new folder: a folder of mp4 files for each action, and `table`, a csv file with the columns path, label,
            group and `split_column`.
        progress: called with the number of clips done and in all.

    Returns:
        The quality (one of `QUALITIES`), and the bytes of all clips.

    Raises:
        StganError: the folder is not empty, a clip cannot be read, or there is too little room for the worst quality.
    """
    if out.is_dir() and any(out.iterdir()):
        raise StganError(f"{quoted(out)} is not empty; name a new folder")
    some = list(clips.clips[:: -(-len(clips) // _TRIED)])
    room = _MARGIN * most_bytes * len(some) / len(clips)
    quality = next((each for each in QUALITIES if _write(some, out, size, each) <= room), None)
    if quality is None:
        raise StganError(f"{len(clips)} clips do not fit into {most_bytes} bytes; allow more, or choose a smaller size")
    total = _write(list(clips.clips), out, size, quality, progress)
    if total > most_bytes:
        raise StganError(f"{len(clips)} clips take {total} bytes, more than {most_bytes}; allow for that and try again")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "group", split_column])
    writer.writerows([str(_place(clip)), clip.label, clip.group or "", clip.split or ""] for clip in clips.clips)
    write_text(out / table, text.getvalue())
    return quality, total


def _place(clip: ClipFile) -> Path:
    return Path(clip.label) / f"{clip.path.stem}.mp4"


def _write(
    clips: list[ClipFile],
    out: Path,
    size: int,
    quality: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write these clips; returns their bytes."""

    def write(clip: ClipFile) -> int:
        facts, frames = decode_clip(clip.path, size)
        path = out / _place(clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames, facts.fps, quality=quality)
        return path.stat().st_size

    total = 0
    for done, written in enumerate(in_order(write, clips), 1):
        total += written
        progress(done, len(clips))
    return total
