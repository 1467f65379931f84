"""`stgan bench`: how fast this machine generates."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, cast, get_args

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from stgan.bench import Comparison, Estimate, available_memory, compare, estimate, matmul_rate
from stgan.bench.forms import record as forms_record
from stgan.bench.generating import NETWORKS, Cost, measure
from stgan.bench.generating import record as generating_record
from stgan.bench.machine import Precision, computing_in
from stgan.bench.paper_scale import CONDITION, Scale, record
from stgan.cli.generate import check_range
from stgan.cli.score_tables import shown_interval
from stgan.devices import choose_device, is_out_of_memory
from stgan.errors import Interrupted, StganError
from stgan.files import write_text
from stgan.names import duration, quoted
from stgan.pipeline import STGAN
from stgan.scoring import find_evaluator
from stgan.studies import schedules
from stgan.studies.schedules import CurvePoint

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


@app.command("generator")
def generator(
    rounds: Annotated[int, typer.Option(help="How often each form is timed, in turn.")] = 7,
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 16,
    batch: Annotated[int, typer.Option(help="Clips at a time.")] = 1,
    threads: Annotated[int | None, typer.Option(help="Of a CPU; default: as many as it has cores.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")] = None,
    width: Annotated[float, typer.Option(help="Of all layers, as a factor of the published width.")] = 1.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here too.")
    ] = None,
) -> None:
    """Time Table 1's generator, forward and backward to the codes: as published against as it runs here.

    Published are plain 3D convolutions, timed in the memory format that suits them best; here each of them is a mixing
    of neighbouring frames and a 2D convolution, a third of the work for the same result. Both run in turn, on random
    weights, beside plain matrix products. Two CPU cores take half a minute and 2 GB.

    Examples:

      stgan bench generator

      stgan bench generator --device cuda --batch 4 --rounds 20 --json generator.json
    """
    console = Console(markup=False, highlight=False)
    check_range("--rounds", rounds, 1, 100_000)
    _check_writable(json_file)
    scale, place = _scale(frames, batch, width), _place(threads, device)
    with _ending_in_a_sentence(place), _progress(console) as progress:
        task = progress.add_task("rounds", total=rounds)
        comparison = compare(scale, place, rounds, on_round=partial(progress.update, task, advance=1))
    console.print(_forms_table(comparison))
    of = comparison
    for line in (
        f"factorised: {of.speedup:.2f} times as fast; its convolutions run at {of.share_of_matmul:.0%} of a matrix "
        f"product's rate ({of.matmul_flops / _GIGA:.0f} GFLOP/s)",
        f"the videos differ by {of.output_error:.1e}, the gradients by {of.gradient_error:.1e} (relative, 2-norms)",
    ):
        console.print(line, soft_wrap=True)
    if json_file:
        write_text(json_file, json.dumps(forms_record(comparison, scale, place), indent=2) + "\n")


@app.command("generate")
def generate(
    model: Annotated[str, typer.Option(help="Bundled name, folder, or Hugging Face hub id.")] = "weizmann",
    batch: Annotated[
        list[int] | None, typer.Option(help="Clips at a time, may be repeated; default: 1, 9, 36.")
    ] = None,
    action: Annotated[list[str] | None, typer.Option(help="May be repeated. Default: every action.")] = None,
    preset: Annotated[str | None, typer.Option(help="motion, robust, paper or pixels; default: the model's.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Of activation maximization; default: the preset's.")] = None,
    curve: Annotated[
        str, typer.Option(metavar="N,N,...", help="Also: what the evaluator says of clips of so many iterations.")
    ] = "",
    num: Annotated[int, typer.Option(help="Clips of each action for every point of the --curve.")] = 4,
    evaluator: Annotated[str, typer.Option(help="Of the --curve: one that does not steer.")] = "evaluator",
    threads: Annotated[int | None, typer.Option(help="Of a CPU; default: as many as it has cores.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here too.")
    ] = None,
) -> None:
    """Time the whole loop on a model: seconds a clip and an iteration, which network they go to, and memory.

    A batch of each action is timed, for every size of a batch. It is the sampler itself that runs. The floor is what
    the same operations would take at the rate of a matrix product. Two CPU cores take three minutes.

    Examples:

      stgan bench generate

      stgan bench generate --batch 1 --batch 64 --device cuda --json generate.json

      stgan bench generate --batch 4 --curve 5,10,20,40,80 --num 10
    """
    console = Console(markup=False, highlight=False)
    sizes = batch or [1, 9, 36]
    for size in sizes:
        check_range("--batch", size, 1, _MOST_CLIPS)
    check_range("--num", num, 1, _MOST_CLIPS)
    if iterations is not None:
        check_range("--iterations", iterations, 1, 100_000)
    numbers = _numbers("--curve", curve)
    _check_writable(json_file)
    stgan = STGAN.from_pretrained(model, _place(threads, device))
    settings, names = stgan.preset(preset, iterations), stgan.check_actions(action or [])
    if numbers and evaluator in stgan.folder.condition:
        raise StganError(f"{evaluator} is a network that steered; choose another --evaluator")
    judge = find_evaluator(evaluator, stgan.folder, device=stgan.device) if numbers else None
    rate, costs, points = matmul_rate(stgan.device), [], []
    with _ending_in_a_sentence(stgan.device), _progress(console) as progress:
        for size in sizes:
            task = progress.add_task(f"{size} at a time", total=len(names))
            costs.append(
                measure(stgan, settings, size, actions=names, on_batch=partial(progress.update, task, advance=1))
            )
        if judge:
            task = progress.add_task("curve", total=len(numbers) * num * len(names))
            with TemporaryDirectory() as folder:
                points = schedules.curve(
                    stgan, settings, judge, numbers, num, 0, Path(folder), actions=names,
                    on_clip=partial(progress.update, task, advance=1),
                )  # fmt: skip
    rate = max(rate, matmul_rate(stgan.device))
    console.print(_costs_table(costs, rate, f"{stgan.name}, {settings.name}, {settings.iterations} iterations"))
    if points:
        console.print(_curve_table(points))
    if json_file:
        figures = generating_record(costs, [point.to_json() for point in points], stgan, settings, rate)
        write_text(json_file, json.dumps(figures, indent=2) + "\n")


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
    precision: Annotated[
        str, typer.Option(help="Of products: float32, tf32 (NVIDIA GPUs) or bf16 (autocast).")
    ] = "float32",
    conv3d: Annotated[
        bool, typer.Option("--conv3d", help="Time the generator of plain 3D convolutions, as published, too.")
    ] = False,
    memory: Annotated[float, typer.Option(help="GB to say the largest batch for; the paper's card had 12.")] = 12.0,
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

      stgan bench paper-scale --condition lrcn --device cuda --batch 8 --precision bf16 --conv3d --json lrcn.json
    """
    console = Console(markup=False, highlight=False)
    check_range("--iterations", iterations, 1, 100_000)
    check_range("--num-videos", num_videos, 1, 10**12)
    check_range("--memory", memory, 0.1, 10_000)
    _check_writable(json_file)
    if precision not in get_args(Precision):
        raise StganError(f"--precision is {', '.join(get_args(Precision))}, not {precision!r}")
    in_precision = cast(Precision, precision)
    scale, place = _scale(frames, batch, width), _place(threads, device)
    if precision == "tf32" and place.type != "cuda":
        raise StganError(f"--precision tf32 is of NVIDIA GPUs; choose another one on {place}")
    names = CONDITION if condition == _IN_TURN else (condition,)
    needed, available = max(map(scale.memory_needed, names)), available_memory(place)
    if available is not None and needed > available:
        console.print(
            f"warning: this needs about {needed / _GIGA:.1f} GB, and {available / _GIGA:.1f} GB are free on {place}",
            style="yellow",
            soft_wrap=True,
        )
    estimates, published = dict[str, Estimate](), dict[str, Estimate]()
    with _ending_in_a_sentence(place), computing_in(in_precision, place), _progress(console) as progress:
        rate = matmul_rate(place)
        for name in names:
            networks = scale.networks(name, place)
            for form in (estimates, published) if conv3d else (estimates,):
                plain = form is published
                task = progress.add_task(f"steered by {name}" + ", conv3d" * plain, total=iterations + 1)
                form[name] = estimate(
                    networks,
                    frames=frames,
                    batch=batch,
                    iterations=iterations,
                    conv3d=plain,
                    on_iteration=partial(progress.update, task, advance=1),
                )
        rate = max(rate, matmul_rate(place))  # before and after: something else may have kept the machine busy
    for name, figures in estimates.items():
        console.print(_table(name, figures, rate))
        _print_totals(console, figures, num_videos)
        if plainly := published.get(name):
            slower = plainly.seconds_per_iteration / figures.seconds_per_iteration
            console.print(f"with plain 3D convolutions as a generator: {slower:.2f} times as long", soft_wrap=True)
        console.print(f"in {memory:g} GB: batches of up to {scale.largest_batch(name, memory * _GIGA)}")
    if json_file:
        of_run = record(estimates, published, scale, place, in_precision, rate, num_videos, memory)
        write_text(json_file, json.dumps(of_run, indent=2) + "\n")


def _numbers(option: str, text: str) -> list[int]:
    """From "5,10,20"."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and 1 <= len(part) <= 5 and int(part) for part in parts):
        raise StganError(f"{option} is a list of numbers from 1 to 99999 with commas between, not {text[:80]!r}")
    return list(dict.fromkeys(map(int, parts)))


def _check_writable(json_file: Path | None) -> None:
    """Before the minutes that timing takes, not after."""
    if json_file and (json_file.is_dir() or not os.access(json_file.parent, os.W_OK | os.X_OK)):
        raise StganError(f"--json {quoted(json_file)} cannot be written; name a file in a folder that is there")


def _scale(frames: int, batch: int, width: float) -> Scale:
    check_range("--frames", frames, 1, _MOST_FRAMES)
    check_range("--batch", batch, 1, _MOST_CLIPS)
    return Scale(frames=frames, batch=batch, width=width)


def _place(threads: int | None, device: str | None) -> torch.device:
    if threads is not None:
        check_range("--threads", threads, 1, 1024)
        torch.set_num_threads(threads)
    return choose_device(device)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console,
    )  # fmt: skip


@contextmanager
def _ending_in_a_sentence(place: torch.device) -> Iterator[None]:
    """What a user can do about an interruption, or too little memory."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("nothing was written; fewer rounds or iterations take less time") from None
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise StganError(f"{place} has too little memory for this; use a smaller --batch") from error


def _forms_table(comparison: Comparison) -> Table:
    """At most 80 wide."""
    table = Table(title=f"forward and backward, medians of {comparison.rounds}")
    for column in ("form", "seconds", "trunk: seconds", "GFLOP", "GFLOP/s", "memory: GB"):
        table.add_column(column, justify="left" if column == "form" else "right")
    for name, of in (("3D convolutions", comparison.conv3d), ("factorised", comparison.factorised)):
        table.add_row(
            name, f"{of.seconds:.3f}", f"{of.trunk_seconds:.3f}", f"{of.trunk_flops / _GIGA:.1f}",
            f"{of.trunk_flops / of.trunk_seconds / _GIGA:.0f}", f"{of.memory_bytes / _GIGA:.2f}",
        )  # fmt: skip
    return table


def _costs_table(costs: Sequence[Cost], rate: float, title: str) -> Table:
    """At most 80 wide."""
    table = Table(title=f"{title}: seconds a clip", pad_edge=False)
    for column in ("batch", "seconds", *NETWORKS, "rest", "floor", "steps", "GB"):
        table.add_column(column, justify="right")
    for cost in costs:
        table.add_row(
            f"{cost.batch}", f"{cost.seconds:.3f}", *(f"{cost.parts[part]:.3f}" for part in NETWORKS),
            f"{cost.outside_networks:.0%}", f"{cost.flops / rate:.3f}", f"{cost.steps:.1f}",
            f"{cost.peak_memory_bytes / _GIGA:.2f}",
        )  # fmt: skip
    return table


def _curve_table(points: Sequence[CurvePoint]) -> Table:
    """At most 80 wide."""
    table = Table(title=f"what the evaluator says of {points[0].clips} clips")
    for column in ("iterations", "seconds a clip", "accuracy (95 %)", "Inception Score", "motion"):
        table.add_column(column, justify="right")
    for point in points:
        table.add_row(
            f"{point.iterations}", f"{point.seconds:.2f}",
            f"{point.accuracy:.3f} {shown_interval(point.accuracy_interval)}", f"{point.inception_score:.2f}",
            f"{point.motion:.2f}",
        )  # fmt: skip
    return table


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
