"""`stgan data`: look at clips before training on them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from stgan.files import write_text
from stgan.video import SPLITS, Survey, find_clips, survey_clips

_SHOWN = 10  # unreadable clips

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
        write_text(json_file, json.dumps(survey.summary(), indent=2) + "\n")
    if survey.problems():
        raise typer.Exit(1)


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
        lengths = found.lengths
        table.add_row(
            action,
            str(found.clips),
            str(found.groups or ""),
            *(str(found.splits.get(split, 0)) for split in splits),
            f"{lengths.shortest}-{lengths.longest} ({lengths.median})" if lengths else "",
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
    for reason in list(survey.unreadable.values())[:_SHOWN]:
        console.print(f"unreadable: {reason}", soft_wrap=True, style="yellow")
    if len(survey.unreadable) > _SHOWN:
        console.print(f"unreadable: {len(survey.unreadable) - _SHOWN} more; --json lists all", style="yellow")
    for warning in survey.warnings():
        console.print(f"warning: {warning}", soft_wrap=True, style="yellow")
    for problem in survey.problems():
        console.print(f"problem: {problem}", soft_wrap=True, style="red")
    if not survey.problems():
        console.print(f"These clips can be trained on{', mind the warnings' if survey.warnings() else ''}.")
