"""Figures made of frames: the contact sheet of a run and the trace of one clip's optimisation (Figure 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_GAP = 4  # pixels between strips
_LABEL = 96  # pixels for a row's text


@dataclass(frozen=True)
class Strip:
    """Frames side by side with a word on the left."""

    label: str
    frames: UInt8[np.ndarray, "time height width 3"]


def save_strips(path: Path, strips: Sequence[Strip], columns: int = 16) -> None:
    """One row a strip, up to `columns` frames evenly spread over it; a label shown once for equal neighbours.

    The PNG is written atomically. All strips have frames of one size.
    """
    height, width = strips[0].frames.shape[1:3]
    columns = min(columns, max(len(strip.frames) for strip in strips))
    sheet = Image.new("RGB", (_LABEL + columns * width, len(strips) * (height + _GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for row, strip in enumerate(strips):
        top = row * (height + _GAP)
        chosen = np.linspace(0, len(strip.frames) - 1, columns).round().astype(int)
        sheet.paste(Image.fromarray(np.concatenate(list(strip.frames[chosen]), axis=1)), (_LABEL, top))
        if row == 0 or strips[row - 1].label != strip.label:
            draw.text((6, top + height // 2 - 8), strip.label, fill="black", font=font)
    temporary = path.with_suffix(".tmp")
    sheet.save(temporary, format="PNG")
    temporary.replace(path)
