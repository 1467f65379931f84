"""The solver of guided denoising, written out as published."""

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor


def solved(denoise: Callable[[Tensor, float], Tensor], h: Tensor, sigmas: list[float]) -> Tensor:
    """DPM-Solver++(2M) as in Lu et al. 2022, Algorithm 2, where alpha = 1 and lambda = -log sigma."""
    lambdas, estimates = [-math.log(sigma) for sigma in sigmas], []
    for i, (sigma, following) in enumerate(pairwise(sigmas)):
        estimates.append(denoise(h, sigma))
        step, estimate = lambdas[i + 1] - lambdas[i], estimates[i]
        if i:
            r = (lambdas[i] - lambdas[i - 1]) / step
            estimate = (1 + 1 / (2 * r)) * estimates[i] - 1 / (2 * r) * estimates[i - 1]
        h = following / sigma * h - math.expm1(-step) * estimate
    return h
