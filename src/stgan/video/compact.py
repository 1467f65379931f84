"""Smaller copies of clips, to move to another machine."""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from stgan.errors import StganError
from stgan.files import write_text
from stgan.names import csv_cell, quoted
from stgan.video.clip_folder import ClipFile, ClipFolder
from stgan.video.decoding import decode_clip, in_order
from stgan.video.encoding import write_video

QUALITIES = (18, 21, 24, 27, 30, 33, 36)
"""Rate factors of x264, best first: 18 is considered visually lossless, 36 shows blocks."""

_TRIED = 24  # clips that are encoded to choose the quality
_MARGIN = 0.95  # of the allowed bytes, since clips differ


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
    """Write each clip with square frames of `size` pixels, in the best quality for which all fit into `most_bytes`.

    Args:
        out: a new folder, which appears when everything is written: mp4 files in the clips' subfolders, and `table`, a
            csv file with the columns path, label, group and `split_column`.
        progress: called with the number of clips done and the total.

    Returns:
        The quality (one of `QUALITIES`), and the bytes of all clips.

    Raises:
        StganError: the folder is not empty, a clip cannot be read, two would have the same name, or the clips do not
            fit even in the worst quality.
    """
    if out.is_dir() and any(out.iterdir()):
        raise StganError(f"{quoted(out)} is not empty; name a new folder")
    places = {clip.path: _place(clip.path, clips.root) for clip in clips.clips}
    twice = next((place for place, times in Counter(places.values()).items() if times > 1), None)
    if twice:
        raise StganError(f"two clips would both become {quoted(twice)}; rename one of them")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:  # removed after an error
        new = Path(folder) / out.name
        some = list(clips.clips[:: -(-len(clips) // _TRIED)])
        budget = _MARGIN * most_bytes * len(some) / len(clips)
        quality = next((each for each in QUALITIES if _write(some, places, new, size, each) <= budget), None)
        if quality is None:
            raise StganError(
                f"{len(clips)} clips do not fit into {most_bytes} bytes; allow more, or choose a smaller size"
            )
        total = _write(list(clips.clips), places, new, size, quality, progress)
        if total > most_bytes:
            raise StganError(
                f"{len(clips)} clips take {total} bytes, more than {most_bytes}; allow for that and try again"
            )
        write_text(new / table, _table(clips, places, split_column))
        os.replace(new, out)
    return quality, total


def _place(path: Path, root: Path) -> Path:
    """The path of the copy of a clip, which may be a folder of frames."""
    place = path.relative_to(root)
    return place.with_name(f"{place.name}.mp4") if path.is_dir() else place.with_suffix(".mp4")


def _table(clips: ClipFolder, places: Mapping[Path, Path], split_column: str) -> str:
    """The list of the clips as csv, with columns of groups and splits only if there are any."""
    rows = [
        {
            "path": csv_cell(str(places[clip.path])),
            "label": csv_cell(clip.label),
            "group": csv_cell(clip.group or ""),
            csv_cell(split_column): clip.split or "",
        }
        for clip in clips.clips
    ]
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(
    clips: list[ClipFile],
    places: Mapping[Path, Path],
    out: Path,
    size: int,
    quality: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write these clips and return their bytes."""

    def write(clip: ClipFile) -> int:
        facts, frames = decode_clip(clip.path, size)
        path = out / places[clip.path]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames, facts.fps, quality=quality)
        return path.stat().st_size

    total = 0
    for done, written in enumerate(in_order(write, clips), 1):
        total += written
        progress(done, len(clips))
    return total
