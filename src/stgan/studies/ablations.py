"""Ablations: what each part of the method does. Variants of the presets are generated alike and scored by an evaluator.

Variants of the `paper` preset test the paper's claims about generator, temporal depth and constants. Each variant of
`motion` and of `robust` leaves out or replaces one part of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stgan.errors import StganError
from stgan.generation import GenerationJob
from stgan.manifest import Manifest
from stgan.metrics.appearance import pixel_diversity
from stgan.networks.temporal import UNIFORM_KERNEL
from stgan.pipeline import BOTH, STGAN
from stgan.records import Count, Fraction, FractionInterval, Number, Text
from stgan.sampling import (
    MOTION,
    PAPER,
    PIXELS,
    ROBUST,
    GuidedSettings,
    Inflation,
    OnIteration,
    PPGNSettings,
    SamplerSettings,
)
from stgan.scoring import Evaluator, evaluate
from stgan.studies.generating import first_clips, first_frames, generate_set
from stgan.video import read_video, to_float
from stgan.video.strips import Strip, save_strips

FIGURE = "ablations.png"


@dataclass(frozen=True)
class Variant:
    """A variant of a preset. difference: in words, how it differs from that preset."""

    name: str
    difference: str
    preset: SamplerSettings
    condition: str = BOTH


_CODES = PPGNSettings(
    name=ROBUST.name,
    inflation=ROBUST.inflation,
    iterations=ROBUST.iterations,
    learning_rate=PAPER.learning_rate,
    epsilon1=PAPER.epsilon1,
    goal=ROBUST.goal,
    patience=ROBUST.patience,
    transforms=ROBUST.transforms,
)


def _prior(preset: GuidedSettings, **changes: Any) -> GuidedSettings:
    return replace(preset, prior=replace(preset.prior, **changes))


def _transforms(preset: GuidedSettings, **changes: Any) -> GuidedSettings:
    return replace(preset, transforms=replace(preset.transforms, **changes))


_FRAME_UNSTEERED = replace(MOTION, frame=MOTION.frame and replace(MOTION.frame, step_size=0.0))

VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("motion", "the default", MOTION),
        Variant("unsteered", "the priors alone, no condition network", replace(_FRAME_UNSTEERED, step_size=0.0)),
        Variant("frame-unsteered", "the condition networks do not steer the frame", _FRAME_UNSTEERED),
        Variant("unconditional", "the priors are not told the action", MOTION.unconditional()),
        Variant(
            "guidance-1", "the clip prior is told the action, without guidance", _prior(MOTION, guidance_scale=1.0)
        ),
        Variant("frame-guidance-1", "the drawn frame is given, without guidance", _prior(MOTION, frame_guidance=1.0)),
        Variant("no-frame", "no frame prior: the clip prior draws all frames", replace(MOTION, frame=None)),
        Variant("proposals", "condition networks first choose one of four clips", _prior(MOTION, proposals=4)),
        Variant("all-levels", "steps at every noise level", replace(MOTION, guided_below=None)),
        Variant("euler", "Euler's steps between noise levels", replace(MOTION, multistep=False)),
        Variant("no-kernel", "no averaging over time", replace(MOTION, inflation=Inflation((1.0,), "replicate"))),
        Variant("robust", "no clip prior: frames only", ROBUST),
        Variant(
            "uniform-kernel",
            "temporal kernel 1/3, 1/3, 1/3",
            replace(ROBUST, inflation=Inflation(UNIFORM_KERNEL, "replicate")),
        ),
        Variant(
            "zero-padding",
            "zeros beyond the first and last frame",
            replace(ROBUST, inflation=replace(ROBUST.inflation, padding="zeros")),
        ),
        Variant("codes", "PPGN's update of vector codes instead of the frame prior", _CODES),
        Variant("weak-start", "denoising from noise 0.5 instead of 20", replace(ROBUST, noise_level=(0.5, 0.04))),
        Variant("rough-noise", "a frame's own starting noise not smooth", _prior(ROBUST, own_noise_frames=0.0)),
        Variant("no-sharing", "frames share no starting noise", _prior(ROBUST, own_noise=1.0)),
        Variant("no-scene", "light and walls are free in each frame", _prior(ROBUST, scene=0)),
        Variant("no-smoothing", "no averages over frames", _prior(ROBUST, smooth_frames=0.0)),
        Variant("no-shift", "no random shift before the condition networks", _transforms(ROBUST, shift=0)),
        Variant("no-noise", "no noise before the condition networks", _transforms(ROBUST, noise=0.0)),
        Variant("no-goal", "steps to the last iteration", replace(ROBUST, goal=1.0)),
        Variant("lrcn-alone", "C3D does not steer", ROBUST, "lrcn"),
        Variant("c3d-alone", "LRCN does not steer", ROBUST, "c3d"),
        Variant("paper", "as published", PAPER),
        Variant("pixels", "no generator: the pixels are optimised", PIXELS),
        Variant("depth-1", "temporal depth 1 instead of 3", replace(PAPER, inflation=Inflation((1.0,), "zeros"))),
        Variant("epsilon1-0", "no reconstruction term", replace(PAPER, epsilon1=0.0)),
        Variant("epsilon3-0", "no noise on the gradient", replace(PAPER, epsilon3=0.0)),
        Variant("epsilon3-1e-3", "noise of about the gradient's size", replace(PAPER, epsilon3=1e-3)),
        Variant("lambda-1e-5", "lambda 1e-5 instead of 0", replace(PAPER, regularization=1e-5)),
        Variant("lambda-1e-4", "lambda 1e-4 instead of 0", replace(PAPER, regularization=1e-4)),
        Variant("lambda-1e-3", "lambda 1e-3 instead of 0", replace(PAPER, regularization=1e-3)),
    )
}


@dataclass(frozen=True)
class VariantScores:
    """The scores of a variant. Fractions in [0, 1]; motion, drift and variety in 0-255 units.

    interval:    Wilson's 95 % interval of the accuracy.
    appearance_drift: the mean `appearance_change`.
    variety:     `pixel_diversity` of the clips of an action, mean over actions; None for one clip of each.
    probability: mean over clips of the probability that the steering networks gave the clip's action.
    steps:       mean number of gradient steps.
    """

    variant: Text
    difference: Text
    num_videos: Count
    accuracy: Fraction
    interval: FractionInterval
    per_action: dict[Text, Fraction]
    inception_score: Number
    motion: Number
    appearance_drift: Number
    variety: Number | None
    probability: Fraction
    steps: Number


@dataclass(frozen=True)
class AblationStudy:
    """What `stgan ablate --json` writes. iterations: None for those of each preset. figure: the action it shows."""

    model: Text
    evaluator: Text
    seed: int
    iterations: Count | None
    figure: Text
    rows: tuple[VariantScores, ...]


def find_variants(names: Sequence[str]) -> list[Variant]:
    """Variants by name, without duplicates; all of them if none is named. StganError for an unknown name."""
    for name in names:
        if name not in VARIANTS:
            raise StganError(f"unknown variant {name!r}; there are {', '.join(VARIANTS)}")
    return [VARIANTS[name] for name in dict.fromkeys(names)] or list(VARIANTS.values())


def generate_variant(
    model: STGAN,
    variant: Variant,
    num: int,
    seed: int,
    out: Path,
    *,
    iterations: int | None = None,
    on_iteration: OnIteration | None = None,
    on_clip: Callable[[], None] = lambda: None,
) -> Path:
    """Generate `num` clips of every action in OUT/VARIANT, and keep those that exist; returns that folder."""
    preset = model.preset(variant.preset, iterations)
    steering = model.steering(condition=variant.condition, preset=preset)
    job = GenerationJob(model, steering, preset, num, seed)
    return generate_set(job, out / variant.name, on_iteration=on_iteration, on_clip=on_clip)


def score_variant(variant: Variant, folder: Path, num: int, evaluator: Evaluator) -> VariantScores:
    """Score the first `num` clips of each action with an evaluator that did not steer them."""
    entries = [entry for entry in Manifest(folder).read() if entry.index < num]
    clips = first_clips(folder, num)
    scores = evaluate(clips, evaluator)
    # The evaluator knows every action.
    assert scores.accuracy is not None and scores.accuracy_interval and scores.inception_score
    shown: dict[str | None, list[Tensor]] = {}
    for clip in clips if num > 1 else ():
        shown.setdefault(clip.action, []).append(to_float(read_video(clip.path).frames))
    differences = [pixel_diversity(torch.stack(videos)) for videos in shown.values()]
    return VariantScores(
        variant=variant.name,
        difference=variant.difference,
        num_videos=scores.num_videos,
        accuracy=scores.accuracy,
        interval=scores.accuracy_interval,
        per_action=scores.per_action,
        inception_score=scores.inception_score.mean,
        motion=scores.motion,
        appearance_drift=scores.appearance_drift,
        variety=float(torch.stack(differences).mean()) if differences else None,
        probability=sum(entry.details["probability"] for entry in entries) / len(entries),
        steps=sum(entry.details["steps"] for entry in entries) / len(entries),
    )


def draw_variants(path: Path, folders: dict[str, Path], action: str, columns: int = 8) -> None:
    """Draw a strip for each variant: `columns` frames of its first clip of the action, from left to right."""
    strips = [Strip(name, first_frames(folder, action)) for name, folder in folders.items()]
    save_strips(path, strips, columns=columns)
