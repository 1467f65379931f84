"""Scores of a generator's clips and of bootstrap draws of them, and the intervals and differences that follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.metrics.classification import inception_draws, wilson_interval
from stgan.metrics.draws import (
    diversity_draws,
    mean_draws,
    neighbourhood_draws,
    placed,
    simultaneous_intervals,
)
from stgan.metrics.neighbours import Neighbourhood
from stgan.metrics.table import HIGHER, LIKE_REAL, METRICS
from stgan.scoring.clips import MIDDLE, Clip, Protocol
from stgan.scoring.comparison import as_many_of_each_action
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.generator_scores import Difference, Estimate
from stgan.scoring.measurements import Measurements
from stgan.scoring.protocols import PROTOCOLS, Rules
from stgan.scoring.real import Real, RealScores
from stgan.scoring.scores import SetScores
from stgan.scoring.summaries import distances, first_rows, flickering, frozen, make_row, neighbourhood, numbered

_BY_NETWORK = {
    "accuracy", "inception_score", "frechet_video_distance", "kernel_video_distance", "diversity",
    *Neighbourhood._fields,
}  # fmt: skip
"""The metrics of a network's outputs, which say nothing of clips that it steered."""
_PARTS = ("background_drift", "colour_drift")  # of the appearance change
_SHARES = ("precision", "recall", "coverage")  # of clips
_MAY_BE_NEGATIVE = "kernel_video_distance"
_ENOUGH = 0.5  # share of draws in which a score can be measured; of fewer, it has no interval

Draws = Float[Tensor, " draws"]


@dataclass(frozen=True)
class Judging:
    """How the clips of all generators are scored; see `evaluate`."""

    evaluator: Evaluator
    features: Evaluator | None = None
    real: Real | None = None
    protocol: Protocol = MIDDLE
    rules: Rules = PROTOCOLS["stgan"]
    allow_fooled: bool = False

    @property
    def feature_network(self) -> Evaluator:
        return self.features or self.evaluator


@dataclass(frozen=True)
class Scored:
    """Measured clips and their scores.

    measured, on_features: by the evaluator, and the same clips by the feature network.
    each:   values of rows, whose means are scores.
    values: scores by the keys of `stgan.metrics.table`; None is what cannot be measured.
    """

    measured: Measurements
    on_features: Measurements
    row: SetScores
    each: Mapping[str, Float[Tensor, " rows"]]
    values: Mapping[str, float | None]


def scored(
    measured: Measurements, on_features: Measurements, judging: Judging, found: RealScores | None = None
) -> Scored:
    """The scores of clips; with real ones, the distances to the reference too."""
    reference = found.reference if found else None
    apart = distances(on_features.features, reference.features, judging.rules) if reference else (None, None)
    judged = judging.rules.score == "inception_score" or judging.evaluator.knows_some(measured.clips)
    splits = min(judging.rules.splits, len(measured)) if judged else None
    row = make_row("", measured, on_features, judging.evaluator, splits=splits, distances=apart)
    each = {
        **{key: own for key, own in measured.pixels.items() if key not in _PARTS},
        "frozen_clips": frozen(measured).double(),
        "flickering_clips": flickering(measured).double(),
    }
    if row.accuracy is not None:
        wanted = torch.tensor(
            [-1 if number is None else number for number in judging.evaluator.numbers(measured.clips)]
        )
        each["accuracy"] = (measured.log_probabilities.argmax(1) == wanted).double()
    values = {
        "inception_score": row.inception_score.mean if row.inception_score else None,
        "frechet_video_distance": row.frechet_video_distance,
        "kernel_video_distance": row.kernel_video_distance,
        "diversity": row.diversity,
        **neighbourhood(on_features, reference, judging.rules.neighbours),
        **{key: float(own.double().mean()) for key, own in each.items()},
    }
    return Scored(measured, on_features, row, each, values)


def scored_real(generated: Measurements, found: RealScores, judging: Judging) -> Scored | None:
    """The scores of as many windows of real clips of each action as were generated; of diversity, of all.

    None if there is no real clip of these actions.
    """
    real = as_many_of_each_action(generated, found.measured)[1]
    return scored(real, found.on_features, judging) if len(real) else None


def strata(clips: Sequence[Clip]) -> Int[Tensor, " n"]:
    """The action of each clip as a number from 0 on; 0 for all if an action has a single clip, or there is none."""
    actions = numbered([clip.action or "" for clip in clips])
    return actions if int(actions.bincount().min()) > 1 else torch.zeros_like(actions)


def draw_positions(among: Int[Tensor, " n"], resamples: int, seed: int) -> Int[Tensor, "draws n"]:
    """The positions that each draw holds: for each position, any one of its stratum."""
    counts = among.bincount()
    order, starts = among.argsort(stable=True), counts.cumsum(0) - counts
    generator = torch.Generator().manual_seed(seed)
    within = torch.rand(resamples, len(among), generator=generator, dtype=torch.float64) * counts[among]
    return order[starts[among] + within.long()]


def times_of(clips: Sequence[Clip], positions: Int[Tensor, "draws n"]) -> dict[str, Draws]:
    """How often each draw holds each clip, by its name."""
    counts = torch.zeros(len(clips), len(positions), dtype=torch.float64)
    counts.scatter_add_(0, positions.T, torch.ones(positions.T.shape, dtype=torch.float64))
    return dict(zip((clip.name for clip in clips), counts, strict=True))


def generator_draws(
    own: Scored,
    clips: Sequence[Clip],
    positions: Int[Tensor, "draws n"],
    judging: Judging,
    reference: Measurements | None,
    times_reference: Mapping[str, Draws],
    least: int,
) -> dict[str, Draws]:
    """The draws of each score, placed around it.

    clips: by position. positions: those that each draw holds. reference: the windows of real clips to which distances
    are taken. times_reference: how often each draw holds each of their clips. least: clips of the smallest stratum.
    """
    times = times_of(clips, positions)
    place = {clip.name: i for i, clip in enumerate(clips)}
    of_rows = torch.tensor([place[clip.name] for clip in own.measured.clips])
    draws = _of_one_set(own, times)
    draws["inception_score"] = inception_draws(own.measured.log_probabilities, positions, judging.rules.splits, of_rows)
    if reference:
        k = min(len(own.on_features), len(reference))
        ours, theirs = (side.select(range(k)) for side in (own.on_features, reference))
        sets = ours.features, theirs.features, _rows(ours, times), _rows(theirs, times_reference)
        if own.values["frechet_video_distance"] is not None:
            a, b = (own.on_features, reference) if judging.rules.published else (ours, theirs)
            for key, influence in (
                ("frechet_video_distance", judging.rules.frechet_influence),
                ("kernel_video_distance", judging.rules.kernel_influence),
            ):
                draws[key] = mean_draws(influence(a.features, b.features), _rows(a, times))
                draws[key] += mean_draws(influence(b.features, a.features), _rows(b, times_reference))
        if own.values["precision"] is not None:
            groups = [numbered([clip.name for clip in side.clips]) for side in (theirs, ours)]
            around = neighbourhood_draws(
                sets[1], sets[0], sets[3], sets[2], judging.rules.neighbours, real_groups=groups[0],
                generated_groups=groups[1],
            )  # fmt: skip
            draws |= dict(zip(Neighbourhood._fields, around, strict=True))
    return _placed(own, draws, least)


def real_draws(own: Scored, times: Mapping[str, Draws], least: int) -> dict[str, Draws]:
    """The same of real clips. times: how often each draw holds each of them."""
    return _placed(own, _of_one_set(own, times), least)


def estimates(own: Scored, draws: Mapping[str, Draws]) -> dict[str, Estimate]:
    """The scores with their intervals: those of `evaluate` where it has one, else of the draws."""
    found = {}
    n, inception = own.measured.num_clips, own.row.inception_score
    known: dict[str, tuple[float, float] | None] = {
        "accuracy": own.row.accuracy_interval,
        "inception_score": (inception.low, inception.high) if inception else None,
        **{
            key: wilson_interval(own.values[key] * n, n)  # type: ignore[operator]
            for key in ("frozen_clips", "flickering_clips")
        },
    }
    for key, metric in METRICS.items():
        value, interval = own.values.get(key), known.get(key)
        if value is None:
            continue
        if interval is None and key in draws:
            low, high = draws[key].quantile(draws[key].new_tensor([0.025, 0.975])).tolist()
            low, high = min(low, value), max(high, value)  # of very skewed draws
            low = low if key == _MAY_BE_NEGATIVE else max(low, 0.0)
            if key in _SHARES:  # draws of clips that all lie inside are all the same
                least, most = wilson_interval(value * n, n)
                low, high = min(low, least), max(high, most)
            interval = low, min(high, 1.0) if metric.unit.startswith("share") else high
        found[key] = Estimate(value, *(interval or (None, None)))
    return found


def differences(
    names: Sequence[str],
    sets: Sequence[Scored],
    draws: Sequence[Mapping[str, Draws]],
    fooled: Sequence[bool | None],
    real: Scored | None,
    draws_real: Mapping[str, Draws],
) -> tuple[Difference, ...]:
    """The differences of all pairs in every metric that all generators have.

    Which one is better is decided by an interval as well: of the metric itself where higher or lower is better, and of
    the distance from real clips where their value is best. Where lower is better, values below that of real clips are
    as good as it. Of metrics by a network that steered one of the two, none is better.
    """
    found = []
    for key in METRICS:
        if not all(key in own for own in draws):
            continue
        values = torch.tensor([own.values[key] for own in sets], dtype=torch.float64)
        drawn = torch.stack([own[key] for own in draws], 1)
        intervals = simultaneous_intervals(values, drawn)
        worse: dict[tuple[int, int], tuple[float, float]] = {}
        if real and key in draws_real:
            limit = torch.tensor(real.values[key], dtype=torch.float64)
            worse = simultaneous_intervals(_worse(key, values, limit), _worse(key, drawn, draws_real[key][:, None]))
        elif METRICS[key].better != LIKE_REAL:
            worse = simultaneous_intervals(_worse(key, values), _worse(key, drawn))
        for (i, j), (low, high) in intervals.items():
            least, most = worse.get((i, j), (-1, 1))
            better = names[i] if most < 0 else names[j] if least > 0 else None
            if key in _BY_NETWORK and (fooled[i] or fooled[j]):
                better = None
            found.append(
                Difference(
                    metric=key,
                    first=names[i],
                    second=names[j],
                    difference=float(values[i] - values[j]),
                    low=low,
                    high=high,
                    better=better,
                )
            )
    return tuple(found)


def _worse(key: str, values: Float[Tensor, "*n"], real: Float[Tensor, "*m"] | None = None) -> Float[Tensor, "*n"]:
    """How bad values are: the more, the worse."""
    better = METRICS[key].better
    if better == HIGHER:
        return -values
    if real is None:
        return values
    return (values - real).abs() if better == LIKE_REAL else values.maximum(real)


def _of_one_set(own: Scored, times: Mapping[str, Draws]) -> dict[str, Draws]:
    """The draws of the scores that need no other clips."""
    rows = _rows(own.measured, times)
    draws = {key: mean_draws(values, rows) for key, values in own.each.items()}
    if own.values["diversity"] is not None:
        once = own.on_features.select(first_rows(own.on_features))
        labels = numbered([clip.action or "" for clip in once.clips])
        draws["diversity"] = diversity_draws(once.features, labels, _rows(once, times))
    return draws


def _placed(own: Scored, draws: Mapping[str, Draws], least: int) -> dict[str, Draws]:
    found = {}
    for key, drawn in draws.items():
        value = own.values[key]
        known = drawn.isfinite()  # feature diversity of a draw without two clips of an action is not
        if value is not None and known.double().mean() > _ENOUGH:
            drawn = torch.where(known, drawn, drawn[known].mean())
            found[key] = placed(value, drawn, least, relative=key == "inception_score")
    return found


def _rows(measured: Measurements, times: Mapping[str, Draws]) -> Float[Tensor, "draws rows"]:
    """How often each draw holds each row."""
    return torch.stack([times[clip.name] for clip in measured.clips], 1)
