"""`stgan data`: check, shrink and prepare clips before training on them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from stgan.cli import options
from stgan.cli.terminal import check_output, command, new_console, new_table, on_interrupt, read_clips, write_json
from stgan.names import printable
from stgan.progress import one_bar

if TYPE_CHECKING:
    from stgan.video import Survey
    from stgan.video.ucf101_index import Index

_SHOWN = 10  # clips with the same problem; the JSON file has all of them

app = typer.Typer(no_args_is_help=True)


@app.callback()
def data() -> None:
    """Check, shrink and prepare clips before training on them."""


@command(app, "check", "stgan data check clips", "stgan data check jhmdb --split-column strict --json survey.json")
def check(
    folder: options.Clips,
    csv: options.Csv = None,
    split_column: options.SplitColumn = "split",
    ucf_split: options.UcfSplit = 1,
    json_file: options.Json = None,
) -> None:
    """Decode every clip. Show the numbers of clips, the unreadable ones, and problems for training or scoring.

    The exit status is 1 if the clips cannot be trained on. The command finds clips with equal frames, but no
    near-duplicates.
    """
    from stgan.video import find_clips, survey_clips

    console = new_console()
    check_output("--json", json_file)
    clips = find_clips(folder, csv=csv, split_column=split_column, ucf_split=ucf_split)
    with one_bar(console, "decoding") as progress:
        survey = survey_clips(clips, progress=progress)
    print_survey(console, survey)
    write_json(json_file, survey.summary())
    if survey.problems():
        raise typer.Exit(1)


@command(app, "compact", "stgan data compact clips/jhmdb --split-column strict --megabytes 30 --out jhmdb_small")
def compact(
    folder: options.Clips,
    out: Annotated[Path, options.folder("--out", "New folder for the small clips.")],
    size: Annotated[int, typer.Option(help="Width and height of the frames in pixels.", min=8, max=1024)] = 256,
    megabytes: Annotated[float, typer.Option(help="Largest size of all clips together.", min=0.001, max=1e6)] = 30.0,
    csv: options.Csv = None,
    split_column: options.SplitColumn = "split",
    ucf_split: options.UcfSplit = 1,
) -> None:
    """Write clips as small square videos, to copy them to another machine, such as one with a GPU.

    The clips have the best quality that fits into --megabytes. The csv file beside them has the name of the one that
    was read, with the same paths (except for their endings), labels, groups (or actors) and split: recipes work as
    before.
    """
    from stgan.video.clip_lists import choose_csv
    from stgan.video.compact import compact_clips

    console = new_console(soft_wrap=True)
    clips = read_clips(console, folder, csv=csv, split_column=split_column, ucf_split=ucf_split)
    tables = choose_csv(folder, csv)
    with one_bar(console, "writing") as progress:
        quality, total = compact_clips(
            clips, out, size=size, most_bytes=round(megabytes * 1e6), split_column=split_column, progress=progress,
            table=tables[0].name if len(tables) == 1 else "clips.csv",
        )  # fmt: skip
    console.print(f"{len(clips)} clips of {size}x{size} in {total / 1e6:.1f} MB (x264, {quality}): {out}")


@command(
    app,
    "prepare",
    "stgan data prepare ucf101 --root data",
    "stgan data prepare ucf101 --root data --split 1 --quick --json found.json",
)
def prepare(
    data_set: Annotated[Literal["ucf101"], typer.Argument(help="The published data set.")],
    root: Annotated[Path, options.folder("--root", "Folder that holds UCF-101 and ucfTrainTestlist.")],
    split: Annotated[
        int | None, typer.Option(help="Check only this official split. Default: all three.", min=1, max=3)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Decode only the beginning of each clip.")] = False,
    out: Annotated[
        Path, options.folder("--out", "Folder for index.json, which lists the clips and what was found.")
    ] = Path("ucf101"),
    json_file: options.Json = None,
) -> None:
    """Check that a copy of UCF-101 is complete and can be decoded, and write an index of it. Nothing is downloaded.

    The whole set takes minutes on all cores; --quick takes a fraction of that. Unchanged files are not decoded again:
    after an interruption, the same command continues. The exit status is 1 if something is missing.
    """
    from stgan.video.ucf101_index import INDEX, prepare_ucf101
    from stgan.video.ucf101_names import UCF101, WHERE

    console = new_console(soft_wrap=True)
    splits = (split,) if split else tuple(UCF101.splits)
    with on_interrupt("results so far are kept, the same command continues"), one_bar(console, "decoding") as bar:
        index = prepare_ucf101(root, out / INDEX, splits=splits, quick=quick, progress=bar)
    print_index(console, index)
    write_json(json_file, index.summary())
    if index.problems():
        console.print(f"incomplete: {WHERE}", style="red")
        raise typer.Exit(1)
    console.print(f"UCF-101 is complete; its index is {out / INDEX}.")


def print_index(console: Console, index: "Index") -> None:
    """Print the numbers of clips beside the published ones, then files with problems, warnings and problems."""
    from stgan.video.ucf101_names import UCF101

    table = new_table("", "found", "published")
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


def print_survey(console: Console, survey: "Survey") -> None:
    """Print the clips of each action, properties of the clips, and each warning and problem."""
    from stgan.video import SPLITS

    readable = survey.readable
    splits = [split for split in SPLITS if split in survey.splits]
    console.print(f"{readable.root}: {len(readable)} clips, {len(readable.actions)} actions", soft_wrap=True)
    table = new_table("action", "clips", "groups", *splits, "frames (median)", "unreadable")
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
        ("read as", survey.folder.layout or "given"),
        ("groups", str(len(readable.groups) or "not known")),
        ("splits", totals or "none"),
        ("frame sizes", sizes),
        ("frames a second", rates),
        ("turned upright", str(survey.turned)),
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
        console.print(f"These clips can be trained on{', but read the warnings' if survey.warnings() else ''}.")
