"""`stgan train`: from clips to a model."""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from stgan.cli.data import progress_bar
from stgan.cli.evaluate import evaluate
from stgan.cli.generate import generate
from stgan.errors import Interrupted, StganError
from stgan.files import locked
from stgan.names import as_path, duration
from stgan.video import data_root

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from stgan.training.preparation import Prepared


_SAMPLES = 2  # clips of each action after training all


class Stage(str, Enum):
    """What to train."""

    ALL = "all"
    ENCODER = "encoder"
    CODE_PRIOR = "code-prior"
    SEQUENCE_PRIOR = "sequence-prior"
    GENERATOR = "generator"
    CLASSIFIER = "classifier"


class Precision(str, Enum):
    """Numbers to compute in."""

    AUTO = "auto"
    FLOAT32 = "32-true"
    BFLOAT16 = "bf16-mixed"


def train(
    stage: Annotated[Stage, typer.Argument(help="Everything, or one stage (and what it needs).")],
    name: Annotated[str, typer.Argument(help="Of a classifier: lrcn, c3d, evaluator, ...")] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of clips: class folders, a csv file, or UCF-101 lists. Default: $STGAN_DATA."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The model's folder; finished networks in it are kept.")] = Path("model"),
    config: Annotated[
        Path | None, typer.Option(help="Folder of recipes (or its model.yaml). Default: a plan made for the clips.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="STAGE.NAME=VALUE", help="Replaces a recipe's setting.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of the frames: 32, 64, 128 or 256.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Plan trainings that take about so long in all.")] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="Checkpoint folder of an encoder to take instead of training one.")
    ] = None,
    csv: Annotated[str | None, typer.Option(help="The csv file in DATA, where there are several.")] = None,
    split_column: Annotated[str | None, typer.Option(help="The csv column with train, val and test.")] = None,
    ucf_split: Annotated[int | None, typer.Option(help="Which of UCF-101's splits.", min=1, max=3)] = None,
    devices: Annotated[int, typer.Option(help="Processes (GPUs, or CPU processes) that share each batch.", min=1)] = 1,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    precision: Annotated[
        Precision, typer.Option(help="auto: bf16-mixed on GPUs that have it, else 32-true.")
    ] = Precision.AUTO,
    work: Annotated[Path, typer.Option(help="Logs, pictures, decoded clips and states to resume from.")] = Path("runs"),
    stop_after: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", help="Stop then, as on Ctrl-C, where machines are lent for so long.", min=0.0),
    ] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="States to resume from without optimizers: about half the size.")
    ] = False,
    save_every: Annotated[float, typer.Option(help="Seconds between two states to resume from.", min=0.0)] = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the clips, show the plan, and stop.")] = False,
) -> None:
    """Train a model from a folder of clips. Interrupted? The same command goes on where it stopped.

    Examples:

      stgan train all --data my_clips --out my_model

      stgan train all --data my_clips --out my_model --dry-run        (what would be done, and how long it takes)

      stgan train all --data my_clips --out my_model --minutes 30 --set generator.network.hidden_size=256

      stgan train classifier c3d --data my_clips --out my_model

      stgan train all --data my_clips --out my_model --stop-after 9        (again and again, until it is done)

      stgan train all --data clips/weizmann --config recipes/weizmann --out models/weizmann
    """
    if (stage is Stage.CLASSIFIER) != bool(name):
        raise StganError("name the classifier to train, as in: stgan train classifier lrcn (and only there a name)")
    # Here and not above: Fabric takes seconds to import, which the other commands need not wait for.
    from stgan.report.training_page import write_training_page
    from stgan.training.preparation import TrainingOptions, prepare
    from stgan.training.recipes import parse_overrides
    from stgan.training.run import Workspace

    if config:  # resolved, since `.` has no name to work under
        config = (config.parent if config.name == "model.yaml" else config).resolve()
    options = TrainingOptions(
        config, size, minutes, encoder, parse_overrides(settings or []), csv, split_column, ucf_split
    )  # fmt: skip
    clips = data if data else data_root(None) / config.name if config else data_root(None)
    fabric = _fabric(accelerator, devices, precision)
    console = Console(markup=False, highlight=False, soft_wrap=True, quiet=not fabric.is_global_zero)
    deadline = time.monotonic() + 60 * stop_after if stop_after is not None else math.inf
    folder = work / (config.name if config else out.resolve().name)
    workspace = Workspace(fabric, folder, save_every, deadline=deadline, compact=compact)
    folders = [workspace.folder, out] if fabric.is_global_zero else []  # the first process holds them for all
    with locked(*folders), _forgiving():
        with progress_bar(console, "looking at the clips") as progress:
            prepared = prepare(clips, out, workspace, options, say=console.print, progress=progress)
        if stage is not Stage.ALL and not dry_run:
            prepared.training.train(name or stage.value.replace("-", "_"))
            console.print(f"{name or stage.value} is in {out}")
            return
        _show_plan(console, prepared, out)
        if dry_run:
            return
        prepared.training.train_all()
        if fabric.is_global_zero:
            _show_samples(out)
            page = write_training_page(out, workspace.folder)
            console.print(f"Model written to {out}, and {page.name} about it: stgan generate --model {as_path(out)}")


def _fabric(accelerator: str, devices: int, precision: Precision) -> "Fabric":
    """Launched: with several devices, this is where the other processes start."""
    import torch
    from lightning_fabric import Fabric

    if accelerator not in ("auto", "cpu", "cuda"):
        raise StganError(f"--accelerator is cpu, cuda or auto, not {accelerator!r}")
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise StganError("there is no CUDA device here; choose --accelerator cpu or auto")
    gpu = accelerator != "cpu" and torch.cuda.is_available()
    if gpu and devices > torch.cuda.device_count():
        raise StganError(f"--devices {devices} asks for more GPUs than the {torch.cuda.device_count()} here")
    if devices > 1 and not gpu:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // devices))
    if precision is Precision.AUTO:
        precision = Precision.BFLOAT16 if gpu and torch.cuda.is_bf16_supported() else Precision.FLOAT32
    fabric = Fabric(
        accelerator="cuda" if gpu else "cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision=precision.value,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


@contextmanager
def _forgiving() -> Iterator[None]:
    """Ctrl-C, too little memory and the end of another process end with a sentence."""
    import torch

    from stgan.devices import is_out_of_memory

    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("the same command goes on where this one stopped") from None
    except (MemoryError, RuntimeError) as error:  # PyTorch has types of its own on GPUs only
        if is_out_of_memory(error):
            raise StganError(
                "there is not enough memory for this training; lower batch_size or the networks' sizes with --set, "
                "or choose a smaller --size"
            ) from error
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error):
            raise StganError(
                "another process of this training has ended; the same command goes on where it was last saved"
            ) from error
        raise


def _show_plan(console: Console, prepared: "Prepared", out: Path) -> None:
    training, recipe = prepared.training, prepared.training.recipe
    roles = training.roles
    console.print(
        f"{recipe.name}: {len(training.data.actions)} actions; {len(roles.train.clips)} clips to train on, "
        f"{len(roles.validation.clips)} to validate, {len(roles.test.clips)} to test; "
        f"frames of {recipe.size}x{recipe.size}, {recipe.frames} in a clip"
    )
    paces = training.paces()
    seconds = training.seconds_of_steps(paces)
    table = Table()
    for column in ("stage", "steps", "batch", "about", "fed"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for stage, settings in training.recipes.stages.items():
        folds = len(getattr(settings, "folds", ()))
        steps = f"{settings.steps}" + (f" x {1 + folds}" if folds else "")
        table.add_row(stage, steps, str(settings.batch_size), duration(seconds[stage]), f"{paces[stage].fed:.0%}")
    table.add_row("all", "", "", duration(sum(seconds.values())), "")
    console.print(table)
    console.print(f"logs: {training.workspace.folder} (tensorboard --logdir {training.workspace.folder})")


def _show_samples(model: Path) -> None:
    """A few clips of each action, and what the model's evaluator sees in them."""
    samples = model / "samples"
    make = partial(generate, model=str(model.resolve()), num=_SAMPLES, out=samples)
    try:
        make(resume=True)
    except Interrupted:
        raise
    except StganError:  # clips of former weights
        make()
    evaluate(samples, model=str(model.resolve()), json_file=samples / "scores.json")
