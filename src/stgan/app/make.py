"""The screen Make: what to generate, the clip as it stands, and what was made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup

from stgan.app.desk import Desk
from stgan.app.examples import examples
from stgan.app.files import zipped
from stgan.app.making import start
from stgan.app.request import MOST_CLIPS, as_request, write_request
from stgan.app.told import FOLLOWING, QUIET, told, told_often
from stgan.app.work import Work
from stgan.defaults import BOTH, PRESETS, STRENGTH

_USUAL = "default"
_EMPTY = Markup("<p>Nothing is made yet. Choose actions and press Make. Three clips that were made before:</p>{}")


def make_screen(desk: Desk, page: gr.Blocks) -> None:
    """Draw the screen, and let a page that is loaded again find the job that runs."""
    first = next(iter(desk.models))
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            model = gr.Dropdown(list(desk.models), value=first, label="Model")
            condition = gr.Dropdown(
                [BOTH, *desk.conditions(first)], value=BOTH, label="Network that steers", elem_id="condition"
            )
            actions = gr.Dropdown(
                list(desk.model_folder(first).actions), value=desk.model_folder(first).actions[0], multiselect=True,
                label="Actions", info="None: all of them.", elem_id="actions",
            )  # fmt: skip
            with gr.Row():
                num = gr.Number(1, label="Clips of each", precision=0, minimum=1, maximum=MOST_CLIPS, min_width=100)
                seed = gr.Number(0, label="Seed", precision=0, min_width=100)
            with gr.Accordion("More", open=False):
                preset = gr.Dropdown([_USUAL, *PRESETS], value=_USUAL, label="Preset")
                speed = gr.Dropdown(
                    [_USUAL, "slow", "natural", "fast"], value=_USUAL, label="Speed", info="Of the preset spectral."
                )
                frames = gr.Number(0, label="Frames", precision=0, minimum=0, info="0: what suits the network.")
                iterations = gr.Number(0, label="Iterations", precision=0, minimum=0, info="0: those of the preset.")
                init = gr.File(
                    label="Start from this video or picture", file_types=["video", "image"], type="filepath", height=120
                )
                strength = gr.Slider(0.05, 1, STRENGTH, step=0.05, label="How much of it may change")
            with gr.Row():
                go = gr.Button("Make", variant="primary", elem_id="make")
                stop = gr.Button("Cancel", elem_id="cancel")
        with gr.Column(scale=2, min_width=300):
            shown = gr.HTML(_EMPTY.format(examples()), elem_id="made")
            command = gr.Code(
                label="As a command", language=None, interactive=False, visible=False,
                wrap_lines=True, lines=1, max_lines=4, elem_id="command",
            )  # fmt: skip
            pack = gr.DownloadButton("Download the folder (zip)", visible=False, elem_id="zip")
    number = gr.State(None)

    def choices(name: str, steering: str) -> tuple[Any, Any]:
        """The networks of a model and the actions of the network that steers."""
        known = [BOTH, *desk.conditions(name)]
        steering = steering if steering in known else BOTH
        names = list(desk.model(name, steering).actions)
        return gr.Dropdown(known, value=steering), gr.Dropdown(names, value=names[:1])

    def begin(
        model: str, condition: str, actions: list[str], num: int, seed: int, preset: str, speed: str,
        frames: int | None, iterations: int | None, init: str | None, strength: float,
    ) -> Iterator[tuple[Any, ...]]:  # fmt: skip
        asked = as_request(
            model=model, condition=condition, actions=actions, num=num, seed=seed, frames=frames or None,
            iterations=iterations or None, preset=None if preset == _USUAL else preset,
            speed=None if speed == _USUAL else speed, strength=float(strength) if init else None,
        )  # fmt: skip
        desk.check(asked.model, asked.condition)
        folder = desk.new_run(f"{model}-{actions[0] if len(actions) == 1 else 'clips'}-seed{seed}")
        request = write_request(asked, folder, init)
        work = start(desk, request, folder)
        yield from follow(work, folder, request.command(folder, desk))

    def follow(work: Work, folder: Path | None = None, words: str = "") -> Iterator[tuple[Any, ...]]:
        hidden = gr.update(visible=False)
        for view in desk.worker.views(work):
            done = work.ended and not work.error and folder
            yield (
                view, work.number,
                gr.update(value=words, visible=True) if words else hidden,
                gr.update(value=str(zipped(folder, desk.temporary)), visible=True) if done and folder else hidden,
            )  # fmt: skip

    def again() -> Iterator[tuple[Any, ...]]:
        """A page that is loaded shows the job that runs."""
        running = desk.worker.pending()
        if running:
            yield from follow(running[0])
        else:
            yield gr.skip(), None, gr.skip(), gr.skip()

    def cancel(number: int | None) -> None:
        if work := desk.worker.get(number):
            work.cancel()

    outputs = [shown, number, command, pack]
    inputs = [model, condition, actions, num, seed, preset, speed, frames, iterations, init, strength]
    model.change(told(choices), [model, condition], [condition, actions], **QUIET)
    condition.input(told(choices), [model, condition], [condition, actions], **QUIET)
    go.click(told_often(begin), inputs, outputs, **FOLLOWING)
    stop.click(told(cancel), number, None, **QUIET)
    page.load(told_often(again), None, outputs, **FOLLOWING)
