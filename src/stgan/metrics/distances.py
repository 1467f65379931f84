"""Distances between the features of two sets of clips, and how each clip moves them."""

import torch
from jaxtyping import Float
from torch import Tensor

_BLOCK = 1024  # clips of either side whose kernels are held at a time: 8 MiB


def frechet_distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], correction: int = 1) -> Float[Tensor, ""]:
    """|mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) (Dowson and Landau 1982; Heusel et al. 2017), float64.

    The distance is in the features' squared unit, symmetric, and at least 0, which is that of a set to itself. It is
    larger for fewer clips, so compare only distances of equal numbers.

    With A and B the centred features over sqrt(n - 1), C_a = A'A, and tr (C_a C_b)^(1/2) is the sum of the singular
    values of A B'. So no square root of a matrix is needed, and fewer clips than features are no special case.

    correction: covariances are sums over n - correction. 1, unbiased, is the first FVD's; 0 is StyleGAN-V's.

    Raises ValueError for a set of fewer than two clips, and for features that are not finite.
    """
    a, b = _features(a), _features(b)
    root_a, root_b = _root(a, correction), _root(b, correction)
    spread = root_a.square().sum() + root_b.square().sum() - 2 * torch.linalg.svdvals(root_a @ root_b.T).sum()
    return (a.mean(0) - b.mean(0)).square().sum() + spread.clamp(min=0)


def frechet_influence(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], correction: int = 1) -> Float[Tensor, " n"]:
    """How each row of `a` moves the Fréchet distance: its derivative by the share of the row, in the distance's unit.

    The share is e in (1 - e) P + e x_i, where P is the distribution of the rows. Influences have the mean 0, and the
    variance of the distance is about the sum of their squares over n^2, plus the same of `b` (the infinitesimal
    jackknife, Efron 1982).

    With U S V' the singular values of A B' (see `frechet_distance`), it is 2 (mu_a - mu_b).x_i + n (|A_i|^2 -
    (U S U')_ii), less the mean. Nothing is divided by small singular values.

    Errors as `frechet_distance`.
    """
    a, b = _features(a), _features(b)
    n, middle = len(a), a.mean(0)
    centred = (a - middle) / (n - correction) ** 0.5
    u, s, _ = torch.linalg.svd(centred @ _root(b, correction).T, full_matrices=False)
    found = 2 * a @ (middle - b.mean(0)) + n * (centred.square().sum(1) - u.square() @ s)
    return found - found.mean()


def _root(features: Float[Tensor, "n d"], correction: int) -> Float[Tensor, "rows d"]:
    """A matrix R of at most d rows with R'R = the covariance."""
    centred = (features - features.mean(0)) / (len(features) - correction) ** 0.5
    return torch.linalg.qr(centred, mode="r").R if len(centred) > centred.shape[1] else centred


def kernel_distance(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"],
    degree: int = 3,
    constant: float = 1.0,
    unbiased: bool = True,
) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy with the kernel (x.y / d + constant)^degree, float64.

    The defaults are the kernel and the estimate of KID (Binkowski et al. 2018), over all clips instead of random
    subsets. Lower is better. For two samples of one distribution the unbiased estimate is 0 on average, whatever their
    sizes, so it may be slightly negative. Symmetric.

    unbiased: leave out the pairs of a clip with itself, which add to both sides and shrink with the number of clips.

    Raises ValueError for a set of fewer than two clips, and for features that are not finite.
    """
    a, b = _features(a), _features(b)
    within = [_kernel_means(x, x, degree, constant, skip_diagonal=unbiased).mean() for x in (a, b)]
    return within[0] + within[1] - 2 * _kernel_means(a, b, degree, constant).mean()


def kernel_influence(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"],
    degree: int = 3,
    constant: float = 1.0,
    unbiased: bool = True,
) -> Float[Tensor, " n"]:
    """How each row of `a` moves the kernel distance, as `frechet_influence` says it of the Fréchet distance."""
    a, b = _features(a), _features(b)
    within = _kernel_means(a, a, degree, constant, skip_diagonal=unbiased)
    found = 2 * (within - _kernel_means(a, b, degree, constant))
    return found - found.mean()


def _kernel_means(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], degree: int, constant: float, *, skip_diagonal: bool = False
) -> Float[Tensor, " n"]:
    """The mean kernel of each row of `a` and those of `b`, a block at a time.

    The diagonal is left out of the sum, not subtracted afterwards: one clip far from the others would make it so large
    that the sum of all other pairs is lost in rounding.
    """
    total = torch.zeros(len(a), dtype=torch.float64, device=a.device)
    for i, x in enumerate(a.split(_BLOCK)):
        for j, y in enumerate(b.split(_BLOCK)):
            kernel = (x @ y.T / a.shape[1] + constant) ** degree
            total[i * _BLOCK :][: len(x)] += (kernel.fill_diagonal_(0) if skip_diagonal and i == j else kernel).sum(1)
    return total / (len(b) - skip_diagonal)


def _features(features: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    if len(features) < 2:
        raise ValueError("a distance between sets needs two clips or more of each")
    if not features.isfinite().all():
        raise ValueError("the features of a clip are not finite")
    return features.double()
