"""What a reader must know about the clips that were scored: their lengths, sizes and frame rates, and copies."""

from collections import Counter
from collections.abc import Iterable, Iterator
from statistics import median

from stgan.scoring.measurements import Measurements

_OTHER_RATE = 0.02  # more than rounded rates such as 29.97 and 30 differ by


def notes_on_clips(measured: Measurements, which: str, frames: int, fps: float | None) -> Iterator[str]:
    """Notes on one side.

    which: the clips in words. frames: of a window. fps: the rate at which they were read; None: all frames.
    """
    if measured.variable:
        how = "are taken as they are" if fps is None else f"are taken by their time stamps, {fps:g} a second"
        yield f"the time between frames varies in {len(measured.variable)} {which}, whose frames {how}"
    lengths = {clip.name: len(own) for clip, own in zip(measured.clips, measured.thumbnails, strict=True)}
    if short := [length for length in lengths.values() if length < frames]:
        yield (
            f"{len(short)} of {len(lengths)} {which} have fewer than the {frames} frames of a window (the shortest "
            f"{min(short)}) and are played back and forth, which adds motion that they do not have"
        )
    scaled = {stored for stored, size in zip(measured.stored_sizes, measured.sizes, strict=True) if stored != size}
    if scaled:
        yield f"{which} of {_sizes(scaled)} were scaled and cropped to {_sizes(measured.sizes)}"
    elif len(set(measured.sizes)) > 1:
        yield f"{which} have several sizes: {_sizes(measured.sizes)}"


def notes_on_both(generated: Measurements, real: Measurements, fps: float | None) -> Iterator[str]:
    """Notes on how the sides differ. fps: the rate at which real clips were read; None: all frames."""
    ours, theirs = _rate(generated), _rate(real)
    if ours and theirs:
        theirs = min(theirs, fps or theirs)
        if abs(ours / theirs - 1) > _OTHER_RATE:
            yield (
                f"the clips have {ours:g} frames a second and the real ones {theirs:g}, so a window lasts longer on "
                "one side; --real-fps reads real clips at a lower rate"
            )


def note_on_copies(measured: Measurements) -> Iterator[str]:
    """A note if some clips have the same frames."""
    contents = {clip.name: content for clip, content in zip(measured.clips, measured.contents, strict=True)}
    if copies := len(contents) - len(set(contents.values())):
        yield f"{copies} clips are copies of others: the intervals count them, and are too narrow"


def _rate(measured: Measurements) -> float | None:
    """The median rate of the files that have one; None if there is none."""
    known = [rate for rate in measured.rates if rate == rate]
    return median(known) if known else None


def _sizes(sizes: Iterable[tuple[int, int]]) -> str:
    """Up to three sizes, the most frequent first, as width x height."""
    counted = Counter(sizes).most_common()
    return ", ".join(f"{width}x{height}" for (height, width), _ in counted[:3]) + ", ..." * (len(counted) > 3)
