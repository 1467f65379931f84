"""Ctrl-C during a training step takes effect at the end of the step."""

import signal
import threading
from types import FrameType


class Interruptible:
    """Inside this context, the first Ctrl-C or SIGTERM only sets `requested`.

    After half a step, with some weights updated and others not, the state cannot be saved. A second Ctrl-C acts
    immediately. A signal that was ignored before, as in a background job, stays ignored.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.requested = False

    def raise_if_requested(self) -> None:
        """Raise KeyboardInterrupt if there was a signal."""
        if self.requested:
            raise KeyboardInterrupt

    def __enter__(self) -> "Interruptible":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there only
            heard = [number for number in self.SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._former = {number: signal.signal(number, self._note) for number in heard}
        else:
            self._former = {}
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
