"""Ranges of the numbers in recipes. Outside them a layer or an optimizer fails or has no effect."""

from typing import Annotated

from annotated_types import Interval

Steps = Annotated[int, Interval(ge=20, le=1_000_000_000)]
"""A learning rate that rises and falls needs at least these steps."""
Seed = Annotated[int, Interval(ge=0, lt=1 << 63)]
PositiveCount = Annotated[int, Interval(ge=1, le=100_000)]
BatchSize = Annotated[int, Interval(ge=2, le=100_000)]
"""Batch normalization needs two examples for a variance."""
Pixels = Annotated[int, Interval(ge=0, le=1024)]
LearningRate = Annotated[float, Interval(ge=1e-12, le=10)]
WeightDecay = Annotated[float, Interval(ge=0, le=10)]
LabelSmoothing = Annotated[float, Interval(ge=0, le=0.99)]
LossWeight = Annotated[float, Interval(ge=0, le=1e6)]
CodeNoise = Annotated[float, Interval(ge=0, le=100)]
Foreground = Annotated[float, Interval(ge=0, le=1000)]
NoiseMean = Annotated[float, Interval(ge=-10, le=10)]
"""The mean logarithm of the noise level."""
NoiseStd = Annotated[float, Interval(ge=0, le=10)]
