"""Progress bars on the terminal, and a line now and then where there is no terminal."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from stgan.names import escaped

T = TypeVar("T")

_PAUSE = 30.0  # seconds between two lines


class _Description(ProgressColumn):
    """What a bar is about, which may hold names from files."""

    def render(self, task: Task) -> Text:
        return Text(escaped(task.description))


class _Bars(Progress):
    """Bars. Output that is no terminal shows them at the first step, at most each 30 s after that, and at the end."""

    _shown = -math.inf  # when, of any bars of this process

    def update(self, task_id: TaskID, **values: Any) -> None:
        super().update(task_id, **values)
        if not (self.console.is_terminal or self.disable) and time.monotonic() > _Bars._shown + _PAUSE:
            _Bars._shown = time.monotonic()
            self.console.print(self.get_renderable())


def bars(
    console: Console | None = None, *more: ProgressColumn, transient: bool = False, hidden: bool = False
) -> Progress:
    """Progress bars with counts and times. more: further columns at their end."""
    columns = (
        _Description(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    return _Bars(*columns, *more, console=console, transient=transient, disable=hidden)


def download_bar(console: Console) -> Progress:
    """A progress bar in bytes; it disappears at its end."""
    columns = (
        _Description(), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    return _Bars(*columns, console=console, transient=True)


@contextmanager
def one_bar(console: Console, description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar. Yields a function that takes the number done and the total."""
    with bars(console) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def watching(console: Console) -> Callable[[Iterable[T], str, int], Iterator[T]]:
    """A function of results, a description and the total that yields the results and shows a bar meanwhile."""

    def watch(results: Iterable[T], what: str, total: int) -> Iterator[T]:
        with bars(console) as progress:
            yield from progress.track(results, total=total, description=what)

    return watch


class Stages:
    """Progress bars of stages. They appear with the first progress and can be cleared for other output."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress: Progress | None = None

    def show(self, what: str, done: int, total: int | None) -> None:
        """Update the bar of this name, or add it."""
        if self.progress is None:
            self.progress = bars(self.console, transient=True)
            self.progress.start()
        task = next((task.id for task in self.progress.tasks if task.description == what), None)
        if task is None:
            task = self.progress.add_task(what, total=total)
        self.progress.update(task, completed=done, total=total)

    def clear(self) -> None:
        """Remove the bars. The next `show` makes new ones."""
        if self.progress is not None:
            self.progress.stop()
        self.progress = None

    def __enter__(self) -> "Stages":
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()
