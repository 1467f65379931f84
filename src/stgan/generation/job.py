"""A generation job: it makes clips batch by batch and writes them into a folder that records how they were made."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, repeat, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from stgan.defaults import LARGEST_SEED
from stgan.devices import machine
from stgan.errors import StganError
from stgan.generation.output_folder import Key, OutputFolder, open_output
from stgan.manifest import Manifest
from stgan.pipeline import STGAN, batches
from stgan.records import as_plain
from stgan.sampling import Init, OnIteration, SamplerSettings
from stgan.sampling.settings import check_range
from stgan.steering import Steering
from stgan.version import __version__
from stgan.video import to_uint8

FPS = 25.0
MOST_TOGETHER = 1024
"""The largest number of clips in a batch."""

_MOST_RECORDED = 16  # clips of a batch that a manifest may set; `devices.batch_size` gives no more


@dataclass(frozen=True)
class Generated:
    """A new clip.

    key:     the action (or the name of the target), and the clip's number among the clips of the action.
    frames:  RGB, 0 to 255.
    details: for the manifest: the final probability of the action under the networks that steered, or the activation
             of the target; and the number of steps up the gradient.
    place:   the position in its batch.
    seconds: the time of its batch, divided by the number of the batch's clips that were missing.
    """

    key: Key
    frames: UInt8[np.ndarray, "time height width 3"]
    details: Mapping[str, float]
    place: int
    seconds: float


Companion = Callable[[Generated, Path], None]
"""Writes a file or folder beside a clip's .mp4, at this path, atomically."""


@dataclass(frozen=True)
class GenerationJob:
    """What to make, and how.

    num:   number of clips of each action or target of `steering`; or a mapping from names to numbers.
    batch: largest number of clips of an action that are made together; None: what suits the device and the preset, or
           for a resumed folder the batch size of its clips.
    init:  a video to start from; None: noise alone.

    Raises:
        StganError: a number is out of its range, an action is not among those of `steering`, or the preset does not fit
            the model. No folder is touched before.
    """

    model: STGAN
    steering: Steering
    preset: SamplerSettings
    num: int | Mapping[str, int]
    seed: int = 0
    batch: int | None = None
    init: Init | None = None

    def __post_init__(self) -> None:
        if not self.counts:
            raise StganError("a job of no action makes nothing; name one")
        for action, num in self.counts.items():
            check_range(f"the number of clips of {action}", num, 1, whole=True)
            self.steering.check(action)
        check_range("the seed", self.seed, -LARGEST_SEED, LARGEST_SEED, whole=True)
        if self.batch is not None:
            check_range("the batch", self.batch, 1, MOST_TOGETHER, whole=True)
        self.model.check_sides(self.steering, self.model.preset(self.preset))

    @property
    def counts(self) -> dict[str, int]:
        """Number of clips of each action."""
        return dict(self.num) if isinstance(self.num, Mapping) else dict.fromkeys(self.steering.objectives, self.num)

    @property
    def together(self) -> int:
        """Largest number of clips of an action that are made together."""
        suited = self.model.batch_size(self.steering.frames, self.steering.side)
        return self.batch or max(suited, self.preset.together)

    def order(self) -> Iterator[Key]:
        """The keys of all clips: the first clip of each action, then the second of each, ..."""
        counts = self.counts
        return ((action, index) for index in range(max(counts.values())) for action, of in counts.items() if index < of)

    def clips(
        self, on_iteration: OnIteration | None = None, skip: Callable[[Key], bool] = lambda key: False
    ) -> Iterator[Generated]:
        """Make the clips: one batch of each action, then the next, so that an interrupted run has clips of each action.

        The last bits of a clip depend on the other clips of its batch. So the batches depend on the job alone: if a
        clip of a batch is missing, the whole batch is made again, and only the missing clips are returned.

        Args:
            skip: whether a clip exists already; called before its batch is made.
        """
        of_each = (zip(repeat(action), batches(of, self.together)) for action, of in self.counts.items())
        for action, numbers in filter(None, chain.from_iterable(zip_longest(*of_each))):
            missing = [(place, (action, number)) for place, number in enumerate(numbers) if not skip((action, number))]
            if not missing:
                continue
            started = time.monotonic()
            samples = self.model.sample(
                self.steering, action, numbers, self.seed, self.preset, init=self.init, on_iteration=on_iteration
            )
            values = samples.value if self.steering.target else samples.value.exp()
            of, seconds = "activation" if self.steering.target else "probability", time.monotonic() - started
            for place, key in missing:
                details = {of: round(float(values[place]), 6), "steps": int(samples.steps[place])}
                yield Generated(key, to_uint8(samples.videos[place].cpu()), details, place, seconds / len(missing))

    def settings(self) -> dict[str, Any]:
        """What all clips have in common, as the manifest records it: enough to make them again.

        The same number of clips on the same machine has the same bytes (see `STGAN.generate`). An `init` is recorded
        by its source, a hash of its bytes, and its strength.
        """
        init = self.init and {
            "source": self.init.source, "sha256": _hash(self.init.video), "strength": self.init.strength
        }  # fmt: skip
        return {
            "version": __version__,  # first, because a difference is looked for in this order
            "seed": self.seed,
            "model": self.model.name,
            "preset": self.preset.name,
            "condition": self.steering.condition,
            "frames": self.steering.frames,
            "batch": self.together,
            "target": self.steering.target,
            "init": init,
            "iterations": self.preset.iterations,
            "settings": as_plain(self.preset),
            "hashes": self.model.hashes(self.steering),
            **machine(self.model.device),
        }

    @contextmanager
    def open(
        self, path: Path, *, resume: bool, companions: Mapping[str, Companion] | None = None
    ) -> Iterator["GenerationRun"]:
        """Lock the output folder; the run makes clips while the block lasts.

        An interrupted and resumed run gives the same bytes as one without interruption. A folder that is resumed for
        another number of clips keeps its clips. Its new clips are those of a new folder for that number, made with the
        threads and the batch size of the first clip.

        Args:
            resume: keep the folder's clips and make the missing ones. Otherwise start again (see `open_output`).
            companions: for endings of `COMPANIONS`, functions that write these files beside each clip; a clip without
                one of them is made again.

        Raises:
            StganError: the folder cannot be written to, is in use, or holds clips made with other settings.
        """
        with as_before(path, self.together) if resume else nullcontext(self.together) as batch:
            job = replace(self, batch=self.batch or batch)
            with open_output(path, job.settings(), resume=resume) as folder:
                yield GenerationRun(job, folder, companions or {})


@dataclass(frozen=True)
class GenerationRun:
    """A job and its output folder; made by `GenerationJob.open`."""

    job: GenerationJob
    folder: OutputFolder
    companions: Mapping[str, Companion] = field(default_factory=dict)

    def finished(self, key: Key) -> bool:
        """Whether a clip exists, with all its companions."""
        return self.folder.finished(key, self.companions)

    def clips(self, on_iteration: OnIteration | None = None) -> Iterator[Generated]:
        """Make the missing clips; each is yielded after it was written to the folder."""
        for clip in self.job.clips(on_iteration, self.finished):
            companions = {ending: partial(write, clip) for ending, write in self.companions.items()}
            self.folder.add(clip.key, clip.frames, FPS, clip.details, companions)
            yield clip
        self.folder.finish(self.job.order())


@contextmanager
def as_before(folder: Path, batch: int) -> Iterator[int]:
    """Use as many threads in a block as the folder's clips were made with, and yield the size of their batches.

    The last bits of clips depend on both. If the folder has no clips, the size is `batch`. The folder is not trusted:
    a number of threads above that of cores is ignored, and so is a larger batch than any device makes by default. The
    user may ask for more.
    """
    entry, threads = next(Manifest(folder).read(), None), torch.get_num_threads()

    def recorded(name: str, most: int) -> int | None:
        value = entry and entry.details.get(name)
        return value if type(value) is int and 1 <= value <= most else None  # true is an int, too

    torch.set_num_threads(recorded("threads", max(os.cpu_count() or 1, threads)) or threads)
    try:
        yield recorded("batch", max(batch, _MOST_RECORDED)) or batch
    finally:
        torch.set_num_threads(threads)


def _hash(video: Tensor) -> str:
    return hashlib.sha256(video.cpu().contiguous().numpy().tobytes()).hexdigest()
