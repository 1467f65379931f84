"""Files to start generation from."""

from pathlib import Path

from stgan.pipeline import STGAN
from stgan.sampling import Init
from stgan.steering import Steering
from stgan.video import center_window, read_video, to_float


def read_init(model: STGAN, path: Path, steering: Steering, strength: float) -> Init:
    """The middle frames of a video file, or a picture, to start from. Errors as for `read_video` and `STGAN.init`."""
    clip = read_video(path).frames
    window = center_window(len(clip), steering.frames)
    return model.init(to_float(clip[window]), steering.frames, strength, path.name, steering.whole)
