"""From measurements to scores: what `stgan evaluate` says, with every choice that the numbers depend on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from stgan.metrics.appearance import diversity
from stgan.metrics.classification import (
    confusion_matrix,
    contributions,
    inception_interval,
    inception_score,
    wilson_interval,
)
from stgan.metrics.distances import frechet_distance, kernel_distance
from stgan.metrics.motion import is_flickering, is_frozen
from stgan.metrics.neighbours import nearest_distances, precision_recall_density_coverage
from stgan.scoring.clips import Clip
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.measurements import Measurements, Skipped
from stgan.version import __version__

FORMAT = 2  # 1: another appearance drift, nothing beside real clips
SCORES = "scores.json"
"""The file beside clips that holds their scores."""
GENERATED = "generated"
"""The name of the row of the clips that are scored."""


@dataclass(frozen=True)
class Row:
    """One set of clips: a line of the table. What cannot be measured is None; units as in docs/metrics.md.

    frechet_video_distance, kernel_video_distance: to the reference clips, on the feature network's features.
    num_frozen, num_flickering: of the clips, by the rules of `stgan.metrics.motion`.
    """

    name: str
    num_videos: int
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    inception_score: dict[str, float]
    frechet_video_distance: float | None
    kernel_video_distance: float | None
    diversity: float | None
    motion: float
    flicker: float
    frozen: float
    appearance_drift: float
    num_frozen: int
    num_flickering: int


@dataclass(frozen=True)
class Compared:
    """A value of generated clips, the same of real ones, and the first over the second; what is not known is None.

    ratio:      None unless the real value is above 0.
    real_std:   standard deviation of the real value over splits of the real clips.
    deviations: how many of these the generated value lies above the real one.
    """

    generated: float | None
    real: float | None
    ratio: float | None
    real_std: float | None = None
    deviations: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Generated clips beside real ones.

    num_videos:     of each side: of each action, as many windows of the one as of the other.
    values:         by name; units as in docs/metrics.md.
    motion:         mean `motion` and `visible_motion` of each action, beside those of all windows of its real clips.
    actions_within: how many actions have a ratio of 1, give or take `tolerance`, of each of the two.
    splits:         of the real clips into halves, over which the two distances are means; split_videos: windows of each
                    side.
    """

    num_videos: int
    values: dict[str, Compared]
    motion: dict[str, dict[str, Compared]]
    actions_within: dict[str, int]
    tolerance: float
    splits: int
    split_videos: int


@dataclass(frozen=True)
class Quoted:
    """A published Inception Score: of another evaluator on other clips, so never to be compared with ours."""

    method: str
    inception_score: float
    source: str = "Ainetter and Pinz, Table 2: UCF-101, 10,000 clips, a C3D of 101 classes"


QUOTED = (
    Quoted("MoCoGAN", 12.42),
    Quoted("conditional TGAN", 15.83),
    Quoted("TGANv2 (batch 64)", 22.70),
    Quoted("TGANv2 (batch 256)", 24.34),
    Quoted("STGAN (LRCN)", 23.44),
    Quoted("STGAN (C3D), fooled", 66.33),
    Quoted("UCF-101 itself", 70.07),
)


@dataclass(frozen=True)
class Scores:
    """All that is said of a folder of clips. Written as JSON by `to_json`; None is what cannot be measured.

    fooled: the evaluator, or a network it shares an ancestor with, steered a clip; None if nothing says what did.
    """

    num_videos: int
    evaluator: str
    evaluator_network: str
    evaluator_hash: str
    protocol: str
    feature_network: str
    feature_hash: str
    feature_size: int
    fooled: bool | None
    steered_by: list[str]
    actions: list[str]
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    per_action: dict[str, float]
    per_action_interval: dict[str, tuple[float, float]]
    per_action_contribution: dict[str, float]
    confusion: list[list[int]]
    inception_score: dict[str, float]
    splits: int
    frechet_video_distance: float | None
    kernel_video_distance: float | None
    precision: float | None
    recall: float | None
    density: float | None
    coverage: float | None
    diversity: float | None
    motion: float
    flicker: float
    frozen: float
    appearance_drift: float
    frozen_clips: list[str]
    flickering_clips: list[str]
    temporal_order: dict[str, int | float] | None
    temporal_order_real: dict[str, int | float] | None
    copying: dict[str, Any] | None
    beside_real: Comparison | None
    rows: list[Row]
    quoted: list[Quoted]
    clips: list[dict[str, Any]]
    skipped: list[Skipped]
    notes: list[str]
    format: int = FORMAT
    version: str = field(default=__version__)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def make_row(
    name: str,
    measured: Measurements,
    looked: Measurements,
    evaluator: Evaluator,
    *,
    splits: int,
    distances: tuple[float | None, float | None],
) -> Row:
    """The scores of a set of clips that need no other clips, and distances as given.

    measured: by the evaluator. looked: the same clips on the feature network's features.
    """
    right, known = _recognised(measured.log_probabilities, measured.clips, evaluator)
    judged = {
        clip.name
        for clip, number in zip(measured.clips, evaluator.numbers(measured.clips), strict=True)
        if number is not None
    }
    return Row(
        name=name,
        num_videos=len(measured),
        accuracy=right / known if known else None,
        # Windows of one clip are hardly more than one: it counts once.
        accuracy_interval=wilson_interval(right / known * len(judged), len(judged)) if known else None,
        inception_score=inception(measured, splits),
        frechet_video_distance=distances[0],
        kernel_video_distance=distances[1],
        diversity=within_actions(looked),
        motion=float(measured.pixels["motion"].mean()),
        flicker=float(measured.pixels["flicker"].mean()),
        frozen=float(measured.pixels["frozen"].mean()),
        appearance_drift=float(measured.pixels["appearance_drift"].mean()),
        num_frozen=int(frozen(measured).sum()),
        num_flickering=int(flickering(measured).sum()),
    )


def frozen(measured: Measurements) -> Tensor:
    """Which rows are frozen."""
    return is_frozen(measured.pixels["held"])


def flickering(measured: Measurements) -> Tensor:
    """Which rows flicker."""
    return is_flickering(measured.pixels["flicker"], measured.pixels["motion"])


def names_of(measured: Measurements, rows: Tensor) -> list[str]:
    """The clips of these rows, each once."""
    return sorted({clip.name for clip, found in zip(measured.clips, rows.tolist(), strict=True) if found})


def inception(measured: Measurements, splits: int) -> dict[str, float]:
    """The Inception Score: mean and standard deviation over splits, and the mean's 95 % interval by a bootstrap over
    clips, each with all its windows.
    """
    mean, std = inception_score(measured.log_probabilities, splits)
    number = {name: i for i, name in enumerate(dict.fromkeys(clip.name for clip in measured.clips))}
    clips = torch.tensor([number[clip.name] for clip in measured.clips])
    low, high = inception_interval(measured.log_probabilities, min(splits, len(number)), groups=clips)
    return {"mean": float(mean), "std": float(std), "low": low, "high": high}


def distances(of: Tensor, to: Tensor) -> tuple[float | None, float | None]:
    """Fréchet and kernel distance of as many clips of the one as of the other: the first of both.

    Rows come in an order as good as random, which depends on the clips alone.
    """
    k = min(len(of), len(to))
    if k < 2:
        return None, None
    return float(frechet_distance(of[:k], to[:k])), float(kernel_distance(of[:k], to[:k]))


def manifold(generated: Tensor, reference: Tensor) -> dict[str, float | None]:
    """Precision, recall, density and coverage of as many clips of the one as of the other."""
    k = min(len(generated), len(reference))
    if k < 3:
        return dict.fromkeys(("precision", "recall", "density", "coverage"))
    values = precision_recall_density_coverage(reference[:k], generated[:k])
    return {name: float(getattr(values, name)) for name in ("precision", "recall", "density", "coverage")}


def copying(generated: Measurements, seen: Measurements, unseen: Measurements | None) -> dict[str, Any] | None:
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
    return {
        "generated": float(ours.quantile(0.5)),
        "unseen": float(usual.quantile(0.5)),
        "ratio": float(ours.quantile(0.5) / usual.quantile(0.5)),
        "nearer_than_any": int((ours < usual.min()).sum()),
        "baseline": baseline,
    }


def temporal_order(measured: Measurements, evaluator: Evaluator) -> dict[str, int | float] | None:
    """Accuracy on the same clips with their frames in order and in random order, and what the disorder costs."""
    both = measured.select((~measured.shuffled.isnan().any(1)).nonzero().flatten().tolist())
    right, known = _recognised(both.log_probabilities, both.clips, evaluator)
    still, _ = _recognised(both.shuffled, both.clips, evaluator)
    if not known:
        return None
    return {
        "num_videos": known,
        "ordered": right / known,
        "shuffled": still / known,
        "drop": (right - still) / known,
    }


def clip_lines(measured: Measurements, evaluator: Evaluator) -> list[dict[str, Any]]:
    """What is known of each clip, in the order of their names. Probability: of the action asked for."""
    shares = contributions(measured.log_probabilities)
    numbers = evaluator.numbers(measured.clips)
    named = measured.log_probabilities.argmax(1).tolist()
    lines = []
    for i, clip in enumerate(measured.clips):
        number = numbers[i]
        lines.append(
            {
                "file": clip.name,
                "sha256": clip.sha256,
                "action": clip.action,
                "named": evaluator.actions[named[i]] if evaluator.actions else named[i],
                "probability": None if number is None else float(measured.log_probabilities[i, number].exp()),
                "contribution": float(shares[i]),
                **{metric: float(values[i]) for metric, values in measured.pixels.items()},
            }
        )
    return sorted(lines, key=lambda line: line["file"])


@dataclass(frozen=True)
class ByAction:
    """Accuracy, its 95 % interval and the mean contribution of each action, and the confusion matrix of them all."""

    accuracy: dict[str, float]
    interval: dict[str, tuple[float, float]]
    contribution: dict[str, float]
    confusion: list[list[int]]


def by_action(measured: Measurements, evaluator: Evaluator) -> ByAction:
    """What the evaluator made of each action; the contributions also of those that it does not know."""
    numbers = evaluator.numbers(measured.clips)
    known = [i for i, number in enumerate(numbers) if number is not None]
    asked = torch.tensor([numbers[i] for i in known], dtype=torch.long)
    named = measured.log_probabilities.argmax(1)[known]
    matrix = confusion_matrix(asked, named, len(evaluator.actions)) if known else torch.zeros(0, 0, dtype=torch.long)
    right = {evaluator.actions[i]: (int(row[i]), int(row.sum())) for i, row in enumerate(matrix) if row.sum()}
    return ByAction(
        {action: hits / n for action, (hits, n) in right.items()},
        {action: wilson_interval(hits, n) for action, (hits, n) in right.items()},
        _contributions_of_actions(measured),
        matrix.tolist(),
    )


def _contributions_of_actions(measured: Measurements) -> dict[str, float]:
    shares = contributions(measured.log_probabilities)
    of: dict[str, list[float]] = {}
    for clip, share in zip(measured.clips, shares.tolist(), strict=True):
        if clip.action is not None:
            of.setdefault(clip.action, []).append(share)
    return {action: sum(values) / len(values) for action, values in sorted(of.items())}


def _recognised(log_probabilities: Tensor, clips: Sequence[Clip], evaluator: Evaluator) -> tuple[int, int]:
    """(clips named as asked, clips whose action the evaluator knows)."""
    named = log_probabilities.argmax(1).tolist()
    verdicts = [
        number == name for number, name in zip(evaluator.numbers(clips), named, strict=True) if number is not None
    ]
    return sum(verdicts), len(verdicts)


def within_actions(measured: Measurements) -> float | None:
    """Diversity: the mean distance between the features of clips of one action; None if no action has two.

    Of one window a clip, its first row: two windows of a clip are no variety.
    """
    first = list({clip.name: i for i, clip in reversed(list(enumerate(measured.clips)))}.values())
    labels = numbered([measured.clips[i].action or "" for i in first])
    if labels.bincount().max() < 2:
        return None
    return float(diversity(measured.features[first], labels))


def numbered(names: Sequence[str]) -> Tensor:
    """Equal numbers for equal names, from 0 on."""
    number = {name: i for i, name in enumerate(sorted(set(names)))}
    return torch.tensor([number[name] for name in names])
