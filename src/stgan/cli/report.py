"""`stgan report`: one page about generated clips."""

import shlex
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from stgan.checkpoints import ModelFolder, find_model
from stgan.cli.evaluate import check_output, keep_scores, made_by, open_cache
from stgan.devices import choose_device
from stgan.errors import Interrupted, StganError
from stgan.manifest import MANIFEST
from stgan.names import quoted
from stgan.scoring import (
    Clip,
    Evaluator,
    Real,
    Scores,
    evaluate,
    find_evaluator,
    folder_clips,
    kept_scores,
    labelled_clips,
)
from stgan.video import find_clips

_EVALUATOR = "evaluator"
_AUGMENTATION = "an augmentation experiment"


def report(
    folder: Annotated[Path, typer.Argument(help="What stgan generate, fooling or augment wrote; or any clips.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The page; default: FOLDER/report.html.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The model that made the clips, whose evaluators are meant; default: the bundled one that did, else "
            "weizmann."
        ),
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="Who judges; one that steered the clips too, and the page says so."),
    ] = None,
    real: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Real clips to compare with, laid out as for training.")
    ] = None,
    fooling: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A fooling study to set beside the clips.")
    ] = None,
) -> None:
    """Write one HTML page about clips, to be read in any browser, without network: the clips themselves, scores with
    their intervals, failures chosen by rule, how a clip comes about, and how all of it was made.

    Takes the scores that stgan evaluate left in FOLDER/scores.json, or scores the clips first if there are none of
    these clips. The figures are also written, to `figures` beside the page.

    Of an augmentation experiment, or a study of several, the page says whether generated clips are worth training on.

    Examples:

      stgan generate --num 4 --trace --out clips && stgan report clips

      stgan report clips --real weizmann --fooling study

      stgan report augmentation
    """
    from stgan.report.augmentation_page import write_augmentation_page
    from stgan.report.scores_page import Request, write_scores_page  # matplotlib is slow to load
    from stgan.studies.fooling import read_fooling

    console = Console(markup=False, highlight=False)
    if not folder.is_dir():
        raise StganError(f"{quoted(folder)} is not a folder; give one that stgan generate or stgan fooling wrote")
    if out:
        check_output("--out", out)
        if out.is_file() and not _is_page(out):
            raise StganError(f"--out {quoted(out)} is a file but no page; give another name")
    options = {"--model": model, "--evaluator": evaluator, "--real": real, "--fooling": fooling, "--out": out}
    given = [(name, str(value)) for name, value in options.items() if value is not None]
    command = ("stgan", "report", str(folder), *(word for option in given for word in option))
    kind = _kind(folder)
    for name in ("--evaluator", "--real", "--fooling"):
        if kind and options[name] is not None:
            raise StganError(f"{quoted(folder)} is {kind}, which has its own verdicts; leave out {name}")
    if kind == _AUGMENTATION:
        words = ("stgan", "report", str(folder), *(("--out", str(out)) if out else ()))
        with console.status("drawing"):
            page, figures = write_augmentation_page(folder, out, command=shlex.join(words))
        return _tell(page, figures, console)
    if model is None:
        clips = next((found.parent for found in sorted(folder.glob(f"*/{MANIFEST}"))), folder) if kind else folder
        model = made_by(clips)
    if kind:
        study = (folder, read_fooling(folder))
        request = Request(folder, find_model(model), model, study=study, command=command)
    else:
        whole, beside = find_model(model), (fooling, read_fooling(fooling)) if fooling else None
        request = Request(folder, whole, model, find_scores(folder, whole, evaluator, real, console), beside, command)
    with console.status("drawing"):
        page, figures = write_scores_page(request, out)
    _tell(page, figures, console)


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(15).lower() in (b"<!doctype html>", b"")


def _kind(folder: Path) -> str:
    """What the folder is, if it is not one of clips."""
    from stgan.studies import actors, augmentation, fooling

    if (folder / augmentation.RECORD).is_file() or (folder / actors.STUDY).is_file():
        return _AUGMENTATION
    return "a fooling study" if (folder / fooling.RECORD).is_file() else ""


def _tell(page: Path, figures: Sequence[Path], console: Console) -> None:
    size = page.stat().st_size / 1e6
    console.print(f"{page} ({size:.1f} MB) needs no other file", soft_wrap=True)
    console.print(f"{len(figures)} figures are in {figures[0].parent}", soft_wrap=True)


def find_scores(folder: Path, model: ModelFolder, evaluator: str | None, real: Path | None, console: Console) -> Scores:
    """The scores in the folder if they are of its clips, as they are usually judged and by this evaluator; else new
    ones.
    """
    clips = folder_clips(folder)
    device = choose_device()
    judge = find_evaluator(evaluator, model, device=device) if evaluator else None
    if real is None and (kept := kept_scores(folder, clips, judge)):
        return kept
    judge = judge or find_evaluator(_EVALUATOR, model, device=device)
    return new_scores(folder, clips, judge, real, bool(evaluator), console)


def new_scores(
    folder: Path, clips: list[Clip], judge: Evaluator, real: Path | None, allow_fooled: bool, console: Console
) -> Scores:
    """Score the clips; honest scores of generated clips are kept beside them."""
    kept = open_cache(None, console)
    try:
        with closing(kept) if kept else nullcontext():
            scores = evaluate(
                clips, judge, real=Real(labelled_clips(find_clips(real))) if real else None, allow_fooled=allow_fooled,
                keep_going=True, cache=kept,
                watch=lambda results, what, total: track(results, description=what, total=total, console=console),
            )  # fmt: skip
    except KeyboardInterrupt:
        raise Interrupted("the same command goes on where this one stopped") from None
    keep_scores(folder, scores, console)
    return scores
