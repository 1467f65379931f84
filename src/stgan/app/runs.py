"""The screen Runs: what was made, and what can be done with it."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from stgan.app.desk import Desk
from stgan.app.files import zipped
from stgan.app.making import made, start
from stgan.app.reports import report
from stgan.app.request import read_request
from stgan.app.told import FOLLOWING, QUIET, told, told_often
from stgan.app.work import Work
from stgan.errors import StganError
from stgan.files import locked, remove
from stgan.manifest import Manifest
from stgan.parts import RUN, status

_EMPTY = Markup("<p class='soft'>There are no runs in {} yet. Make one on the screen Make.</p>")


def runs_screen(desk: Desk, tab: gr.Tab) -> None:
    """Draw the screen."""
    listed = gr.HTML(elem_id="runs")
    with gr.Row():
        chosen = gr.Dropdown([], label="Run", elem_id="run", scale=3)
        refresh = gr.Button("Refresh", scale=1)
    with gr.Row():
        buttons = {name: gr.Button(name) for name in ("Show", "Resume", "Report", "Pack")}
        delete = gr.Button("Delete", variant="stop")
    with gr.Row(visible=False) as sure:
        yes = gr.Button("Delete the run and all its clips", variant="stop")
        no = gr.Button("Keep it")
    shown = gr.HTML(elem_id="shown")
    pack = gr.DownloadButton("Download", visible=False)
    hidden = gr.update(visible=False)

    def look(name: str | None = None) -> tuple[Any, Any]:
        names = [path.name for path in desk.runs()]
        return _table(desk), gr.Dropdown(names, value=name if name in names else next(iter(names), None))

    def show(name: str | None) -> Iterator[tuple[Any, Any]]:
        folder = desk.run(name)
        request = read_request(folder)
        yield from follow(desk.worker.submit(f"show {folder.name}", lambda work: made(desk, request, folder)))

    def resume(name: str | None) -> Iterator[tuple[Any, Any]]:
        folder = desk.run(name)
        yield from follow(start(desk, read_request(folder), folder, resume=True))

    def write(name: str | None) -> Iterator[tuple[Any, Any]]:
        folder = desk.run(name)
        model = read_request(folder).model
        page: list[Path] = []
        work = desk.worker.submit(f"report of {folder.name}", lambda work: report(desk, model, folder, work, page))
        for view, _ in follow(work):
            yield view, gr.update(value=str(page[0]), visible=True) if page and work.ended else hidden

    def packed(name: str | None) -> Iterator[tuple[Any, Any]]:
        yield gr.skip(), gr.update(value=str(zipped(desk.run(name), desk.temporary)), visible=True)

    def follow(work: Work) -> Iterator[tuple[Any, Any]]:
        for view in desk.worker.views(work):
            yield view, hidden

    def erase(name: str | None) -> tuple[Any, ...]:
        folder = desk.run(name)
        if any(folder.name == work.title.partition(":")[0] for work in desk.worker.pending()):
            raise StganError(f"{folder.name} is being made; cancel it first")
        with locked(folder, doing="is generating into", remedy="cancel it"):
            remove(folder)
        return (*look(), Markup("<p>Deleted {}.</p>").format(folder.name), gr.update(visible=False))

    outputs = [shown, pack]
    for event in (tab.select, refresh.click):
        event(told(look), chosen, [listed, chosen], **QUIET)
    steps = {"Show": show, "Resume": resume, "Report": write, "Pack": packed}
    for name, function in steps.items():
        buttons[name].click(told_often(function), chosen, outputs, **FOLLOWING)
    delete.click(lambda: gr.update(visible=True), None, sure, **QUIET)
    no.click(lambda: gr.update(visible=False), None, sure, **QUIET)
    yes.click(told(erase), chosen, [listed, chosen, shown, sure], **QUIET)


def _table(desk: Desk) -> Markup:
    """The jobs that run and wait, and the runs, the newest first."""
    rows = [_row(path) for path in desk.runs()]
    pending = [Markup("<li>{}{}</li>").format(work.title, "" if number else " (runs)")
               for number, work in enumerate(desk.worker.pending())]  # fmt: skip
    jobs = Markup("<h3>Jobs</h3><ol>{}</ol>").format(Markup().join(pending)) * bool(pending)
    if not rows:
        return jobs + _EMPTY.format(desk.folder)
    head = Markup("<tr><th>run</th><th>clips</th><th>changed</th></tr>")
    table = Markup('<div class="scroll" tabindex="0"><table class="runs">{}{}</table></div>')
    return jobs + table.format(head, Markup().join(rows))


def _row(path: Path) -> Markup:
    try:
        made = status(path) if (path / RUN).is_file() else None  # earlier versions left the manifest alone
        clips = f"{made.done} of {made.planned}" if made else str(sum(1 for _ in Manifest(path).read()))
    except StganError:
        clips = "unreadable"
    when = datetime.fromtimestamp(path.stat().st_mtime)
    return Markup("<tr><td>{}</td><td>{}</td><td>{:%Y-%m-%d %H:%M}</td></tr>").format(path.name, clips, when)
