"""The page that holds the screens, and the server that shows it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

# Gradio reads these when it is imported. Nothing is sent anywhere.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr

from stgan.app.desk import Desk
from stgan.app.explain import explain_screen
from stgan.app.inside import inside_screen
from stgan.app.judge import judge_screen
from stgan.app.make import make_screen
from stgan.app.runs import runs_screen
from stgan.app.shown import style
from stgan.errors import StganError

T = TypeVar("T")
LARGEST_UPLOAD = "50mb"
_TRIES = 10
_FORGET = 3600  # seconds after which files of the page are removed
_FONTS = ["system-ui", "Segoe UI", "DejaVu Sans", "sans-serif"]
_MONO = ["ui-monospace", "DejaVu Sans Mono", "monospace"]


def build(desk: Desk) -> gr.Blocks:
    """The page with its screens."""
    with gr.Blocks(title="stgan", analytics_enabled=False, delete_cache=(_FORGET, _FORGET)) as page:
        gr.Markdown("# stgan\nWhat a video classifier has learned.")
        with gr.Tab("Make"):
            make_screen(desk, page)
        with gr.Tab("Runs") as runs:
            runs_screen(desk, runs)
        with gr.Tab("Explain"):
            explain_screen(desk)
        with gr.Tab("Judge") as judge:
            judge_screen(desk, judge)
        with gr.Tab("Look inside"):
            inside_screen(desk)
    return page


@contextmanager
def serving(desk: Desk, host: str = "127.0.0.1", port: int | None = None, share: bool = False) -> Iterator[str]:
    """Show the page while the block lasts, at the address that is returned. Jobs end with the block.

    port: None: the first free one from 7860 on.

    Raises:
        OSError: the port is not free.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(desk.temporary)
    page = build(desk)
    launch = partial(
        page.queue(default_concurrency_limit=8, max_size=64).launch,
        server_name=host, server_port=port, share=share, prevent_thread_lock=True, quiet=True, inbrowser=False,
        max_file_size=LARGEST_UPLOAD, ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False,
        footer_links=[], run_history=False, css=style(),
        theme=_theme(),
    )  # fmt: skip
    try:
        _, local, public = _patiently(launch)
        yield public or local
    finally:
        desk.worker.close()
        page.close(verbose=False)


def _patiently(launch: Callable[[], T]) -> T:
    """Launch again if Gradio gets no answer from the page within its 3 seconds, as on a busy machine."""
    for _ in range(_TRIES):
        with suppress(ValueError):
            return launch()
    raise StganError(
        "the page that was started does not answer: the machine is too busy, or a proxy is in between; try again, or "
        "set NO_PROXY=localhost,127.0.0.1"
    )


def _theme() -> gr.Theme:
    """Fonts of the system, and colours whose contrast makes small text readable, in light and dark."""
    theme = gr.themes.Default(primary_hue="blue", font=_FONTS, font_mono=_MONO)
    soft, dark = "*neutral_600", "*neutral_300"
    return theme.set(
        color_accent="*primary_600",
        body_text_color_subdued=soft, body_text_color_subdued_dark=dark, block_info_text_color=soft,
        block_info_text_color_dark=dark, block_label_text_color=soft, block_label_text_color_dark=dark,
        block_title_text_color=soft, block_title_text_color_dark=dark, input_placeholder_color=soft,
        input_placeholder_color_dark=dark, button_primary_background_fill="*primary_700",
        button_cancel_background_fill="#b91c1c", button_cancel_background_fill_dark="#b91c1c",
        button_cancel_background_fill_hover="#991b1b", button_cancel_background_fill_hover_dark="#991b1b",
    )  # fmt: skip
