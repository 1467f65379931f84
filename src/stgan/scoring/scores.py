"""From measurements to scores: what `stgan evaluate` says, with every choice that the numbers depend on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stgan.errors import StganError
from stgan.metrics.appearance import feature_diversity
from stgan.metrics.classification import (
    confusion_matrix,
    contributions,
    inception_interval,
    inception_score,
    wilson_interval,
)
from stgan.metrics.distances import frechet_distance, kernel_distance
from stgan.metrics.motion import is_flickering, is_frozen
from stgan.metrics.neighbours import Neighbourhood, nearest_distances, precision_recall_density_coverage
from stgan.metrics.table import METRICS
from stgan.names import quoted
from stgan.records import Count, Fraction, FractionInterval, Number, Text, read_record
from stgan.scoring.clips import MIDDLE, Clip, Protocol
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.measurements import Measurements, Skipped
from stgan.version import __version__

FORMAT = 2  # 1: another appearance change, nothing beside real clips
SCORES = "scores.json"
"""The file beside clips that holds their scores."""
GENERATED = "generated"
"""The name of the row of the clips that are scored."""
_REMEDY = "remove it to have the clips scored again"


@dataclass(frozen=True)
class InceptionScore:
    """Mean and standard deviation over splits; low, high: the mean's 95 % interval by a bootstrap over clips."""

    mean: Number
    std: Number
    low: Number
    high: Number


@dataclass(frozen=True, kw_only=True)
class SetScores:
    """One set of clips: a line of the table. What cannot be measured is None; units as in `stgan.metrics.table`.

    num_videos:  the clips; num_windows: of them, as many or more.
    frechet_video_distance, kernel_video_distance: to the reference clips, on the feature network's features.
    diversity, appearance_drift: means of `feature_diversity` and `appearance_change`.
    num_frozen, num_flickering: of the clips, by the rules of `stgan.metrics.motion`.
    """

    name: Text
    num_videos: Count
    num_windows: Count | None = None  # not in records of before
    accuracy: Fraction | None
    accuracy_interval: FractionInterval | None
    inception_score: InceptionScore
    frechet_video_distance: Number | None
    kernel_video_distance: Number | None
    diversity: Number | None
    motion: Number
    flicker: Number
    frozen: Number
    appearance_drift: Number
    num_frozen: Count | None = None  # of format 2
    num_flickering: Count | None = None  # of format 2


@dataclass(frozen=True)
class Compared:
    """A value of generated clips, the same of real ones, and the first over the second; what is not known is None.

    ratio:      None unless the real value is above 0.
    real_std:   standard deviation of the real value over splits of the real clips.
    deviations: how many of these the generated value lies above the real one.
    """

    generated: Number | None
    real: Number | None
    ratio: Number | None
    real_std: Number | None = None
    deviations: Number | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Generated clips beside real ones.

    num_videos:     generated clips. num_windows: of each side; of each action, as many of the one as of the other.
    values:         by the keys of `stgan.metrics.table`.
    motion:         mean `motion` and `visible_motion` of each action, beside those of all windows of its real clips.
    actions_within: how many actions have a ratio of 1, give or take `tolerance`, of each of the two.
    splits:         of the real clips into halves, over which the two distances are means; split_videos: windows of each
                    side.
    """

    num_videos: Count
    num_windows: Count | None = None  # not in records of before
    values: dict[Text, Compared]
    motion: dict[Text, dict[Text, Compared]]
    actions_within: dict[Text, Count]
    tolerance: Fraction
    splits: Count
    split_videos: Count

    @property
    def shown(self) -> dict[str, Compared]:
        """The values that are known of both sides, in the order of the table of metrics."""
        known = {key: self.values[key] for key in METRICS if key in self.values}
        return {key: each for key, each in known.items() if each.generated is not None and each.real is not None}


@dataclass(frozen=True)
class TemporalOrder:
    """Accuracy on the same clips with their frames in order and in random order, and what the disorder costs."""

    num_videos: Count
    ordered: Fraction
    shuffled: Fraction
    drop: Number


@dataclass(frozen=True)
class Copying:
    """How near clips come to the nearest reference clip: see `copying`.

    generated, unseen: medians of generated clips and of other real ones; ratio: the first over the second.
    nearer_than_any: generated clips that come nearer than any of these. baseline: what they are, in words.
    """

    generated: Number
    unseen: Number
    ratio: Number
    nearer_than_any: Count
    baseline: Text


@dataclass(frozen=True, kw_only=True)
class ClipScores:
    """What is known of a clip; of several windows, means.

    named:        the action that the evaluator finds most likely, or its number where it has no names.
    probability:  of the action asked for; None if the evaluator does not know it.
    contribution: to the Inception Score, in nats.
    """

    file: Text
    sha256: Text | None
    action: Text | None
    named: Text | Count
    probability: Fraction | None
    contribution: Number
    motion: Number
    visible_motion: Number | None = None  # this and others: not in format 1
    flicker: Number
    frozen: Number
    held: Number | None = None
    appearance_drift: Number
    background_drift: Number | None = None
    colour_drift: Number | None = None


@dataclass(frozen=True)
class JudgedWindows:
    """What of each clip was judged, which decides its scores.

    frames, feature_frames: of a window, for the evaluator and for the feature network.
    usual: whether these are the numbers that both take if nobody asks for another.
    protocol: without the share of clips that are judged with their frames shuffled as well.
    """

    frames: Count
    feature_frames: Count
    usual: bool
    protocol: Protocol


@dataclass(frozen=True)
class Quoted:
    """A published Inception Score: of another evaluator on other clips, so never to be compared with ours."""

    method: Text
    inception_score: Number
    source: Text = "Ainetter and Pinz, Table 2: UCF-101, 10,000 clips, a C3D of 101 classes"


QUOTED = (
    Quoted("MoCoGAN", 12.42),
    Quoted("conditional TGAN", 15.83),
    Quoted("TGANv2 (batch 64)", 22.70),
    Quoted("TGANv2 (batch 256)", 24.34),
    Quoted("STGAN (LRCN)", 23.44),
    Quoted("STGAN (C3D), fooled", 66.33),
    Quoted("UCF-101 itself", 70.07),
)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All that is said of a folder of clips, and what `scores.json` holds; None is what cannot be measured.

    fooled: the evaluator, or a network it shares an ancestor with, steered a clip; None if nothing says what did.
    judged: None in records of before: nothing says what of the clips was judged.
    clips:  sorted by file; none in a fooling study.
    """

    num_videos: Count
    evaluator: Text
    evaluator_network: Text
    evaluator_hash: Text
    protocol: Text
    judged: JudgedWindows | None = None
    feature_network: Text
    feature_hash: Text
    feature_size: Count
    fooled: bool | None
    steered_by: tuple[Text, ...]
    actions: tuple[Text, ...]
    accuracy: Fraction | None
    accuracy_interval: FractionInterval | None
    per_action: dict[Text, Fraction]
    per_action_interval: dict[Text, FractionInterval]
    per_action_contribution: dict[Text, Number]
    confusion: tuple[tuple[Count, ...], ...]
    inception_score: InceptionScore
    splits: Count
    frechet_video_distance: Number | None
    kernel_video_distance: Number | None
    precision: Number | None
    recall: Number | None
    density: Number | None
    coverage: Number | None
    diversity: Number | None
    motion: Number
    flicker: Number
    frozen: Number
    appearance_drift: Number
    frozen_clips: tuple[Text, ...] | None = None  # of format 2
    flickering_clips: tuple[Text, ...] | None = None  # of format 2
    temporal_order: TemporalOrder | None
    temporal_order_real: TemporalOrder | None
    copying: Copying | None
    beside_real: Comparison | None = None
    rows: tuple[SetScores, ...]
    quoted: tuple[Quoted, ...]
    clips: tuple[ClipScores, ...] = ()
    skipped: tuple[Skipped, ...]
    notes: tuple[Text, ...]
    format: Count = FORMAT
    version: Text = __version__

    def __post_init__(self) -> None:
        if self.confusion and {len(self.confusion), *map(len, self.confusion)} != {len(self.actions)}:
            raise ValueError("the confusion matrix does not fit the actions")


def read_scores(path: Path) -> Scores:
    """`scores.json`. StganError if it cannot be read or is not what `stgan evaluate` writes."""
    scores = read_record(path, Scores, _REMEDY)
    if scores.format != FORMAT:
        raise StganError(f"{quoted(path)} has format {scores.format}, not {FORMAT}; {_REMEDY}")
    return scores


def kept_scores(folder: Path, clips: Sequence[Clip], judge: Evaluator | None = None) -> Scores | None:
    """The scores that are kept in a folder, if they are of its clips, judged by the usual window. Else None.

    Clips are the same by their contents; without a manifest, by files that have not been written since. The scores may
    be of several splits, on another network's features or beside real clips: they say so.

    Args:
        judge: who must have judged; default: anyone.

    Raises:
        StganError: there is a file, but it is no record of scores.
    """
    path = folder / SCORES
    if not path.exists():
        return None
    scores = read_scores(path)
    by_judge = judge is None or (judge.hash, judge.describe(MIDDLE)) == (scores.evaluator_hash, scores.protocol)
    judged = scores.judged  # None in records of before: nothing says which windows they are of
    usual = judged is not None and judged.usual and judged.protocol == MIDDLE
    return scores if by_judge and usual and _is_current(scores, path, clips) else None


def _is_current(scores: Scores, path: Path, clips: Sequence[Clip]) -> bool:
    scored = {clip.file: clip.sha256 for clip in scores.clips}
    names = {clip.name for clip in clips}
    if not scored.keys() <= names <= scored.keys() | {clip.file for clip in scores.skipped}:
        return False
    written = path.stat().st_mtime_ns
    return all(
        clip.sha256 == scored.get(clip.name, clip.sha256)
        if clip.sha256
        else clip.path.exists() and clip.path.stat().st_mtime_ns <= written
        for clip in clips
    )


def make_row(
    name: str,
    measured: Measurements,
    looked: Measurements,
    evaluator: Evaluator,
    *,
    splits: int,
    distances: tuple[float | None, float | None],
) -> SetScores:
    """The scores of a set of clips that need no other clips, and distances as given.

    measured: by the evaluator. looked: the same clips on the feature network's features.
    """
    right, known = _recognised(measured.log_probabilities, measured.clips, evaluator)
    judged = _known_clips(measured, evaluator)
    return SetScores(
        name=name,
        num_videos=measured.num_clips,
        num_windows=len(measured),
        accuracy=right / known if known else None,
        # Windows of one clip are hardly more than one: it counts once.
        accuracy_interval=wilson_interval(right / known * judged, judged) if known else None,
        inception_score=inception(measured, splits),
        frechet_video_distance=distances[0],
        kernel_video_distance=distances[1],
        diversity=within_actions(looked),
        motion=float(measured.pixels["motion"].mean()),
        flicker=float(measured.pixels["flicker"].mean()),
        frozen=float(measured.pixels["frozen"].mean()),
        appearance_drift=float(measured.pixels["appearance_drift"].mean()),
        num_frozen=len(names_of(measured, frozen(measured))),
        num_flickering=len(names_of(measured, flickering(measured))),
    )


def frozen(measured: Measurements) -> Tensor:
    """Which rows are frozen."""
    return is_frozen(measured.pixels["held"])


def flickering(measured: Measurements) -> Tensor:
    """Which rows flicker."""
    return is_flickering(measured.pixels["flicker"], measured.pixels["motion"])


def names_of(measured: Measurements, rows: Tensor) -> tuple[str, ...]:
    """The clips that any of these rows is a window of, sorted."""
    return tuple(sorted({clip.name for clip, found in zip(measured.clips, rows.tolist(), strict=True) if found}))


def inception(measured: Measurements, splits: int) -> InceptionScore:
    """The Inception Score over splits, and its interval over clips, each with all its windows."""
    mean, std = inception_score(measured.log_probabilities, splits)
    number = {name: i for i, name in enumerate(dict.fromkeys(clip.name for clip in measured.clips))}
    clips = torch.tensor([number[clip.name] for clip in measured.clips])
    low, high = inception_interval(measured.log_probabilities, min(splits, len(number)), groups=clips)
    return InceptionScore(float(mean), float(std), low, high)


def distances(of: Tensor, to: Tensor) -> tuple[float | None, float | None]:
    """Fréchet and kernel distance of as many clips of the one as of the other: the first of both.

    Rows come in an order as good as random, which depends on the clips alone.
    """
    k = min(len(of), len(to))
    if k < 2:
        return None, None
    return float(frechet_distance(of[:k], to[:k])), float(kernel_distance(of[:k], to[:k]))


def neighbourhood(generated: Measurements, reference: Measurements | None) -> dict[str, Any]:
    """Precision, recall, density and coverage of equally many windows of both sides; None for fewer than three clips.

    Windows of one clip are no neighbours of each other: their overlap would make every ball small.
    """
    n = min(len(generated), len(reference) if reference else 0)
    real, made = (side.select(range(n)) for side in (reference or generated, generated))
    if min(real.num_clips, made.num_clips) < 3:
        return dict.fromkeys(Neighbourhood._fields)
    return precision_recall_density_coverage(
        real.features,
        made.features,
        real_groups=numbered([clip.name for clip in real.clips]),
        generated_groups=numbered([clip.name for clip in made.clips]),
    )._asdict()


def copying(generated: Measurements, seen: Measurements, unseen: Measurements | None) -> Copying | None:
    """How near generated clips come to the nearest training clip, beside how near real unseen clips come to it.

    Medians of distances between features, and how many generated clips come nearer than any real unseen clip. Without
    unseen clips, each training clip takes their place in turn, and only clips of other groups (actors) count as
    training.
    """
    if unseen is not None:
        usual, baseline = nearest_distances(unseen.features, seen.features), "real clips not seen in training"
    else:
        groups = [clip.group or clip.name for clip in seen.clips]
        numbers = numbered(groups)
        usual = nearest_distances(seen.features, seen.features, query_groups=numbers, reference_groups=numbers)
        known = all(clip.group for clip in seen.clips)
        baseline = f"these from those of other {'groups' if known else 'files'}"
    usual = usual[usual.isfinite()]
    if not len(usual) or not float(usual.quantile(0.5)):
        return None
    ours = nearest_distances(generated.features, seen.features)
    return Copying(
        generated=float(ours.quantile(0.5)),
        unseen=float(usual.quantile(0.5)),
        ratio=float(ours.quantile(0.5) / usual.quantile(0.5)),
        nearer_than_any=len(names_of(generated, ours < usual.min())),
        baseline=baseline,
    )


def temporal_order(measured: Measurements, evaluator: Evaluator) -> TemporalOrder | None:
    """What the order of frames is worth, of the windows that were judged with shuffled frames too; None of none."""
    both = measured.select((~measured.shuffled.isnan().any(1)).nonzero().flatten().tolist())
    right, known = _recognised(both.log_probabilities, both.clips, evaluator)
    still, _ = _recognised(both.shuffled, both.clips, evaluator)
    if not known:
        return None
    return TemporalOrder(_known_clips(both, evaluator), right / known, still / known, (right - still) / known)


def clip_scores(measured: Measurements, evaluator: Evaluator) -> tuple[ClipScores, ...]:
    """What is known of each clip, in the order of their names; of several windows, means."""
    shares = contributions(measured.log_probabilities)
    numbers = evaluator.numbers(measured.clips)
    rows: dict[str, list[int]] = {}
    for i, clip in enumerate(measured.clips):
        rows.setdefault(clip.name, []).append(i)
    found = []
    for name, own in sorted(rows.items()):
        clip, number = measured.clips[own[0]], numbers[own[0]]
        log_p = measured.log_probabilities[own].logsumexp(0) - log(len(own))
        named = int(log_p.argmax())
        found.append(
            ClipScores(
                file=name,
                sha256=clip.sha256,
                action=clip.action,
                named=evaluator.actions[named] if evaluator.actions else named,
                probability=None if number is None else float(log_p[number].exp()),
                contribution=float(shares[own].mean()),
                **{metric: float(values[own].mean()) for metric, values in measured.pixels.items()},
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class ByAction:
    """Accuracy, its 95 % interval and the mean contribution of each action, and the confusion matrix of them all."""

    accuracy: dict[str, float]
    interval: dict[str, tuple[float, float]]
    contribution: dict[str, float]
    confusion: tuple[tuple[int, ...], ...]


def by_action(measured: Measurements, evaluator: Evaluator) -> ByAction:
    """What the evaluator made of each action; the contributions also of those that it does not know."""
    numbers = evaluator.numbers(measured.clips)
    known = [i for i, number in enumerate(numbers) if number is not None]
    asked = torch.tensor([numbers[i] for i in known], dtype=torch.long)
    named = measured.log_probabilities.argmax(1)[known]
    matrix = confusion_matrix(asked, named, len(evaluator.actions)) if known else torch.zeros(0, 0, dtype=torch.long)
    right = {evaluator.actions[i]: (int(row[i]), int(row.sum())) for i, row in enumerate(matrix) if row.sum()}
    clips = Counter({clip.name: clip.action for clip in measured.clips}.values())
    return ByAction(
        {action: hits / n for action, (hits, n) in right.items()},
        {action: wilson_interval(hits * clips[action] / n, clips[action]) for action, (hits, n) in right.items()},
        _contributions_of_actions(measured),
        tuple(map(tuple, matrix.tolist())),
    )


def _contributions_of_actions(measured: Measurements) -> dict[str, float]:
    shares = contributions(measured.log_probabilities)
    of: dict[str, list[float]] = {}
    for clip, share in zip(measured.clips, shares.tolist(), strict=True):
        if clip.action is not None:
            of.setdefault(clip.action, []).append(share)
    return {action: sum(values) / len(values) for action, values in sorted(of.items())}


def _recognised(log_probabilities: Tensor, clips: Sequence[Clip], evaluator: Evaluator) -> tuple[int, int]:
    """(windows named as asked, windows whose action the evaluator knows)."""
    named = log_probabilities.argmax(1).tolist()
    verdicts = [
        number == name for number, name in zip(evaluator.numbers(clips), named, strict=True) if number is not None
    ]
    return sum(verdicts), len(verdicts)


def _known_clips(measured: Measurements, evaluator: Evaluator) -> int:
    """How many clips are of an action that the evaluator knows."""
    numbers = evaluator.numbers(measured.clips)
    return len({clip.name for clip, number in zip(measured.clips, numbers, strict=True) if number is not None})


def within_actions(measured: Measurements) -> float | None:
    """Feature diversity of the clips of each action; None if no action has two.

    Of one window a clip, its first row: two windows of a clip are no diversity.
    """
    first = list({clip.name: i for i, clip in reversed(list(enumerate(measured.clips)))}.values())
    labels = numbered([measured.clips[i].action or "" for i in first])
    if labels.bincount().max() < 2:
        return None
    return float(feature_diversity(measured.features[first], labels))


def numbered(names: Sequence[str]) -> Tensor:
    """Equal numbers for equal names, from 0 on."""
    number = {name: i for i, name in enumerate(sorted(set(names)))}
    return torch.tensor([number[name] for name in names])
