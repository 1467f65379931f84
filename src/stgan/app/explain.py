"""The screen Explain: what a classifier says of a clip, where it looks, and what would change its answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from stgan.app.desk import Desk
from stgan.app.files import kept, zipped
from stgan.app.told import FOLLOWING, QUIET, told, told_often
from stgan.app.work import Work
from stgan.errors import StganError
from stgan.explain import Explainer, SecondNetwork
from stgan.report.explained import find_explained
from stgan.report.films import Films
from stgan.report.page import environment
from stgan.sampling import SPECTRAL
from stgan.scoring import Evaluator

_SECOND, _NONE = "its second choice", "none"
_EMPTY = Markup("<p>Choose a clip, or record one, and press Explain.</p><p class='soft small'>{}</p>")


def explain_screen(desk: Desk) -> None:
    """Draw the screen."""
    first = next(iter(desk.models))
    networks, actions, judges = _choices(desk, first)
    words = environment().get_template("explained.html").module.words()  # type: ignore[attr-defined]
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            clip = gr.Video(
                label="Clip", sources=["upload", "webcam"], webcam_options=gr.WebcamOptions(mirror=False), height=220,
            )  # fmt: skip
            model = gr.Dropdown(list(desk.models), value=first, label="Model", elem_id="explain-model")
            condition = gr.Dropdown(networks, value=networks[0], label="Network to explain")
            to = gr.Dropdown([_SECOND, *actions], value=_SECOND, label="Change its answer to")
            second = gr.Dropdown([_NONE, *judges], value=_NONE, label="Second network")
            looks = gr.Checkbox(True, label="Find where it looks, which takes most of the time")
            with gr.Row():
                go = gr.Button("Explain", variant="primary")
                stop = gr.Button("Cancel")
        with gr.Column(scale=2, min_width=300):
            shown = gr.HTML(_EMPTY.format(words), elem_id="explained")
            pack = gr.DownloadButton("Download film, picture and record (zip)", visible=False)
    number = gr.State(None)

    def choices(model: str) -> tuple[Any, ...]:
        networks, actions, judges = _choices(desk, model)
        return (
            gr.Dropdown(networks, value=networks[0]),
            gr.Dropdown([_SECOND, *actions], value=_SECOND),
            gr.Dropdown([_NONE, *judges], value=_NONE),
        )

    def known(model: str, condition: str) -> Any:
        return gr.Dropdown([_SECOND, *desk.model(model, condition).actions], value=_SECOND)

    def begin(
        clip: str | None, model: str, condition: str, to: str, second: str, looks: bool
    ) -> Iterator[tuple[Any, ...]]:
        if clip is None:
            raise StganError("there is no clip to explain; choose or record one")
        desk.check(model, condition)
        folder = desk.new_run(f"explained-{Path(clip).stem}")
        path = kept(clip, folder)

        def run(work: Work) -> Markup:
            explainer = _explainer(desk, model, condition, to, second, looks)
            done = 0

            def step() -> None:
                nonlocal done
                done += 1
                work.step()
                work.view = Markup(
                    '<div class="live"><p>step {} of at most {}</p><progress max="1" value="{:.3f}" '
                    'aria-label="Progress"></progress></div>'
                ).format(done, explainer.steps, done / explainer.steps)

            explainer.explain(path, folder, step)
            return _page(folder)

        work = desk.worker.submit(folder.name, run)
        for view in desk.worker.views(work):
            ready = work.ended and not work.error
            file = gr.update(value=str(zipped(folder, desk.temporary)), visible=True) if ready else gr.update()
            yield view, file, work.number

    def cancel(number: int | None) -> None:
        if work := desk.worker.get(number):
            work.cancel()

    model.input(told(choices), model, [condition, to, second], **QUIET)
    condition.input(told(known), [model, condition], to, **QUIET)
    inputs = [clip, model, condition, to, second, looks]
    go.click(told_often(begin), inputs, [shown, pack, number], **FOLLOWING)
    stop.click(told(cancel), number, None, **QUIET)


def _choices(desk: Desk, model: str) -> tuple[list[str], list[str], list[str]]:
    """Networks to explain, the actions of the first one, and networks that may give a second opinion."""
    networks = desk.conditions(model)
    return networks, list(desk.model_folder(model).actions), list(desk.model_folder(model).classifiers)


def _explainer(desk: Desk, model: str, condition: str, to: str, second: str, looks: bool) -> Explainer:
    stgan = desk.model(model, condition)
    steering = stgan.steering(condition=desk.condition(condition), preset=SPECTRAL)
    judge = next((each for each in desk.evaluators(model) if each.name == second), None)
    return Explainer.of(
        stgan,
        steering,
        condition,
        to=None if to == _SECOND else to,
        looks=looks,
        second=_opinion(judge) if judge else None,
    )


def _opinion(judge: Evaluator) -> SecondNetwork:
    network: Any = judge.network
    return SecondNetwork(network, judge.name, judge.hash, judge.actions, judge.frames)


def _page(folder: Path) -> Markup:
    """The explanation as the report page shows it."""
    found, refused = find_explained(folder)
    if not found:
        raise StganError(refused[0])
    section = environment().get_template("explained.html").module.section  # type: ignore[attr-defined]
    return Markup(section(found[0], Films()))
