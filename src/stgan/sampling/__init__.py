"""Activation maximization in time: from an action or a target and a seed to codes and videos."""

from stgan.sampling.activation_maximization import activation_maximization
from stgan.sampling.objectives import Action, Activation, visible_side, window_of
from stgan.sampling.presets import MOTION, PAPER, PIXELS, PRESETS, ROBUST, Preset
from stgan.sampling.randomness import ClipRandomness, clip_seed
from stgan.sampling.sampler import OnIteration, Samples, sample
from stgan.sampling.spaces import Networks
from stgan.sampling.starts import Init
from stgan.sampling.targets import Layer, Target, layers

__all__ = [
    "MOTION",
    "PAPER",
    "PIXELS",
    "PRESETS",
    "ROBUST",
    "Action",
    "Activation",
    "ClipRandomness",
    "Init",
    "Layer",
    "Networks",
    "OnIteration",
    "Preset",
    "Samples",
    "Target",
    "activation_maximization",
    "clip_seed",
    "layers",
    "sample",
    "visible_side",
    "window_of",
]
