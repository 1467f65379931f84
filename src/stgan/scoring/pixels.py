"""What is measured of clips without an evaluator: motion, flicker and the like, on their pixels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stgan.scoring.cache import ScoreCache
from stgan.scoring.clips import MIDDLE, Clip
from stgan.scoring.comparison import compare_pixels, high_values
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.measurements import Skipped, Watch, measure
from stgan.scoring.scores import Compared
from stgan.scoring.summaries import flickering, frozen, names_of


@dataclass(frozen=True, kw_only=True)
class PixelScores:
    """The scores of clips that no evaluator judges.

    num_videos: the number of clips.
    values:     means over the clips, and over real clips of their actions (None without), by the keys of
                `stgan.metrics.table`.
    high:       the value that 5 % of the real clips exceed, by key; empty without real clips.
    clips:      the values of each clip, by its name and those keys.
    frozen_clips, flickering_clips: names, by the rules of `stgan.metrics.motion`.
    notes:      why no evaluator judges them, and what would.
    """

    num_videos: int
    values: Mapping[str, Compared]
    high: Mapping[str, float]
    clips: Mapping[str, Mapping[str, float]]
    frozen_clips: tuple[str, ...]
    flickering_clips: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def score_pixels(
    clips: Sequence[Clip],
    windows: Evaluator,
    *,
    real: Sequence[Clip] = (),
    notes: tuple[str, ...] = (),
    cache: ScoreCache | None = None,
    watch: Watch = lambda results, description, total: results,
) -> PixelScores:
    """Measure the pixels of the middle window of each clip. Clips that cannot be read are left out and listed.

    Args:
        windows: its number of frames is that of a window. What it says of the clips is not used.
        real: real clips. Those of the same actions are measured at the size of the clips.
        cache, watch: see `measure`.

    Raises:
        StganError: no clip can be read.
    """
    measured, skipped = measure(clips, windows, cache=cache, keep_going=True, watch=watch, description="measuring")
    actions = {clip.action for clip in clips}
    beside = None
    if chosen := [clip for clip in real if None in actions or clip.action is None or clip.action in actions]:
        protocol = replace(MIDDLE, size=Counter(measured.sizes).most_common(1)[0][0])
        beside, unread = measure(
            chosen, windows, protocol, cache=cache, keep_going=True, watch=watch, description="real clips"
        )
        skipped += unread
    return PixelScores(
        num_videos=measured.num_clips,
        values=compare_pixels(measured, beside),
        high=high_values(beside) if beside else {},
        clips={
            clip.name: {key: float(values[row]) for key, values in measured.pixels.items()}
            for row, clip in enumerate(measured.clips)
        },
        frozen_clips=names_of(measured, frozen(measured)),
        flickering_clips=names_of(measured, flickering(measured)),
        skipped=tuple(skipped),
        notes=notes,
    )
