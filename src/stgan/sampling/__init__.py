"""Activation maximization in time: from an action and a seed to codes and videos."""

from stgan.sampling.activation_maximization import activation_maximization
from stgan.sampling.presets import PAPER, PRESETS, ROBUST, Preset
from stgan.sampling.randomness import ClipRandomness, clip_seed
from stgan.sampling.sampler import Networks, OnIteration, Samples, sample

__all__ = [
    "PAPER",
    "PRESETS",
    "ROBUST",
    "ClipRandomness",
    "Networks",
    "OnIteration",
    "Preset",
    "Samples",
    "activation_maximization",
    "clip_seed",
    "sample",
]
