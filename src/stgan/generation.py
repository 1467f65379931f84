"""Clips batch by batch, and what the manifest says of each: enough to make it again."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stgan.devices import machine
from stgan.manifest import Manifest
from stgan.pipeline import STGAN, ClipRequest
from stgan.sampling import Init, OnIteration, SamplerSettings, Samples
from stgan.version import __version__

FPS = 25.0
MOST_TOGETHER = 1024
"""Clips in a batch."""

_MOST_THREADS = 1024


@dataclass(frozen=True)
class Generated:
    """A clip that was made: its request, its sample (a batch of one), its place in its batch, the seconds it took.

    Of the time that its batch took, the clips that were asked for have equal shares.
    """

    request: ClipRequest
    sample: Samples
    place: int
    seconds: float


def generate_clips(
    model: STGAN,
    num: Mapping[str, int],
    seed: int,
    preset: SamplerSettings,
    condition: str,
    frames: int,
    on_iteration: OnIteration | None = None,
    skip: Callable[[ClipRequest], bool] = lambda request: False,
    *,
    batch: int | None = None,
    target: str | None = None,
    init: Init | None = None,
) -> Iterator[Generated]:
    """So many clips of each action: a batch of each, then the next batch, so that interrupted runs have some of each.

    num:   by action, or by a target's name.
    skip:  of which clips it is asked before they are made; a batch that has another one is made whole.
    batch: clips of an action that are made at a time, see `STGAN.batches`; None takes what suits the device.
    """

    def wanted(request: ClipRequest) -> bool:
        return request.index < num[request.action] and not skip(request)

    by_action = {action: model.batches(action, of, frames, batch) for action, of in num.items()}
    for requests in filter(None, chain.from_iterable(zip_longest(*by_action.values()))):
        if not any(map(wanted, requests)):
            continue
        started = time.monotonic()
        samples = model.sample(requests, seed, preset, condition, frames, on_iteration, target=target, init=init)
        made = [(place, request) for place, request in enumerate(requests) if wanted(request)]
        seconds = (time.monotonic() - started) / len(made)
        for place, request in made:
            yield Generated(request, samples.of(place), place, seconds)


@contextmanager
def as_before(folder: Path, batch: int) -> Iterator[int]:
    """Within its block as many threads as the folder's clips were made with; gives the size of their batches.

    The last bits of clips depend on both. `batch` if the folder has no clips. The folder is not trusted: what is no
    such number, or too large a one, stands for nothing.
    """
    entry, threads = next(Manifest(folder).read(), {}), torch.get_num_threads()

    def recorded(name: str, most: int) -> int | None:
        value = entry.get(name)
        return value if type(value) is int and 1 <= value <= most else None  # true is an int, too

    torch.set_num_threads(recorded("threads", _MOST_THREADS) or threads)
    try:
        yield recorded("batch", MOST_TOGETHER) or batch
    finally:
        torch.set_num_threads(threads)


def run_settings(
    model: STGAN,
    seed: int,
    preset: SamplerSettings,
    condition: str,
    frames: int,
    batch: int,
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
        "batch": batch,
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
    value = generated.sample.value
    if settings["target"] is None:
        thought = {"probability": round(float(value.exp()[0]), 6)}
    else:
        thought = {"activation": round(float(value[0]), 6)}
    return {
        "file": file.as_posix(),
        "action": generated.request.action,
        "index": generated.request.index,
        **thought,
        "steps": int(generated.sample.steps[0]),
        **settings,
    }


def _hash(video: Tensor) -> str:
    return hashlib.sha256(video.cpu().contiguous().numpy().tobytes()).hexdigest()
