"""Real clips that play beside generated ones, at their size and rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stgan.errors import StganError
from stgan.report.films import LONGEST, read_clip
from stgan.report.page import is_inside
from stgan.report.shown import Shown
from stgan.scoring import Clip, Example
from stgan.video import spread_windows, windows_in_view, write_video

_WORDS = {True: "real, seen by the evaluator in training", False: "real, unseen by the evaluator", None: "real"}


@dataclass(frozen=True)
class RealShown:
    """A part of a real clip. name: of the whole clip, within the folder of real clips. words: what it is."""

    clip: Clip
    name: str
    words: str


def write_parts(
    found: Mapping[str, Example], root: Path, actions: Mapping[str, Sequence[Shown]], folder: Path
) -> dict[str, RealShown]:
    """Write the middle window of each real clip with as many frames as the first generated clip of its action has,
    at its size and rate. A shorter real clip goes back and forth, as for an evaluator.

    Args:
        found: real clips of actions.
        root: of the real clips. Links out of it are not followed, and clips that cannot be read are left out.
        folder: for the files.
    """
    parts = {}
    for number, (action, clips) in enumerate(actions.items()):
        if action not in found or not is_inside(found[action].clip.path, root):
            continue
        path = folder / f"{number}.mp4"
        try:
            like = read_clip(clips[0].clip.source)
            real = read_clip(found[action].clip.source, size=like.frames.shape[1:3]).frames
            length = min(len(like.frames), LONGEST)
            (window,) = spread_windows(len(real), length, 1, windows_in_view(real, length))
            write_video(path, real[window], like.fps)
        except StganError:
            continue
        name = found[action].clip.name
        parts[action] = RealShown(Clip(path, f"real {name}"), name, _WORDS[found[action].seen])
    return parts
