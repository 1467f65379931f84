"""Distances between the features of two sets of clips."""

import torch
from jaxtyping import Float
from torch import Tensor

_BLOCK = 1024  # clips of either side whose kernels are held at a time: 8 MiB


def frechet_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """|mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) (Dowson and Landau 1982; Heusel et al. 2017), float64.

    Covariances are unbiased (n - 1). The distance is in the features' squared unit, symmetric, and at least 0, which is
    that of a set to itself. It is larger for fewer clips, so compare only distances of equal numbers.

    With A and B the centred features over sqrt(n - 1), C_a = A'A, and tr (C_a C_b)^(1/2) is the sum of the singular
    values of A B'. So no square root of a matrix is needed, and fewer clips than features are no special case.

    Raises ValueError for a set of fewer than two clips, and for features that are not finite.
    """
    a, b = _features(a), _features(b)
    root_a, root_b = _root(a), _root(b)
    spread = root_a.square().sum() + root_b.square().sum() - 2 * torch.linalg.svdvals(root_a @ root_b.T).sum()
    return (a.mean(0) - b.mean(0)).square().sum() + spread.clamp(min=0)


def _root(features: Float[Tensor, "n d"]) -> Float[Tensor, "rows d"]:
    """A matrix R of at most d rows with R'R = the covariance."""
    centred = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R if len(centred) > centred.shape[1] else centred


def kernel_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018, KID), float64.

    It is taken over all clips instead of random subsets. Lower is better. For two samples of one distribution it is 0
    on average, whatever their sizes, so it may be slightly negative. Symmetric.

    Raises ValueError for a set of fewer than two clips, and for features that are not finite.
    """
    n, m = len(_features(a)), len(_features(b))
    within_a = (_kernel_sum(a, a) - _kernel(a).sum()) / (n * (n - 1))
    within_b = (_kernel_sum(b, b) - _kernel(b).sum()) / (m * (m - 1))
    return within_a + within_b - 2 * _kernel_sum(a, b) / (n * m)


def _kernel(a: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The kernel of each clip with itself."""
    return (a.double().square().mean(1) + 1) ** 3


def _kernel_sum(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Sum over all pairs, a block at a time."""
    total = torch.zeros((), dtype=torch.float64, device=a.device)
    for x in a.split(_BLOCK):
        for y in b.split(_BLOCK):
            total += ((x.double() @ y.double().T / a.shape[1] + 1) ** 3).sum()
    return total


def _features(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    if len(features) < 2:
        raise ValueError("a distance between sets needs two clips or more of each")
    if not features.isfinite().all():
        raise ValueError("the features of a clip are not finite")
    return features.double()
