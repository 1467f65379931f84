"""Least and most of the numbers in recipes; outside of them a layer or an optimizer fails or means nothing."""

from typing import Annotated

from annotated_types import Interval

Steps = Annotated[int, Interval(ge=20, le=1_000_000_000)]
"""Fewer are too few for a learning rate that rises and falls again."""
Seed = Annotated[int, Interval(ge=0, lt=1 << 63)]
PositiveCount = Annotated[int, Interval(ge=1, le=100_000)]
BatchSize = Annotated[int, Interval(ge=2, le=100_000)]
"""Batch normalization has no variance of a single example."""
Pixels = Annotated[int, Interval(ge=0, le=1024)]
LearningRate = Annotated[float, Interval(ge=1e-12, le=10)]
WeightDecay = Annotated[float, Interval(ge=0, le=10)]
LabelSmoothing = Annotated[float, Interval(ge=0, le=0.99)]
LossWeight = Annotated[float, Interval(ge=0, le=1e6)]
CodeNoise = Annotated[float, Interval(ge=0, le=100)]
Foreground = Annotated[float, Interval(ge=0, le=1000)]
NoiseMean = Annotated[float, Interval(ge=-10, le=10)]
"""Of the logarithm of a noise level."""
NoiseStd = Annotated[float, Interval(ge=0, le=10)]
