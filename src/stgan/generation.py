"""Clips one after another, and what the manifest says of each: enough to make it again."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from stgan.devices import machine
from stgan.errors import StganError
from stgan.pipeline import STGAN, ClipRequest
from stgan.sampling import Init, OnIteration, Preset, Samples
from stgan.version import __version__

FPS = 25.0


@dataclass(frozen=True)
class Generated:
    """A clip that was made: its request, the samples (a batch of one), and the seconds it took."""

    request: ClipRequest
    samples: Samples
    seconds: float


def generate_clips(
    model: STGAN,
    actions: Sequence[str],
    num: int,
    seed: int,
    preset: Preset,
    condition: str,
    frames: int,
    on_iteration: OnIteration | None = None,
    skip: Callable[[ClipRequest], bool] = lambda request: False,
    *,
    target: str | None = None,
    init: Init | None = None,
) -> Iterator[Generated]:
    """Clips one after another: all actions' first, then all second ones, so that an interrupted run has some of each.

    With a `target`, `actions` is its name alone. On a CPU one clip of 16 frames keeps every core busy, so clips are
    not batched.
    """
    if num < 1:
        raise StganError(f"the number of clips must be at least 1, not {num}")
    for index in range(num):
        for action in actions:
            request = ClipRequest(action, index)
            if skip(request):
                continue
            started = time.monotonic()
            samples = model.sample([request], seed, preset, condition, frames, on_iteration, target=target, init=init)
            yield Generated(request, samples, time.monotonic() - started)


def run_settings(
    model: STGAN,
    seed: int,
    preset: Preset,
    condition: str,
    frames: int,
    *,
    target: str | None = None,
    init: Init | None = None,
) -> dict[str, Any]:
    """What all clips of a run have in common, as the manifest records it: enough to make them again.

    Of an `init` it says where it came from, what it was (a hash of its bytes) and its strength.
    """
    return {
        "seed": seed,
        "model": model.name,
        "preset": preset.name,
        "condition": condition,
        "frames": frames,
        "target": target,
        "init": init and {"source": init.source, "sha256": _hash(init.video), "strength": init.strength},
        "iterations": preset.iterations,
        "settings": json.loads(json.dumps(asdict(preset))),
        "hashes": model.hashes(condition),
        "version": __version__,
        **machine(model.device),
    }


def manifest_entry(generated: Generated, file: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The line of one clip: its file, what it shows, what steered thought of it, and the run's settings.

    That is the probability of the action, or the activation of the target.
    """
    value = generated.samples.value
    if settings["target"] is None:
        thought = {"probability": round(float(value.exp()[0]), 6)}
    else:
        thought = {"activation": round(float(value[0]), 6)}
    return {
        "file": file.as_posix(),
        "action": generated.request.action,
        "index": generated.request.index,
        **thought,
        "steps": int(generated.samples.steps[0]),
        **settings,
    }


def _hash(video: Tensor) -> str:
    return hashlib.sha256(video.cpu().contiguous().numpy().tobytes()).hexdigest()
