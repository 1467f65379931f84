"""One picture of a folder's clips: OUT/contact_sheet.png."""

from collections.abc import Sequence
from pathlib import Path

from stgan.video import read_video
from stgan.video.strips import COLUMNS, Strip, save_strips, thumbnails

CONTACT_SHEET = "contact_sheet.png"
CLIPS = 4  # of each action
_ROWS = 48


def write_contact_sheet(out: Path, clips: Sequence[tuple[str, int, Path]]) -> None:
    """Write a picture with one row of frames for each of the first clips of every action.

    It has at most 4 clips of each action and 48 rows in total; with more than 48 actions, the first 48 in alphabetical
    order. Nothing is written if there are no clips.

    Args:
        clips: the action, the number and the path within the folder of each clip.
    """
    each = max(1, min(CLIPS, _ROWS // max(1, len({action for action, _, _ in clips}))))
    strips = []
    for action, _, path in sorted(clip for clip in clips if clip[1] < each)[:_ROWS]:
        frames = read_video(out / path, max_frames=None).frames
        strips.append(Strip(action, thumbnails(frames, min(COLUMNS, len(frames)))))  # small, before the next is read
    if strips:
        save_strips(out / CONTACT_SHEET, strips)
