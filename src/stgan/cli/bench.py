"""`stgan bench`: how fast this machine generates."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from stgan.bench import Estimate, available_memory, estimate, matmul_rate
from stgan.bench.paper_scale import CONDITION, Scale, record
from stgan.cli.generate import check_range
from stgan.devices import choose_device
from stgan.errors import Interrupted, StganError
from stgan.files import write_text

_IN_TURN = "both-in-turn"
_GIGA = 1e9
_MOST_FRAMES, _MOST_CLIPS = 1024, 1024  # of a clip, in a batch
_NAMES = {
    "generator_forward": "generator, forward",
    "condition_forward": "{}, forward",
    "condition_backward": "{}, backward",
    "generator_backward": "generator, backward",
    "reconstruction_generator": "reconstruction: image generator",
    "reconstruction_encoder": "reconstruction: encoder",
    "update": "update",
}

app = typer.Typer(no_args_is_help=True)


@app.callback()
def bench() -> None:
    """How fast this machine generates, and how close that is to what it can do."""


@app.command("paper-scale")
def paper_scale(
    condition: Annotated[str, typer.Option(help="Which network steers: lrcn, c3d or both-in-turn.")] = _IN_TURN,
    iterations: Annotated[int, typer.Option(help="To be timed, after one that is not.")] = 10,
    frames: Annotated[int, typer.Option(help="Frames of a clip; below 16 only with --condition lrcn.")] = 16,
    batch: Annotated[int, typer.Option(help="Clips at a time.")] = 1,
    num_videos: Annotated[
        int, typer.Option(help="How many videos to say the time for; the paper made 10,000.")
    ] = 10000,
    threads: Annotated[int | None, typer.Option(help="Of a CPU; default: as many as it has cores.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")] = None,
    width: Annotated[float, typer.Option(help="Of all layers, as a factor of the published width.")] = 1.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here too.")
    ] = None,
) -> None:
    """Time the paper's loop at the paper's sizes: 16 frames of 256x256, LRCN and C3D as published, random weights.

    An iteration is the generator and the network that steers, forward and backward, and PPGN's reconstruction through
    the encoder: what `stgan generate --preset paper` does, by the same code. The rate it reaches stands beside that of
    a plain matrix product, the floor. Two CPU cores take about a minute and 2 GB.

    Examples:

      stgan bench paper-scale

      stgan bench paper-scale --condition c3d --device cuda --batch 8 --iterations 100 --json c3d.json
    """
    console = Console(markup=False, highlight=False)
    check_range("--iterations", iterations, 1, 100_000)
    check_range("--frames", frames, 1, _MOST_FRAMES)
    check_range("--batch", batch, 1, _MOST_CLIPS)
    check_range("--num-videos", num_videos, 1, 10**12)
    if threads is not None:
        check_range("--threads", threads, 1, 1024)
        torch.set_num_threads(threads)
    scale, place = Scale(frames=frames, batch=batch, width=width), choose_device(device)
    names = CONDITION if condition == _IN_TURN else (condition,)
    needed, available = max(map(scale.memory_needed, names)), available_memory(place)
    if available is not None and needed > available:
        console.print(
            f"warning: this needs about {needed / _GIGA:.1f} GB, and {available / _GIGA:.1f} GB are free on {place}",
            style="yellow",
            soft_wrap=True,
        )
    rate = matmul_rate(place)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    estimates = {}
    try:
        with Progress(*columns, console=console) as progress:
            for name in names:
                task = progress.add_task(f"steered by {name}", total=iterations + 1)
                estimates[name] = estimate(
                    scale.networks(name, place),
                    frames=frames,
                    batch=batch,
                    iterations=iterations,
                    on_iteration=partial(progress.update, task, advance=1),
                )
    except KeyboardInterrupt:
        raise Interrupted("nothing was written; --iterations 1 takes less time") from None
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        raise StganError(
            f"{place} has too little memory: about {needed / _GIGA:.1f} GB are needed; use a smaller --batch"
        ) from error
    rate = max(rate, matmul_rate(place))  # before and after: something else may have kept the machine busy
    for name, figures in estimates.items():
        console.print(_table(name, figures, rate))
        _print_totals(console, figures, num_videos)
    if json_file:
        write_text(json_file, json.dumps(record(estimates, scale, place, rate, num_videos), indent=2) + "\n")


def _table(condition: str, figures: Estimate, rate: float) -> Table:
    """At most 80 wide."""
    seconds, flops = figures.seconds_per_iteration, figures.flops_per_iteration
    table = Table(title=f"an iteration steered by {condition}")
    for column in ("part", "seconds", "share", "GFLOP", "GFLOP/s"):
        table.add_column(column, justify="left" if column == "part" else "right")

    def row(name: str, taken: float, operations: float) -> None:
        per_second = f"{operations / taken / _GIGA:.0f}" if operations and taken else ""
        table.add_row(name, f"{taken:.3f}", f"{taken / seconds:.0%}", f"{operations / _GIGA:.1f}", per_second)

    for part, of in figures.parts.items():
        row(_NAMES[part].format(condition), of.seconds, of.flops)
    table.add_section()
    row("all of it", seconds, flops)
    row("floor: as a matrix product", flops / rate, flops)
    return table


def _print_totals(console: Console, figures: Estimate, num_videos: int) -> None:
    fastest, slowest = figures.seconds_range
    for line in (
        f"{figures.iterations_timed} iterations took {fastest:.3g} to {slowest:.3g} s each; at most "
        f"{figures.peak_memory_bytes / _GIGA:.2f} GB were held, {figures.weights_bytes / _GIGA:.2f} GB of it weights",
        f"a video of {figures.frames} frames, {figures.iterations} iterations: {duration(figures.seconds_per_video)}; "
        f"{num_videos:,} videos: {duration(3600 * figures.hours(num_videos))}",
    ):
        console.print(line, soft_wrap=True)


def duration(seconds: float) -> str:
    """In the unit that suits it."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
