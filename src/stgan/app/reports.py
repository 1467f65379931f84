"""Report pages of runs, and pages that compare them, shown in the page."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from stgan.app.desk import Desk
from stgan.app.shown import framed
from stgan.app.work import Work
from stgan.report.compare_page import write_compare_page
from stgan.report.scores_page import Request, write_scores_page
from stgan.scoring import (
    Judging,
    PixelScores,
    Real,
    Scores,
    compare_generators,
    evaluate,
    examples,
    find_generators,
    folder_clips,
    given_clips,
    kept_scores,
    score_pixels,
)

Watch = Callable[[Iterable[Any], str, int], Iterator[Any]]


def report(desk: Desk, model: str, folder: Path, work: Work, written: list[Path], real: Path | None = None) -> Markup:
    """Score the clips of a folder and write its page, as `stgan report` does, of which `written` gets a copy."""
    clips, scorer = folder_clips(folder), next(desk.evaluators(model))
    judged = [clip for clip in clips if clip.action in scorer.actions]
    beside, watch = given_clips(real) if real else [], watching(work)
    kept = None if real else kept_scores(folder, clips, None)
    scores: Scores | PixelScores
    if judged:
        scores = kept or evaluate(judged, scorer, real=Real(beside) if real else None, keep_going=True, watch=watch)
    else:
        scores = score_pixels(clips, scorer, real=beside, watch=watch)
    work.view = Markup("<p>The page is drawn ...</p>")
    named = dict.fromkeys(clip.action for clip in clips if clip.action is not None)
    request = Request(
        folder, desk.model_folder(model), model, scores, command=("stgan", "report", str(folder)), real=real,
        examples=examples(beside, named, scorer),
    )  # fmt: skip
    out = desk.own(folder) / "report.html"
    page, _, films = write_scores_page(request, out)
    return _handed(desk, page, films, f"Report of {folder.name}", written)


def compare(
    desk: Desk, model: str, folders: Sequence[Path], real: Path | None, work: Work, written: list[Path]
) -> Markup:
    """Compare the clips of folders as `stgan compare` does, and write its page, of which `written` gets a copy."""
    generators = find_generators(folders)
    beside = given_clips(real) if real else []
    judging = Judging(next(desk.evaluators(model)), None, Real(beside) if real else None)
    found = compare_generators(generators, judging, watch=watching(work))
    names = dict(zip((each.name for each in generators), folders, strict=True))
    out = desk.new_run("compared") / "index.html"
    page, films = write_compare_page(found, names, out, real=(real, beside) if real else None)
    return _handed(desk, page, films, "Comparison", written)


def _handed(desk: Desk, page: Path, films: Path | None, title: str, written: list[Path]) -> Markup:
    """The page in a frame. One whose films are files beside it is opened from its folder."""
    if films is not None:
        return Markup("<p>The page is large. Open {} in a browser.</p>").format(page)
    written.append(Path(shutil.copyfile(page, desk.temporary / f"{page.parent.name}.html")))
    return framed(page, title)


def watching(work: Work) -> Watch:
    """Shows the progress of scoring in the view of a job, which can be cancelled between two clips."""

    def watch(results: Iterable[Any], description: str, total: int) -> Iterator[Any]:
        for number, result in enumerate(results):
            work.step()
            work.view = Markup("<p>{}: {} of {}</p>").format(description, number, total)
            yield result

    return watch
