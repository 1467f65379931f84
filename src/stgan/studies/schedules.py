"""How long to generate: what an evaluator that never steers says of clips, for several numbers of iterations."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stgan.generation import GenerationJob
from stgan.pipeline import STGAN
from stgan.sampling import SamplerSettings
from stgan.scoring import Evaluator, evaluate
from stgan.studies.generating import first_clips, generate_set


@dataclass(frozen=True)
class SchedulePoint:
    """What an evaluator says of clips of so many iterations.

    seconds: of a clip, encoding included.
    clips:   of all actions together.
    accuracy, accuracy_interval, inception_score, motion: of `stgan evaluate`; the interval is a 95 % one.
    """

    iterations: int
    seconds: float
    clips: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    inception_score: float
    motion: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


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
    """`num` clips of each action for each number of iterations, in folders of their own, and their scores.

    actions: none stands for all of the model's.

    Raises:
        StganError: an unknown action, the evaluator steered, or a folder holds other clips.
    """
    steering, points = model.steering(actions), []
    for number in iterations:
        started = time.monotonic()
        job = GenerationJob(model, steering, replace(preset, iterations=number), num, seed)
        made = generate_set(job, folder / f"{number:04d}", on_clip=on_clip)
        seconds = (time.monotonic() - started) / (num * len(steering.objectives))
        scores = evaluate(first_clips(made, num), evaluator)
        assert scores.accuracy is not None and scores.accuracy_interval is not None  # every clip names its action
        points.append(
            SchedulePoint(
                number, seconds, scores.num_videos, scores.accuracy, scores.accuracy_interval,
                scores.inception_score.mean, scores.motion,
            )
        )  # fmt: skip
    return points
