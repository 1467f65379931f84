"""`stgan train`: train a model from clips."""

import math
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from stgan.cli import options
from stgan.cli.generate import generate
from stgan.cli.terminal import new_console, new_table, write_json
from stgan.errors import Interrupted, StganError, on_out_of_memory
from stgan.files import locked
from stgan.names import duration
from stgan.progress import one_bar, watching

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from stgan.checkpoints import ModelFolder
    from stgan.training.preparation import Prepared
    from stgan.video import ClipFolder

EXAMPLES = (
    "stgan train all --data my_clips --out my_model",
    "stgan train all --data my_clips --out my_model --dry-run        (the stages, and how long they take)",
    "stgan train all --data my_clips --out my_model --minutes 30 --set generator.network.hidden_size=256",
    "stgan train classifier c3d --data my_clips --out my_model",
    "stgan train all --data my_clips --out my_model --stop-after 9   (repeat it until it is done)",
    "stgan train all --data clips/weizmann --config recipes/weizmann --out models/weizmann",
)


def train(
    stage: Annotated[
        Literal["all", "encoder", "generator", "map-codec", "frame-prior", "clip-prior", "classifier"],
        typer.Argument(help="all, or one stage and the stages that it needs."),
    ],
    name: Annotated[str, typer.Argument(help="With the stage classifier: its name (lrcn, c3d, evaluator, ...).")] = "",
    data: Annotated[
        Path | None,
        options.folder(
            "--data",
            "Folder of clips: a folder for each class, a csv file, or the lists of UCF-101. Default: $STGAN_DATA.",
        ),
    ] = None,
    out: Annotated[
        Path, options.folder("--out", "Folder for the model. Networks in it that are finished are kept.")
    ] = Path("model"),
    config: Annotated[
        Path | None,
        options.folder(
            "--config", "Folder of recipes (or its model.yaml). Default: recipes that are made for the clips."
        ),
    ] = None,
    settings: options.Settings = None,
    size: Annotated[int | None, typer.Option(help="Width and height of the frames: 32, 64, 128 or 256 pixels.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Choose steps so that everything, with tests and samples, takes this long.")
    ] = None,
    encoder: Annotated[
        Path | None, options.folder("--encoder", "Use the encoder in this checkpoint folder instead of training one.")
    ] = None,
    csv: options.Csv = None,
    split_column: options.SplitColumnOrNone = None,
    ucf_split: options.UcfSplitOrNone = None,
    devices: Annotated[
        int,
        typer.Option(help="Number of processes that share each batch, each on a GPU of its own or on the CPU.", min=1),
    ] = 1,
    nodes: Annotated[
        int,
        typer.Option(help="Number of machines with --devices processes each, which torchrun starts.", min=1),
    ] = 1,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    precision: Annotated[
        Literal["auto", "32-true", "bf16-mixed"],
        typer.Option(help="Number format to compute in. auto: bf16-mixed on hardware with bfloat16, else 32-true."),
    ] = "auto",
    work: Annotated[
        Path, options.folder("--work", "Folder for logs, pictures, decoded clips and saved states to resume from.")
    ] = Path("runs"),
    stop_after: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="Save and stop after this time, as Ctrl-C does.", min=0.0)
    ] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="Save states without the optimizers': about half the size.")
    ] = False,
    save_every: options.SaveEvery = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the clips, show the stages, and stop.")] = False,
) -> None:
    """Train a model from a folder of clips. After an interruption, the same command continues where it stopped."""
    if (stage == "classifier") != bool(name):
        raise StganError("name the classifier to train, as in: stgan train classifier lrcn; other stages take no name")
    from stgan.report.model_verdict import verdict_on
    from stgan.report.training_page import write_training_page
    from stgan.training.preparation import TrainingOptions, prepare
    from stgan.training.recipes import parse_overrides
    from stgan.training.run import Workspace
    from stgan.video import data_root

    if config:  # resolved, because `.` has no name for the folder in --work
        config = (config.parent if config.name == "model.yaml" else config).resolve()
    overrides = parse_overrides(settings or [])
    chosen = TrainingOptions(config, size, minutes, encoder, overrides, csv, split_column, ucf_split)
    started = time.monotonic()
    clips = data if data else data_root(None) / config.name if config else data_root(None)
    fabric = _fabric(accelerator, devices, nodes, precision)
    console = new_console(soft_wrap=True, quiet=not fabric.is_global_zero)
    deadline = time.monotonic() + 60 * stop_after if stop_after is not None else math.inf
    place = work / (config.name if config else out.resolve().name)
    workspace = Workspace(fabric, place, save_every, deadline=deadline, compact=compact)
    folders = [workspace.folder, out] if fabric.is_global_zero else []  # the first process locks them for all
    with locked(*folders), _errors_as_sentences():
        with one_bar(console, "looking at the clips") as progress:
            prepared = prepare(clips, out, workspace, chosen, say=console.print, progress=progress)
        if stage != "all" and not dry_run:
            prepared.training.train(name or stage.replace("-", "_"))
            console.print(f"{name or stage} is in {out}")
            return
        _show_plan(console, prepared, started)
        if dry_run:
            return
        model = prepared.training.train_all()
        if fabric.is_global_zero:
            _show_samples(console, model, prepared.unseen)
            given = {
                "--data": clips, "--csv": csv, "--split-column": split_column, "--ucf-split": ucf_split,
                "--config": config, "--out": out, "--work": work,
            }  # fmt: skip
            same = (f" {option} {shlex.quote(str(value))}" for option, value in given.items() if value is not None)
            verdict = verdict_on(out, shlex.quote(str(clips)), f"stgan train all{''.join(same)}")
            page = write_training_page(out, workspace.folder, verdict=verdict)
            console.print(f"The model and {page.name} are in {out}.")
            if verdict:
                console.print(f"{verdict.words}\nNext: {verdict.command}", markup=False)


def _fabric(accelerator: str, devices: int, nodes: int, precision: str) -> "Fabric":
    """A launched Fabric. With several devices, the other processes start here, unless torchrun has started them."""
    import torch
    from lightning_fabric import Fabric

    from stgan.devices import suited_precision

    if accelerator not in ("auto", "cpu", "cuda"):
        raise StganError(f"--accelerator is cpu, cuda or auto, not {accelerator!r}")
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise StganError("there is no CUDA device here; choose --accelerator cpu or auto")
    _check_started(devices, nodes)
    gpu = accelerator != "cpu" and torch.cuda.is_available()
    if gpu and devices > torch.cuda.device_count():
        raise StganError(f"--devices {devices} asks for more GPUs than the {torch.cuda.device_count()} here")
    if devices > 1 and not gpu:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // devices))
    if precision == "auto":
        precision = suited_precision(torch.device("cuda" if gpu else "cpu"))
    fabric = Fabric(
        accelerator="cuda" if gpu else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def _check_started(devices: int, nodes: int) -> None:
    """StganError unless torchrun has started as many processes as the options say: others would wait for the rest."""
    import torch

    if not torch.distributed.is_torchelastic_launched():
        if nodes > 1:
            raise StganError(
                f"--nodes {nodes} needs torchrun, which starts the processes of each machine: "
                f"torchrun --nnodes {nodes} --nproc-per-node {devices} ..."
            )
        return
    here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if (here, everywhere) != (devices, devices * nodes):
        raise StganError(
            f"torchrun has started {everywhere} processes, {here} of them on this machine, and --devices {devices} "
            f"--nodes {nodes} are for {devices * nodes}; give --devices {here} --nodes {everywhere // here}"
        )


@contextmanager
def _errors_as_sentences() -> Iterator[None]:
    """Turn Ctrl-C, too little memory, and the end of another process into errors of one sentence."""
    import torch

    try:
        with on_out_of_memory(
            "there is not enough memory for this training; lower batch_size or the networks' sizes with --set, "
            "or choose a smaller --size"
        ):
            yield
    except (KeyboardInterrupt, Interrupted):  # the second is of the samples
        raise Interrupted("the same command continues where this one stopped") from None
    except RuntimeError as error:
        if isinstance(error, torch.distributed.DistError) or "gloo" in str(error):
            raise StganError(
                "another process of this training has ended; the same command continues from the last saved state"
            ) from error
        raise


def _show_plan(console: Console, prepared: "Prepared", started: float) -> None:
    """Print the stages with their expected times. started: the time.monotonic() at which the command began."""
    from stgan.training.estimate import estimate
    from stgan.training.plan import SAMPLES

    training, recipe = prepared.training, prepared.training.recipe
    roles = training.roles
    console.print(
        f"{recipe.name}: {len(training.data.actions)} actions; {len(roles.train.clips)} clips to train on, "
        f"{len(roles.validation.clips)} to validate, {len(roles.test.clips)} to test; "
        f"frames of {recipe.size}x{recipe.size}, {recipe.frames} in a clip"
    )
    costs = prepared.costs or estimate(training)
    spent = time.monotonic() - started
    seconds = {SAMPLES: costs[SAMPLES].seconds(0)}
    table = new_table("stage", "steps", "batch", "about", "fed")
    for stage, settings in training.recipes.stages.items():
        folds = len(getattr(settings, "folds", ()))
        steps = f"{settings.steps}" + (f" x {1 + folds}" if folds else "")
        cost, seconds[stage] = costs[stage], costs[stage].seconds(settings.steps)
        table.add_row(stage, steps, str(settings.batch_size), duration(seconds[stage]), f"{cost.fed:.0%}")
    table.add_row(SAMPLES, "", "", duration(seconds[SAMPLES]), "")
    table.add_row("until now", "", "", duration(spent), "")
    table.add_row("all", "", "", duration(spent + sum(seconds.values())), "")
    console.print(table)
    console.print(f"logs: {training.workspace.folder} (tensorboard --logdir {training.workspace.folder})")


def _show_samples(console: Console, model: "ModelFolder", real: "ClipFolder") -> None:
    """Generate a few clips of each action, and score them by the model's evaluator, beside as many real clips."""
    from stgan.cli.score_tables import show_scores
    from stgan.devices import choose_device
    from stgan.scoring import SCORES, Real, evaluate, evaluator_of, evenly, folder_clips, labelled_clips
    from stgan.training.plan import SAMPLES, samples_of_each

    samples, num = model.path / SAMPLES, samples_of_each(len(model.actions))
    make = partial(generate, model=str(model.path.resolve()), num=num, out=samples)
    try:
        make(resume=True)
    except Interrupted:
        raise
    except StganError:  # the folder has clips of former weights
        make()
    clips = folder_clips(samples)
    beside = Real(evenly(labelled_clips(real), len(clips)))
    scores = evaluate(clips, evaluator_of(model, device=choose_device()), real=beside, watch=watching(console))
    show_scores(console, scores)
    write_json(samples / SCORES, scores)
