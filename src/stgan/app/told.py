"""Functions of the page: what a person can correct is told in one sentence."""

import functools
import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from stgan.errors import StganError
from stgan.names import escaped

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Settings of events: no spinner over what is shown, and no place in an API."""
FOLLOWING: dict[str, Any] = {**QUIET, "concurrency_limit": None}
"""Of events that follow a job: any number of browsers may."""


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose StganError the page shows as a sentence that stays until it is closed."""

    @functools.wraps(function)
    def telling(*args: Any) -> Any:
        with _sentences():
            return function(*args)

    return telling


def told_often(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """The same for a function that yields."""
    # Checks of types at run time, which wrap every `def`, would hide from Gradio that it yields.
    return lambda *args: (yield from _often(function, *args))  # type: ignore[return-value]


def _often(function: Callable[..., Iterator[Any]], *args: Any) -> Iterator[Any]:
    with _sentences():
        yield from function(*args)


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except (StganError, OSError) as error:
        raise gr.Error(html.escape(escaped(str(error))), duration=None, print_exception=False) from error
