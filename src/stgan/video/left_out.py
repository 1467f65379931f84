"""Files of a folder that are none of its clips."""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from stgan.names import printable, quoted
from stgan.video.frame_folders import IMAGES, VIDEOS, frame_files

_MOST_VISITED = 200_000  # files that are looked at to find those that were left out


def left_out_files(root: Path, named: Collection[Path], *, listed: bool) -> list[str]:
    """What lies in the folder and is none of the named clips, a sentence each.

    These are videos and, beside a list, folders of frames; without a list, all other files. Files directly in the
    folder (lists, notes) are not counted, except for videos.
    """
    taken = {os.path.abspath(path) for path in named}
    videos: list[str] = []
    frames: list[str] = []
    others: Counter[str] = Counter()
    visited = 0
    for place, folders, files in os.walk(root):
        folders[:] = sorted(
            name for name in folders
            if not name.startswith(".") and os.path.abspath(os.path.join(place, name)) not in taken
        )  # fmt: skip
        for name in sorted(files):
            visited += 1
            path = os.path.join(place, name)
            if name.startswith(".") or os.path.abspath(path) in taken:
                continue
            if name.lower().endswith(VIDEOS):
                videos.append(os.path.relpath(path, root))
            elif place != os.fspath(root):
                others[os.path.splitext(name)[1].lower()] += 1
        if place != os.fspath(root) and frame_files(Path(place)):
            frames.append(os.path.relpath(place, root))
        if visited > _MOST_VISITED:
            break
    found = []
    if videos:
        where = "on no list" if listed else "not in a folder of an action"
        found.append(f"{len(videos)} video file(s) {where}, which are left out; the first: {quoted(videos[0])}.")
    if frames and listed:
        found.append(
            f"{len(frames)} folder(s) of images on no list, which are left out; the first: {quoted(frames[0])}."
        )
    if others and not listed:
        kinds = ", ".join(f"{printable(ending) or 'no ending'} ({count})" for ending, count in others.most_common(8))
        advice = " Images are read as frames if each clip has a folder of its own." if set(others) & set(IMAGES) else ""
        found.append(f"{others.total()} file(s) that are no videos, which are left out: {kinds}.{advice}")
    return found
