"""The one family of errors that a user of stgan is expected to read."""


class StganError(Exception):
    """Something the user can put right.

    The message is a single sentence: what was wrong with which input, and what to do about it. The command
    line prints it as it is, without a traceback; every other exception is a bug in stgan.
    """


class Interrupted(StganError):  # noqa: N818 (the user's wish, not an error)
    """Ctrl-C or SIGTERM ended a piece of work; the message says what is kept and how to go on."""
