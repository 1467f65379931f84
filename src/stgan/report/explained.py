"""Explanations that `stgan explain` wrote: those of a folder, and their curves over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from stgan.errors import StganError
from stgan.explain import FILM, RECORD, Explanation, Looks, read_explanation
from stgan.names import printable, quoted
from stgan.report.curves import CHECK, MAIN, draw_panels, style_panel
from stgan.report.page import is_inside
from stgan.scoring import Clip

MOST_EXPLANATIONS = 500
"""In a page."""
_PATTERNS = (RECORD, f"*/{RECORD}", f"*/*/{RECORD}")
_LETTERS = 24  # of an action in a legend


@dataclass(frozen=True)
class Explained:
    """An explanation in a page. name: the path of its film within the folder."""

    name: str
    found: Explanation
    film: Clip

    @property
    def chart(self) -> Markup:
        return Markup(draw_over_time(self.found))


def has_explanations(folder: Path) -> bool:
    """Whether `stgan explain` wrote into this folder, or into folders in it."""
    return any(True for pattern in _PATTERNS for _ in folder.glob(pattern))


def find_explained(folder: Path) -> tuple[list[Explained], list[str]]:
    """The explanations in a folder, in its folders and in theirs; and why others cannot be shown.

    Files that are links, or lie behind one, are left out: a page may be given away.
    """
    found: list[Explained] = []
    refused: list[str] = []
    records = (path for pattern in _PATTERNS for path in sorted(folder.glob(pattern)))
    for record in (path for path in records if is_inside(path, folder)):
        if len(found) == MOST_EXPLANATIONS:
            refused.append(f"there are more than {MOST_EXPLANATIONS} explanations; the others are left out")
            break
        film = record.with_name(FILM)
        name = film.relative_to(folder).as_posix()
        if not film.is_file() or not is_inside(film, folder):
            refused.append(f"{quoted(film)} is missing, or a link; run stgan explain again")
            continue
        try:
            found.append(Explained(name, read_explanation(record.parent), Clip(film, name)))
        except StganError as error:
            refused.append(str(error))
    return found, refused


def draw_over_time(found: Explanation) -> str:
    """SVG: the probabilities of both actions, and the shares of the attribution and of the change over the frames."""
    windows, looks = found.over_time, found.looks

    def draw(panels: np.ndarray) -> None:
        middles = np.array(windows.starts, float) + windows.frames / 2
        answers, *parts, change = panels
        for (action, values), colour in zip(windows.probabilities.items(), (MAIN, CHECK), strict=False):
            _line(answers, middles, values, printable(action, _LETTERS), colour)
        if looks is not None:
            for name, cubes, colour in (("covering", looks.covering, MAIN), ("gradients", looks.gradients, CHECK)):
                shares = shares_over_time(cubes)
                _line(parts[0], cube_middles(looks, len(shares)) * found.frames, shares, name, colour)
        _line(change, np.arange(len(found.change.over_time)) + 0.5, found.change.over_time, "", MAIN)
        titles = ("probability", *["where it looks: share"] * len(parts), "change: share of each frame")
        for panel, title in zip(panels, titles, strict=True):
            style_panel(panel, title)
            panel.set_ylim(bottom=0)
            panel.set_xlim(0, max(1, found.frames))
        answers.set_ylim(-0.02, 1.02)
        change.set_xlabel("frame", fontsize=8, color="#666666")

    return draw_panels(3 if looks is not None else 2, 1, draw)


def shares_over_time(cubes: Sequence[Sequence[Sequence[float]]]) -> list[float]:
    """The share of each time in what is positive: in 0-1, with the sum 1; all 0 if nothing is positive.

    cubes: by time, row and column.
    """
    sums = [sum(max(0.0, value) for row in rows for value in row) for rows in cubes]
    total = sum(sums)
    return [value / total if total > 0 else 0.0 for value in sums]


def cube_middles(looks: Looks, times: int) -> np.ndarray:
    """The middles of the cubes in time, as shares of the clip: the first cube begins with it, the last ends with it."""
    half = 0.5 / max(1, looks.cover)
    return np.linspace(half, 1 - half, times) if times > 1 else np.full(times, 0.5)


def _line(panel: Axes, times: np.ndarray, values: Sequence[float], label: str, colour: str) -> None:
    panel.plot(times, values, color=colour, linewidth=1.5, marker="o", markersize=2.5, label=label or "_")
    if label:
        legend = panel.legend(fontsize=7, frameon=False, loc="best")
        for text in legend.get_texts():
            text.set_parse_math(False)
