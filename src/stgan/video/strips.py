"""Pictures of videos: frames side by side, one row per video (a contact sheet, the paper's Figure 3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from stgan.files import replacing
from stgan.spacing import evenly_spread

COLUMNS = 16
_GAP = 4  # pixels between strips
_LABEL = 96  # pixels for a row's text
_TITLE = 24  # pixels for the text above all rows
_WIDEST, _HIGHEST = 4096, 8192  # pixels of a picture; frames are scaled down to fit
_FONT = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")  # Pillow's own has no minus and no accents


@dataclass(frozen=True)
class Strip:
    """One row of a picture: frames side by side, with a label on the left."""

    label: str
    frames: UInt8[np.ndarray, "time height width 3"]


def save_strips(path: Path, strips: Sequence[Strip], columns: int = COLUMNS, title: str = "") -> None:
    """Write a PNG file with one row per strip, each of up to `columns` evenly spread frames, atomically.

    All frames have the same size. They are scaled down if the picture would be wider than 4096 or higher than 8192
    pixels. Neighbouring rows with the same label show it once. title: stands above them, on one line.
    """
    columns = min(columns, max(len(strip.frames) for strip in strips))
    rows = [thumbnails(strip.frames, columns, len(strips)) for strip in strips]
    height, width = rows[0].shape[1:3]
    font = ImageFont.truetype(_FONT, 13)
    first = _TITLE if title else 0
    whole = max(_LABEL + columns * width, math.ceil(font.getlength(title)) + 12)
    sheet = Image.new("RGB", (whole, first + len(strips) * (height + _GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((6, 4), title, fill="black", font=font)
    for row, (strip, frames) in enumerate(zip(strips, rows, strict=True)):
        top = first + row * (height + _GAP)
        sheet.paste(Image.fromarray(np.concatenate(list(frames), axis=1)), (_LABEL, top))
        if row == 0 or strips[row - 1].label != strip.label:
            draw.text((6, top + height // 2 - 8), strip.label, fill="black", font=font)
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")


def thumbnails(
    frames: UInt8[np.ndarray, "time height width 3"], columns: int = COLUMNS, rows: int = 1
) -> UInt8[np.ndarray, "columns small_height small_width 3"]:
    """`columns` evenly spread frames of a video, scaled down to fit a picture of so many columns and rows."""
    chosen = frames[evenly_spread(len(frames), columns)]
    height, width = frames.shape[1:3]
    scale = min(1.0, (_WIDEST - _LABEL) / (columns * width), (_HIGHEST / rows - _GAP) / height)
    if scale == 1.0:
        return chosen
    size = (max(1, int(scale * width)), max(1, int(scale * height)))
    return np.stack([np.asarray(Image.fromarray(frame).resize(size)) for frame in chosen])
