"""Figures of scores: the confusion matrix, and how well each action is recognised."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from stgan.names import printable
from stgan.studies.counts import save_png

MOST_ACTIONS = 40
"""The largest number of actions in a figure or table."""
_LONGEST = 25  # letters of a name
_WHITE_ABOVE = 0.55  # share above which a number is white
_INK, _SOFT, _BLUE, _ORANGE, _RED = "#1d2430", "#5d6877", "#8fb4dd", "#e3a276", "#b3161b"


def draw_confusion(
    path: Path, actions: Sequence[str], confusion: Sequence[Sequence[int]], rows: Sequence[int], *, fooled: bool
) -> None:
    """The confusion matrix, coloured by the share of a count in its row.

    Args:
        confusion: counts; rows are the intended actions, columns the actions that the evaluator sees.
        rows: numbers of the actions to show. The columns are these and the actions that their clips are taken for,
            the most frequent ones first; beyond 40, the others are summed up in the column "other".
        fooled: whether the evaluator steered the clips; the figure then says so.
    """
    counts = np.array(confusion, dtype=float)[rows]
    seen = counts.sum(0)
    wrong = [int(column) for column in np.argsort(-seen, kind="stable") if seen[column] and column not in rows]
    shown = [*rows, *wrong[: MOST_ACTIONS - len(rows)]]
    labels = [printable(actions[column], _LONGEST) for column in shown]
    other = counts.sum(1) - counts[:, shown].sum(1)
    columns = [*labels, "other"] if other.any() else labels
    table = np.column_stack([counts[:, shown], other]) if other.any() else counts[:, shown]
    share = table / np.maximum(1, table.sum(1, keepdims=True))
    height, width = (0.42 * number + 1.2 for number in table.shape)
    figure = Figure(figsize=(max(3.8, width + 0.4), max(2.6, height)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(table > 0):
        axes.text(
            column, row, f"{table[row, column]:.0f}", ha="center", va="center", fontsize=9,
            color="white" if share[row, column] > _WHITE_ABOVE else _INK,
        )  # fmt: skip
    axes.set_xticks(range(len(columns)), columns, rotation=60, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(range(len(rows)), labels[: len(rows)], parse_math=False)
    axes.set_xlabel("seen by the evaluator", color=_SOFT)
    axes.set_ylabel("intended", color=_SOFT)
    axes.tick_params(length=0, labelsize=10, colors=_INK)
    axes.spines[:].set_visible(False)
    save_figure(figure, path, fooled=fooled)


def draw_per_action(
    path: Path,
    accuracy: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]],
    contributions: Mapping[str, float],
    *,
    fooled: bool,
) -> None:
    """The share of clips recognised, with its interval, and the contribution to the Inception Score of each action."""
    names = list(accuracy)
    panels = 2 if contributions else 1
    figure = Figure(figsize=(5.0, 0.32 * len(names) + 1.0), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    places = np.arange(len(names))
    values = np.array([accuracy[name] for name in names])
    axes[0].barh(places, values, color=_BLUE, height=0.62)
    for place, name in enumerate(names):
        if name in intervals:
            axes[0].plot(intervals[name], (place, place), color=_INK, linewidth=1.2)
    axes[0].set_xlim(0, 1)
    axes[0].set_xlabel("share recognised (95 %)", color=_SOFT)
    if contributions:
        axes[1].barh(places, [contributions.get(name, 0.0) for name in names], color=_ORANGE, height=0.62)
        axes[1].set_xlabel("contribution (nats)", color=_SOFT)
    for axis in axes:
        axis.set_yticks(places, [printable(name, _LONGEST) for name in names], parse_math=False)
        axis.grid(axis="x", color="#e6e9ee", linewidth=0.7)
        axis.set_axisbelow(True)
        axis.tick_params(length=0, labelsize=10, colors=_INK)
        axis.spines[["top", "right", "left"]].set_visible(False)
    axes[0].invert_yaxis()
    save_figure(figure, path, fooled=fooled)


def save_figure(figure: Figure, path: Path, *, fooled: bool = False) -> None:
    """Write a PNG atomically. A figure of fooled scores says so itself, because it may be used without the page."""
    if fooled:
        figure.suptitle("FOOLED: scored by a network that steered", color=_RED, fontsize=11, fontweight="bold")
    save_png(figure, path)
