"""`stgan compare`: the clips of several generators, scored alike."""

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from rich.text import Text

from stgan.cli import options
from stgan.cli.evaluate import check_scoring, chosen_rules, find_networks, find_real, score_cache
from stgan.cli.report import check_shown, is_page
from stgan.cli.terminal import (
    check_outputs,
    new_console,
    new_table,
    on_interrupt,
    print_note,
    print_paragraph,
    write_json,
)
from stgan.errors import StganError
from stgan.files import write_text
from stgan.metrics.table import METRICS
from stgan.names import printable, quoted
from stgan.progress import watching

if TYPE_CHECKING:
    from stgan.scoring import GeneratorComparison

_COLUMNS = 3  # generators in a table of 80 characters
_DIGITS = 3
_LONGEST = 20  # letters of a generator's name in the table of differences

EXAMPLES = (
    "stgan compare motion robust paper --real weizmann",
    "stgan compare ours theirs --real UCF-101 --features i3d_torchscript.pt --latex table.tex --json comparison.json",
    "stgan compare motion robust --real weizmann --out page                  (the clips side by side)",
)


def compare(
    folders: Annotated[
        list[Path],
        options.argument("FOLDER", "Two folders or more: what stgan generate wrote, or other clips."),
    ],
    scoring: options.Scoring,
    out: Annotated[
        Path | None, options.folder("--out", "Also write a page with the clips side by side: FOLDER/index.html.")
    ] = None,
    json_file: options.Json = None,
    csv_file: Annotated[Path | None, options.file("--csv", "Write a line for each score to this csv file.")] = None,
    latex_file: Annotated[Path | None, options.file("--latex", "Write the table for a paper to this file.")] = None,
    markdown_file: Annotated[
        Path | None, options.file("--markdown", "Write the table as Markdown to this file.")
    ] = None,
) -> None:
    """Compare generators: equally many clips of each, scored alike, and which differences are more than chance.

    Each folder holds the clips of one generator, in any form that stgan evaluate takes; or it is a file of its
    --save-features. Of each action that all of them show, as many clips count as the
    folder with the fewest has. Evaluator, feature network and real clips are the same for all. Every score has a 95 %
    interval. A score is marked as best only if it is better than that of every other generator by the interval of the
    difference.

    Clips of the same action, seed and number (stgan generate --seed) are compared in pairs, which finds smaller
    differences. The evaluator is a network that did not steer the clips of any folder.
    """
    from stgan.report.compare_page import write_compare_page
    from stgan.report.comparison_tables import as_csv, latex, markdown
    from stgan.scoring import Judging, compare_generators, find_generators

    console = new_console()
    rules = chosen_rules(scoring, draws=1)
    check_scoring(scoring, {})
    files = {"--json": json_file, "--csv": csv_file, "--latex": latex_file, "--markdown": markdown_file}
    check_outputs(files)
    page = out / "index.html" if out else None
    if out and page:
        if out.exists() and not out.is_dir():
            raise StganError(f"--out {quoted(out)} is a file; give the name of a folder")
        if page.exists() and not is_page(page):
            raise StganError(f"{quoted(page)} is not a page; give another --out")
        check_shown(*folders, scoring.real)
    generators = find_generators(
        folders, partial(print_note, console), layout=scoring.layout, values=scoring.values
    )  # fmt: skip
    scorer, space = find_networks(scoring, rules, folders[0], console)
    real = find_real(scoring, console)
    with score_cache(scoring.cache, console, scoring.evaluator, scoring.features, unused=scoring.no_cache) as kept:
        comparison = compare_generators(
            generators, Judging(scorer, space, real, rules=rules, allow_fooled=scoring.allow_fooled), cache=kept,
            batch_size=scoring.batch_size, workers=scoring.workers, watch=watching(console),
        )  # fmt: skip
    show_comparison(console, comparison)
    write_json(json_file, comparison)
    for path, written in ((csv_file, as_csv), (latex_file, latex), (markdown_file, markdown)):
        if path:
            write_text(path, written(comparison))
    if page:
        command = ["stgan", "compare", *map(str, folders), *(["--real", str(scoring.real)] if scoring.real else [])]
        command += [*(["--evaluator", scoring.evaluator] if scoring.evaluator else []), "--out", str(out)]
        with on_interrupt("the same command starts the page again"), console.status("drawing"):
            _, films = write_compare_page(
                comparison, dict(zip((each.name for each in generators), folders, strict=True)), page,
                real=(scoring.real, real.clips) if scoring.real and real else None, command=shlex.join(command),
            )  # fmt: skip
        needs = f"shows the films in {films}" if films else "needs no other file"
        console.print(f"{page} ({page.stat().st_size / 1e6:.1f} MB) {needs}", soft_wrap=True)


def show_comparison(console: Console, comparison: "GeneratorComparison") -> None:
    """Print a comparison: the scores, the differences that are more than chance, and the caption."""
    from stgan.report.comparison_tables import SIGNS, caption, lines, title

    found = lines(comparison, _DIGITS)
    for start in range(0, len(comparison.generators), _COLUMNS):
        some = slice(start, start + _COLUMNS)
        table = new_table("", *map(title, comparison.generators[some]), *["real"] * bool(comparison.real))
        for line in found:
            cells = [
                Text.assemble(
                    (f"{cell.value}*" if cell.best else cell.value, "bold" * cell.best),
                    f"\n({cell.interval})" if cell.interval else "",
                )
                for cell in line.cells[some]
            ]
            real = [line.real.value if line.real else ""] * bool(comparison.real)
            table.add_row(f"{line.metric.name} {SIGNS[line.metric.better]}", *cells, *real)
        console.print(table)
    clear = [each for each in comparison.differences if each.clear]
    if clear:
        table = new_table("", "first", "second", "difference", "95 %", "better", left=3, title="clear differences")
        for each in clear:
            digits = min(METRICS[each.metric].digits, _DIGITS)
            table.add_row(
                METRICS[each.metric].name,
                printable(each.first, _LONGEST),
                printable(each.second, _LONGEST),
                f"{each.difference:+.{digits}f}",
                f"{each.low:+.{digits}f}, {each.high:+.{digits}f}",
                "" if each.better is None else "first" if each.better == each.first else "second",
            )
        console.print(table)
    if comparison.differences:
        console.print(f"{len(clear)} of {len(comparison.differences)} differences are clear: their intervals exclude 0")
    print_paragraph(console, caption(comparison, intervals="Below scores", best="Bold and *"))
    for note in comparison.notes:
        print_paragraph(console, f"note: {note}")
