"""`stgan explain`: what a classifier says of a clip, where it looks, and what would change its mind."""

from collections.abc import Sequence
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from stgan.cli import options
from stgan.cli.terminal import check_range, new_console, new_table, on_interrupt
from stgan.defaults import BOTH, LARGEST_SEED, MOST_FRAMES
from stgan.errors import NoMemoryError, StganError
from stgan.files import typed
from stgan.names import printable
from stgan.progress import bars

if TYPE_CHECKING:
    import torch

    from stgan.checkpoints import ModelFolder
    from stgan.explain import Explanation, SecondNetwork

EXAMPLES = (
    "stgan explain walk.mp4",
    "stgan explain swing.mp4 --model jhmdb --condition lrcn --to swing_baseball --evaluator evaluator",
    "stgan explain cooking.mp4 --condition torchvision:r3d_18 --out cooking",
    "stgan explain clips/*.mp4 --condition my_classifier.py:make --no-looks   (counterfactuals alone)",
)


def explain(
    clips: Annotated[
        list[Path],
        typer.Argument(metavar="CLIP", parser=Path, help="Videos, pictures, or folders with an image for each frame."),
    ],
    condition: Annotated[str, options.classifier("The video classifier to explain: lrcn, c3d,")] = "lrcn",
    model: options.Model = options.MODEL,
    to: Annotated[
        str | None,
        typer.Option(metavar="ACTION", help="The action of the counterfactual.", show_default="its second choice"),
    ] = None,
    evaluator: options.SecondEvaluator = None,
    frames: Annotated[
        int | None,
        options.frames("Explain so many frames, the middle ones. A shorter clip is played back and forth."),
    ] = None,
    looks: Annotated[
        bool, typer.Option("--looks/--no-looks", help="Find where it looks, which takes most of the time.")
    ] = True,
    iterations: Annotated[int, typer.Option(help="The largest number of steps to the counterfactual.")] = 40,
    out: Annotated[
        Path, options.folder("--out", "Folder for the record, the film and the picture; for several clips, of folders.")
    ] = Path("explanation"),
    seed: Annotated[int, typer.Option(help="Random seed of the noise in the attribution.")] = 0,
    device: options.Device = None,
) -> None:
    """Explain what a video classifier says of a clip: OUT/explanation.mp4, .png and .json.

    It shows the classifier's first choices, where it looks in space and time, and a counterfactual: about the smallest
    change of the clip that makes it say another action. The film shows the clip, where the classifier looks, the
    counterfactual, and their difference.
    """
    from stgan.checkpoints import find_model
    from stgan.checkpoints.own_classifier import OWN, is_own_classifier, load_own_classifier
    from stgan.explain import CounterfactualSettings, Explainer
    from stgan.pipeline import STGAN
    from stgan.sampling import SPECTRAL

    console = new_console()
    check_range("--seed", seed, -LARGEST_SEED, LARGEST_SEED)
    check_range("--frames", frames, 1, MOST_FRAMES)
    check_range("--iterations", iterations, 1, 100_000)
    if condition == BOTH:
        raise StganError("stgan explain looks at one network; name which one as --condition, such as lrcn")
    own = load_own_classifier(condition) if is_own_classifier(condition) else None
    stgan = STGAN.from_pretrained(typed(model), device, own)
    steering = stgan.steering(condition=OWN if own else condition, frames=frames, preset=SPECTRAL)
    explainer = Explainer.of(
        stgan,
        steering,
        condition,
        seed=seed,
        to=to,
        looks=looks,
        second=None if evaluator is None else _second(evaluator, find_model(typed(model)), stgan.device),
        settings=CounterfactualSettings(iterations=iterations),
    )
    folders = _folders(clips, out)
    found: list[Explanation] = []
    failed: list[str] = []
    with on_interrupt("finished explanations are kept"), bars(console) as progress:
        done = progress.add_task("clips", total=len(clips))
        for clip, folder in zip(clips, folders, strict=True):
            steps = progress.add_task(f"steps, {printable(clip.name, 30)}", total=explainer.steps)
            try:
                found.append(explainer.explain(clip, folder, partial(progress.update, steps, advance=1)))
            except NoMemoryError:
                raise
            except StganError as error:  # of one clip: the others are explained all the same
                if len(clips) == 1:
                    raise
                failed.append(str(error))
            progress.update(steps, completed=explainer.steps)
            progress.update(steps, visible=False)
            progress.update(done, advance=1)
    if found:
        show(console, found)
    console.print(f"explanation.mp4, .png and .json are in {out}{'/*' * (len(clips) > 1)}", soft_wrap=True)
    if failed:
        raise StganError(f"{len(failed)} of {len(clips)} clips are not explained: {'; '.join(failed[:5])}")


def _second(name: str, model: "ModelFolder", device: "torch.device") -> "SecondNetwork":
    from stgan.explain import SecondNetwork
    from stgan.scoring import find_evaluator

    found = find_evaluator(name, model, device=device, run_code=True)
    if not found.actions:
        raise StganError(f"{name} does not name its actions; name another --evaluator")
    return SecondNetwork(found.network, found.name, found.hash, found.actions, found.frames)  # type: ignore[arg-type]


def _folders(clips: Sequence[Path], out: Path) -> list[Path]:
    """OUT for one clip; for several, folders in it by the names of the clips, numbered if these are equal."""
    if len(clips) == 1:
        return [out]
    folders: list[Path] = []
    for clip in clips:
        stem = clip.resolve().stem or "clip"
        names = chain([stem], (f"{stem}_{number}" for number in count(1)))
        folders.append(next(out / name for name in names if out / name not in folders))
    return folders


def show(console: Console, found: Sequence["Explanation"]) -> None:
    """Print what was found of clips, at most 80 characters wide; of one clip, also its first choices and over time."""
    if len(found) == 1:
        console.print(_choices(found[0]))
        console.print(_over_time(found[0]))
    console.print(_changes(found))
    if found[0].looks or found[0].evaluator:
        console.print(_views(found))


def _choices(found: "Explanation") -> Table:
    table = _table_of_names("says", "whole clip", title=f"{printable(found.clip, 30)}, by {printable(found.condition)}")
    for each in found.top:
        table.add_row(printable(each.action), f"{each.probability:.1%}")
    return table


def _over_time(found: "Explanation") -> Table:
    windows = found.over_time
    table = _table_of_names("frames", *map(printable, windows.probabilities))
    for start, *values in zip(windows.starts, *windows.probabilities.values(), strict=True):
        table.add_row(f"{start}-{start + windows.frames - 1}", *(f"{value:.0%}" for value in values))
    return table


def _changes(found: Sequence["Explanation"]) -> Table:
    table = _table_of_names("clip", "says", "changed to", "flipped", "steps", "change\nof 255", left=3)
    for each in found:
        change = each.change
        table.add_row(
            printable(each.clip, 30),
            f"{printable(each.top[0].action)}\n{each.top[0].probability:.0%}",
            f"{printable(change.to)}\n{change.before[1].probability:.0%} -> {change.after[1].probability:.0%}",
            "yes" if change.flipped else "no",
            str(change.steps),
            f"{change.mean_change:.1f}",
        )
    return table


def _views(found: Sequence["Explanation"]) -> Table:
    """Where the network looks, and what the second one says of the clips and of the changed ones."""
    judge = found[0].evaluator
    table = _table_of_names("clip", *([f"{printable(judge.name, 30)} says"] if judge else []), left=2)
    if found[0].looks:
        table.add_column("looks at\n(time, y, x)", justify="right")
        table.add_column("gradients agree\nwith covering", justify="right")
    for each in found:
        row = [printable(each.clip, 30)]
        if opinion := each.evaluator:
            row.append(f"{printable(opinion.before.action)}\n-> {printable(opinion.after.action)}")
        if each.looks:
            agreement = each.looks.agreement
            row += [", ".join(f"{share:.0%}" for share in each.looks.place)]
            row += ["-" if agreement is None else f"{agreement:.2f}"]
        table.add_row(*row)
    return table


def _table_of_names(*columns: str, left: int = 1, title: str | None = None) -> Table:
    """A table in whose columns long names are folded and not cut off."""
    table = new_table(*columns, left=left, title=title)
    for column in table.columns:
        column.overflow = "fold"
        column.no_wrap = column.header in ("flipped", "steps", "frames")
    return table
