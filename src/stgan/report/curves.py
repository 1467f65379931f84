"""Loss curves of a training as SVG."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from stgan.errors import StganError
from stgan.names import printable
from stgan.records import read_text
from stgan.spacing import evenly_spread

_MOST_POINTS = 400  # of a curve; more cannot be seen
_MOST_PANELS = 12
_COLUMNS = 3
MAIN, CHECK, _FOLD = "#1f5fa8", "#b85410", "#b9c6d6"


@dataclass(frozen=True)
class Curves:
    """A log: the steps, and for each column one value at each step. NaN where a value is missing or not a number."""

    steps: Float[np.ndarray, " rows"]
    columns: Mapping[str, Float[np.ndarray, " rows"]]


def read_curves(path: Path) -> Curves | None:
    """Read a csv file with the column ``step`` and others, except ``seconds``. None if there is nothing to draw."""
    try:
        header, *rows = list(csv.reader(read_text(path, errors="replace").splitlines())) or [[]]
    except (StganError, csv.Error):
        return None
    table = [[_number(entry) for entry in row] for row in rows if len(row) == len(header)]
    if "step" not in header or not table:
        return None
    values = np.array(table)
    values = values[np.isfinite(values[:, header.index("step")])]
    if not len(values):
        return None
    values = values[evenly_spread(len(values), min(len(values), _MOST_POINTS))]
    columns = {name: values[:, number] for number, name in enumerate(header) if name not in ("step", "seconds")}
    return Curves(values[:, header.index("step")], columns)


def draw_curves(main: Curves | None, folds: Sequence[Curves] = (), validation: Curves | None = None) -> str | None:
    """Draw a panel for each column: the main run, the runs of the folds (thin), and the validation (dotted).

    Returns:
        SVG; None if no column has at least two values, one of them not zero.
    """
    runs = [run for run in (*folds, validation, main) if run is not None]
    names = list(dict.fromkeys(name for run in reversed(runs) for name in run.columns))
    names = [name for name in names if any(_worth_drawing(run.columns.get(name)) for run in runs)][:_MOST_PANELS]
    if not names:
        return None
    columns = min(_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)

    def draw(panels: np.ndarray) -> None:
        for panel in panels[len(names) :]:
            panel.remove()
        for panel, name in zip(panels, names, strict=False):
            for fold in folds:
                _line(panel, fold, name, color=_FOLD, linewidth=0.9)
            if main is not None:
                _line(panel, main, name, color=MAIN, linewidth=1.5)
            if validation is not None:
                _line(panel, validation, name, color=CHECK, linewidth=1.2, marker="o", markersize=2.5, linestyle=":")
            _finish(panel, name, [run for run in runs if name in run.columns])

    return draw_panels(rows, columns, draw)


def draw_panels(rows: int, columns: int, draw: Callable[[np.ndarray], None]) -> str:
    """SVG of panels, which `draw` gets row by row. Text stays text, and the same panels give the same bytes."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "stgan", "font.size": 9}):
        figure = Figure(figsize=(3.2 * columns, 2.1 * rows), layout="constrained")
        draw(figure.subplots(rows, columns, squeeze=False).flatten())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def style_panel(panel: Axes, title: str) -> None:
    """Give a panel its title, a light grid, and no frame."""
    panel.set_title(printable(title, 40), fontsize=9, loc="left", fontweight="bold", color="#333333", parse_math=False)
    panel.grid(color="#e6e9ee", linewidth=0.7)
    panel.set_axisbelow(True)
    panel.tick_params(colors="#666666", labelsize=8, length=0)
    panel.set_xlim(left=0)
    for side, spine in panel.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color("#c7cdd6")


def _worth_drawing(values: np.ndarray | None) -> bool:
    return values is not None and bool(np.isfinite(values).sum() > 1 and np.nan_to_num(values).any())


def _line(panel: Axes, run: Curves, name: str, **style: object) -> None:
    if name in run.columns:
        drawn = np.isfinite(run.columns[name])
        panel.plot(run.steps[drawn], run.columns[name][drawn], **style)  # type: ignore[arg-type]


def _finish(panel: Axes, name: str, runs: Sequence[Curves]) -> None:
    values = np.concatenate([run.columns[name] for run in runs])
    values = values[np.isfinite(values)]
    if values.min() > 0 and values.max() > 30 * values.min():
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_locator(NullLocator())
    style_panel(panel, name)


def _number(entry: str) -> float:
    try:
        return float(entry)
    except ValueError:
        return math.nan
