"""How generated clips lie among real ones, by the distances between their features."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_BLOCK = 2**22  # distances held at a time: 32 MiB


class Neighbourhood(NamedTuple):
    """How two sets of features cover each other; see `precision_recall_density_coverage`."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(
    real: Float[Tensor, "n d"],
    generated: Float[Tensor, "m d"],
    k: int = 5,
    *,
    real_groups: Int[Tensor, " n"] | None = None,
    generated_groups: Int[Tensor, " m"] | None = None,
) -> Neighbourhood:
    """How far generated clips lie among real ones, and the other way round; more is better in all four.

    Around each clip of a set lies a ball that reaches to its k-th nearest neighbour in the set. Kynkaanniemi et al.
    2019:

    precision: share of the generated clips in the ball of any real clip;
    recall:    share of the real clips in the ball of any generated clip;

    and Naeem et al. 2020, whose values depend less on single real clips far from the others:

    density:   number of real clips' balls that a generated clip lies in, on average, over k; may be more than 1;
    coverage:  share of the real clips that have a generated clip in their ball.

    All four depend on the sizes of the sets, so the sets should be equally large. The edge of a ball does not belong to
    it, as in Naeem et al.'s `prdc`: a copy of a clip that occurs k + 1 times lies in no ball of radius 0.

    Args:
        k: lowered to the number of neighbours that every clip of both sets has.
        real_groups, generated_groups: numbers from 0 on. Clips of one group (windows of one clip) are not neighbours
            of each other. Default: every clip is a group of its own.

    Raises ValueError for a set of fewer than two groups, for features that are not finite, and for k below 1.
    """
    if k < 1:
        raise ValueError(f"a clip has no {k}th neighbour; k is 1 or more")
    real, generated = _finite(real), _finite(generated)
    real_groups = torch.arange(len(real)) if real_groups is None else real_groups
    generated_groups = torch.arange(len(generated)) if generated_groups is None else generated_groups
    k = min(k, *(len(groups) - int(groups.bincount(minlength=1).max()) for groups in (real_groups, generated_groups)))
    if k < 1:
        raise ValueError("neighbours need two clips or more of each kind")
    real_radius, generated_radius = _radius(real, k, real_groups), _radius(generated, k, generated_groups)
    covered = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    recalled = covered.clone()
    precise, balls = 0, 0
    for block in _blocks(len(generated), len(real)):
        distance = _distances(generated[block], real)
        inside = distance < real_radius
        precise += int(inside.any(1).sum())
        balls += int(inside.sum())
        covered |= inside.any(0)
        recalled |= (distance < generated_radius[block, None]).any(0)
    m = len(generated)
    return Neighbourhood(precise / m, float(recalled.double().mean()), balls / (k * m), float(covered.double().mean()))


def mean_distance(features: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Mean Euclidean distance over all pairs, in float64; 0 where all features are the same.

    Raises ValueError for fewer than two, and for features that are not finite.
    """
    n = len(features)
    if n < 2:
        raise ValueError("a mean distance needs two clips or more")
    features, total = _finite(features), torch.zeros((), dtype=torch.float64, device=features.device)
    for block in _blocks(n, n):
        distance = _distances(features[block], features[block.start :])
        total += 2 * distance.sum() - distance[:, : len(distance)].sum()  # the block's own pairs are in it twice
    return total / (n * (n - 1))


def _radius(features: Float[Tensor, "n d"], k: int, groups: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Distance of each clip to its k-th nearest one of another group."""
    groups = groups.to(features.device)
    radius = features.new_empty(len(features))
    for block in _blocks(len(features), len(features)):
        distance = _distances(features[block], features)
        distance[_same(groups[block], groups)] = torch.inf
        radius[block] = distance.kthvalue(k, 1).values
    return radius


def _distances(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    # A matrix product would be faster, but its rounding would give equal clips a distance above 0.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _same(a: Int[Tensor, " n"], b: Int[Tensor, " m"]) -> Bool[Tensor, "n m"]:
    return a[:, None] == b


def _blocks(rows: int, columns: int) -> list[slice]:
    size = max(1, _BLOCK // columns)
    return [slice(start, start + size) for start in range(0, rows, size)]


def _finite(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    if not features.isfinite().all():
        raise ValueError("the features of a clip are not finite")
    return features.double()
