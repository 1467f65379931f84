"""The errors that a user of stgan is expected to read."""


class StganError(Exception):
    """An error that the user can correct.

    The message is one sentence: what was wrong with which input, and what to do. The command line prints it without a
    traceback. Every other exception is a bug in stgan.
    """


class Interrupted(StganError):  # noqa: N818 (the user's wish, not an error)
    """Ctrl-C or SIGTERM stopped the work. The message says what is kept and how to continue."""
