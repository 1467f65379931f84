"""A comparison of generators as tables: for papers (LaTeX, Markdown), spreadsheets (csv) and pages."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stgan.metrics.table import HIGHER, LIKE_REAL, LOWER, METRICS, Metric
from stgan.names import csv_cell, printable
from stgan.report.page import fixed
from stgan.scoring import Estimate, GeneratorComparison, GeneratorScores

SIGNS = {HIGHER: "↑", LOWER: "↓", LIKE_REAL: "≈"}
_LONGEST = 40  # letters of a generator's name
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "≈": r"$\approx$",
    **{letter: f"\\{letter}" for letter in "$&#_%"},
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A score as text, its interval (empty without one), and whether it is the best."""

    value: str
    interval: str
    best: bool = False


@dataclass(frozen=True)
class Line:
    """The scores of all generators in one metric, and of real clips; None if they have none."""

    metric: Metric
    cells: tuple[Cell, ...]
    real: Cell | None


def lines(comparison: GeneratorComparison, digits: int = 4) -> list[Line]:
    """A line for each metric. digits: the most after the decimal point."""
    found = []
    for key in (key for key in METRICS if key in comparison.metrics):
        metric, best = METRICS[key], comparison.best(key)
        places = min(metric.digits, digits)
        cells = (_cell(each.values[key], places, each.name == best) for each in comparison.generators)
        real = comparison.real.get(key)
        found.append(Line(metric, tuple(cells), _cell(real, places) if real else None))
    return found


def _cell(estimate: Estimate, digits: int, best: bool = False) -> Cell:
    low, high = estimate.low, estimate.high
    interval = "" if low is None or high is None else f"{fixed(low, digits)}, {fixed(high, digits)}"
    return Cell(fixed(estimate.value, digits), interval, best)


def title(generator: GeneratorScores) -> str:
    """A generator's name for the head of a table."""
    return printable(generator.name, _LONGEST) + " (fooled)" * bool(generator.fooled)


def caption(comparison: GeneratorComparison, intervals: str = "In brackets", best: str = "Bold") -> str:
    """What a reader must know about the table: clips, networks, protocol, and how it shows intervals and the best."""
    found, clips = comparison, f"{comparison.num_videos} clips of each generator"
    if found.actions:
        clips += f", {_counts(found.actions)} of each of {len(found.actions)} actions"
    words = [
        f"{clips}, scored by {found.evaluator} ({found.evaluator_network}, weights {found.evaluator_hash[:8]}), which "
        f"sees {found.protocol}."
    ]
    if found.num_real:
        words.append(
            f"Distances and neighbours are those of {found.num_real} windows of '{found.real_name}' on the "
            f"{found.feature_size} features of {found.feature_network} (weights {found.feature_hash[:8]})."
        )
    if found.rules and (found.rules.published or found.rules.changes()):
        changes = found.rules.changes()
        changed = f", with {', '.join(changes)}" if changes else ""
        words.append(f"Protocol: {found.rules.name}{changed} ({'; '.join(found.rules.in_words())}).")
    words.append(
        f"{intervals}: 95 % intervals (accuracy, frozen and flickering clips: Wilson's; others: bootstrap over clips, "
        f"{found.resamples} draws)."
    )
    if found.differences:
        words.append(
            f"{best}: better than every other generator, by 95 % intervals of the differences that hold for all pairs "
            "at once."
        )
    words.append(_paired(found))
    words.append("↑: higher is better; ↓: lower, down to real clips; ≈: as in real clips.")
    if found.fooled:
        words.append("Fooled: a network that scores these clips steered them, so its scores say nothing about them.")
    return " ".join(filter(None, words))


def _counts(actions: Mapping[str, int]) -> str:
    least, most = min(actions.values()), max(actions.values())
    return f"{least}" if least == most else f"{least} to {most}"


def _paired(comparison: GeneratorComparison) -> str:
    groups: dict[str, list[str]] = {}
    for each in comparison.generators:
        groups.setdefault(each.drawn_with, []).append(printable(each.name, _LONGEST))
    paired = [", ".join(names) for names in groups.values() if len(names) > 1]
    return (
        f"Paired, as actions, seeds and numbers are equal: {'; '.join(paired)}." if paired else "No clips are paired."
    )


def markdown(comparison: GeneratorComparison) -> str:
    """The table as Markdown, and its caption below it."""
    rows = [["", *map(title, comparison.generators), *["real"] * bool(comparison.real)]]
    rows += [
        [
            f"{line.metric.name} {SIGNS[line.metric.better]}",
            *(_text(cell, "**{}**", " [{}]") for cell in _all(comparison, line)),
        ]
        for line in lines(comparison)
    ]
    head, *body = [[_escaped_markdown(rows[0][i]) for i in range(len(rows[0]))], *rows[1:]]
    rule = ["---", *["---:"] * (len(head) - 1)]
    table = "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *body))
    return f"{table}\n{_escaped_markdown(caption(comparison))}\n"


def latex(comparison: GeneratorComparison) -> str:
    """The table for a paper, without any package."""
    columns = len(comparison.generators) + bool(comparison.real)
    head = ["", *(escaped_latex(title(each)) for each in comparison.generators), *["real"] * bool(comparison.real)]
    rows = [
        [
            escaped_latex(f"{line.metric.name} {SIGNS[line.metric.better]}"),
            *(
                _text(cell, r"\textbf{{{}}}", r" {{\scriptsize [{}]}}").replace("\N{MINUS SIGN}", "$-$")
                for cell in _all(comparison, line)
            ),
        ]
        for line in lines(comparison)
    ]
    return "\n".join(
        (
            r"\begin{table}",
            rf"\caption{{{escaped_latex(caption(comparison))}}}",
            r"\centering",
            rf"\begin{{tabular}}{{l{'r' * columns}}}",
            r"\hline",
            rf"{' & '.join(head)} \\",
            r"\hline",
            *(rf"{' & '.join(row)} \\" for row in rows),
            r"\hline",
            r"\end{tabular}",
            r"\end{table}",
            "",
        )
    )


def as_csv(comparison: GeneratorComparison) -> str:
    """A line for each generator and metric, and for real clips."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("generator", "fooled", "metric", "value", "low", "high", "better", "best"))
    for name, fooled, values in (
        *((each.name, each.fooled, each.values) for each in comparison.generators),
        ("", None, comparison.real),
    ):
        for key, each in values.items():
            better = METRICS[key].better if key in METRICS else ""
            best = comparison.best(key) == name
            row = (name or "real clips", fooled, key, each.value, each.low, each.high, better, best)
            writer.writerow(map(csv_cell, row))
    return file.getvalue().encode(errors="backslashreplace").decode()  # names of folders need not be Unicode


def escaped_latex(text: str) -> str:
    """Text as LaTeX that shows it."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _escaped_markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#$~&])", r"\\\1", text)


def _all(comparison: GeneratorComparison, line: Line) -> Iterator[Cell]:
    yield from line.cells
    if comparison.real:
        yield line.real or Cell("", "")


def _text(cell: Cell, bold: str, interval: str) -> str:
    return (bold.format(cell.value) if cell.best else cell.value) + (
        interval.format(cell.interval) if cell.interval else ""
    )
