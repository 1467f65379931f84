"""Jobs of the page. They run one after another, as a device computes one thing at a time."""

import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from markupsafe import Markup, escape

from stgan.errors import Interrupted, StganError, is_out_of_memory

PAUSE = 0.5
"""Seconds between two views of a job."""
_KEPT = 100  # jobs that a browser can still ask for


@dataclass(eq=False)
class Work:
    """A job.

    title:  what it does, in words.
    run:    does it. Calls `step` often.
    view:   what it shows at the moment: HTML.
    result: what it shows at the end: HTML.
    error:  why it ended early, as a sentence; empty if it did not.
    """

    number: int
    title: str
    run: Callable[["Work"], Markup]
    view: Markup = Markup()
    result: Markup = Markup()
    error: str = ""
    cancelled: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def cancel(self) -> None:
        """Ask it to end. What is finished is kept."""
        self.cancelled = True

    def step(self) -> None:
        """Raise Interrupted if it was asked to end."""
        if self.cancelled:
            raise Interrupted("it was cancelled; finished clips are kept")

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it ended within this time."""
        return self._ended.wait(seconds)

    def do(self) -> None:
        """Run it, and keep its result or why there is none."""
        try:
            self.step()
            self.result = self.run(self)
        except StganError as error:
            self.error = str(error)
        except Exception as error:
            self.error = "there is too little memory; ask for fewer or shorter clips"
            if not is_out_of_memory(error):
                traceback.print_exc()
                self.error = f"stgan failed ({type(error).__name__}); the terminal that runs stgan app says where"
        finally:
            self._ended.set()


class Worker:
    """Runs jobs in a thread, in the order in which they are given."""

    def __init__(self) -> None:
        self._waiting: deque[Work] = deque()
        self._known: dict[int, Work] = {}
        self._numbers = count(1)
        self._change = threading.Condition()
        self.current: Work | None = None
        threading.Thread(target=self._loop, daemon=True).start()

    def submit(self, title: str, run: Callable[[Work], Markup]) -> Work:
        with self._change:
            work = Work(next(self._numbers), title, run)
            self._known[work.number] = work
            for number in [number for number, each in self._known.items() if each.ended][:-_KEPT]:
                del self._known[number]
            self._waiting.append(work)
            self._change.notify()
        return work

    def get(self, number: int | None) -> Work | None:
        """The job of this number; None if it is not known, as numbers come from browsers."""
        return self._known.get(number) if number is not None else None

    def pending(self) -> list[Work]:
        """The job that runs and those that wait, in their order."""
        with self._change:
            return [*([self.current] if self.current else []), *self._waiting]

    def views(self, work: Work) -> Iterator[Markup]:
        """What a job shows, twice a second until it ends, and then its result or its error."""
        while not work.ended:
            pending = self.pending()
            place = pending.index(work) if work in pending else 0
            yield work.view if place == 0 else Markup("<p>Waiting: {} before it.</p>").format(_jobs(place))
            work.wait(PAUSE)
        yield problem(work.error) if work.error else work.result

    def close(self) -> None:
        """End all jobs, and wait for the one that runs."""
        for work in self.pending():
            work.cancel()
        for work in self.pending():
            work.wait(10.0)

    def _loop(self) -> None:
        while True:
            with self._change:
                self.current = None
                while not self._waiting:
                    self._change.wait()
                self.current = self._waiting.popleft()
            self.current.do()


def problem(sentence: str) -> Markup:
    """An error as HTML, which screen readers announce."""
    return Markup('<p class="problem" role="alert">{}</p>').format(escape(sentence))


def _jobs(number: int) -> str:
    return "1 job is" if number == 1 else f"{number} jobs are"
