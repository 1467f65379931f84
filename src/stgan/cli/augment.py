"""`stgan augment`: whether generated clips are useful training data."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from stgan.cli import options
from stgan.cli.terminal import (
    check_needed,
    check_range,
    new_console,
    new_table,
    on_interrupt,
    print_note,
    read_clips,
)
from stgan.errors import StganError
from stgan.files import typed
from stgan.names import quoted

if TYPE_CHECKING:
    from stgan.metrics.means import Mean
    from stgan.studies.augmentation import AugmentationResult
    from stgan.video import ClipFile

_WORDS = {"generated": "generated only", "real": "real only", "both": "real and generated"}
EXAMPLES = (
    "stgan augment --real weizmann --train-groups daria,denis --val-groups lyova --generated chosen",
    "stgan augment --real jhmdb --split-column strict --generated chosen --seeds 10 --out augmentation_jhmdb",
    "stgan augment --real data --generated chosen --initial c3d_sports1m --set training.learning_rate=1.0e-4",
)


def augment(
    real: options.RequiredReal,
    generated: Annotated[
        Path,
        options.folder(
            "--generated", "What stgan select wrote. The model must not have seen the clips to test on.", "SET"
        ),
    ],
    out: Annotated[Path, options.folder("--out", "Folder for the trained classifiers and the record.")] = Path(
        "augmentation"
    ),
    recipe: Annotated[
        Path | None, options.file("--recipe", "Recipe. Default: a small C3D (recipes/augmentation/augmentation.yaml).")
    ] = None,
    settings: options.Settings = None,
    initial: Annotated[
        Path | None,
        options.folder(
            "--initial", "Start from the weights of this checkpoint, such as C3D's of Sports-1M.", "CHECKPOINT"
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Repeat with the random seeds 0 to N - 1. Default: the recipe's.")
    ] = None,
    train_groups: Annotated[
        str | None, typer.Option(metavar="A,B", help="Train on these groups (actors) and test on all others.")
    ] = None,
    val_groups: Annotated[
        str | None,
        typer.Option(metavar="C", help="With --train-groups: validate on these groups, to choose where to stop."),
    ] = None,
    csv_list: options.RealCsv = None,
    split_column: options.SplitColumn = "split",
    ucf_split: options.UcfSplit = 1,
    model: Annotated[
        str | None, typer.Option(help="The model that made SET, if stgan generate wrote SET (and not stgan select).")
    ] = None,
    allow_unknown: Annotated[
        bool,
        typer.Option(
            "--allow-unknown",
            help="Also train if it is not known which clips the networks that made SET have seen. The result says so.",
        ),
    ] = False,
    save_every: options.SaveEvery = 60.0,
    device: options.Device = None,
) -> None:
    """Train a classifier on generated clips only, on real clips only, and on both: the paper's Table 3.

    All three start from the same weights and differ only in their clips. Each is repeated for several random seeds.
    Validation clips decide when each training stops. A generated clip is refused if a network that made or chose it has
    seen a test clip. After an interruption, the same command continues. stgan report OUT makes a page of the result.
    """
    from stgan.checkpoints import find_model
    from stgan.checkpoints.checkpoint import load_checkpoint
    from stgan.devices import choose_device
    from stgan.scoring import folder_clips
    from stgan.studies.augmentation import RECORD, run_augmentation
    from stgan.studies.augmentation_recipe import DEFAULT, load_augmentation_recipe
    from stgan.studies.provenance import networks_behind, read_networks
    from stgan.studies.splits import split_by_groups
    from stgan.training.recipes import parse_overrides
    from stgan.training.run import one_device

    console = new_console()
    check_range("--seeds", seeds, 1, 1000)
    check_needed("--train-groups", train_groups, {"--val-groups": val_groups})
    chosen = load_augmentation_recipe(recipe or DEFAULT, parse_overrides(settings or [], ("seeds",)))
    clips: "Sequence[ClipFile]" = read_clips(
        console, real, csv=csv_list, split_column=split_column, ucf_split=ucf_split
    ).clips
    if train_groups:
        clips = split_by_groups(clips, _names(train_groups), _names(val_groups))
    if not generated.is_dir():
        raise StganError(f"{quoted(generated)} is not a folder; give what stgan select wrote")
    for source in (real, generated):
        if source.resolve() in (out.resolve(), *out.resolve().parents):
            raise StganError(f"--out {quoted(out)} is inside {quoted(source)}; choose a folder outside the clips")
    networks = read_networks(generated)
    if model and not networks:  # a set of stgan select records its networks itself, also those that chose the clips
        networks = networks_behind(find_model(typed(model)), generated)
    with on_interrupt("finished trainings are kept, the same command continues"):
        result = run_augmentation(
            load_checkpoint(initial) if initial else chosen.initial.checkpoint(),
            clips,
            folder_clips(generated, lambda note: print_note(console, note)),
            chosen.training,
            out,
            one_device(choose_device(device)),
            seeds=range(seeds) if seeds else chosen.seeds,
            networks=networks,
            allow_unknown=allow_unknown,
            save_every=save_every,
        )
    show(console, result)
    console.print(f"{out / RECORD} has all results; stgan report {out} makes a page of them", soft_wrap=True)


def show(console: Console, result: "AugmentationResult") -> None:
    """Print Table 3 with intervals, the gain, and notes."""
    from stgan.studies.augmentation import ARMS

    table = new_table(
        "trained on", "clips", "accuracy", "95 %", "stopped on test", "the paper (UCF-101)",
        title=f"Random-clip accuracy on {result.clips['test']} test clips, {len(result.runs)} seeds",
    )  # fmt: skip
    for name in ARMS:
        mean = result.summary.arm(name)
        table.add_row(
            _WORDS[name],
            str(result.runs[0].arm(name).clips),
            f"{100 * mean.mean:.1f} %",
            _interval(mean, "{:.1f}"),
            f"{100 * getattr(result.summary.best_on_test, name).mean:.1f} %",
            f"{100 * result.published[name]:.1f} %",
        )
    console.print(table)
    gain = result.summary.gain
    console.print(
        f"generated clips add {100 * gain.mean:+.1f} points to real ones"
        + (f" (95 % {_interval(gain, '{:+.1f}')}, paired by seed)" if gain.low is not None else ""),
        soft_wrap=True,
    )
    if result.summary.share is not None:
        console.print(
            f"generated clips alone reach {100 * result.summary.share:.0f} % of the accuracy with real ones",
            soft_wrap=True,
        )
    for side, counts in result.counts.items():
        if missing := [quoted(action) for action in result.actions if not counts.get(action)]:
            console.print(f"note: there is no {side} training clip of {', '.join(missing)}", soft_wrap=True)
    if not result.proven:
        console.print(
            "note: not all networks that made or chose the generated clips say what they were trained on; some may "
            "have seen the test clips", soft_wrap=True, style="yellow",
        )  # fmt: skip


def _interval(mean: "Mean", form: str) -> str:
    if mean.low is None or mean.high is None:
        return ""
    return f"{form.format(100 * mean.low)} to {form.format(100 * mean.high)}"


def _names(text: str | None) -> list[str]:
    return [name for name in map(str.strip, (text or "").split(",")) if name]
