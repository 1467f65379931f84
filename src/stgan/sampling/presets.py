"""Presets: settings of the samplers by name."""

from dataclasses import replace

from stgan.networks.temporal import UNIFORM_KERNEL
from stgan.sampling.guided import GuidedSettings
from stgan.sampling.map_priors import ClipPriorSettings, FramePriorSettings
from stgan.sampling.ppgn import PPGNSettings
from stgan.sampling.settings import Inflation, SamplerSettings, Transforms
from stgan.sampling.spectral import SpectralSettings

PAPER = PPGNSettings(
    name="paper",
    inflation=Inflation(UNIFORM_KERNEL, "zeros"),
    iterations=100,
    learning_rate=(1.0, 0.1),
    epsilon1=1e-5,
    epsilon2=1.0,
    epsilon3=1e-17,
)
"""As published: PPGN's constants, codes from N(0, 1), uniform temporal kernel, zero padding in time."""

PIXELS = replace(PAPER, name="pixels", inflation=None, epsilon1=0.0)
"""PPGN's update on the pixels of the video, without a generator. The paper says that this cannot work."""

ROBUST = GuidedSettings(
    name="robust",
    prior=FramePriorSettings(own_noise=0.3, own_noise_frames=6.0, scene=2, smooth_frames=3.0, smooth_above=0.3),
    inflation=Inflation((0.05, 0.9, 0.05), "replicate"),
    iterations=24,
    noise_level=(20.0, 0.04),
    step_size=0.25,
    goal=0.9,
    patience=5,
    transforms=Transforms(shift=4, noise=0.05),
)
"""A prior of single frames denoises, and the condition networks steer it. No part of it has seen video."""

MOTION = GuidedSettings(
    name="motion",
    prior=ClipPriorSettings(guidance_scale=2.0, frame_guidance=1.25),
    inflation=Inflation((0.02, 0.96, 0.02), "replicate"),
    iterations=16,
    noise_level=(20.0, 0.04),
    step_size=0.05,
    guided_below=0.5,
    goal=0.9,
    patience=1,
    transforms=Transforms(shift=4, noise=0.05),
    frame=GuidedSettings(
        name="motion",
        prior=FramePriorSettings(guidance_scale=2.0),
        inflation=Inflation((1.0,), "replicate"),
        iterations=16,
        noise_level=(20.0, 0.02),
        step_size=0.25,
        guided_below=2.0,
        transforms=Transforms(shift=4, noise=0.05, rotation=5.0, zoom=(0.85, 1.2)),
    ),
)
"""A prior of frames draws a frame, a prior trained on clips animates it, and the condition networks refine the clip."""

SPECTRAL = SpectralSettings(
    name="spectral",
    iterations=400,
    transforms=Transforms(shift=16, noise=0.05, rotation=10.0, zoom=(0.6, 1.6)),
)
"""Fourier coefficients under the spectrum of natural video, without a generator: for any classifier."""

PRESETS: dict[str, SamplerSettings] = {preset.name: preset for preset in (MOTION, ROBUST, SPECTRAL, PAPER, PIXELS)}
