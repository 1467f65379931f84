"""`stgan compare`: the clips of several generators, scored alike."""

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from stgan.cli import options
from stgan.cli.evaluate import check_scoring, chosen_rules, made_by, score_cache
from stgan.cli.report import is_page
from stgan.cli.terminal import check_outputs, new_console, new_table, on_interrupt, print_note, write_json
from stgan.errors import StganError
from stgan.files import typed, write_text
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
    real: options.Real = None,
    model: options.ModelOfClips = None,
    evaluator: options.Evaluator = None,
    features: options.Features = None,
    protocol: options.Protocol = "stgan",
    num: Annotated[
        int | None,
        typer.Option(help="Compare only this many clips of each folder. Default: as many as all of them have."),
    ] = None,
    num_real: options.NumReal = None,
    seed: options.ScoringSeed = None,
    splits: options.Splits = None,
    frames: options.WindowFrames = None,
    csv_list: options.RealCsv = None,
    split_column: options.SplitColumn = "split",
    ucf_split: options.UcfSplit = 1,
    real_fps: options.RealFps = None,
    allow_fooled: options.AllowFooled = False,
    trust_torchscript: options.TrustTorchscript = False,
    out: Annotated[
        Path | None, options.folder("--out", "Also write a page with the clips side by side: FOLDER/index.html.")
    ] = None,
    json_file: options.Json = None,
    csv_file: Annotated[Path | None, options.file("--csv", "Write a line for each score to this csv file.")] = None,
    latex_file: Annotated[Path | None, options.file("--latex", "Write the table for a paper to this file.")] = None,
    markdown_file: Annotated[
        Path | None, options.file("--markdown", "Write the table as Markdown to this file.")
    ] = None,
    cache: options.Cache = None,
    no_cache: options.NoCache = False,
    batch_size: options.BatchSize = 4,
    workers: options.Workers = None,
    device: options.Device = None,
) -> None:
    """Compare generators: equally many clips of each, scored alike, and which differences are more than chance.

    Each folder holds the clips of one generator. Of each action that all of them show, as many clips count as the
    folder with the fewest has. Evaluator, feature network and real clips are the same for all. Every score has a 95 %
    interval. A score is marked as best only if it is better than that of every other generator by the interval of the
    difference.

    Clips of the same action, seed and number (stgan generate --seed) are compared in pairs, which finds smaller
    differences. The evaluator is a network that did not steer the clips of any folder.
    """
    from stgan.checkpoints import find_model
    from stgan.cli.score_tables import show_protocol
    from stgan.devices import choose_device
    from stgan.report.compare_page import write_compare_page
    from stgan.report.comparison_tables import as_csv, latex, markdown
    from stgan.scoring import (
        SAVED,
        Judging,
        Real,
        compare_generators,
        find_evaluator,
        find_generators,
        given_clips,
        prepared,
    )

    console = new_console()
    rules = chosen_rules(
        protocol, num=num, num_real=num_real, seed=seed, splits=splits, frames=frames, draws=1
    )  # fmt: skip
    of_real = {"--real-csv": csv_list, "--real-fps": real_fps, "--num-real": num_real}
    check_scoring(real, of_real, real_fps, batch_size, workers)
    files = {"--json": json_file, "--csv": csv_file, "--latex": latex_file, "--markdown": markdown_file}
    check_outputs(files)
    page = out / "index.html" if out else None
    if out and page:
        if out.exists() and not out.is_dir():
            raise StganError(f"--out {quoted(out)} is a file; give the name of a folder")
        if page.exists() and not is_page(page):
            raise StganError(f"{quoted(page)} is not a page; give another --out")
    for given in (*folders, *([real] if real else [])):
        if given.name.endswith(SAVED):
            raise StganError(f"{quoted(given)} holds measurements, which stgan evaluate alone takes; give the clips")
    generators = find_generators(folders, lambda note: print_note(console, note))
    whole = made_by(folders[0]) if model is None else find_model(typed(model))
    find = partial(
        find_evaluator, model=whole, frames=rules.frames, device=choose_device(device), run_code=True,
        trust_torchscript=trust_torchscript,
    )  # fmt: skip
    show_protocol(console, rules)
    scorer, space = find(evaluator), find(features) if features is not None else None
    if space is None or rules.score == "inception_score":
        scorer = prepared(scorer, rules)
    else:
        space = prepared(space, rules)
    beside = None
    if real:
        say = partial(print_note, console)
        found = given_clips(real, say, csv=csv_list, split_column=split_column, ucf_split=ucf_split)
        beside = Real(found, real_fps)
    with score_cache(cache, console, evaluator, features, unused=no_cache) as kept:
        comparison = compare_generators(
            generators, Judging(scorer, space, beside, rules=rules, allow_fooled=allow_fooled), cache=kept,
            batch_size=batch_size, workers=workers, watch=watching(console),
        )  # fmt: skip
    show_comparison(console, comparison)
    write_json(json_file, comparison)
    for path, written in ((csv_file, as_csv), (latex_file, latex), (markdown_file, markdown)):
        if path:
            write_text(path, written(comparison))
    if page:
        command = ["stgan", "compare", *map(str, folders), *(["--real", str(real)] if real else [])]
        command += [*(["--evaluator", evaluator] if evaluator else []), "--out", str(out)]
        with on_interrupt("the same command starts the page again"), console.status("drawing"):
            _, films = write_compare_page(
                comparison, dict(zip((each.name for each in generators), folders, strict=True)), page,
                real=(real, beside.clips) if real and beside else None, command=shlex.join(command),
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
    console.print(f"{caption(comparison).replace('Bold:', 'Bold and *:')}", soft_wrap=True)
    for note in comparison.notes:
        console.print(f"note: {note}", soft_wrap=True)
