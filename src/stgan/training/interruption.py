"""Ctrl-C in the middle of a training step waits for the end of the step."""

import signal
import threading
from types import FrameType, TracebackType


class Interruptible:
    """While inside, the first Ctrl-C (or SIGTERM) is only noted; `raise_if_asked` raises KeyboardInterrupt for it.

    Half a step (some weights updated, others not) can be neither saved nor resumed from. A second Ctrl-C acts at
    once. A signal that is ignored, as for a job in the background, stays ignored.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = False

    def raise_if_asked(self) -> None:
        if self.asked:
            raise KeyboardInterrupt

    def __enter__(self) -> "Interruptible":
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            heard = [number for number in self.SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._former = {number: signal.signal(number, self._note) for number in heard}
        else:
            self._former = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
