"""The errors that a user of stgan is expected to read, and those of a machine without memory."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class StganError(Exception):
    """An error that the user can correct.

    The message is one sentence: what was wrong with which input, and what to do. The command line prints it without a
    traceback. Every other exception is a bug in stgan.
    """


class VideoError(StganError):
    """A clip cannot be read or written; the message says which one and why."""


class NoMemoryError(StganError):
    """There is not enough memory. The message says for what, and what to do."""


class Interrupted(StganError):  # noqa: N818 (the user's wish, not an error)
    """Ctrl-C or SIGTERM stopped the work. The message says what is kept and how to continue."""


_OUT_OF_MEMORY = (
    "out of memory",
    "allocate memory",
    "not enough memory",
    "ALLOC_FAILED",  # cuBLAS and cuDNN
    "bad_alloc",
    "could not create a primitive",  # oneDNN
    "could not create a memory",
    "can't start new thread",  # a thread needs memory for its stack
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the system gave no more memory or threads. PyTorch has a type for this error on GPUs only."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    message = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or any(words in message for words in _OUT_OF_MEMORY)


@contextmanager
def on_out_of_memory(sentence: str) -> Iterator[None]:
    """Too little memory in the block ends in a NoMemoryError of this sentence, which says for what, and what to do.

    Inside it, a handler that takes errors of many types for a wrong input must let those of memory pass.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise NoMemoryError(sentence) from error
