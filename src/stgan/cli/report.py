"""`stgan report`: one page about generated clips."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console
from rich.status import Status

from stgan.cli import options
from stgan.cli.evaluate import keep_scores, made_by, score_cache
from stgan.cli.terminal import check_output, new_console, on_interrupt, print_note
from stgan.errors import StganError
from stgan.files import typed
from stgan.manifest import MANIFEST
from stgan.names import quoted
from stgan.progress import watching

if TYPE_CHECKING:
    from stgan.checkpoints import ModelFolder
    from stgan.report.film_files import Watch
    from stgan.report.films import Film
    from stgan.scoring import Clip, ClipScores, Example, PixelScores, Scores

_AUGMENTATION = "an augmentation experiment"
_EXPLANATIONS = "a folder of explanations"
EXAMPLES = (
    "stgan generate --num 4 --trace --out clips && stgan report clips",
    "stgan report clips --real weizmann --fooling study",
    "stgan report augmentation",
    "stgan explain clips/*/*.mp4 --out explained && stgan report explained",
)


def report(
    folder: Annotated[
        Path, options.argument("FOLDER", "What stgan generate, explain, fooling or augment wrote; or other clips.")
    ],
    out: Annotated[Path | None, options.file("--out", "The page. Default: FOLDER/report.html.")] = None,
    model: options.ModelOfClips = None,
    evaluator: options.Evaluator = None,
    real: options.Real = None,
    fooling: Annotated[
        Path | None, options.folder("--fooling", "What stgan fooling wrote, to show beside the clips.")
    ] = None,
) -> None:
    """Write an HTML page, which any browser can show offline.

    The page shows the clips, their scores with intervals, failures chosen by rules, the method, and how everything was
    made. It uses the scores that stgan evaluate left in FOLDER/scores.json; if there are none, the command scores the
    clips first. With --real the page also shows a real clip of each action beside the generated ones, and the nearest
    training frame of each. An --evaluator that steered the clips may score them here; the page then says so. The
    figures are also written to the folder `report_figures` beside the page (named after it). For an augmentation
    experiment, or a study of several, the page says whether generated clips are useful training data. For what stgan
    explain wrote, it shows the explanations.

    An evaluator scores only clips of actions that it knows. If the model's evaluator knows none of them and no other is
    named, the page has what is measured on pixels: motion, flicker and the like.

    A page is one file of at most about 8 MB. If the clips do not fit into it, they are files in the folder
    `report_files` beside it, which are loaded and play while they are seen. Clips of more than 40 actions become an
    atlas: such a page to search and to sort. After an interruption, the same command continues.
    """
    from stgan.checkpoints import find_model
    from stgan.report.augmentation_page import write_augmentation_page
    from stgan.report.explanations_page import write_explanations_page
    from stgan.report.scores_page import Request, write_scores_page
    from stgan.studies.fooling import read_fooling

    console = new_console()
    check_shown(folder, real)
    if not folder.is_dir():
        raise StganError(f"{quoted(folder)} is not a folder; give one that stgan generate or stgan fooling wrote")
    if out:
        check_output("--out", out)
        if out.is_file() and not is_page(out):
            raise StganError(f"--out {quoted(out)} is a file but not a page; give another name")
    values = {"--model": model, "--evaluator": evaluator, "--real": real, "--fooling": fooling, "--out": out}
    given = {name: str(value) for name, value in values.items() if value is not None}
    kind, films = _kind(folder), None
    for name in ("--evaluator", "--real", "--fooling"):
        if kind and name in given:
            raise StganError(f"{quoted(folder)} is {kind}, which has its own scores; leave out {name}")
    if kind in (_AUGMENTATION, _EXPLANATIONS):
        given.pop("--model", None)
    command = ("stgan", "report", str(folder), *(word for option in given.items() for word in option))
    figures: list[Path] = []
    if kind in (_AUGMENTATION, _EXPLANATIONS):
        request = None
    else:
        clips = next((found.parent for found in sorted(folder.glob(f"*/{MANIFEST}"))), folder) if kind else folder
        whole = made_by(clips) if model is None else find_model(typed(model))
        source = folder if kind else fooling
        study = (source, read_fooling(source)) if source else None
        scores, beside = (None, {}) if kind else find_scores(folder, whole, evaluator, real, console)
        request = Request(folder, whole, model or whole.path.name, scores, study, command, real, beside)
    with on_interrupt("films that are finished are kept; the same command continues"), console.status("drawing") as now:
        if request:
            page, figures, films = write_scores_page(request, out, _watching(console, now))
        elif kind == _EXPLANATIONS:
            page, films = write_explanations_page(
                folder, out, command=shlex.join(command), watch=_watching(console, now)
            )
        else:
            page, figures = write_augmentation_page(folder, out, command=shlex.join(command))
    needs = f"shows the films in {films}" if films else "needs no other file"
    console.print(f"{page} ({page.stat().st_size / 1e6:.1f} MB) {needs}", soft_wrap=True)
    if figures:
        are = "figures are" if len(figures) > 1 else "figure is"
        console.print(f"{len(figures)} {are} in {figures[0].parent}", soft_wrap=True)


def _watching(console: Console, status: Status) -> "Watch":
    """A bar of the films instead of the status; a terminal shows one of them at a time."""

    def watch(films: "Iterable[Film | None]", what: str, total: int) -> "Iterator[Film | None]":
        status.stop()
        yield from watching(console)(films, what, total)
        status.start()

    return watch


def check_shown(*paths: Path | None) -> None:
    """StganError if one of these is a file of measurements, which has no frames."""
    from stgan.scoring import SAVED

    for path in paths:
        if path and path.name.endswith(SAVED):
            raise StganError(f"{quoted(path)} holds measurements, which a page cannot show; give the clips themselves")


def is_page(path: Path) -> bool:
    """Whether a file is a page, or empty."""
    with path.open("rb") as file:
        return file.read(15).lower() in (b"<!doctype html>", b"")


def _kind(folder: Path) -> str:
    """What the folder holds instead of clips; empty if it holds clips."""
    from stgan.report.explained import has_explanations
    from stgan.studies import actors, augmentation, fooling

    if (folder / augmentation.RECORD).is_file() or (folder / actors.STUDY).is_file():
        return _AUGMENTATION
    if (folder / fooling.RECORD).is_file():
        return "a fooling study"
    return _EXPLANATIONS if not (folder / MANIFEST).exists() and has_explanations(folder) else ""


def find_scores(
    folder: Path, model: "ModelFolder", evaluator: str | None, real: Path | None, console: Console
) -> "tuple[Scores | PixelScores, dict[str, Example]]":
    """The scores in the folder, if this evaluator scored its clips with default settings; else new ones. And a real
    clip of each action, if there are any.

    Clips of actions that the evaluator does not know are left out. If it knows none and the user did not name it, only
    pixels are measured.
    """
    from stgan.devices import choose_device
    from stgan.scoring import (
        Real,
        evaluate,
        examples,
        find_evaluator,
        folder_clips,
        given_clips,
        kept_scores,
        score_pixels,
    )

    clips = folder_clips(folder, lambda note: print_note(console, note))
    device = choose_device()
    scorer = find_evaluator(evaluator, model, device=device, run_code=True) if evaluator is not None else None
    if real is None and (kept := kept_scores(folder, clips, scorer)) and all(_is_judged(clip) for clip in kept.clips):
        return kept, {}
    scorer = scorer or find_evaluator(None, model, device=device)
    judge = scorer.name if evaluator else f"the {scorer.name} of {model.name}"
    notes = _unknown_actions(clips, scorer.actions, judge, named=evaluator is not None)
    for note in notes:
        print_note(console, note)
    judged = [clip for clip in clips if clip.action in scorer.actions or (evaluator and clip.action is None)]
    if evaluator and not judged:
        raise StganError(notes[0])
    beside = given_clips(real, lambda note: print_note(console, note)) if real else []
    found = examples(beside, dict.fromkeys(clip.action for clip in clips if clip.action is not None), scorer)
    with score_cache(None, console, evaluator) as cache:
        if not judged:
            pixels = score_pixels(
                clips, scorer, real=beside, notes=tuple(notes), cache=cache, watch=watching(console)
            )  # fmt: skip
            return pixels, found
        scores = evaluate(
            judged, scorer, real=Real(beside) if real else None, allow_fooled=bool(evaluator), keep_going=True,
            cache=cache, watch=watching(console),
        )  # fmt: skip
    if len(judged) == len(clips):
        keep_scores(folder, scores, console)
    return replace(scores, notes=(*notes, *scores.notes)), found


def _is_judged(clip: "ClipScores") -> bool:
    """Whether the evaluator knows what the clip should show, or nobody does."""
    return clip.action is None or clip.probability is not None


def _unknown_actions(clips: "Sequence[Clip]", known: Collection[str], evaluator: str, named: bool) -> list[str]:
    """A sentence about clips that an evaluator cannot judge, and about what could; none if there are no such clips."""
    unknown = [clip.action for clip in clips if clip.action not in known and not (named and clip.action is None)]
    actions = [action for action in dict.fromkeys(unknown) if action is not None]
    if not unknown:
        return []
    if len(unknown) < len(clips):
        why = f"{len(unknown)} clips are not scored: {evaluator} does not know {len(actions)} of the actions"
        why += f", such as {quoted(actions[0])}" if actions else ""
    elif actions:
        why = f"the clips are not scored: {evaluator} knows none of their actions, such as {quoted(actions[0])}"
    else:
        why = "the clips are not scored: nothing says what they show"
    return [f"{why}; name a classifier that knows them (--evaluator torchvision:NAME, hf:ORG/NAME or FILE:FUNCTION)"]
