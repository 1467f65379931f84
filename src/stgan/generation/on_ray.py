"""Units are made by workers of a Ray cluster. The folder is the record of the run: Ray only hands out units."""

import json
import logging
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from stgan.errors import StganError
from stgan.files import write_text
from stgan.generation.output_folder import FAILED
from stgan.generation.units import Unit
from stgan.names import one_line, quoted
from stgan.records import Count, Text, as_plain

_RETRIES = 3  # of a unit whose worker was lost, and of a worker that is lost before it has loaded the model
_OBJECT_STORE = 10**8  # bytes; no frames go through it
_LOOK = 5.0  # seconds between two looks at the size of the cluster while nothing ends
_FAREWELL = 60.0  # seconds for workers to leave the folder

Work = Callable[[], AbstractContextManager[Callable[[Unit], int]]]
"""Loads a model and joins a folder; inside, makes units and returns numbers of clips. It is pickled, so it is small."""


@dataclass(frozen=True)
class Failure:
    """A line of `FAILED`: a unit that was not made, by its action, first clip and number of clips, and why."""

    action: Text
    first: Count
    clips: Count
    reason: Text


class _Worker:
    """An actor: a process on any machine of the cluster."""

    def __init__(self, work: Work, threads: int) -> None:
        self._work, self._threads, self._stack = work, threads, ExitStack()

    def begin(self) -> None:
        torch.set_num_threads(self._threads)
        self._make = self._stack.enter_context(self._work())

    def make(self, unit: Unit) -> int:
        return self._make(unit)

    def end(self) -> None:
        self._stack.close()


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Use the Ray cluster at HOST:PORT, else the one that RAY_ADDRESS names, else one of this machine for the block.

    Raises:
        StganError: Ray is not installed, or the cluster cannot be reached from here.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise StganError('--on ray needs Ray; install it with pip install "stgan[cluster]"') from error

    address = address or os.environ.get("RAY_ADDRESS") or "local"
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **own if address == "local" else {})
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise StganError(
            f"cannot use the Ray cluster {quoted(address)} ({one_line(str(error))[:200]}); start Ray on this machine, "
            "name another HOST:PORT, or use --on ray for this machine alone"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, handler)  # Ray replaces it
    try:
        yield
    finally:
        ray.shutdown()


def make_on_ray(
    folder: Path, units: Iterator[Unit], work: Work, *, threads: int, gpu: bool | None = None
) -> Iterator[tuple[Unit, int]]:
    """Make units inside `cluster`; each is yielded when it is finished, with the number of clips that were made.

    A worker has a GPU, or so many CPU cores as it has threads. Each has one unit at a time, and the plan is read as
    workers become free. Workers follow the size of the cluster. A unit whose worker was lost is made by others, up to
    three times more; one that raised an error is not tried again.

    Args:
        folder: the output folder, for the list of units that failed (`Failure`), which is written at the end.
        threads: of a worker.
        gpu: whether workers use GPUs; None: if the cluster has any.

    Raises:
        StganError: a worker cannot begin, the cluster is too small, or units failed. All others are made then.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    if gpu is None:
        gpu = "GPU" in ray.cluster_resources()
    kind, each = ("GPU", 1) if gpu else ("CPU", threads)
    actor: Any = ray.remote(_Worker).options(num_cpus=0 if gpu else threads, num_gpus=int(gpu))
    idle: list[Any] = []
    busy: dict[Any, tuple[Any, Unit | None]] = {}  # by the result that is awaited; no unit: the worker begins
    again: list[Unit] = []
    lost: Counter[Unit | None] = Counter()
    failures: list[Failure] = []

    def fail(unit: Unit, reason: str) -> None:
        failures.append(Failure(unit.action, unit.clips.start, len(unit.clips), one_line(reason)[:1000]))

    try:
        while True:
            places = int(ray.cluster_resources().get(kind, 0) // each)
            if not places and not busy:
                raise StganError(f"no machine of the Ray cluster has {each} {kind}; start one, or change --threads")
            for _ in range(places - len(busy) - len(idle)):
                worker = actor.remote(work, threads)
                busy[worker.begin.remote()] = worker, None
            while idle and (unit := again.pop() if again else next(units, None)):
                worker = idle.pop()
                busy[worker.make.remote(unit)] = worker, unit
            if idle and not any(unit for _, unit in busy.values()):
                break
            for ready in ray.wait(list(busy), timeout=_LOOK)[0]:
                worker, unit = busy.pop(ready)
                try:
                    made = ray.get(ready)
                except RayTaskError as error:
                    if unit is None:
                        raise error.cause from error
                    fail(unit, str(error.cause) if isinstance(error.cause, StganError) else repr(error.cause))
                    idle.append(worker)
                except RayError as error:
                    lost[unit] += 1
                    if unit is None and lost[unit] > _RETRIES:
                        raise StganError(
                            f"workers of Ray end before they have loaded the model ({one_line(str(error))[:200]}); "
                            "look at Ray's logs, or give them more memory"
                        ) from error
                    if unit and lost[unit] > _RETRIES:
                        fail(unit, f"its worker was lost {lost[unit]} times: {error}")
                    elif unit:
                        again.append(unit)
                else:
                    idle.append(worker)
                    if unit is None:
                        lost[None] = 0
                    else:
                        yield unit, made
        ray.wait([worker.end.remote() for worker in idle], num_returns=len(idle), timeout=_FAREWELL)
    finally:
        for worker in (*idle, *(worker for worker, _ in busy.values())):
            ray.kill(worker)
    if failures:
        write_text(folder / FAILED, "".join(json.dumps(as_plain(failure)) + "\n" for failure in failures))
        first = failures[0]
        raise StganError(
            f"{len(failures)} batches were not made and are listed in {quoted(folder / FAILED)}, such as "
            f"{first.action} from clip {first.first} on ({first.reason}); --resume makes them"
        )
