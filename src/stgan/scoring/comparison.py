"""Values of generated clips next to those of real clips of the same actions, and their ratios."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from stgan.metrics.classification import inception_score
from stgan.scoring.copies import CopyScores
from stgan.scoring.measurements import Measurements
from stgan.scoring.protocols import Rules
from stgan.scoring.scores import Compared, Comparison
from stgan.scoring.summaries import flickering, frozen, within_actions

MOTION_TOLERANCE = 0.3
"""An action moves as in real clips if the ratio of its mean motion to theirs differs from 1 by at most this."""
_HIGH = 0.95  # quantile from which on a value is high
_MOST_SPLITS = 35  # the number of ways to split seven groups into three and four
_MOST_IN_SPLIT = 1000  # clips of each side


def compare(
    generated: Measurements,
    on_features: Measurements,
    real: Measurements,
    real_on_features: Measurements,
    copies: CopyScores,
    rules: Rules,
    inception: bool = True,
) -> Comparison | None:
    """Compare generated clips with all windows of real ones; None if they have no action in common.

    Args:
        generated, real: as the evaluator measured them.
        on_features, real_on_features: the same clips, as the feature network measured them.
        copies: of the same clips.
        rules: how distances are computed.
        inception: whether the Inception Score is one of the values.
    """
    ours, theirs = as_many_of_each_action(generated, real)
    if not len(ours):
        return None
    apart, splits, size = _distances_over_splits(on_features, real_on_features, rules)
    alike = len({clip.action is None for clip in (*on_features.clips, *real_on_features.clips)}) == 1
    scores = (float(inception_score(each.log_probabilities)[0]) if inception else None for each in (ours, theirs))
    values = {
        "inception_score": _compared(*scores),
        **apart,
        "diversity": _compared(*(within_actions(each) if alike else None for each in (on_features, real_on_features))),
        **{name: _compared(*sides) for name, sides in copies.beside_real.items()},
        **compare_pixels(ours, theirs),
    }
    motion = {name: _of_actions(name, ours, generated, real) for name in ("motion", "visible_motion")}
    within = {name: sum(map(_moves_as_real, actions.values())) for name, actions in motion.items()}
    return Comparison(
        num_videos=ours.num_clips,
        num_windows=len(ours),
        values=values,
        motion=motion,
        actions_within=within,
        tolerance=MOTION_TOLERANCE,
        splits=splits,
        split_videos=size,
        high=high_values(real),
    )


def high_values(real: Measurements) -> dict[str, float]:
    """The value that 5 % of the rows exceed, of what is measured on pixels."""
    return {name: float(values.double().quantile(_HIGH)) for name, values in real.pixels.items()}


def compare_pixels(generated: Measurements, real: Measurements | None) -> dict[str, Compared]:
    """The means of what is measured on pixels, by the keys of `stgan.metrics.table`."""
    ours, theirs = (
        {name: _mean(values) for name, values in side.pixels.items()}
        | {"frozen_clips": _mean(frozen(side)), "flickering_clips": _mean(flickering(side))}
        if side
        else {}
        for side in (generated, real)
    )
    return {name: _compared(value, theirs.get(name)) for name, value in ours.items()}


def _of_actions(name: str, shared: Measurements, *sides: Measurements) -> dict[str, Compared]:
    """The mean of a measurement of pixels over all windows of each action that both sides share."""
    actions = sorted({clip.action for clip in shared.clips if clip.action is not None})
    actions = [action for action in actions if all(_rows(side, action) for side in sides)]
    return {a: _compared(*(_mean(side.pixels[name][_rows(side, a)]) for side in sides)) for a in actions}


def _moves_as_real(motion: Compared) -> bool:
    return motion.ratio is not None and abs(motion.ratio - 1) <= MOTION_TOLERANCE


def _compared(generated: float | None, real: float | None) -> Compared:
    ratio = None if generated is None or real is None or real <= 0 else generated / real
    return Compared(generated, real, ratio)


def _mean(values: Tensor) -> float:
    return float(values.double().mean())


def _rows(measured: Measurements, action: str) -> list[int]:
    return [i for i, clip in enumerate(measured.clips) if clip.action == action]


def as_many_of_each_action(generated: Measurements, real: Measurements) -> tuple[Measurements, Measurements]:
    """The first windows of each action, equally many of both sides; of all together if a clip has no action."""
    if any(clip.action is None for clip in (*generated.clips, *real.clips)):
        k = min(len(generated), len(real))
        return generated.select(range(k)), real.select(range(k))
    ours: list[int] = []
    theirs: list[int] = []
    for action in sorted({clip.action for clip in generated.clips if clip.action is not None}):
        rows, others = _rows(generated, action), _rows(real, action)
        k = min(len(rows), len(others))
        ours += rows[:k]
        theirs += others[:k]
    return generated.select(ours), real.select(theirs)


def _distances_over_splits(
    generated: Measurements, real: Measurements, rules: Rules
) -> tuple[dict[str, Compared], int, int]:
    """Distances to one half of the real clips, of the generated clips and of the other half: means over splits.

    Halves share no group (actor, source video). All splits count if there are few, else random ones.

    Returns the distances, the number of splits, and the smallest number of windows of a side.
    """
    measures = {"frechet_video_distance": rules.frechet, "kernel_video_distance": rules.kernel_between}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in measures}
    sizes = []
    for first, second in _halves(real):
        k = min(len(generated), len(first), len(second), _MOST_IN_SPLIT)
        if k < 2:
            continue
        sizes.append(k)
        half, other = real.features[first[:k]], real.features[second[:k]]
        for name, distance in measures.items():
            found[name].append((distance(generated.features[:k], other), distance(half, other)))
    values = {name: _over_splits(np.array(pairs)) for name, pairs in found.items()}
    return values, len(sizes), min(sizes, default=0)


def _over_splits(pairs: np.ndarray) -> Compared:
    """Means of (generated, real) over splits, and the deviation in units of the real value's standard deviation."""
    if len(pairs) < 2:
        return Compared(None, None, None)
    generated, real = map(float, pairs.mean(0))
    spread = float(pairs[:, 1].std(ddof=1))
    each = _compared(generated, real)
    return Compared(generated, real, each.ratio, spread, (generated - real) / spread if spread > 0 else None)


def _halves(real: Measurements) -> list[tuple[list[int], list[int]]]:
    """For each split, the rows of two halves that share no group. The first half has at most as many groups.

    A clip without a group is a group of its own, named by its contents. The order of the clips does not matter.
    """
    names = [clip.group or content for clip, content in zip(real.clips, real.contents, strict=True)]
    groups = sorted(set(names))
    size = len(groups) // 2
    if size < 1:
        return []
    chosen: Sequence[Sequence[str]]
    if math.comb(len(groups), size) <= _MOST_SPLITS:
        chosen = list(itertools.combinations(groups, size))
    else:
        rng = np.random.default_rng(0)
        chosen = [[groups[i] for i in rng.permutation(len(groups))[:size]] for _ in range(_MOST_SPLITS)]
    halves = []
    for half in map(set, chosen):
        inside = [name in half for name in names]
        halves.append(([i for i, mine in enumerate(inside) if mine], [i for i, mine in enumerate(inside) if not mine]))
    return halves
