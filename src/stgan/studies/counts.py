"""Numbers of clips of each action to train on: the paper's Figure 6."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stgan.files import replacing
from stgan.names import printable

MOST_ACTIONS = 200
"""The largest number of actions in the figure. Further actions are left out."""
_REAL, _GENERATED, _INK, _SOFT = "#8fb4dd", "#e3a276", "#1d2430", "#5d6877"
_LONGEST = 25  # characters of a name


def draw_counts(path: Path, real: Mapping[str, int], generated: Mapping[str, int]) -> None:
    """Draw the paper's Figure 6 as a PNG: numbers of real training clips and of chosen generated clips per action."""
    actions = sorted({*real, *generated})[:MOST_ACTIONS]
    places = np.arange(len(actions))
    figure = Figure(figsize=(max(4.0, 0.17 * len(actions) + 1.2), 3.6), layout="constrained")
    axes = figure.subplots()
    for counts, offset, colour, name in (
        (real, -0.21, _REAL, "real, to train on"),
        (generated, 0.21, _GENERATED, "generated, chosen"),
    ):
        axes.bar(places + offset, [counts.get(action, 0) for action in actions], 0.42, color=colour, label=name)
    names = [printable(action, _LONGEST) for action in actions]
    axes.set_xticks(places, names, rotation=90, fontsize=7, parse_math=False)
    axes.set_xlim(-0.8, len(actions) - 0.2)
    axes.set_ylabel("clips", color=_SOFT)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(length=0, colors=_INK)
    axes.grid(axis="y", color="#e6e9ee", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=(1, 1.12), ncols=2)
    save_png(figure, path)


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure, atomically."""
    with warnings.catch_warnings(), replacing(path) as temporary:
        warnings.filterwarnings("ignore", "Glyph .* missing")  # no font has the letters of every name
        figure.savefig(temporary, format="png", dpi=160)
