"""A generation job: it makes clips batch by batch and writes them into a folder that records how they were made."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice, repeat, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from stgan.defaults import LARGEST_SEED
from stgan.devices import machine
from stgan.errors import StganError
from stgan.files import remove
from stgan.generation.merging import merge
from stgan.generation.output_folder import FAILED, OutputFolder, agree, join, start_anew, working_in
from stgan.generation.units import Companion, Generated, Unit
from stgan.manifest import Entry
from stgan.parts import Run, listed
from stgan.pipeline import STGAN, batches
from stgan.records import as_plain
from stgan.sampling import Init, OnIteration, SamplerSettings
from stgan.sampling.settings import check_range
from stgan.steering import Steering
from stgan.version import __version__
from stgan.video import to_uint8

MOST_TOGETHER = 1024
"""The largest number of clips in a batch."""

T = TypeVar("T")

_MOST_RECORDED = 16  # clips of a batch that a record may set; `devices.batch_size` gives no more


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

    def plan(self) -> Iterator[Unit]:
        """The units of all clips: a batch of each action, then the next, so that any part of a run has all actions.

        The last bits of a clip depend on the other clips of its batch. So the units depend on the job alone.
        """
        of_each = (zip(repeat(action), batches(of, self.together)) for action, of in self.counts.items())
        return (Unit(*turn) for turn in chain.from_iterable(zip_longest(*of_each)) if turn)

    def make(self, unit: Unit, on_iteration: OnIteration | None = None) -> list[Generated]:
        """Make the clips of a unit."""
        samples = self.model.sample(
            self.steering, unit.action, unit.clips, self.seed, self.preset, init=self.init, on_iteration=on_iteration
        )
        values, of = (samples.value, "activation") if self.steering.target else (samples.value.exp(), "probability")
        return [
            Generated(
                (unit.action, number),
                to_uint8(samples.videos[place].cpu()),
                {of: round(float(values[place]), 6), "steps": int(samples.steps[place])},
                place,
            )
            for place, number in enumerate(unit.clips)
        ]

    def settings(self) -> dict[str, Any]:
        """What all clips of a folder have in common: with `made_with`, enough to make them again.

        The same number of clips on the same machine has the same bytes (see `STGAN.generate`). An `init` is recorded
        by its source, a hash of its bytes, and its strength.
        """
        init = self.init and {
            "source": self.init.source, "sha256": _hash(self.init.video), "strength": self.init.strength
        }  # fmt: skip
        return {
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
        }

    def made_with(self) -> dict[str, Any]:
        """What may differ between the clips of a folder: versions, device and number of threads."""
        return {"version": __version__, **machine(self.model.device)}

    @contextmanager
    def open(
        self,
        path: Path,
        *,
        resume: bool,
        shard: tuple[int, int] = (1, 1),
        companions: Mapping[str, Companion] | None = None,
    ) -> Iterator["GenerationRun"]:
        """Begin or join an output folder; the run makes clips while the block lasts.

        Any number of processes may do so for one folder, if all give `resume`. An interrupted and resumed run gives the
        same bytes as one without interruption. A folder that is resumed for another number of clips keeps its clips.
        Its new clips are those of a new folder for that number, made with the threads and the batch size of the first
        clip.

        Args:
            resume: keep the folder's clips and make the missing ones. Otherwise start again (see `start_anew`).
            shard: number, from 1 on, and count: make every count-th unit of the plan, from this one on.
            companions: for endings of `COMPANIONS`, functions that write these files beside each clip; a clip without
                one of them is made again.

        Raises:
            StganError: the folder cannot be written to, is in use, or holds clips made with other settings.
        """
        if not 1 <= shard[0] <= shard[1]:
            raise StganError(f"there is no shard {shard[0]} of {shard[1]}; shards are numbered from 1 on")
        previous = not resume and start_anew(path)
        with working_in(path):
            run = Run(counts=self.counts, settings=self.settings(), begun=self.made_with())
            recorded = join(path, run)
            with as_begun(recorded, self.together) as batch:
                job = replace(self, batch=self.batch or batch)
                run = replace(run, settings={**run.settings, "batch": job.together})
                folder = OutputFolder(path, agree(path, recorded, run), job.made_with())
                yield GenerationRun(job, folder, shard, companions or {}, previous)


@dataclass(frozen=True)
class GenerationRun:
    """A job and its output folder; made by `GenerationJob.open`.

    previous: whether a former manifest was renamed to `PREVIOUS`.
    """

    job: GenerationJob
    folder: OutputFolder
    shard: tuple[int, int] = (1, 1)
    companions: Mapping[str, Companion] = field(default_factory=dict)
    previous: bool = False

    def units(self) -> Iterator[Unit]:
        """The units of this shard, finished or not."""
        number, of = self.shard
        return islice(self.job.plan(), number - 1, None, of)

    def make(self, unit: Unit, on_iteration: OnIteration | None = None) -> list[Entry]:
        """Make the clips of a unit that are missing, as the whole batch, and write them.

        Returns:
            The lines of the clips that were made here. When this returns, all clips of the unit are finished.
        """
        while True:
            missing, former = self.folder.missing(unit, self.companions)
            if not missing:
                return []
            clips = self.job.make(unit, on_iteration)[missing.start - unit.clips.start :]
            if made := self.folder.add(clips, former, self.companions):
                return made

    def make_all(self, on_iteration: OnIteration | None = None) -> Iterator[tuple[Unit, list[Entry]]]:
        """Make all units of the shard; each is yielded, with its new lines, when it is finished. Then merge."""
        return self.merged((unit, self.make(unit, on_iteration)) for unit in self.units())

    def merged(self, making: Iterator[T]) -> Iterator[T]:
        """What `making`, an iterator that makes all units of the shard, yields.

        At the end the folder is merged (see `merge`), by a shard only if it finished last. A run that is no shard is
        also merged when it is interrupted.
        """
        alone = self.shard == (1, 1)
        try:
            yield from making
        except BaseException:
            if alone:
                with suppress(StganError):  # what interrupted it is said
                    merge(self.folder.path)
            raise
        if alone or self.is_complete():
            merge(self.folder.path)
            remove(self.folder.path / FAILED)

    def is_complete(self) -> bool:
        """Whether all units of the plan are begun, those of other shards, too."""
        begun = {action: {first for first, _ in parts} for action, parts in listed(self.folder.path).items()}
        return all(unit.clips.start in begun.get(unit.action, ()) for unit in self.job.plan())


@contextmanager
def as_begun(run: Run, batch: int) -> Iterator[int]:
    """Use as many threads in a block as the folder's first clips were made with, and yield the size of their batches.

    The last bits of clips depend on both. The record is not trusted: a number of threads above that of cores is
    ignored, and so is a batch above `batch` and above what any device makes by default. The user may ask for more.
    """
    threads, begun = torch.get_num_threads(), run.begun.get("threads")
    if type(begun) is int and 1 <= begun <= max(os.cpu_count() or 1, threads):  # true is an int, too
        torch.set_num_threads(begun)
    try:
        yield run.batch if run.batch <= max(batch, _MOST_RECORDED) else batch
    finally:
        torch.set_num_threads(threads)


def _hash(video: Tensor) -> str:
    return hashlib.sha256(video.cpu().contiguous().numpy().tobytes()).hexdigest()
