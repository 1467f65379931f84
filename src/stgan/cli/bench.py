"""`stgan bench`: how fast this machine generates."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from stgan.cli import options
from stgan.cli.terminal import check_output, check_range, command, new_console, new_table, on_interrupt, write_json
from stgan.defaults import MOST_FRAMES
from stgan.errors import StganError, on_out_of_memory
from stgan.files import typed
from stgan.names import duration
from stgan.progress import bars

if TYPE_CHECKING:
    import torch

    from stgan.bench import Estimate, FormsComparison
    from stgan.bench.generation_timing import BatchCost
    from stgan.bench.paper_scale import Scale
    from stgan.studies.schedules import SchedulePoint

_IN_TURN = "both-in-turn"
_GIGA = 1e9
_MOST_CLIPS = 1024  # in a batch
_NAMES = {
    "generator_forward": "generator, forward",
    "condition_forward": "{}, forward",
    "condition_backward": "{}, backward",
    "generator_backward": "generator, backward",
    "reconstruction_generator": "reconstruction: image generator",
    "reconstruction_encoder": "reconstruction: encoder",
    "update": "update",
}

Batch = Annotated[int, typer.Option(help="Clips that are made at the same time.")]
Width = Annotated[float, typer.Option(help="Width of all layers, as a factor of the published width.")]
MatmulPrecision = Literal["float32", "tf32", "bf16"]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure how fast this machine generates, and compare that with its fastest possible speed."""


@command(
    app,
    "generator",
    "stgan bench generator",
    "stgan bench generator --device cuda --batch 4 --rounds 20 --json generator.json",
)
def generator(
    rounds: Annotated[int, typer.Option(help="How often each form is timed.")] = 7,
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 16,
    batch: Batch = 1,
    threads: options.Threads = None,
    device: options.Device = None,
    width: Width = 1.0,
    json_file: options.Json = None,
) -> None:
    """Time Table 1's generator, forward and backward to the codes: the published form and the form used here.

    The published form has 3D convolutions, timed in their fastest memory format. The form used here replaces each of
    them by a mixing of neighbouring frames and a 2D convolution: the same result with a third of the operations. Both
    run alternately, on random weights, and so do matrix products. Two CPU cores take half a minute and 2 GB.
    """
    from stgan.bench import compare
    from stgan.bench.forms import record

    console = new_console()
    check_range("--rounds", rounds, 1, 100_000)
    check_output("--json", json_file)
    scale, place = _scale(frames, batch, width), _place(threads, device)
    with _ending_in_a_sentence(place), bars(console) as progress:
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
    write_json(json_file, record(comparison, scale, place))


@command(
    app,
    "generate",
    "stgan bench generate",
    "stgan bench generate --batch 1 --batch 64 --device cuda --json generate.json",
    "stgan bench generate --batch 4 --curve 5,10,20,40,80 --num 10",
)
def generate(
    model: options.Model = options.MODEL,
    batch: Annotated[
        list[int] | None,
        typer.Option(help="Clips that are made at the same time. May be repeated. Default: 1, 9 and 36."),
    ] = None,
    action: Annotated[
        list[str] | None, typer.Option(help="Action to generate. May be repeated. Default: every action.")
    ] = None,
    preset: options.Preset = None,
    iterations: options.Iterations = None,
    curve: Annotated[
        str,
        typer.Option(
            metavar="N,N,...", help="Also score clips that are made with each of these numbers of iterations."
        ),
    ] = "",
    num: Annotated[int, typer.Option(help="With --curve: number of clips of each action.")] = 4,
    evaluator: options.Evaluator = None,
    threads: options.Threads = None,
    device: options.Device = None,
    json_file: options.Json = None,
) -> None:
    """Time the generation of clips with a model: seconds of a clip, the networks that take them, and memory.

    For every batch size, a batch of each action is timed, by the same code that generates clips. The floor is the time
    that the same operations take at the rate of a matrix product. The evaluator scores the clips of --curve. Two CPU
    cores take three minutes.
    """
    from stgan.bench import matmul_rate
    from stgan.bench.generation_timing import measure, record
    from stgan.pipeline import STGAN
    from stgan.scoring import find_evaluator
    from stgan.studies import schedules

    console = new_console()
    sizes = batch or [1, 9, 36]
    for size in sizes:
        check_range("--batch", size, 1, _MOST_CLIPS)
    check_range("--num", num, 1, _MOST_CLIPS)
    check_range("--iterations", iterations, 1, 100_000)
    numbers = _numbers("--curve", curve)
    check_output("--json", json_file)
    stgan = STGAN.from_pretrained(typed(model), _place(threads, device))
    settings, names = stgan.preset(preset, iterations), list(stgan.steering(action or []).objectives)
    if numbers and evaluator in stgan.folder.condition:
        raise StganError(f"{evaluator} is a network that steers; choose another --evaluator")
    scorer = find_evaluator(evaluator, stgan.folder, device=stgan.device, run_code=True) if numbers else None
    rate, costs, points = matmul_rate(stgan.device), [], []
    with _ending_in_a_sentence(stgan.device), bars(console) as progress:
        for size in sizes:
            task = progress.add_task(f"batches of {size}", total=len(names))
            costs.append(
                measure(stgan, settings, size, actions=names, on_batch=partial(progress.update, task, advance=1))
            )
        if scorer:
            task = progress.add_task("curve", total=len(numbers) * num * len(names))
            with TemporaryDirectory() as folder:
                points = schedules.curve(
                    stgan, settings, scorer, numbers, num, 0, Path(folder), actions=names,
                    on_clip=partial(progress.update, task, advance=1),
                )  # fmt: skip
    rate = max(rate, matmul_rate(stgan.device))
    console.print(_costs_table(costs, rate, f"{stgan.name}, {settings.name}, {settings.iterations} iterations"))
    if points:
        console.print(_curve_table(points))
    write_json(json_file, record(costs, [asdict(point) for point in points], stgan, settings, rate))


@command(
    app,
    "paper-scale",
    "stgan bench paper-scale",
    "stgan bench paper-scale --condition lrcn --device cuda --batch 8 --precision bf16 --conv3d --json lrcn.json",
)
def paper_scale(
    condition: Annotated[str, typer.Option(help="Network that steers: lrcn, c3d or both-in-turn.")] = _IN_TURN,
    iterations: Annotated[int, typer.Option(help="Number of iterations to time, after a first one.")] = 10,
    frames: options.Frames = 16,
    batch: Batch = 1,
    num_videos: Annotated[
        int, typer.Option(help="Number of videos to estimate the time for. The paper made 10,000.")
    ] = 10000,
    threads: options.Threads = None,
    device: options.Device = None,
    width: Width = 1.0,
    precision: Annotated[
        MatmulPrecision, typer.Option(help="Number format of products. tf32: on NVIDIA GPUs. bf16: by autocast.")
    ] = "float32",
    conv3d: Annotated[
        bool, typer.Option("--conv3d", help="Also time the generator in its published form, with 3D convolutions.")
    ] = False,
    memory: Annotated[
        float, typer.Option(help="Memory in GB to estimate the largest batch for. The paper's GPU had 12.")
    ] = 12.0,
    json_file: options.Json = None,
) -> None:
    """Time the paper's loop at the paper's sizes: 16 frames of 256x256, LRCN and C3D as published, random weights.

    An iteration runs the generator and the condition network forward and backward, and PPGN's reconstruction through
    the encoder, by the code of stgan generate --preset paper. Its rate is shown beside that of a matrix product, the
    floor. Two CPU cores take about a minute and 2 GB.
    """
    from stgan.bench import available_memory, estimate, matmul_rate
    from stgan.bench.machine import computing_in
    from stgan.bench.paper_scale import CONDITION, record

    console = new_console()
    check_range("--iterations", iterations, 1, 100_000)
    check_range("--num-videos", num_videos, 1, 10**12)
    check_range("--memory", memory, 0.1, 10_000)
    check_output("--json", json_file)
    scale, place = _scale(frames, batch, width), _place(threads, device)
    if precision == "tf32" and place.type != "cuda":
        raise StganError(f"--precision tf32 needs an NVIDIA GPU; choose another one on {place}")
    names = CONDITION if condition == _IN_TURN else (condition,)
    needed, available = max(map(scale.memory_needed, names)), available_memory(place)
    if available is not None and needed > available:
        console.print(
            f"warning: this needs about {needed / _GIGA:.1f} GB, but {place} has {available / _GIGA:.1f} GB free",
            style="yellow",
            soft_wrap=True,
        )
    estimates, published = dict[str, "Estimate"](), dict[str, "Estimate"]()
    with _ending_in_a_sentence(place), computing_in(precision, place), bars(console) as progress:
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
        rate = max(rate, matmul_rate(place))  # measured twice, because other programs may slow the machine down
    for name, figures in estimates.items():
        console.print(_iteration_table(name, figures, rate))
        _print_totals(console, figures, num_videos)
        if plainly := published.get(name):
            slower = plainly.seconds_per_iteration / figures.seconds_per_iteration
            console.print(f"the generator with 3D convolutions takes {slower:.2f} times as long", soft_wrap=True)
        console.print(f"largest batch in {memory:g} GB: {scale.largest_batch(name, memory * _GIGA)}")
    write_json(json_file, record(estimates, published, scale, place, precision, rate, num_videos, memory))


def _numbers(option: str, text: str) -> list[int]:
    """The numbers in a text such as "5,10,20"."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and 1 <= len(part) <= 5 and int(part) for part in parts):
        raise StganError(f"{option} is a list of numbers from 1 to 99999, separated by commas, not {text[:80]!r}")
    return list(dict.fromkeys(map(int, parts)))


def _scale(frames: int, batch: int, width: float) -> "Scale":
    from stgan.bench.paper_scale import Scale

    check_range("--frames", frames, 1, MOST_FRAMES)
    check_range("--batch", batch, 1, _MOST_CLIPS)
    return Scale(frames=frames, batch=batch, width=width)


def _place(threads: int | None, device: str | None) -> "torch.device":
    import torch

    from stgan.devices import choose_device

    check_range("--threads", threads, 1, 1024)
    if threads is not None:
        torch.set_num_threads(threads)
    return choose_device(device)


@contextmanager
def _ending_in_a_sentence(place: "torch.device") -> Iterator[None]:
    """Turn an interruption, or too little memory, into an error that says what to do."""
    with (
        on_interrupt("nothing was written; fewer rounds or iterations take less time"),
        on_out_of_memory(f"{place} has too little memory for this; use a smaller --batch"),
    ):
        yield


# All tables are at most 80 characters wide.


def _forms_table(comparison: "FormsComparison") -> Table:
    columns = ("form", "seconds", "trunk: seconds", "GFLOP", "GFLOP/s", "memory: GB")
    table = new_table(*columns, title=f"forward and backward, medians of {comparison.rounds}")
    for name, of in (("3D convolutions", comparison.conv3d), ("factorised", comparison.factorised)):
        table.add_row(
            name, f"{of.seconds:.3f}", f"{of.trunk_seconds:.3f}", f"{of.trunk_flops / _GIGA:.1f}",
            f"{of.trunk_flops / of.trunk_seconds / _GIGA:.0f}", f"{of.memory_bytes / _GIGA:.2f}",
        )  # fmt: skip
    return table


def _costs_table(costs: Sequence["BatchCost"], rate: float, title: str) -> Table:
    from stgan.bench.generation_timing import NETWORKS

    columns = ("batch", "seconds", *NETWORKS, "rest", "floor", "steps", "GB")
    table = new_table(*columns, left=0, title=f"{title}: seconds a clip")
    table.pad_edge = False
    for cost in costs:
        table.add_row(
            f"{cost.batch}", f"{cost.seconds:.3f}", *(f"{cost.parts[part]:.3f}" for part in NETWORKS),
            f"{cost.outside_networks:.0%}", f"{cost.flops / rate:.3f}", f"{cost.steps:.1f}",
            f"{cost.peak_memory_bytes / _GIGA:.2f}",
        )  # fmt: skip
    return table


def _curve_table(points: Sequence["SchedulePoint"]) -> Table:
    from stgan.cli.score_tables import shown_interval

    columns = ("iterations", "seconds a clip", "accuracy (95 %)", "Inception Score", "motion")
    table = new_table(*columns, left=0, title=f"the evaluator's scores of {points[0].clips} clips")
    for point in points:
        table.add_row(
            f"{point.iterations}", f"{point.seconds:.2f}",
            f"{point.accuracy:.3f} {shown_interval(point.accuracy_interval)}", f"{point.inception_score:.2f}",
            f"{point.motion:.2f}",
        )  # fmt: skip
    return table


def _iteration_table(condition: str, figures: "Estimate", rate: float) -> Table:
    seconds, flops = figures.seconds_per_iteration, figures.flops_per_iteration
    columns = ("part", "seconds", "share", "GFLOP", "GFLOP/s")
    table = new_table(*columns, title=f"an iteration steered by {condition}")

    def row(name: str, taken: float, operations: float) -> None:
        per_second = f"{operations / taken / _GIGA:.0f}" if operations and taken else ""
        table.add_row(name, f"{taken:.3f}", f"{taken / seconds:.0%}", f"{operations / _GIGA:.1f}", per_second)

    for part, of in figures.parts.items():
        row(_NAMES[part].format(condition), of.seconds, of.flops)
    table.add_section()
    row("whole iteration", seconds, flops)
    row("floor: as a matrix product", flops / rate, flops)
    return table


def _print_totals(console: Console, figures: "Estimate", num_videos: int) -> None:
    fastest, slowest = figures.seconds_range
    for line in (
        f"{figures.iterations_timed} iterations took {fastest:.3g} to {slowest:.3g} s each; the peak of memory was "
        f"{figures.peak_memory_bytes / _GIGA:.2f} GB, of which {figures.weights_bytes / _GIGA:.2f} GB are weights",
        f"a video of {figures.frames} frames, {figures.iterations} iterations: {duration(figures.seconds_per_video)}; "
        f"{num_videos:,} videos: {duration(3600 * figures.hours(num_videos))}",
    ):
        console.print(line, soft_wrap=True)
