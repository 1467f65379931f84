"""`stgan report`: one page about generated clips."""

import shlex
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console

from stgan.cli.evaluate import RESUMED, keep_scores, made_by, open_cache
from stgan.cli.options import (
    EvaluatorOption,
    ModelOfClipsOption,
    RealOption,
    file_option,
    folder_option,
    path_argument,
)
from stgan.cli.terminal import check_output, new_console, on_interrupt
from stgan.errors import StganError
from stgan.files import typed
from stgan.manifest import MANIFEST
from stgan.names import quoted
from stgan.progress import watching

if TYPE_CHECKING:
    from stgan.checkpoints import ModelFolder
    from stgan.scoring import Clip, Evaluator, Scores

_AUGMENTATION = "an augmentation experiment"
EXAMPLES = (
    "stgan generate --num 4 --trace --out clips && stgan report clips",
    "stgan report clips --real weizmann --fooling study",
    "stgan report augmentation",
)


def report(
    folder: Annotated[
        Path, path_argument("FOLDER", "What stgan generate, stgan fooling or stgan augment wrote; or other clips.")
    ],
    out: Annotated[Path | None, file_option("--out", "The page. Default: FOLDER/report.html.")] = None,
    model: ModelOfClipsOption = None,
    evaluator: EvaluatorOption = None,
    real: RealOption = None,
    fooling: Annotated[
        Path | None, folder_option("--fooling", "What stgan fooling wrote, to show beside the clips.")
    ] = None,
) -> None:
    """Write one HTML page that any browser opens, without a network.

    The page shows the clips, their scores with intervals, failures chosen by a rule, how a clip is made, and how all
    of it was made. It takes the scores that stgan evaluate left in FOLDER/scores.json; if there are none of these
    clips, it scores them first. An --evaluator that steered the clips may score them here: the page says so. The
    figures are also written to the folder `figures` beside the page. For an augmentation experiment, or a study of
    several, the page says whether generated clips are worth training on.
    """
    from stgan.checkpoints import find_model
    from stgan.report.augmentation_page import write_augmentation_page
    from stgan.report.scores_page import Request, write_scores_page
    from stgan.studies.fooling import read_fooling

    console = new_console()
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
    clips = next((found.parent for found in sorted(folder.glob(f"*/{MANIFEST}"))), folder) if kind else folder
    whole = find_model(typed(model)) if model else made_by(clips)
    name = model or whole.path.name
    if kind:
        study = (folder, read_fooling(folder))
        request = Request(folder, whole, name, study=study, command=command)
    else:
        beside = (fooling, read_fooling(fooling)) if fooling else None
        request = Request(folder, whole, name, find_scores(folder, whole, evaluator, real, console), beside, command)
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


def find_scores(
    folder: Path, model: "ModelFolder", evaluator: str | None, real: Path | None, console: Console
) -> "Scores":
    """The scores in the folder, if this evaluator scored its clips with the usual settings; else new ones."""
    from stgan.devices import choose_device
    from stgan.scoring import find_evaluator, folder_clips, kept_scores

    clips = folder_clips(folder)
    device = choose_device()
    judge = find_evaluator(evaluator, model, device=device) if evaluator else None
    if real is None and (kept := kept_scores(folder, clips, judge)):
        return kept
    judge = judge or find_evaluator(None, model, device=device)
    return new_scores(folder, clips, judge, real, bool(evaluator), console)


def new_scores(
    folder: Path, clips: list["Clip"], judge: "Evaluator", real: Path | None, allow_fooled: bool, console: Console
) -> "Scores":
    """Score the clips; honest scores of generated clips are kept beside them."""
    from stgan.scoring import Real, evaluate, labelled_clips
    from stgan.video import find_clips

    kept = open_cache(None, console)
    with on_interrupt(RESUMED), closing(kept) if kept else nullcontext():
        scores = evaluate(
            clips, judge, real=Real(labelled_clips(find_clips(real))) if real else None, allow_fooled=allow_fooled,
            keep_going=True, cache=kept, watch=watching(console),
        )  # fmt: skip
    keep_scores(folder, scores, console)
    return scores
