"""The `stgan` process. Signals and errors end it with one sentence."""

import os
import signal
import sys
import warnings
from types import FrameType

from stgan.errors import Interrupted, StganError, is_out_of_memory
from stgan.names import escaped


class _Signals:
    """Handles Ctrl-C and SIGTERM: the first raises KeyboardInterrupt, the second ends the process.

    During an import, which may take seconds, the first ends the process too, because libraries do not expect
    exceptions there. No file is damaged at any time.
    """

    def __init__(self) -> None:
        self.received, self.running = 0, False
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # ignored in a background job
                signal.signal(number, self._handle)

    @property
    def status(self) -> int:
        """The exit status of a process that a signal ended, as in a shell: 130 for Ctrl-C."""
        return 128 + (self.received or signal.SIGINT)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, self.received = not self.received, number
        if first and self.running and not _is_importing(frame):
            raise KeyboardInterrupt
        if os.isatty(1):
            os.write(1, b"\x1b[?25h\n")  # the progress bar has hidden the cursor
        os.write(2, b"stgan: interrupted\n")
        os._exit(self.status)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


_NO_MEMORY = (
    "the system gives no more memory or threads; close other programs, or ask for less at a time (smaller batches, "
    "fewer workers or threads)"
)


def main() -> None:
    """Run the command. An error that the user can fix is one sentence on standard error and exit status 1."""
    signals = _Signals()
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None if the parent process closed it
        stream.reconfigure(errors="backslashreplace")  # names of files may not be valid Unicode
    if not sys.warnoptions:  # warnings of libraries are for programmers, who ask for them by -W or PYTHONWARNINGS
        warnings.simplefilter("ignore")
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        from stgan.cli.commands import app

        signals.running = True
        app()
    except Interrupted as error:
        _end(f"interrupted; {error}", signals.status)
    except StganError as error:
        _end(str(error), 1)
    except (OSError, MemoryError, RuntimeError) as error:  # OSError: a full disk, a folder without permission
        if is_out_of_memory(error):
            _end(_NO_MEMORY, 1)
        if not isinstance(error, OSError):
            raise
        where = f" {error.filename!r}" if error.filename else ""
        _end(f"cannot read or write{where}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        _end("interrupted", signals.status)
    except SystemExit:
        if signals.received:  # typer turns KeyboardInterrupt into SystemExit
            _end("interrupted", signals.status)
        raise
    finally:
        signals.running = False


def _end(sentence: str, status: int) -> None:
    red, plain = ("\x1b[31m", "\x1b[0m") if os.isatty(2) else ("", "")
    print(f"{red}stgan: {escaped(' '.join(sentence.splitlines()))}{plain}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
