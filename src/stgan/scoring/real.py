"""Real clips as the reference for generated ones: which of them, how many, and how far they lie apart themselves."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from stgan.checkpoints import FVD_SHA256
from stgan.errors import StganError, VideoError
from stgan.scoring.clips import Clip, Protocol
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.measurements import Measurements, Skipped
from stgan.scoring.protocols import Rules
from stgan.scoring.scores import SetScores, TemporalOrder
from stgan.scoring.summaries import distances, make_row, temporal_order
from stgan.video.decoding import attempt, in_order
from stgan.video.io import count_frames

_MOST_WINDOWS = 10
"""Windows taken of a real clip."""
_MOST_SHUFFLED = 256
"""About how many clips are scored with shuffled frames too. They are enough to measure the drop in accuracy."""


@dataclass(frozen=True)
class Real:
    """Real clips to compare generated clips with, and the frame rate to read them at (None: their own)."""

    clips: Sequence[Clip]
    fps: float | None = None


Measure = Callable[..., tuple[Measurements, list[Skipped]]]
"""`measure` with its settings."""


@dataclass(frozen=True)
class RealScores:
    """Real clips as measured, and their scores.

    measured:    all of them, by the evaluator.
    on_features: the same clips by the feature network.
    reference:   those of `on_features` to which distances are taken; others: the rest, None if there is none.
    rows:        scores of the reference clips, and of the others if there are any.
    order:       see `temporal_order`.
    """

    measured: Measurements
    on_features: Measurements
    references: list[Measurements]
    others: Measurements | None
    rows: list[SetScores]
    order: TemporalOrder | None
    skipped: list[Skipped]

    @property
    def reference(self) -> Measurements:
        """That of the first draw."""
        return self.references[0]


def without_skipped(clips: Sequence[Clip], measured: Measurements) -> list[Clip]:
    """The clips that could be read the first time."""
    names = {clip.name for clip in measured.clips}
    return [clip for clip in clips if clip.name in names]


def share_to_shuffle(num: int) -> float:
    """The share of `num` windows that are scored with shuffled frames too."""
    return min(1.0, _MOST_SHUFFLED / num)


def score_real(
    run: Measure,
    real: Real,
    generated: Measurements,
    evaluator: Evaluator,
    feature_network: Evaluator,
    rules: Rules,
    inception: bool = True,
) -> RealScores:
    """Measure real clips as a reference for generated ones.

    By stgan's own protocol, at most as many windows as were generated are scored of each set of real clips, because
    scores of more clips are higher and distances lower.

    Args:
        generated: the generated clips, as the evaluator measured them.
        feature_network: may be the evaluator.
        inception: whether the Inception Score is scored.

    Raises:
        StganError: no real clip shows an action that was generated; or as `measure`.
    """
    if rules.published:
        return _score_by_rules(run, real, generated, evaluator, feature_network, rules, inception)
    clips, protocol = _real_protocol(real, generated, rules)
    shuffling = replace(protocol, shuffled=share_to_shuffle(len(clips) * protocol.windows))
    measured, skipped = run(clips, evaluator, shuffling, description="real clips")
    on_features = measured
    if feature_network is not evaluator:
        on_features, unread = run(
            without_skipped(clips, measured), feature_network, protocol, description="their features"
        )
        skipped += unread
    sets, n = _reference_and_others(on_features, evaluator), rules.num_real or len(generated)
    reference, others = sets[0][1], sets[1][1] if len(sets) > 1 else None
    rows: list[SetScores] = []
    for (label, part), (_, same) in zip(_reference_and_others(measured, evaluator), sets, strict=False):
        part, same = _first(part, n), _first(same, n)
        apart = distances(same.features, _first(reference, n).features, rules) if rows else (None, None)
        splits = min(rules.splits, len(part)) if inception else None
        row = make_row(label, part, same, evaluator, splits=splits, distances=apart)
        rows.append(_comparable(row, generated, part))
    order = temporal_order(measured, evaluator)
    used = reference if rules.num_real is None else _first(reference, rules.num_real)
    return RealScores(measured, on_features, [used], others, rows, order, skipped)


def _score_by_rules(
    run: Measure,
    real: Real,
    generated: Measurements,
    evaluator: Evaluator,
    feature_network: Evaluator,
    rules: Rules,
    inception: bool,
) -> RealScores:
    """The same by a published protocol: real clips as they come, whatever the evaluator has seen."""
    among = rules.ordered(real.clips, 0)
    if not among:
        raise StganError(f"{rules.name} takes real clips of the {rules.split} split, and there are none")
    size = _usual_size(generated)
    windows = math.ceil((rules.num_real or 1) / len(among)) if rules.real == "random" else 1
    references: list[Measurements] = []
    skipped: list[Skipped] = []
    for draw in range(rules.draws):
        clips = rules.ordered(real.clips, draw)
        protocol = rules.of_real(Protocol(size=size, windows=windows, fps=real.fps), draw)
        description = f"real clips, draw {draw + 1}" if rules.draws > 1 else "real clips"
        if rules.real == "windows":
            found, unread = _drawn_windows(run, clips, feature_network, protocol, rules, draw, description)
        else:
            # Where each clip gives several windows, all clips are read, so that all of them count.
            enough = rules.num_real if windows == 1 else None
            found, unread = run(clips, feature_network, protocol, description=description, enough=enough)
        references.append(found if rules.num_real is None else _first(found, rules.num_real))
        skipped += unread
    reference = measured = references[0]
    if rules.real == "random":
        _check_enough(rules, len(reference))
    if feature_network is not evaluator:
        protocol = rules.of_real(Protocol(size=size, windows=windows, fps=real.fps))
        kept = without_skipped(rules.ordered(real.clips, 0), reference)
        measured, _ = run(kept, evaluator, replace(protocol, short="mirror"), description="the evaluator's view")
    splits = min(rules.splits, len(measured)) if inception else None
    row = make_row("real", measured, reference, evaluator, splits=splits, distances=(None, None))
    row = _comparable(row, generated, measured)
    return RealScores(measured, reference, references, None, [row], None, skipped)  # no frames were shuffled


def _check_enough(rules: Rules, windows: int) -> None:
    if rules.num_real is not None and windows < rules.num_real:
        raise StganError(
            f"{rules.name} takes {rules.num_real} windows of real clips, and there are {windows}; give more, or say "
            f"--num-real {windows}, which the scores will state"
        )


def _drawn_windows(
    run: Measure,
    clips: Sequence[Clip],
    network: Evaluator,
    protocol: Protocol,
    rules: Rules,
    draw: int,
    description: str,
) -> tuple[Measurements, list[Skipped]]:
    """Windows drawn from those of all clips together, each at most once: so long clips give more of them."""
    if clips[0].saved or protocol.fps is not None:
        raise StganError(
            f"{rules.name} draws from the windows of all frames of all real clips; give the clips, without --real-fps"
        )
    span, least = (network.frames - 1) * rules.stride + 1, network.frames * rules.stride
    places: list[int] = []
    skipped: list[Skipped] = []
    lengths = in_order(partial(attempt, count_frames), [clip.source for clip in clips])
    for clip, length in zip(clips, lengths, strict=True):
        if isinstance(length, VideoError):
            skipped.append(Skipped(clip.name, str(length)))
            places.append(0)
        else:
            places.append(length - span + 1 if length >= least else int(rules.short == "mirror"))
    _check_enough(rules, sum(places))  # files may have a few frames fewer than they declare
    wanted = rules.num_real or sum(places)
    counts = np.random.default_rng([rules.seed, draw]).multivariate_hypergeometric(places, wanted, method="marginals")
    parts = []
    for count in range(1, 1 + max(counts.tolist(), default=0)):
        if some := [clip for clip, own in zip(clips, counts.tolist(), strict=True) if own == count]:
            found, unread = run(some, network, replace(protocol, windows=count), description=description)
            parts.append(found)
            skipped += unread
    if not parts:
        raise StganError(f"the real clips have no window of {span} frames; give longer ones")
    return Measurements.joined(parts), skipped


def _comparable(row: SetScores, generated: Measurements, real: Measurements) -> SetScores:
    """A row of real clips, without feature diversity if actions are known of one side only: it would be another one."""
    known = {clip.action is not None for clip in (*generated.clips, *real.clips)}
    return row if len(known) == 1 else replace(row, diversity=None)


def _usual_size(measured: Measurements) -> tuple[int, int]:
    return Counter(measured.sizes).most_common(1)[0][0]


def _real_protocol(real: Real, generated: Measurements, rules: Rules) -> tuple[list[Clip], Protocol]:
    """Real clips of the actions that were generated, at the size of the generated clips, and as many windows.

    Where no split is known, twice as many windows, so that one half can be compared with the other.
    """
    actions = {clip.action for clip in generated.clips}
    chosen = [clip for clip in real.clips if None in actions or clip.action is None or clip.action in actions]
    if not chosen:
        raise StganError(
            f"the real clips show none of the generated actions ({', '.join(sorted(a for a in actions if a))}); "
            "choose another --real"
        )
    wanted = (rules.num_real or len(generated)) * (1 if any(clip.split for clip in chosen) else 2)
    windows = min(_MOST_WINDOWS, math.ceil(wanted / len(chosen)))
    return chosen, rules.of_real(Protocol(size=_usual_size(generated), windows=windows, fps=real.fps))


def _reference_and_others(measured: Measurements, evaluator: Evaluator) -> list[tuple[str, Measurements]]:
    """The reference clips, then the others if there are any, each with a name.

    Reference clips are those that the evaluator's model card lists as seen in training; if it lists none, those of the
    train split; if there is no split, all.
    """
    trained = [content[:16] in evaluator.seen for content in measured.contents]
    names = ("real, seen in training", "real, unseen")
    if sum(trained) < 2:  # a single one is no reference
        trained = [clip.split == "train" for clip in measured.clips]
        names = ("real, train split", "real, other splits")
    if not any(trained):
        return [("real", measured)]
    rows = ([i for i, seen in enumerate(trained) if seen == side] for side in (True, False))
    return [(name, measured.select(own)) for name, own in zip(names, rows, strict=True) if own]


def _first(measured: Measurements, most: int) -> Measurements:
    """The first rows. Their order is as good as random."""
    return measured.select(range(min(len(measured), most)))


def notes_on_distances(on_features: Measurements, real: RealScores, network: Evaluator, rules: Rules) -> list[str]:
    """What a reader must know about the distances of generated clips, as the feature network measured them."""
    n, m, size = len(on_features), len(real.reference), on_features.features.shape[1]
    k = min(n, m)
    if k < 2:
        return ["distances need two clips or more on both sides"]
    sides = (n, m) if rules.published else (k, k)
    notes = [
        f"distances are of {sides[0]} clips to {sides[1]} of '{real.rows[0].name}'; they compare only at equal numbers "
        "of clips"
    ]
    if k <= size:
        notes.append(
            f"{k} clips are not more than the {size} features of {network.name}: the Fréchet distance is far from its "
            "value for many clips; go by the kernel distance"
        )
    if rules.split and all(clip.split is None for clip in real.reference.clips):
        notes.append(f"the real clips are not divided, so all count instead of the {rules.split} split")
    if network.kind.startswith("i3d"):
        known = (
            "is an FVD" if network.file == FVD_SHA256 else "is an FVD only if these are the weights of the FVD papers"
        )
        notes.append(f"the Fréchet distance {known} (docs/metrics.md)")
    for row in real.rows:
        if row.frechet_video_distance is not None and (row.num_windows or 0) < k:
            notes.append(f"the distances of '{row.name}' are of only {row.num_windows} windows")
    return notes
