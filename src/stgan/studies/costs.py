"""Estimated costs of the remaining evaluation on UCF-101 on this machine, from measurements on a few clips."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from stgan.bench.estimating import estimate
from stgan.checkpoints import find_model
from stgan.generation import FPS
from stgan.manifest import Manifest
from stgan.pipeline import STGAN
from stgan.scoring import Evaluator, evaluator_of
from stgan.studies.augmentation import ARMS
from stgan.studies.ucf101 import FOOLED, GENERATED, MODEL, Reproduction
from stgan.studies.ucf101_recipe import SetRecipe
from stgan.video import ClipFile, read_video, to_uint8, write_video

_CLIPS_READ = 3
_BACKWARD = 2  # the backward pass costs about as much as two forward passes


@dataclass(frozen=True)
class Cost:
    """The cost of a stage that is not done yet. bytes: on disk; 0 if negligible."""

    stage: str
    work: str
    seconds: float
    bytes: int = 0


def costs(reproduction: Reproduction) -> list[Cost]:
    """The cost of every remaining stage after "weights" and "data", which must be done.

    Raises:
        StganError: the model or the clips are not there.
    """
    recipe, path = reproduction.recipe, reproduction.out / MODEL
    model = STGAN.from_pretrained(path, reproduction.device)
    evaluator = evaluator_of(find_model(path), recipe.score.evaluator, device=reproduction.device)
    scoring = _seconds(lambda: evaluator.classify(torch.rand(1, 3, evaluator.frames, 128, 128, device=model.device)))
    clips = reproduction.clips() if reproduction.record("data") else ()
    reading = _seconds_of_reading(clips)
    made = [
        _cost_of_videos(model, "generate", recipe.generate, reproduction.out / GENERATED),
        Cost("score", f"{recipe.generate.num_videos:,} videos", recipe.generate.num_videos * scoring),
        Cost("real", f"{len(clips):,} clips", len(clips) * (scoring + reading)),
        _cost_of_videos(model, "fooled", recipe.fooled, reproduction.out / FOOLED),
        _cost_of_trainings(reproduction, clips, evaluator, scoring, reading),
    ]
    return [cost for cost in made if not reproduction.is_done(cost.stage)]


def _cost_of_videos(model: STGAN, stage: str, chosen: SetRecipe, folder: Path) -> Cost:
    preset = model.preset(chosen.preset, chosen.iterations)
    steering = model.steering(condition=chosen.condition, preset=preset)
    each = estimate(steering.networks, preset, iterations=1).seconds_per_video
    left = chosen.num_videos - sum(1 for _ in Manifest(folder).read())
    one = replace(preset, iterations=1)
    video = model.sample(steering, model.actions[0], [0], chosen.seed, one).videos[0]
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "clip.mp4"
        write_video(path, to_uint8(video.cpu()), FPS)
        size = path.stat().st_size
    work = f"{left:,} videos of {chosen.iterations} iterations, {each:.0f} s each"
    return Cost(stage, work, left * each, left * size)


def _cost_of_trainings(
    reproduction: Reproduction, clips: tuple[ClipFile, ...], evaluator: Evaluator, scoring: float, reading: float
) -> Cost:
    """Three trainings of the initial network, which is assumed to be as large as the evaluator."""
    recipe = reproduction.recipe.augment
    train = sum(clip.split == "train" for clip in clips)
    scored = len(clips) - train + (round(recipe.validation_share * train) if recipe.stop_on == "validation" else 0)
    steps = recipe.iterations * recipe.batch_size * ((1 + _BACKWARD) * scoring + reading)
    evaluations = recipe.iterations // recipe.every * scored * (scoring + reading)
    # float32: weights, two moments of Adam, the best weights
    states = 4 * 4 * sum(parameter.numel() for parameter in evaluator.network.parameters())
    work = f"{len(ARMS)} trainings of {recipe.iterations:,} steps, {recipe.iterations // recipe.every} evaluations each"
    return Cost("augment", work, len(ARMS) * (steps + evaluations), len(ARMS) * states)


def _seconds_of_reading(clips: tuple[ClipFile, ...]) -> float:
    some = clips[:: max(1, len(clips) // _CLIPS_READ)][:_CLIPS_READ]
    return sum(_seconds(lambda clip=clip: read_video(clip.path)) for clip in some) / max(1, len(some))  # type: ignore[misc]


def _seconds(work: Callable[[], object]) -> float:
    work()  # to warm up
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
