"""`stgan data`: look at clips before training on them."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from stgan.errors import Interrupted
from stgan.files import write_text
from stgan.names import printable
from stgan.records import write_record
from stgan.video import SPLITS, Survey, find_clips, survey_clips
from stgan.video.compact import compact_clips
from stgan.video.folders import choose_csv
from stgan.video.ucf101 import UCF101, WHERE
from stgan.video.ucf101_index import INDEX, Index, prepare_ucf101

_SHOWN = 10  # clips of a kind; the JSON has them all

app = typer.Typer(no_args_is_help=True)


@app.callback()
def data() -> None:
    """Look at clips before training on them."""


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Clips: class folders, a csv file, or UCF-101 lists.")],
    csv: Annotated[str | None, typer.Option(help="Name of the csv file, where there are several.")] = None,
    split_column: Annotated[str, typer.Option(help="Column of the csv file to take the split from.")] = "split",
    ucf_split: Annotated[int, typer.Option(help="Which of UCF-101's three official splits.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what was found here too.")] = None,
) -> None:
    """Decode every clip and say what is there, what cannot be read, and what would spoil a training or its figures.

    The exit status is 1 if the clips cannot be trained on. Clips with equal frames are found, near-duplicates are not.

    Examples:

      stgan data check clips

      stgan data check jhmdb --split-column strict --json survey.json
    """
    console = Console(markup=False, highlight=False)
    clips = find_clips(folder, csv=csv, split_column=split_column, ucf_split=ucf_split)
    with progress_bar(console, "decoding") as progress:
        survey = survey_clips(clips, progress=progress)
    print_survey(console, survey)
    if json_file:
        write_record(json_file, survey.summary())
    if survey.problems():
        raise typer.Exit(1)


@app.command("compact")
def compact(
    folder: Annotated[Path, typer.Argument(help="Clips: class folders, a csv file, or UCF-101 lists.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="A new folder for them.")],
    size: Annotated[int, typer.Option(help="Side of the frames.", min=8, max=1024)] = 256,
    megabytes: Annotated[float, typer.Option(help="The most that all of them may take.", min=0.001, max=1e6)] = 30.0,
    csv: Annotated[str | None, typer.Option(help="Name of the csv file, where there are several.")] = None,
    split_column: Annotated[str, typer.Option(help="Column of the csv file to take the split from.")] = "split",
    ucf_split: Annotated[int, typer.Option(help="Which of UCF-101's three official splits.")] = 1,
) -> None:
    """Write clips as small square videos, to carry them to a machine that does not have them, such as a lent GPU.

    They are in the best quality that fits. The csv file beside them has the name of the one that was read, and the
    same paths but for their endings, labels, groups (or actors) and split, so that recipes go on working.

    Examples:

      stgan data compact clips/jhmdb --split-column strict --megabytes 30 --out jhmdb_small
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    clips = find_clips(folder, csv=csv, split_column=split_column, ucf_split=ucf_split)
    table = choose_csv(folder, csv)
    with progress_bar(console, "writing") as progress:
        quality, total = compact_clips(
            clips, out, size=size, most_bytes=round(megabytes * 1e6), split_column=split_column, progress=progress,
            table=table.name if table else "clips.csv",
        )  # fmt: skip
    console.print(f"{len(clips)} clips of {size}x{size} in {total / 1e6:.1f} MB (x264, {quality}): {out}")


class DataSet(str, Enum):
    """A published set of clips."""

    UCF101 = "ucf101"


@app.command("prepare")
def prepare(
    data_set: Annotated[DataSet, typer.Argument(help="Which published set.")],
    root: Annotated[Path, typer.Option(help="Folder that holds UCF-101 and ucfTrainTestlist.")],
    split: Annotated[
        int | None, typer.Option(help="Only this official split; default: all three.", min=1, max=3)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Decode the beginning of each clip only.")] = False,
    out: Annotated[Path, typer.Option(help=f"Folder for {INDEX}, which says what is where.")] = Path("ucf101"),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was found here too, without the single clips.")
    ] = None,
) -> None:
    """Check that a copy of UCF-101 is complete and can be decoded, and write an index of it. Nothing is downloaded.

    The whole set takes minutes of all cores, with --quick a fraction of that. Files that have not changed are not
    decoded again: an interrupted check goes on where it stopped. The exit status is 1 if something is missing.

    Examples:

      stgan data prepare ucf101 --root data

      stgan data prepare ucf101 --root data --split 1 --quick --json found.json
    """
    console = Console(markup=False, highlight=False, soft_wrap=True)
    splits = (split,) if split else tuple(UCF101.splits)
    try:
        with progress_bar(console, "decoding") as progress:
            index = prepare_ucf101(root, out / INDEX, splits=splits, quick=quick, progress=progress)
    except KeyboardInterrupt:
        raise Interrupted("what was found is kept, the same command goes on there") from None
    print_index(console, index)
    if json_file:
        write_text(json_file, json.dumps(index.summary(), indent=2) + "\n")
    if index.problems():
        console.print(f"incomplete: {WHERE}", style="red")
        raise typer.Exit(1)
    console.print(f"UCF-101 is complete; its index is {out / INDEX}.")


def print_index(console: Console, index: Index) -> None:
    """What there is, beside what there should be; then names, warnings and problems."""
    table = Table()
    for column in ("", "found", "published"):
        table.add_column(column, justify="right" if column else "left")
    found = index.summary()
    table.add_row("classes", str(found["classes"]), str(len(UCF101.classes)))
    table.add_row("groups", str(found["groups"]), str(len(UCF101.classes) * UCF101.groups))
    table.add_row("clips", str(found["found"]), str(UCF101.clips))
    for split in index.splits:
        for (side, count), published in zip(index.counts(split).items(), UCF101.splits[split], strict=True):
            table.add_row(f"split {split}, {side}", str(count), str(published))
    console.print(table)
    _print_some(console, "missing", index.missing)
    _print_some(console, "unreadable", index.unreadable.values())
    _print_some(console, "unusual", (f"{file}: {facts}" for file, facts in index.unusual.items()))
    _print_some(console, "on no list", index.extra)
    for warning in index.warnings():
        console.print(f"warning: {warning}", style="yellow")
    for problem in index.problems():
        console.print(f"problem: {problem}", style="red")


def _print_some(console: Console, word: str, lines: Iterable[str]) -> None:
    lines = list(lines)
    for line in lines[:_SHOWN]:
        console.print(f"{word}: {printable(line)}", style="yellow")
    if len(lines) > _SHOWN:
        console.print(f"{word}: {len(lines) - _SHOWN} more; --json lists all", style="yellow")


@contextmanager
def progress_bar(console: Console, description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that is told how many are done and how many there are."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def print_survey(console: Console, survey: Survey) -> None:
    """Tables of what is there, then each warning and each problem on its own."""
    readable = survey.readable
    splits = [split for split in SPLITS if split in survey.splits]
    console.print(f"{readable.root}: {len(readable)} clips, {len(readable.actions)} actions", soft_wrap=True)
    table = Table()
    table.add_column("action")
    for column in ("clips", "groups", *splits, "frames (median)", "unreadable"):
        table.add_column(column, justify="right")
    for action, found in survey.actions.items():
        lengths = found.frames
        table.add_row(
            action,
            str(found.clips),
            str(found.groups or ""),
            *(str(found.splits.get(split, 0)) for split in splits),
            f"{lengths.min}-{lengths.max} ({lengths.median})" if lengths else "",
            str(found.unreadable or ""),
        )
    console.print(table)
    sizes = ", ".join(f"{width}x{height} ({count})" for (height, width), count in survey.sizes.items())
    rates = ", ".join(f"{rate:g} ({count})" for rate, count in survey.frame_rates.items())
    totals = ", ".join(f"{survey.splits[split]} {split}" for split in splits)
    for name, value in (
        ("groups", str(len(readable.groups) or "not known")),
        ("splits", totals or "none"),
        ("frame sizes", sizes),
        ("frames a second", rates),
        ("sets of clips with equal frames", str(len(survey.duplicates))),
        ("groups in several splits", str(len(survey.leaking_groups))),
    ):
        console.print(f"{name}: {value}", soft_wrap=True)
    _print_some(console, "unreadable", survey.unreadable.values())
    for warning in survey.warnings():
        console.print(f"warning: {warning}", soft_wrap=True, style="yellow")
    for problem in survey.problems():
        console.print(f"problem: {problem}", soft_wrap=True, style="red")
    if not survey.problems():
        console.print(f"These clips can be trained on{', mind the warnings' if survey.warnings() else ''}.")
