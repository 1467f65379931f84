"""Scores of clips for several numbers of iterations, by an evaluator that does not steer."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stgan.generation import GenerationJob
from stgan.pipeline import STGAN
from stgan.sampling import SamplerSettings
from stgan.scoring import Evaluator, evaluate
from stgan.studies.generating import first_clips, generate_set


@dataclass(frozen=True)
class SchedulePoint:
    """Scores of clips after a number of iterations.

    seconds: time for one clip, encoding included.
    clips:   number of clips of all actions together.
    accuracy, accuracy_interval, inception_score, motion: as in `stgan evaluate`; the interval is a 95 % one.
    """

    iterations: int
    seconds: float
    clips: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    inception_score: float
    motion: float


def curve(
    model: STGAN,
    preset: SamplerSettings,
    evaluator: Evaluator,
    iterations: Sequence[int],
    num: int,
    seed: int,
    folder: Path,
    *,
    actions: Sequence[str] = (),
    on_clip: Callable[[], None] = lambda: None,
) -> list[SchedulePoint]:
    """Generate `num` clips of each action for each number of iterations, each in its own folder, and score them.

    actions: default: all actions of the model.

    Raises:
        StganError: an action is unknown, the evaluator steered, or a folder holds other clips.
    """
    steering, points = model.steering(actions), []
    for number in iterations:
        started = time.monotonic()
        job = GenerationJob(model, steering, replace(preset, iterations=number), num, seed)
        made = generate_set(job, folder / f"{number:04d}", on_clip=on_clip)
        seconds = (time.monotonic() - started) / (num * len(steering.objectives))
        scores = evaluate(first_clips(made, num), evaluator)
        # Every clip names its action.
        assert scores.accuracy is not None and scores.accuracy_interval and scores.inception_score
        points.append(
            SchedulePoint(
                number, seconds, scores.num_videos, scores.accuracy, scores.accuracy_interval,
                scores.inception_score.mean, scores.motion,
            )
        )  # fmt: skip
    return points
