"""The training loop of all networks: folder, devices, progress bar with losses, logs, and resumable steps.

All randomness of a step is drawn from (seed, step), so a run that was killed and resumed takes the same steps as an
uninterrupted one, without saving a generator's state. Randomness is drawn for the whole batch, and each process keeps
its share, so several processes take the same steps as one.
"""

import hashlib
import json
import math
import os
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from rich.progress import TextColumn
from torch import Tensor, nn

from stgan.errors import StganError, is_out_of_memory
from stgan.files import remove_leftovers, replacing
from stgan.progress import bars
from stgan.spacing import evenly_spread
from stgan.training.interruption import Interruptible
from stgan.training.logs import Log
from stgan.training.step_randomness import StepRandomness

Batch = tuple[Tensor, ...]
T = TypeVar("T")
STATE = "state.pt"
"""The file in a training's folder with its saved state."""
_SMOOTHING = 0.95  # of the logged losses
_DAMAGE = (
    pickle.UnpicklingError, RuntimeError, LookupError, AttributeError, ValueError, TypeError, EOFError, OSError,
)  # fmt: skip
"""Errors from reading a damaged state."""


@dataclass(frozen=True)
class Workspace:
    """The folder and devices of a training.

    folder: for logs, pictures and states. root: for what several trainings of a model use; None: the same folder.
    save_every: seconds between two saved states.
    probe: number of steps to time without writing anything; 0: train.
    deadline: time.monotonic() after which a training saves its state and stops, after one step at least.
    compact: whether to save states without the optimizers' moments, which are half of a state or more. A run resumed
        from such a state takes other steps than an uninterrupted one.
    """

    fabric: Fabric
    folder: Path
    save_every: float = 60.0
    probe: int = 0
    deadline: float = math.inf
    compact: bool = False
    root: Path | None = None

    def subfolder(self, name: str) -> "Workspace":
        """A workspace with the same devices and root in a folder inside this one."""
        return replace(self, folder=self.folder / name, root=self.root or self.folder)

    def in_precision(self, function: Callable[..., T]) -> Callable[..., T]:
        """The same function, computed in the precision of Fabric, which applies it to `forward` alone."""

        def compute(*inputs: Any) -> T:
            with self.fabric.autocast():
                return function(*inputs)

        return compute

    def setup(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, method: str
    ) -> tuple[Any, Any, Callable[..., Any]]:
        """The network and its optimizer as Fabric wraps them, and a method of the network that is used as `forward` is:
        for a batch that processes share, in Fabric's precision.
        """
        wrapped, optimizer = self.fabric.setup(network, optimizer)
        wrapped.mark_forward_method(method)
        return wrapped, optimizer, self.in_precision(getattr(wrapped, method))


@dataclass(frozen=True)
class Pace:
    """The speed of a training. seconds: of a step, with its share of the time to save states.

    fed:     the speed relative to that with clips already in memory; below 1 the device waits for clips.
    between: seconds of all validations and pictures.
    """

    seconds: float
    fed: float
    between: float = 0.0


def one_device(device: torch.device) -> Fabric:
    """Fabric for one device."""
    return Fabric(accelerator=device.type, devices=1 if device.type == "cpu" else [device.index or 0])


class TrainingRun:
    """One training in one folder with its state (`state.pt`, written atomically), logs and pictures.

    state: modules and optimizers by name, saved and restored together with the step and the seconds spent.
    key:   `identity` of the recipe and the data. A saved state with another key is not used.
    """

    def __init__(self, workspace: Workspace, state: dict[str, Any], seed: int, key: str = "") -> None:
        self.workspace, self.state, self.seed, self.key = workspace, state, seed, key
        self.fabric, self.folder = workspace.fabric, workspace.folder
        self.step, self.seconds = 0, 0.0
        self.losses: dict[str, float] = {}
        self.pace = Pace(0.0, 1.0)
        """The result of a probe, without the first steps, which allocate memory and choose kernels."""

    @property
    def state_file(self) -> Path:
        return self.folder / STATE

    def resume(self) -> None:
        """Continue from the folder's last saved state, if it is of this training.

        If the recipe or the clips have changed since, the state is renamed to `state.previous.pt`.
        Raises StganError if the state is damaged, or another version of stgan wrote it.
        """
        other = False
        if self.state_file.exists():
            try:
                saved = torch.load(self.state_file, map_location="cpu", weights_only=True)
                other = saved["key"] != self.key
                if not other:
                    for name, part in self.state.items():
                        part.load_state_dict(saved["state"][name])
                    self.step, self.seconds, self.losses = saved["step"], saved["seconds"], saved["losses"]
            except _DAMAGE as error:
                if is_out_of_memory(error):
                    raise
                raise StganError(
                    f"cannot resume from {self.state_file}: it is damaged, or of another version of stgan; "
                    "delete it to start again, or choose another folder"
                ) from error
        self.fabric.barrier()  # all processes look before the first one moves it
        if other and self.fabric.is_global_zero:
            print(f"{self.folder.name} starts again: its recipe, clips or stgan have changed; the old state is kept")
            os.replace(self.state_file, self.state_file.with_name("state.previous.pt"))

    def save(self) -> None:
        """Write the state. The previous one is replaced once the new one is complete."""
        if not self.fabric.is_global_zero:
            return
        parts = {name: self._saved(part) for name, part in self.state.items()}
        content = {
            "key": self.key, "state": parts, "step": self.step, "seconds": self.seconds, "losses": self.losses,
        }  # fmt: skip
        try:
            with replacing(self.state_file) as temporary, temporary.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
        except (OSError, RuntimeError) as error:  # torch.save raises RuntimeError if the disk is full
            raise StganError(
                f"cannot write {self.state_file}: make room there and run the same command again; "
                "it continues from the last saved state"
            ) from error

    def _saved(self, part: Any) -> dict[str, Any]:
        saved: dict[str, Any] = part.state_dict()
        is_optimizer = "param_groups" in saved
        return {**saved, "state": {}} if self.workspace.compact and is_optimizer else saved

    def update(
        self, loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float = float("inf")
    ) -> None:
        """One optimizer step, with the gradient clipped to `max_norm`.

        Raises StganError, before weights change, if the loss or its gradient is not finite.
        """
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        norm = self.fabric.clip_gradients(network, optimizer, max_norm=max_norm, error_if_nonfinite=False)
        if not (torch.isfinite(loss) and norm is not None and torch.isfinite(norm)):
            raise StganError(
                f"training stopped at step {self.step}: a loss or its gradient is not a finite number; "
                "lower the learning rate and run again"
            )
        with self.fabric.autocast():  # in which the products of Muon's step take half the time
            optimizer.step()

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        reduced = self.fabric.all_reduce(values, reduce_op="mean")
        assert isinstance(reduced, Tensor)
        return reduced

    def loop(
        self,
        steps: int,
        draw: Callable[[StepRandomness], Batch],
        step_function: Callable[[StepRandomness, Batch], dict[str, Tensor]],
        *,
        description: str,
        validate: Callable[[], dict[str, float]] | None = None,
        picture: Callable[[Path], None] | None = None,
        pictures: int = 8,
        validations: int = 10,
    ) -> None:
        """Run `step_function(random, draw(random))` until `steps`.

        `draw` runs one step ahead in its own thread, so that the device does not wait for clips. Losses are averaged
        over processes and logged. The state is saved regularly, on Ctrl-C and at the end. The first process calls
        `validate` and `picture` about `validations` and `pictures` times.

        Raises StganError if a loss is not finite. The last saved state is then from before this step.
        """
        if self.workspace.probe:
            return self._probe(steps, draw, step_function, validate, picture, validations, pictures)
        if self.fabric.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.folder)
        self.fabric.barrier()
        self.resume()
        last_save = time.monotonic()
        is_first = self.fabric.is_global_zero
        with (
            bars(None, TextColumn("{task.fields[losses]}"), hidden=not is_first) as progress,
            Log(self.folder, self.step, enabled=is_first) as log,
            ThreadPoolExecutor(1) as ahead,
            Interruptible() as interruption,
        ):
            task = progress.add_task(description, total=steps, completed=self.step, losses="")
            following = ahead.submit(draw, self._randomness(self.step))
            while self.step < steps:
                started = time.monotonic()
                interruption.requested |= started > self.workspace.deadline
                batch = following.result()
                following = ahead.submit(draw, self._randomness(self.step + 1))
                losses, interrupted = self._take_step(step_function, batch, interruption)
                self.seconds += time.monotonic() - started
                shown = " ".join(f"{name} {value:.4g}" for name, value in self.losses.items())
                progress.update(task, completed=self.step, losses=shown)
                last = self.step == steps
                log.losses(
                    self.step, self.seconds, losses, self.losses, to_csv=last or self.step == 1 or self.step % 20 == 0
                )
                if is_first and validate and (last or self.step % max(1, steps // validations) == 0):
                    log.validation(self.step, validate())
                if is_first and picture and (last or self.step % max(1, steps // pictures) == 0):
                    picture(self.folder / f"step_{self.step:06d}.png")
                if interrupted or time.monotonic() - last_save > self.workspace.save_every:
                    self.save()
                    last_save = time.monotonic()
                if interrupted:
                    raise KeyboardInterrupt
            self.save()
            interruption.raise_if_requested()
        self.fabric.barrier()

    def _take_step(
        self,
        step_function: Callable[[StepRandomness, Batch], dict[str, Tensor]],
        batch: Batch,
        interruption: Interruptible,
    ) -> tuple[dict[str, float], bool]:
        """Take one step. Returns its losses, and whether any process was requested to stop.

        All processes must stop after the same step, or the others would wait for the next step of the stopped one.
        """
        random = self._randomness(self.step)
        random.seed_dropout()
        means = step_function(random, tuple(part.to(self.fabric.device, non_blocking=True) for part in batch))
        values = [loss.detach().float() for loss in means.values()]
        stopping = values[0].new_tensor(float(interruption.requested))
        *averages, stop = self.mean(torch.stack([*values, stopping])).tolist()
        losses = dict(zip(means, averages, strict=True))
        self.step += 1
        for name, value in losses.items():
            self.losses[name] = _SMOOTHING * self.losses.get(name, value) + (1 - _SMOOTHING) * value
        return losses, stop > 0

    def _probe(
        self,
        steps: int,
        draw: Callable[[StepRandomness], Batch],
        step_function: Callable[[StepRandomness, Batch], dict[str, Tensor]],
        validate: Callable[[], object] | None,
        picture: Callable[[Path], object] | None,
        validations: int,
        pictures: int,
    ) -> None:
        """Time a few steps, evenly spread over all, because later ones may do more; and what is done between steps."""
        begun = time.monotonic()
        fed, at_hand = [], []
        with ThreadPoolExecutor(1) as ahead:
            batch = draw(self._randomness(0))
            for number in [0, *evenly_spread(steps, self.workspace.probe, ends=False)]:
                self.step = number
                at_hand.append(seconds_of(partial(self._take_step, step_function, batch, Interruptible())))
                self.step, started = number, time.monotonic()
                following = ahead.submit(draw, self._randomness(number + 1))
                self._take_step(step_function, batch, Interruptible())
                batch = following.result()
                fed.append(time.monotonic() - started)
        seconds, saving, between = fmean(fed[1:]), 0.0, 0.0
        if self.fabric.is_global_zero:
            self.workspace.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.workspace.folder) as folder:
                self.folder = Path(folder)
                saving = seconds_of(self.save)
                between += validations * seconds_of(validate) if validate else 0.0
                between += pictures * seconds_of(lambda: picture(self.folder / "step.png")) if picture else 0.0
        share_of_saving = saving / max(self.workspace.save_every, seconds)
        self.pace = Pace(seconds * (1 + share_of_saving), fmean(at_hand[1:]) / seconds, between)
        self.seconds = time.monotonic() - begun

    def _randomness(self, step: int) -> StepRandomness:
        return StepRandomness(self.seed, step, self.fabric.global_rank, self.fabric.world_size, self.fabric.device)


def seconds_of(function: Callable[[], object]) -> float:
    """The time of a call."""
    started = time.monotonic()
    function()
    return time.monotonic() - started


def identity(recipe: Any, *made_from: str) -> str:
    """Identifies a training: a hash of its recipe (a dataclass) and of the hashes of its inputs."""
    return hashlib.sha256(json.dumps([asdict(recipe), *made_from], sort_keys=True).encode()).hexdigest()
