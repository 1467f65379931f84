"""Functions of the page: what a person can correct is told in one sentence, and nothing is called from elsewhere."""

import functools
import html
import inspect
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import gradio as gr

from stgan.errors import StganError
from stgan.names import escaped


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose StganError the page shows as a sentence that stays until it is closed."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any) -> Any:
            with _sentences():
                yield from function(*args)

        return generator

    @functools.wraps(function)
    def plain(*args: Any) -> Any:
        with _sentences():
            return function(*args)

    return plain


def quiet() -> dict[str, Any]:
    """Settings of events: no spinner over what is shown, and no place in an API."""
    return {"show_progress": "hidden", "api_visibility": "private"}


@contextmanager
def _sentences() -> Any:
    try:
        yield
    except (StganError, OSError) as error:
        raise gr.Error(html.escape(escaped(str(error))), duration=None, print_exception=False) from error
