"""Activation maximization in time: from an action or a target and a seed to codes and videos."""

from stgan.sampling.guided import GuidedSettings
from stgan.sampling.map_priors import ClipPriorSettings, FramePriorSettings
from stgan.sampling.objectives import Action, Activation, input_side, least_side, visible_side, window_of
from stgan.sampling.ppgn import PPGNSettings
from stgan.sampling.presets import MOTION, PAPER, PIXELS, PRESETS, ROBUST, SPECTRAL
from stgan.sampling.randomness import ClipRandomness, clip_seed
from stgan.sampling.sampler import Samples, Settings, sample
from stgan.sampling.settings import Inflation, SamplerSettings, Transforms
from stgan.sampling.spectral import SPEEDS, SpectralSettings
from stgan.sampling.starts import Init
from stgan.sampling.targets import Layer, Target, layers
from stgan.sampling.task import Networks, OnIteration

__all__ = [
    "MOTION",
    "PAPER",
    "PIXELS",
    "PRESETS",
    "ROBUST",
    "SPECTRAL",
    "SPEEDS",
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
    "SpectralSettings",
    "Target",
    "Transforms",
    "clip_seed",
    "input_side",
    "layers",
    "least_side",
    "sample",
    "visible_side",
    "window_of",
]
