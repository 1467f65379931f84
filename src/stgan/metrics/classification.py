"""Scores that follow from an evaluator's class probabilities."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def inception_score(
    probabilities: Float[Tensor, "n classes"], splits: int = 1
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """exp(E_x KL(p(y|x) || p(y))) (Salimans et al. 2016): mean and standard deviation over `splits` equal parts.

    Computed in float64. The standard deviation is the population's, as in the reference implementation; with one
    split it is 0. Clips are split in the order given. Raises ValueError for fewer clips than splits.
    """
    if not 1 <= splits <= len(probabilities):
        raise ValueError(f"{len(probabilities)} clips cannot be scored in {splits} splits")
    scores = []
    for part in probabilities.double().tensor_split(splits):
        marginal = part.mean(0, keepdim=True)
        divergence = torch.xlogy(part, part) - torch.xlogy(part, marginal)
        scores.append(divergence.sum(1).mean().exp())
    stacked = torch.stack(scores)
    return stacked.mean(), stacked.std(correction=0)


def confusion_matrix(
    actions: Int[Tensor, " n"], predicted: Int[Tensor, " n"], classes: int
) -> Int[Tensor, "classes classes"]:
    """Counts: row = the action asked for, column = the action named."""
    return torch.bincount(actions * classes + predicted, minlength=classes**2).view(classes, classes)


def motion(videos: Float[Tensor, "n 3 time height width"]) -> Float[Tensor, " n"]:
    """Mean absolute difference of neighbouring frames in 0-255 units; 0 for a single frame."""
    if videos.shape[2] < 2:
        return videos.new_zeros(len(videos))
    return 255 * videos.diff(dim=2).abs().mean((1, 2, 3, 4))


def wilson_interval(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927): honest for few clips and near 0 or 1."""
    p, zz = successes / n, z * z / n
    center, half = p + zz / 2, z * (p * (1 - p) / n + zz / (4 * n)) ** 0.5
    return max(0.0, (center - half) / (1 + zz)), min(1.0, (center + half) / (1 + zz))
