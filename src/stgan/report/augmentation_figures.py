"""Figures of an augmentation experiment: paired differences, accuracy over the iterations, and over settings."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stgan.report.augmentation_tables import TITLES
from stgan.report.figures import save_figure
from stgan.studies.actors import SettingResult
from stgan.studies.augmentation import ARMS, AugmentationResult

_COLOURS = {"generated": "#b85410", "real": "#1f5fa8", "both": "#1a7f43"}
_INK, _SOFT, _LINE = "#1d2430", "#5d6877", "#e6e9ee"
_STEP, _HIGHEST = 0.16, 4.0  # the distance of dots in a stack, and the largest height of a stack


def draw_gain(path: Path, result: AugmentationResult) -> None:
    """Each seed's accuracy with generated clips minus that without, in points, and the mean with its interval."""
    gain = result.summary.gain
    values = [100 * value for value in gain.values]
    heights = list(_stacked(values))
    figure = Figure(figsize=(5.2, 1.5 + 0.35 * max(heights)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=_SOFT, linewidth=1)
    axes.scatter(values, [1 + height for height in heights], s=34, color=_COLOURS["both"], alpha=0.75, linewidth=0)
    if gain.low is not None and gain.high is not None:
        axes.plot((100 * gain.low, 100 * gain.high), (0.4, 0.4), color=_INK, linewidth=2)
    axes.plot(100 * gain.mean, 0.4, "D", color=_INK, markersize=6)
    axes.set_yticks((0.4, 1), ("mean, 95 %" if gain.low is not None else "mean", "each seed"))
    axes.set_ylim(0, 1.4 + max(heights))
    far = max(1.0, *(abs(100 * value) for value in (gain.low or 0, gain.high or 0)), *map(abs, values))
    axes.set_xlim(-1.12 * far, 1.12 * far)
    axes.set_xlabel("both − real, points", color=_SOFT)
    _plain(axes, "x")
    save_figure(figure, path)


def draw_accuracies(path: Path, result: AugmentationResult) -> None:
    """Accuracy on the test clips over the iterations: the mean of the seeds, a band from the lowest to the highest
    seed, and a dot where each seed stopped. Dashed lines show the accuracy on the validation clips.
    """
    figure = Figure(figsize=(6.6, 3.9), layout="constrained")
    axes = figure.subplots()
    validated = False
    for name in ARMS:
        arms, colour = [run.arm(name) for run in result.runs], _COLOURS[name]
        steps, test = _common([{p.iteration: p.test for p in arm.curve} for arm in arms])
        axes.plot(steps, test.mean(0), color=colour, linewidth=1.8, label=TITLES[name])
        axes.fill_between(steps, test.min(0), test.max(0), color=colour, alpha=0.14, linewidth=0)
        steps, held = _common(
            [{p.iteration: p.validation for p in arm.curve if p.validation is not None} for arm in arms]
        )
        axes.plot(steps, held.mean(0), color=colour, linewidth=1.1, linestyle="--", alpha=0.8)
        validated |= bool(len(steps))
        stopped = [arm.chosen for arm in arms]
        axes.scatter(
            [point.iteration for point in stopped], [100 * point.test for point in stopped],
            s=26, color=colour, edgecolor="white", linewidth=0.7, zorder=3,
        )  # fmt: skip
    axes.plot([], [], "o", color=_SOFT, markersize=5, label="stopped here")
    if validated:
        axes.plot([], [], "--", color=_SOFT, linewidth=1.1, label="validation clips")
    axes.set_xlabel("iterations", color=_SOFT)
    axes.set_ylabel("accuracy, %", color=_SOFT)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 102)
    _plain(axes, "y")
    _legend(axes)
    save_figure(figure, path)


def draw_by_actors(path: Path, settings: Sequence[SettingResult]) -> bool:
    """Accuracy of each arm over the number of actors in the real training clips, with 95 % intervals.

    Settings with the same number are drawn side by side. False, and no figure, if there is only one number.
    """
    known = sorted((s for s in settings if s.actors is not None), key=lambda setting: setting.actors or 0)
    actors = np.array([setting.actors for setting in known], float)
    numbers, of = np.unique(actors, return_inverse=True)
    if len(numbers) < 2:
        return False
    width = float(np.diff(numbers).min())
    figure = Figure(figsize=(6.6, 3.9), layout="constrained")
    axes = figure.subplots()
    beside = np.array([list(of[:i]).count(each) for i, each in enumerate(of)]) * 0.2 * width / max(Counter(of).values())
    for shift, name in zip((-0.03, 0.0, 0.03), ARMS, strict=True):
        found = [setting.result.summary.arm(name) for setting in known]
        places, means = actors + beside + shift * width, np.array([100 * each.mean for each in found])
        axes.plot(
            places, means, "o-" if len(numbers) == len(known) else "o", color=_COLOURS[name], linewidth=1.6,
            markersize=5, label=TITLES[name],
        )  # fmt: skip
        for place, each in zip(places, found, strict=True):
            if each.low is not None and each.high is not None:
                axes.plot((place, place), (100 * each.low, 100 * each.high), color=_COLOURS[name], linewidth=1.3)
    axes.set_xlabel("actors in the real training clips", color=_SOFT)
    axes.set_ylabel("accuracy, %", color=_SOFT)
    axes.set_xticks(numbers, [f"{number:.0f}" for number in numbers])
    axes.yaxis.set_major_locator(MaxNLocator(6))
    _plain(axes, "y")
    _legend(axes)
    save_figure(figure, path)
    return True


def _common(curves: Sequence[dict[int, float]]) -> tuple[list[int], np.ndarray]:
    """(iterations that all seeds have, percentages as "seed iteration")."""
    steps = sorted(set.intersection(*map(set, curves)))
    return steps, np.array([[100 * curve[step] for step in steps] for curve in curves])


def _stacked(values: Sequence[float]) -> Iterator[float]:
    """The height of the dot of each value, so that equal values form a stack."""
    rounded = [round(value, 1) for value in values]
    step = min(_STEP, _HIGHEST / max(Counter(rounded).values()))
    for i, value in enumerate(rounded):
        yield step * rounded[:i].count(value)


def _plain(axes: Axes, grid: str) -> None:
    axes.grid(axis=grid, color=_LINE, linewidth=0.7)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, colors=_INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#c7cdd6")


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=8.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
