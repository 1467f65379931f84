"""The screen Judge: what the networks say of uploaded clips or of folders, and folders compared."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from stgan.app.desk import Desk
from stgan.app.files import kept
from stgan.app.reports import compare, report
from stgan.app.shown import gallery, verdicts
from stgan.app.told import FOLLOWING, QUIET, told, told_often
from stgan.errors import StganError
from stgan.scoring import Clip

MOST_UPLOADED = 24
_NONE = "none"
_EMPTY = Markup(
    "<p>Choose clips of your own: every network of the model says what it sees. Choose a run or a folder: its clips "
    "are scored, as by <code>stgan report</code>. Choose several: they are compared, as by <code>stgan compare</code>. "
    "<code>stgan app --read FOLDER</code> adds folders to the lists.</p>"
)


def judge_screen(desk: Desk, tab: gr.Tab) -> None:
    """Draw the screen."""
    first = next(iter(desk.models))
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            model = gr.Dropdown(list(desk.models), value=first, label="Model whose networks judge")
            clips = gr.File(
                label="Clips", file_count="multiple", file_types=["video"], type="filepath", height=160, elem_id="clips"
            )
            folders = gr.Dropdown(
                _folders(desk), value=[], multiselect=True, label="Runs and folders", elem_id="folders"
            )
            real = gr.Dropdown([_NONE, *desk.readable], value=_NONE, label="Real clips to compare with")
            with gr.Row():
                go = gr.Button("Judge", variant="primary")
                stop = gr.Button("Cancel")
        with gr.Column(scale=2, min_width=300):
            shown = gr.HTML(_EMPTY, elem_id="judged")
            page = gr.DownloadButton("Download the page", visible=False)
    number = gr.State(None)

    def begin(model: str, clips: list[str] | None, folders: list[str], real: str) -> Iterator[tuple[Any, ...]]:
        desk.model_folder(model)
        beside = None if real == _NONE else desk.readable_folder(real)
        places = [desk.folder_of(name) for name in folders]
        written: list[Path] = []
        if clips and places:
            raise StganError("there are clips and folders to judge; remove one of them")
        if clips:
            if len(clips) > MOST_UPLOADED:
                raise StganError(f"{len(clips)} clips are too many at once; choose at most {MOST_UPLOADED}")
            found = uploaded(desk, clips)
            run = lambda work: gallery(found, verdicts(desk, model, found))  # noqa: E731
        elif len(places) > 1:
            run = lambda work: compare(desk, model, places, beside, work, written)  # noqa: E731
        elif places:
            run = lambda work: report(desk, model, places[0], work, written, beside)  # noqa: E731
        else:
            raise StganError("there is nothing to judge; choose clips, or runs and folders")
        work = desk.worker.submit("judge", run)
        for view in desk.worker.views(work):
            ready = work.ended and written
            file = gr.update(value=str(written[0]), visible=True) if ready else gr.update(visible=False)
            yield view, file, work.number

    def cancel(number: int | None) -> None:
        if work := desk.worker.get(number):
            work.cancel()

    tab.select(lambda: gr.Dropdown(_folders(desk)), None, folders, **QUIET)
    inputs = [model, clips, folders, real]
    go.click(told_often(begin), inputs, [shown, page, number], **FOLLOWING)
    stop.click(told(cancel), number, None, **QUIET)


def _folders(desk: Desk) -> list[str]:
    return [*(path.name for path in desk.runs()), *desk.readable]


def uploaded(desk: Desk, clips: list[str]) -> list[Clip]:
    """Uploaded clips, copied into a folder beside the runs."""
    folder = desk.new_run("uploaded")
    paths = [kept(clip, folder, number) for number, clip in enumerate(clips, 1)]
    return [Clip(path, path.name) for path in paths]
