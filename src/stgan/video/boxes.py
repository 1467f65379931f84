"""The size of the index that the header of an mp4 or mov file declares.

A table in such a header can declare any number of samples (frames, pieces of sound) of equal size in a few bytes.
ffmpeg allocates an index entry for each before it reads the first, so a small hostile file can take gigabytes. So can
an edit list that shows the same samples thousands of times.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# Boxes that contain boxes. Like ffmpeg, this module accepts them at any level.
_HOLDERS = frozenset(b"moov trak mdia minf stbl moof traf mvex edts dinf udta tref wave gmhd sinf schi".split())
_MOST_BOXES = 200_000
_DEEPEST = 16


def declared_entries(path: Path) -> int:
    """The number of index entries that an mp4 or mov file declares in constant space; 0 for other files.

    A complete file has at least as many bytes, since each entry stands for at least one byte of picture or sound. An
    edit list of n entries counts as n - 1 further passes over all samples.

    Raises:
        ValueError: the file has more boxes, or deeper nested ones, than any real file.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        entries = samples = 0
        edits = 1
        runs: list[list[tuple[int, int]]] = []
        chunks: list[int] = []
        for kind, start, stop in _boxes(file, 0, file.seek(0, 2), 0, [0]):
            if kind == b"stsz":  # one size for all samples, or 0 and a table of sizes
                size, count = _numbers(file, start + 4, stop, 2)
                entries += count if size else 0
                samples += count if size else min(count, (stop - start) // 4)
            elif kind == b"elst":
                edits = max(edits, min(_numbers(file, start + 4, stop, 1)[0], (stop - start) // 12))
            elif kind == b"trun":
                entries += _numbers(file, start + 4, stop, 1)[0]
            elif kind == b"stsc":
                count = min(_numbers(file, start + 4, stop, 1)[0], (stop - start) // 12)
                values = _numbers(file, start + 8, stop, 3 * count)
                runs.append(list(zip(values[::3], values[1::3], strict=True)))
            elif kind in (b"stco", b"co64"):
                chunks.append(min(_numbers(file, start + 4, stop, 1)[0], (stop - start) // 4))
        # For plain sound, 1024 samples make an entry. Every track has one table of each kind.
        return entries + samples * (edits - 1) + sum(map(_samples_in_chunks, runs, chunks)) // 1024


def _samples_in_chunks(runs: list[tuple[int, int]], chunks: int) -> int:
    """The samples of a track. runs: (number of the run's first chunk, from 1; samples of each of its chunks)."""
    total, at = 0, 0
    for number, (_, samples) in enumerate(runs):
        following = runs[number + 1][0] - 1 if number + 1 < len(runs) else chunks
        until = following if at <= following <= chunks else chunks
        total += (until - at) * samples
        at = until
    return total


def _boxes(file: BinaryIO, start: int, end: int, depth: int, seen: list[int]) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box that contains no boxes, and the start and end of its content."""
    while start + 8 <= end:
        seen[0] += 1
        if seen[0] > _MOST_BOXES or depth > _DEEPEST:
            raise ValueError("too many boxes")
        file.seek(start)
        header = file.read(16)
        size, kind = struct.unpack(">I4s", header[:8])
        content = start + 8
        if size == 1 and len(header) == 16:
            size, content = struct.unpack(">Q", header[8:])[0], start + 16
        stop = min(start + size, end) if size else end
        if stop < content:
            return
        if kind in _HOLDERS:
            yield from _boxes(file, content, stop, depth + 1, seen)
        else:
            yield kind, content, stop
        start = stop


def _numbers(file: BinaryIO, start: int, stop: int, count: int) -> list[int]:
    """Read `count` 32-bit numbers from `start`; those behind `stop` are zero."""
    file.seek(start)
    data = file.read(max(0, min(4 * count, stop - start)))
    return list(struct.unpack(f">{count}I", data.ljust(4 * count, b"\0")))
