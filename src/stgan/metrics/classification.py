"""Scores that follow from an evaluator's class probabilities."""

from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 2**22  # draws held at a time: 32 MiB


def inception_score(
    log_probabilities: Float[Tensor, "n classes"], splits: int = 1
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """exp(E_x KL(p(y|x) || p(y))) (Salimans et al. 2016): mean and standard deviation over `splits` parts.

    From 1 to the number of classes; higher is better. Rows are normalised and computed in float64 from logarithms, so
    that a network's rounding and tiny probabilities do not matter; -inf is a probability of 0. As in the reference
    implementation, part i of S holds the clips from i n // S to (i + 1) n // S in the given order, and the standard
    deviation is the population's; with one split it is 0.

    Raises ValueError for fewer clips than splits, and for a row without any probability (NaN, or -inf throughout).
    """
    if not 1 <= splits <= len(log_probabilities):
        raise ValueError(f"{len(log_probabilities)} clips cannot be scored in {splits} splits")
    scores = torch.stack([contributions(part).mean().exp() for part in _parts(log_probabilities, splits, 0)])
    return scores.mean(), scores.std(correction=0)


def contributions(log_probabilities: Float[Tensor, "n classes"]) -> Float[Tensor, " n"]:
    """Each clip's KL(p(y|x) || p(y)) in nats, with p(y) the mean of all; float64, from 0 to log n.

    The Inception Score is exp of their mean. A clip contributes much if its class is certain and few others have it.

    Raises ValueError for no clips, and for a row without any probability.
    """
    log_p = _normalised(log_probabilities)
    log_marginal = log_p.logsumexp(0) - log(len(log_p))
    p = log_p.exp()
    return torch.where(p > 0, p * (log_p - log_marginal), 0).sum(1).clamp(min=0)


def inception_interval(
    log_probabilities: Float[Tensor, "n classes"],
    splits: int = 1,
    resamples: int = 1000,
    seed: int = 0,
    *,
    groups: Int[Tensor, " n"] | None = None,
) -> tuple[float, float]:
    """95 % interval of the Inception Score of as many clips as these in as many splits: a bootstrap over clips.

    `groups` are numbers from 0 on without gaps. Rows of one group (windows of one clip) are drawn together.

    A drawn set holds some clips twice, so its marginal is less even, and its score is lower on average than that of the
    clips it is drawn from. In the same way, the score of n clips is lower than that of infinitely many. The plain
    percentile interval has this bias twice and often misses the score itself. Here the draws only give the spread:
    their deviations from their own mean, in log units, are put around the score. So the interval is for scores of n
    clips, not of infinitely many.

    Raises ValueError as `inception_score` does, and for fewer groups than splits.
    """
    score = float(inception_score(log_probabilities, splits)[0])
    groups = torch.arange(len(log_probabilities)) if groups is None else groups
    n, classes = int(groups.max()) + 1, log_probabilities.shape[1]
    if n < splits:
        raise ValueError(f"{n} groups of clips cannot be drawn in {splits} splits")
    generator = torch.Generator().manual_seed(seed)
    block = max(1, _BLOCK // n)
    scores = []
    for start in range(0, resamples, block):
        draws = torch.randint(n, (min(block, resamples - start), n), generator=generator)
        scores.append(inception_draws(log_probabilities, draws, splits, groups))
    log_scores = torch.cat(scores).log()
    deviations = (log_scores - log_scores.mean()).quantile(log_scores.new_tensor([0.025, 0.975]))
    low, high = (score * deviations.exp()).tolist()
    return max(1.0, low), min(float(classes), high)


def inception_draws(
    log_probabilities: Float[Tensor, "n classes"],
    draws: Int[Tensor, "sets drawn"],
    splits: int,
    groups: Int[Tensor, " n"],
) -> Float[Tensor, " sets"]:
    """The Inception Score of each row of `draws`, a set of numbers of `groups`, as a mean over so many splits of it."""
    p = _normalised(log_probabilities).exp()
    return torch.stack([_scores_of_draws(p, groups, part) for part in _parts(draws, splits, 1)]).mean(0)


def _parts(values: Tensor, splits: int, dim: int) -> tuple[Tensor, ...]:
    n = values.shape[dim]
    return values.tensor_split([i * n // splits for i in range(1, splits)], dim)


def _scores_of_draws(
    p: Float[Tensor, "n classes"], groups: Int[Tensor, " n"], draws: Int[Tensor, "sets drawn"]
) -> Float[Tensor, " sets"]:
    """The Inception Score of each row of `draws`, a set of group numbers."""
    times = torch.zeros(len(draws), int(groups.max()) + 1, dtype=torch.float64)
    times.scatter_add_(1, draws, torch.ones(draws.shape, dtype=torch.float64))
    shares = times[:, groups]
    shares = (shares / shares.sum(1, keepdim=True)).to(p.device)
    marginal = shares @ p
    return (shares @ torch.xlogy(p, p).sum(1) - torch.xlogy(marginal, marginal).sum(1)).exp()


def _normalised(log_probabilities: Float[Tensor, "n classes"]) -> Float[Tensor, "n classes"]:
    """Rows whose exponentials sum to one, in float64."""
    log_p = log_probabilities.double().log_softmax(1)
    if not len(log_p):
        raise ValueError("no clips to score")
    if log_p.isnan().any():
        raise ValueError("a clip has no probabilities: its row is NaN, or -inf throughout")
    return log_p


def confusion_matrix(
    actions: Int[Tensor, " n"], predicted: Int[Tensor, " n"], classes: int
) -> Int[Tensor, "classes classes"]:
    """Counts of clips. Row: the action that a clip should show. Column: the predicted one. Both below `classes`."""
    return torch.bincount(actions * classes + predicted, minlength=classes**2).view(classes, classes)


def wilson_interval(successes: int | float, n: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927): valid for few clips and near 0 or 1. It contains successes / n.

    If clips have several windows each, n is the number of clips, and successes the share of windows times n.

    Raises ValueError unless 0 <= successes <= n and n >= 1.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no proportion")
    p, zz = successes / n, z * z / n
    center, half = p + zz / 2, z * (p * (1 - p) / n + zz / (4 * n)) ** 0.5
    # Near 0 and 1, rounding could exclude the proportion itself.
    return min(p, max(0.0, (center - half) / (1 + zz))), max(p, min(1.0, (center + half) / (1 + zz)))
