"""Activation maximization in time: from an action or a target and a seed to codes and videos."""

from stgan.sampling.guided import GuidedSettings
from stgan.sampling.map_priors import ClipPriorSettings, FramePriorSettings
from stgan.sampling.objectives import Action, Activation, visible_side, window_of
from stgan.sampling.ppgn import PPGNSettings
from stgan.sampling.presets import MOTION, PAPER, PIXELS, PRESETS, ROBUST
from stgan.sampling.randomness import ClipRandomness, clip_seed
from stgan.sampling.sampler import Samples, Settings, sample
from stgan.sampling.settings import Inflation, SamplerSettings, Transforms
from stgan.sampling.starts import Init
from stgan.sampling.targets import Layer, Target, layers
from stgan.sampling.task import Networks, OnIteration

__all__ = [
    "MOTION",
    "PAPER",
    "PIXELS",
    "PRESETS",
    "ROBUST",
    "Action",
    "Activation",
    "ClipPriorSettings",
    "ClipRandomness",
    "FramePriorSettings",
    "GuidedSettings",
    "Inflation",
    "Init",
    "Layer",
    "Networks",
    "OnIteration",
    "PPGNSettings",
    "SamplerSettings",
    "Samples",
    "Settings",
    "Target",
    "Transforms",
    "clip_seed",
    "layers",
    "sample",
    "visible_side",
    "window_of",
]
