"""How this process gets its memory from the system."""

import ctypes
from contextlib import suppress

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Let the C library keep what tensors free, up to 1 GB, for the next ones, where it is glibc.

    It returns blocks of 32 MB and more to the system at once, and the kernel fills each new one with zeros, page by
    page: a tenth to a fifth of the time that generating takes on a CPU. This is for the whole process, so programs
    should call it, not libraries.
    """
    with suppress(OSError, AttributeError):  # another C library
        allocator = ctypes.CDLL(None).mallopt
        allocator(_MMAP_MAX, 0)
        allocator(_TRIM_THRESHOLD, 1 << 30)
