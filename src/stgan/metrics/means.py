"""Means of repeated experiments, with Student's interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.stats import t as student

from stgan.records import Number


@dataclass(frozen=True)
class Mean:
    """The mean of some values.

    std: standard deviation of the values (n - 1 in the denominator). low, high: 95 % interval of the mean, by Student's
    distribution with n - 1 degrees of freedom. All three are None for a single value.
    """

    mean: Number
    std: Number | None
    low: Number | None
    high: Number | None
    values: tuple[Number, ...]

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends")
        if self.low is not None and self.high is not None and not self.low <= self.mean <= self.high:
            raise ValueError("an interval holds its mean")

    @classmethod
    def of(cls, values: Sequence[float], level: float = 0.95) -> "Mean":
        """The mean of at least one value."""
        mean = fmean(values)
        if len(values) < 2:
            return cls(mean, None, None, None, tuple(values))
        std = stdev(values)
        half = float(student.ppf((1 + level) / 2, len(values) - 1)) * std / len(values) ** 0.5
        return cls(mean, std, mean - half, mean + half, tuple(values))
