"""From measurements to the parts of a record of scores, with every choice that the numbers depend on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import torch
from torch import Tensor

from stgan.metrics.appearance import feature_diversity
from stgan.metrics.classification import (
    confusion_matrix,
    contributions,
    inception_interval,
    inception_score,
    wilson_interval,
)
from stgan.metrics.motion import is_flickering, is_frozen
from stgan.metrics.neighbours import Neighbourhood, precision_recall_density_coverage
from stgan.scoring.clips import Clip
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.measurements import Measurements
from stgan.scoring.protocols import Rules
from stgan.scoring.scores import ClipScores, InceptionEstimate, SetScores, TemporalOrder


def make_row(
    name: str,
    measured: Measurements,
    on_features: Measurements,
    evaluator: Evaluator,
    *,
    splits: int | None,
    distances: tuple[float | None, float | None],
) -> SetScores:
    """The scores of a set of clips that need no other clips, and the given distances.

    measured: by the evaluator. on_features: the same clips, by the feature network.
    splits: of the Inception Score; None: it is not scored.
    """
    right, known = _recognised(measured.log_probabilities, measured.clips, evaluator)
    num_known = _known_clips(measured, evaluator)
    return SetScores(
        name=name,
        num_videos=measured.num_clips,
        num_windows=len(measured),
        accuracy=right / known if known else None,
        # Windows of one clip are much alike, so a clip counts once.
        accuracy_interval=wilson_interval(right / known * num_known, num_known) if known else None,
        inception_score=None if splits is None else inception(measured, splits),
        frechet_video_distance=distances[0],
        kernel_video_distance=distances[1],
        diversity=within_actions(on_features),
        **{name: float(measured.pixels[name].mean()) for name in ("motion", "flicker", "frozen", "appearance_drift")},
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
    """The names of the clips that have a window among these rows (a mask), sorted."""
    return tuple(sorted({clip.name for clip, found in zip(measured.clips, rows.tolist(), strict=True) if found}))


def inception(measured: Measurements, splits: int) -> InceptionEstimate:
    """The Inception Score over splits, and its interval over clips. A clip keeps all its windows together."""
    mean, std = inception_score(measured.log_probabilities, splits)
    number = {name: i for i, name in enumerate(dict.fromkeys(clip.name for clip in measured.clips))}
    clips = torch.tensor([number[clip.name] for clip in measured.clips])
    low, high = inception_interval(measured.log_probabilities, min(splits, len(number)), groups=clips)
    return InceptionEstimate(float(mean), float(std), low, high)


def distances(of: Tensor, to: Tensor, rules: Rules) -> tuple[float | None, float | None]:
    """Fréchet and kernel distance; None for fewer than two clips.

    By stgan's own protocol, they are those of equally many rows of both: the first ones, whose order is as good as
    random.
    """
    k = min(len(of), len(to))
    if k < 2:
        return None, None
    if not rules.published:
        of, to = of[:k], to[:k]
    return rules.frechet(of, to), rules.kernel_between(of, to)


def neighbourhood(generated: Measurements, reference: Measurements | None, k: int) -> dict[str, Any]:
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
        k,
        real_groups=numbered([clip.name for clip in real.clips]),
        generated_groups=numbered([clip.name for clip in made.clips]),
    )._asdict()


def temporal_order(measured: Measurements, evaluator: Evaluator) -> TemporalOrder | None:
    """Accuracy with frames in order and shuffled, of the windows that were scored both ways; None if there is none."""
    both = measured.select((~measured.shuffled.isnan().any(1)).nonzero().flatten().tolist())
    right, known = _recognised(both.log_probabilities, both.clips, evaluator)
    still, _ = _recognised(both.shuffled, both.clips, evaluator)
    if not known:
        return None
    return TemporalOrder(_known_clips(both, evaluator), right / known, still / known, (right - still) / known)


def clip_scores(
    measured: Measurements, evaluator: Evaluator, copies: Mapping[str, Mapping[str, Any]]
) -> tuple[ClipScores, ...]:
    """The scores of each clip, in the order of their names. Of several windows, they are means.

    copies: see `CopyScores.clips`.
    """
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
        pixels: dict[str, Any] = {metric: float(values[own].mean()) for metric, values in measured.pixels.items()}
        found.append(
            ClipScores(
                file=name,
                sha256=clip.sha256,
                action=clip.action,
                named=evaluator.actions[named] if evaluator.actions else named,
                probability=None if number is None else float(log_p[number].exp()),
                contribution=float(shares[own].mean()),
                **pixels,
                **copies.get(name, {}),
            )
        )
    return tuple(found)


def by_action(measured: Measurements, evaluator: Evaluator) -> dict[str, Any]:
    """The fields of `Scores` by action: accuracies of known actions, contributions of all, the confusion matrix."""
    numbers = evaluator.numbers(measured.clips)
    known = [i for i, number in enumerate(numbers) if number is not None]
    wanted = torch.tensor([numbers[i] for i in known], dtype=torch.long)
    named = measured.log_probabilities.argmax(1)[known]
    matrix = confusion_matrix(wanted, named, len(evaluator.actions)) if known else torch.zeros(0, 0, dtype=torch.long)
    right = {evaluator.actions[i]: (int(row[i]), int(row.sum())) for i, row in enumerate(matrix) if row.sum()}
    clips = Counter({clip.name: clip.action for clip in measured.clips}.values())
    shares: dict[str, list[float]] = {}
    for clip, share in zip(measured.clips, contributions(measured.log_probabilities).tolist(), strict=True):
        if clip.action is not None:
            shares.setdefault(clip.action, []).append(share)
    return {
        "per_action": {action: hits / n for action, (hits, n) in right.items()},
        "per_action_interval": {a: wilson_interval(hits * clips[a] / n, clips[a]) for a, (hits, n) in right.items()},
        "per_action_contribution": {action: sum(values) / len(values) for action, values in sorted(shares.items())},
        "confusion": tuple(map(tuple, matrix.tolist())),
    }


def _recognised(log_probabilities: Tensor, clips: Sequence[Clip], evaluator: Evaluator) -> tuple[int, int]:
    """(windows whose action is recognised, windows whose action the evaluator knows)."""
    pairs = zip(evaluator.numbers(clips), log_probabilities.argmax(1).tolist(), strict=True)
    right = [number == named for number, named in pairs if number is not None]
    return sum(right), len(right)


def _known_clips(measured: Measurements, evaluator: Evaluator) -> int:
    """The number of clips whose action the evaluator knows."""
    numbers = evaluator.numbers(measured.clips)
    return len({clip.name for clip, number in zip(measured.clips, numbers, strict=True) if number is not None})


def within_actions(measured: Measurements) -> float | None:
    """Feature diversity of the clips of each action; None if no action has two.

    Only the first row of each clip counts, because two windows of one clip are no diversity.
    """
    first = first_rows(measured)
    labels = numbered([measured.clips[i].action or "" for i in first])
    if labels.bincount().max() < 2:
        return None
    return float(feature_diversity(measured.features[first], labels))


def first_rows(measured: Measurements) -> list[int]:
    """The first row of each clip."""
    return list({clip.name: i for i, clip in reversed(list(enumerate(measured.clips)))}.values())


def numbered(names: Sequence[str]) -> Tensor:
    """Numbers from 0 on, equal for equal names."""
    number = {name: i for i, name in enumerate(sorted(set(names)))}
    return torch.tensor([number[name] for name in names])
