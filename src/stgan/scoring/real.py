"""Real clips beside the generated ones: which of them, how many, and how far they lie apart themselves."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from stgan.checkpoints import FVD_SHA256
from stgan.errors import StganError
from stgan.scoring.clips import Clip, Protocol
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.measurements import Measurements, Skipped
from stgan.scoring.scores import SetScores, TemporalOrder, distances, make_row, temporal_order

_MOST_WINDOWS = 10
"""Windows taken of a real clip."""
_MOST_SHUFFLED = 256
"""Clips, about, that are judged with shuffled frames too: enough for the drop, and cheap beside thousands."""


@dataclass(frozen=True)
class Real:
    """Real clips to set beside the generated ones, and the frame rate to read them at (None: their own)."""

    clips: Sequence[Clip]
    fps: float | None = None


Measure = Callable[..., tuple[Measurements, list[Skipped]]]
"""`measure` with its settings."""


@dataclass(frozen=True)
class _Split:
    """Real clips: those that distances are taken to, and others of the same kind."""

    name: str
    reference: Measurements
    other_name: str
    others: Measurements | None


@dataclass(frozen=True)
class Beside:
    """What real clips are to the generated ones.

    judged: all of them, by the evaluator; looked: on the feature network's features, and of these `reference` and
    `others`.
    """

    judged: Measurements
    looked: Measurements
    reference: Measurements
    others: Measurements | None
    rows: list[SetScores]
    order: TemporalOrder | None
    skipped: list[Skipped]
    notes: list[str]


def without_skipped(clips: Sequence[Clip], measured: Measurements) -> list[Clip]:
    """Without those that could not be read a first time."""
    names = {clip.name for clip in measured.clips}
    return [clip for clip in clips if clip.name in names]


def share_to_shuffle(num: int) -> float:
    """Of so many windows, that of those that are judged with shuffled frames, too."""
    return min(1.0, _MOST_SHUFFLED / num)


def compare_with_real(
    run: Measure,
    real: Real,
    generated: Measurements,
    looked: Measurements,
    judges: Sequence[Evaluator],
    splits: int,
) -> Beside:
    """Measure real clips and set them beside the generated ones.

    Args:
        generated: as the evaluator measured them. looked: the same clips on the feature network's features.
        judges: the evaluator, and the feature network if it is another.
        splits: of the Inception Score.

    Raises:
        StganError: no real clip shows an action that was generated; or as `measure`.
    """
    evaluator, space = judges[0], judges[-1]
    clips, protocol = _real_protocol(real, generated)
    shuffling = replace(protocol, shuffled=share_to_shuffle(len(clips) * protocol.windows))
    measured, skipped = run(clips, evaluator, shuffling, description="real clips")
    judged = compared = _split(measured, evaluator)
    looked_at = measured
    if space is not evaluator:
        looked_at, unseen = run(without_skipped(clips, measured), space, protocol, description="their features")
        skipped += unseen
        compared = _split(looked_at, evaluator)
    rows = _real_rows(judged, compared, evaluator, splits, len(generated))
    return Beside(
        measured,
        looked_at,
        compared.reference,
        compared.others,
        rows,
        temporal_order(measured, evaluator),
        skipped,
        _notes_on_sizes(looked, compared, space, rows),
    )


def _real_protocol(real: Real, generated: Measurements) -> tuple[list[Clip], Protocol]:
    """Real clips of the actions that were generated, at the size of the generated clips, and as many windows.

    Where no split is known, twice as many, so that one half can be set against the other.
    """
    actions = {clip.action for clip in generated.clips}
    chosen = [clip for clip in real.clips if None in actions or clip.action in actions]
    if not chosen:
        raise StganError(
            f"the real clips show none of the generated actions ({', '.join(sorted(a for a in actions if a))}); "
            "choose another --real"
        )
    wanted = len(generated) * (1 if any(clip.split for clip in chosen) else 2)
    size = Counter(generated.sizes).most_common(1)[0][0]
    windows = min(_MOST_WINDOWS, math.ceil(wanted / len(chosen)))
    return chosen, Protocol(size=size, windows=windows, fps=real.fps)


def _split(measured: Measurements, evaluator: Evaluator) -> _Split:
    """By the evaluator's card; if that does not list its clips, by the split; if there is none, all are reference."""
    trained = [content[:16] in evaluator.seen for content in measured.contents]
    names = ("real, seen in training", "real, unseen")
    if not any(trained):
        trained = [clip.split == "train" for clip in measured.clips]
        names = ("real, train split", "real, other splits")
    if not any(trained):
        return _Split("real", measured, "", None)
    others = [i for i, seen in enumerate(trained) if not seen]
    return _Split(
        names[0],
        measured.select([i for i, seen in enumerate(trained) if seen]),
        names[1],
        measured.select(others) if others else None,
    )


def _real_rows(judged: _Split, looked: _Split, evaluator: Evaluator, splits: int, most: int) -> list[SetScores]:
    """The reference clips, and the others if there are any.

    judged: by the evaluator. looked: the same clips on the feature network's features. Of each at most as many clips
    as were generated, because scores of more clips are higher and distances lower.
    """

    def line(name: str, judgement: Measurements, look: Measurements, to: Measurements | None) -> SetScores:
        part, look = _at_most(judgement, most), _at_most(look, most)
        apart = distances(look.features, _at_most(to, most).features) if to else (None, None)
        return make_row(name, part, look, evaluator, splits=min(splits, len(part)), distances=apart)

    rows = [line(judged.name, judged.reference, looked.reference, None)]
    if judged.others is not None and looked.others is not None:
        rows.append(line(judged.other_name, judged.others, looked.others, looked.reference))
    return rows


def _at_most(measured: Measurements, most: int) -> Measurements:
    """The first ones, which are as good as random."""
    return measured.select(range(min(len(measured), most)))


def _notes_on_sizes(ours: Measurements, compared: _Split, space: Evaluator, rows: Sequence[SetScores]) -> list[str]:
    k, size = min(len(ours), len(compared.reference)), ours.features.shape[1]
    if k < 2:
        return ["distances need two clips or more on both sides"]
    notes = [f"distances are of {k} clips to {k} of '{compared.name}'; they compare only at equal numbers of clips"]
    if k <= size:
        notes.append(
            f"{k} clips are not more than the {size} features of {space.name}: the Fréchet distance is far from its "
            "value for many clips; go by the kernel distance"
        )
    if space.kind.startswith("i3d"):
        known = "is an FVD" if space.file == FVD_SHA256 else "is an FVD only if these are the weights of the FVD papers"
        notes.append(f"the Fréchet distance {known} (docs/metrics.md)")
    for row in rows:
        if row.frechet_video_distance is not None and (row.num_windows or 0) < k:
            notes.append(f"the distances of '{row.name}' are of only {row.num_windows} windows")
    return notes
