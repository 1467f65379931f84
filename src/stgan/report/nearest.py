"""The nearest training frame beside each generated clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stgan.errors import StganError
from stgan.names import printable
from stgan.report.films import read_clip
from stgan.report.page import Drawing, image_uri
from stgan.report.shown import Shown
from stgan.video.decoding import resize_and_crop
from stgan.video.strips import Strip, save_strips

_SIDE = 160  # pixels of a frame's longer side in the page

Frame = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Pair:
    """A frame of a generated clip (left) and the training frame that it is nearest to, as one picture."""

    action: str
    file: str
    frame: int
    distance: float
    copied: bool | None
    picture: str


def nearest_pairs(clips: Sequence[Shown], real: Path | None, drawing: Drawing) -> list[Pair]:
    """The pairs of the clips whose files can be read, and the figure `nearest` of all of them.

    real: the folder of the real clips that the clips were compared with. Frames of links out of it are not shown.
    """
    if real is None:
        return []
    found, strips = [], []
    for shown in clips:
        nearest = shown.scores.nearest_frame if shown.scores else None
        if nearest is None or not (real / nearest.file).resolve().is_relative_to(real.resolve()):
            continue
        try:
            own, training = read_clip(shown.clip.source).frames, read_clip(real / nearest.file).frames
        except StganError:
            continue
        if max(nearest.own_frame - len(own), nearest.frame - len(training)) >= 0:
            continue
        pair = _beside(own[nearest.own_frame], training[nearest.frame])
        picture = image_uri(Image.fromarray(np.concatenate(list(pair), axis=1)))
        found.append(Pair(shown.action, nearest.file, nearest.frame, nearest.distance, nearest.copied, picture))
        strips.append(Strip(printable(shown.action, 14), pair))
    if strips:
        side = max(strip.frames.shape[1:3] for strip in strips)
        alike = [strip for strip in strips if strip.frames.shape[1:3] == side]
        drawing.picture("nearest", lambda path: save_strips(path, alike, title="clip, nearest training frame"))
    return found


def _beside(own: Frame, training: Frame) -> UInt8[np.ndarray, "2 height width 3"]:
    """Both frames, at the size of the first one or smaller."""
    height, width = own.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(scale * height)), max(1, round(scale * width))
    return np.concatenate([resize_and_crop(own[None], size), resize_and_crop(training[None], size)])
