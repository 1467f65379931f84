"""The screen Look inside: clips that activate a layer, a channel or a unit of a network."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
from markupsafe import Markup

from stgan.app.desk import Desk
from stgan.app.files import zipped
from stgan.app.making import start
from stgan.app.request import as_request, write_request
from stgan.app.told import FOLLOWING, QUIET, told, told_often
from stgan.defaults import PRESETS

_USUAL = "default"
_EMPTY = Markup(
    "<p>Choose a layer, and a channel or a unit of it if you like: a clip is made that activates it. The picture shows "
    "the clip over the iterations.</p>"
)


def inside_screen(desk: Desk) -> None:
    """Draw the screen."""
    first = next(iter(desk.models))
    networks = desk.conditions(first)
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            model = gr.Dropdown(list(desk.models), value=first, label="Model", elem_id="inside-model")
            condition = gr.Dropdown(networks, value=networks[0], label="Network to look into")
            listed = list(_layers(desk, first, networks[0]).items())
            layer = gr.Dropdown(
                [(words, name) for name, words in listed], value=listed[-1][0], label="Layer", elem_id="layer",
                info="Type to search. In brackets: channels, and time x height x width.",
            )  # fmt: skip
            unit = gr.Textbox("", label="Channel, or unit", placeholder="17, or 17,0,3,3", max_lines=1, max_length=60,
                              info="CHANNEL, or CHANNEL,T,Y,X. Empty: the whole layer.")  # fmt: skip
            with gr.Row():
                seed = gr.Number(0, label="Seed", precision=0, min_width=100)
                iterations = gr.Number(0, label="Iterations (0: usual)", precision=0, minimum=0, min_width=100)
            preset = gr.Dropdown([_USUAL, *PRESETS], value=_USUAL, label="Preset")
            with gr.Row():
                go = gr.Button("Activate", variant="primary")
                stop = gr.Button("Cancel")
        with gr.Column(scale=2, min_width=300):
            shown = gr.HTML(_EMPTY, elem_id="activated")
            command = gr.Code(
                label="As a command", language=None, interactive=False, visible=False,
                wrap_lines=True, lines=1, max_lines=4,
            )  # fmt: skip
            pack = gr.DownloadButton("Download the folder (zip)", visible=False)
    number = gr.State(None)

    def choices(model: str) -> tuple[Any, Any]:
        names = desk.conditions(model)
        return gr.Dropdown(names, value=names[0]), layers(model, names[0])

    def layers(model: str, condition: str) -> Any:
        found = list(_layers(desk, model, condition).items())
        return gr.Dropdown([(words, name) for name, words in found], value=found[-1][0])

    def begin(
        model: str, condition: str, layer: str, unit: str, seed: int, iterations: int | None, preset: str
    ) -> Iterator[tuple[Any, ...]]:
        target = f"{layer}:{unit.strip()}" if unit.strip() else layer
        request = as_request(
            model=model, condition=condition, target=target, seed=seed, iterations=iterations or None,
            preset=None if preset == _USUAL else preset,
        )  # fmt: skip
        desk.check(model, condition)
        folder = desk.new_run(f"{model}-{condition}-{target}")
        write_request(request, folder)
        work, words = start(desk, request, folder), request.command(folder, desk)
        for view in desk.worker.views(work):
            ready = work.ended and not work.error
            file = gr.update(value=str(zipped(folder, desk.temporary)), visible=True) if ready else gr.update()
            yield view, gr.update(value=words, visible=True), file, work.number

    def cancel(number: int | None) -> None:
        if work := desk.worker.get(number):
            work.cancel()

    model.input(told(choices), model, [condition, layer], **QUIET)
    condition.input(told(layers), [model, condition], layer, **QUIET)
    inputs = [model, condition, layer, unit, seed, iterations, preset]
    go.click(told_often(begin), inputs, [shown, command, pack, number], **FOLLOWING)
    stop.click(told(cancel), number, None, **QUIET)


def _layers(desk: Desk, model: str, condition: str) -> dict[str, str]:
    """The layers of a network, with their sizes in words."""
    found = desk.model(model, condition).layers(desk.condition(condition))
    return {name: f"{name} ({layer.channels}; {' x '.join(map(str, layer.size))})" for name, layer in found.items()}
