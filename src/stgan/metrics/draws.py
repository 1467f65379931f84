"""Metrics of many bootstrap draws of the same clips at once, and what follows from their spread.

A draw is given by how often it holds each row. Metrics return one value for each draw, in float64, which equals that of
the plain metric where each row is held once. Pairs of a row with itself do not count, also where a draw holds the row
several times. Rows are finite.
"""

from collections.abc import Callable
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 2**22  # numbers held at a time: 32 MiB


def mean_draws(values: Float[Tensor, " n"], times: Float[Tensor, "draws n"]) -> Float[Tensor, " draws"]:
    """The mean of a value of each row."""
    return times @ values.double() / times.sum(1)


def diversity_draws(
    features: Float[Tensor, "n d"], labels: Int[Tensor, " n"], times: Float[Tensor, "draws n"]
) -> Float[Tensor, " draws"]:
    """Feature diversity of the rows that each draw holds: see `feature_diversity`.

    Actions of which a draw holds a single row are left out of it; NaN where none is left.
    """
    own = [labels == label for label in labels.unique()]
    each = [_mean_pair(features[rows].double(), times[:, rows], torch.cdist) for rows in own]
    return torch.stack(each).nanmean(0)


def _mean_pair(
    rows: Float[Tensor, "n d"], times: Float[Tensor, "draws n"], pair: Callable[[Tensor, Tensor], Tensor]
) -> Float[Tensor, " draws"]:
    """The mean over all pairs of different rows; NaN where there is none."""
    own = torch.cat([pair(row[None], row[None])[0] for row in rows])
    squares = times.square()
    return (_pairs(rows, rows, times, times, pair) - squares @ own) / (times.sum(1).square() - squares.sum(1))


def _pairs(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"],
    times_a: Float[Tensor, "draws n"],
    times_b: Float[Tensor, "draws m"],
    pair: Callable[[Tensor, Tensor], Tensor],
) -> Float[Tensor, " draws"]:
    """The sum over all pairs of a row of `a` and one of `b`, as often as a draw holds both."""
    size = max(1, _BLOCK // len(b))
    blocks = zip(a.split(size), times_a.split(size, 1), strict=True)
    return torch.stack([((times @ pair(x, b)) * times_b).sum(1) for x, times in blocks]).sum(0)


def neighbourhood_draws(
    real: Float[Tensor, "n d"],
    generated: Float[Tensor, "m d"],
    times_real: Float[Tensor, "draws n"],
    times_generated: Float[Tensor, "draws m"],
    k: int = 5,
    *,
    real_groups: Int[Tensor, " n"],
    generated_groups: Int[Tensor, " m"],
) -> Float[Tensor, "4 draws"]:
    """Precision, recall, density and coverage of the rows that a draw holds: see `precision_recall_density_coverage`.

    A ball reaches to the k-th nearest row that the draw holds, where a row that is held twice counts twice.
    """
    real, generated = real.double(), generated.double()
    sets = ((real, real_groups, times_real), (generated, generated_groups, times_generated))
    k = min(k, *(len(groups) - int(groups.bincount().max()) for _, groups, _ in sets))
    real_radius, generated_radius = (_radius(rows, groups, times, k) for rows, groups, times in sets)
    held_real, held_generated = (times.float() for _, _, times in sets)
    precise, balls = torch.zeros(2, len(times_real), dtype=torch.float64)
    covered, recalled = torch.zeros(2, *times_real.shape)
    size = max(1, _BLOCK // len(real))
    for start in range(0, len(generated), size):
        own = slice(start, start + size)
        distance = torch.cdist(generated[own], real, compute_mode="donot_use_mm_for_euclid_dist")
        for i, held in enumerate(held_generated[:, own]):
            inside = (distance < real_radius[i]).float()
            around = inside @ held_real[i]
            precise[i] += held @ (around > 0).float()
            balls[i] += held @ around
            covered[i] += held @ inside
            recalled[i] += held @ (distance < generated_radius[i, own, None]).float()
    n, m = times_real.sum(1), times_generated.sum(1)
    shares = [(times_real * (found > 0)).sum(1) / n for found in (recalled, covered)]
    return torch.stack([precise / m, shares[0], balls / (k * m), shares[1]])


def _radius(
    rows: Float[Tensor, "n d"], groups: Int[Tensor, " n"], times: Float[Tensor, "draws n"], k: int
) -> Float[Tensor, "draws n"]:
    """Distance of each row to the k-th nearest held one of another group; -1 for a row that a draw does not hold."""
    # Hardly any draw holds fewer than k of so many neighbours.
    near = min(len(rows), 4 * k + int(groups.bincount().max()))
    distance = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    distance[groups[:, None] == groups] = torch.inf
    nearest = distance.topk(near, largest=False)
    far = nearest.values.where(nearest.values.isfinite(), -1)
    radius = torch.empty_like(times)
    for i, held in enumerate(times):
        count = (held[nearest.indices] * (far >= 0)).cumsum(1)
        place = (count < k).sum(1, keepdim=True).clamp(max=near - 1)
        radius[i] = far.gather(1, place).squeeze(1).where(held > 0, -1)
    return radius


def placed(
    value: float, draws: Float[Tensor, " draws"], least: int, *, relative: bool = False
) -> Float[Tensor, " draws"]:
    """The spread of a metric's draws, around its value.

    A drawn set holds some clips twice. So its Inception Score is lower on average than that of the clips it is drawn
    from. This bias is left out: only the deviations of the draws from their own mean
    count. They are widened by (m / (m - 1))^(1/2), as draws of m of m clips spread by that much less than m clips do.

    least:    m, the number of clips of the smallest stratum from which clips are drawn.
    relative: deviations are ratios, as those of the Inception Score.
    """
    widening = (least / (least - 1)) ** 0.5
    if relative:
        logs = draws.log()
        return value * (widening * (logs - logs.mean())).exp()
    return value + widening * (draws - draws.mean())


def simultaneous_intervals(
    values: Float[Tensor, " sets"], draws: Float[Tensor, "draws sets"]
) -> dict[tuple[int, int], tuple[float, float]]:
    """95 % intervals of the differences values[i] - values[j] of all pairs i < j, which hold for all of them at once.

    Each is the difference plus or minus c standard deviations of its draws. c is such that in 95 % of the draws no pair
    deviates further (Westfall and Young 1993). So if no set differs from another, all intervals contain 0 with a
    probability of about 95 %, however many sets there are. A draw holds all sets, which may share clips.
    """
    pairs = list(combinations(range(len(values)), 2))
    first, second = torch.tensor(pairs).T
    apart = draws[:, first] - draws[:, second]
    apart = apart - apart.mean(0)
    spread = apart.std(0)
    rounding = 1e-9 * draws.abs().amax()
    largest = torch.where(spread > rounding, apart.abs() / spread, 0).amax(1).quantile(0.95)
    low, high = (values[first] - values[second] + sign * (largest * spread + rounding) for sign in (-1, 1))
    return dict(zip(pairs, zip(low.tolist(), high.tolist(), strict=True), strict=True))
