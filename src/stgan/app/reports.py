"""Report pages of runs, shown in the page."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from markupsafe import Markup

from stgan.app.desk import Desk
from stgan.app.shown import framed
from stgan.app.work import Work
from stgan.report.scores_page import Request, write_scores_page
from stgan.scoring import evaluate, folder_clips, kept_scores, score_pixels

Watch = Callable[[Iterable[Any], str, int], Iterator[Any]]


def report(desk: Desk, model: str, folder: Path, work: Work, page: list[Path]) -> Markup:
    """Score the clips of a folder as `stgan report` does, and write its page, which is also appended to `page`."""
    clips, whole = folder_clips(folder), desk.model_folder(model)
    scorer = next(desk.evaluators(model))
    judged = [clip for clip in clips if clip.action in scorer.actions]
    if judged:
        scores = kept_scores(folder, clips, None) or evaluate(judged, scorer, keep_going=True, watch=watching(work))
    else:
        scores = score_pixels(clips, scorer, watch=watching(work))
    request = Request(folder, whole, model, scores, command=("stgan", "report", str(folder)))
    page.append(write_scores_page(request)[0])
    return framed(page[0], f"Report of {folder.name}")


def watching(work: Work) -> Watch:
    """Shows the progress of scoring in the view of a job, which can be cancelled between two clips."""

    def watch(results: Iterable[Any], description: str, total: int) -> Iterator[Any]:
        for number, result in enumerate(results):
            work.step()
            work.view = Markup("<p>{}: {} of {}</p>").format(description, number, total)
            yield result

    return watch
