"""What every training shares: a folder, devices, a progress bar with losses, logs, and steps that can be resumed.

Each step draws all its randomness from (seed, step), so a run that was killed and resumed takes the same steps as
one that was not, without any generator state in its checkpoint; and it draws for the whole batch, of which each
process keeps its share, so that several processes take the same steps as one.
"""

import hashlib
import json
import math
import os
import pickle
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.progress import TextColumn
from torch import Tensor, nn

from stgan.errors import StganError
from stgan.files import remove_leftovers, replacing
from stgan.progress import bars
from stgan.training.interruption import Interruptible
from stgan.training.logs import Log
from stgan.training.step_randomness import StepRandomness

Losses = Mapping[str, float]
Batch = tuple[Tensor, ...]
STATE = "state.pt"
"""The file of a training's folder that it is resumed from."""
_SMOOTHING = 0.95  # of the logged losses
_DAMAGE = (
    pickle.UnpicklingError, RuntimeError, LookupError, AttributeError, ValueError, TypeError, EOFError, OSError,
)  # fmt: skip
"""What reading a damaged state may raise."""


@dataclass(frozen=True)
class Workspace:
    """Where and on what a training runs.

    folder: for logs, pictures and states. save_every: seconds between two states.
    probe: 0, or take only so many steps to time them and write nothing.
    deadline: time.monotonic() of the last step of a training, which takes one at least; saved as on Ctrl-C.
    compact: states are saved without what optimizers remember, which is half of them or more. Who goes on
        from such a state takes other steps than one who was not interrupted.
    """

    fabric: Fabric
    folder: Path
    save_every: float = 60.0
    probe: int = 0
    deadline: float = math.inf
    compact: bool = False

    def subfolder(self, name: str) -> "Workspace":
        """The same devices, a folder inside this one."""
        return replace(self, folder=self.folder / name)


@dataclass(frozen=True)
class Pace:
    """How fast a training is: seconds of a step, and how well it is fed.

    fed: the speed as a share of that with clips which are at hand already; below 1 the device waits for clips.
    """

    seconds: float
    fed: float


def one_device(device: torch.device) -> Fabric:
    """Fabric on one device."""
    return Fabric(accelerator=device.type, devices=1 if device.type == "cpu" else [device.index or 0])


class TrainingRun:
    """One training in one folder: `state.pt` to resume from (written atomically), logs, pictures.

    state: modules and optimizers by name, saved and restored together with the step and the seconds spent.
    key:   `identity` of the recipe and the data; the state of another training is not resumed from.
    """

    def __init__(self, workspace: Workspace, state: dict[str, Any], seed: int, key: str = "") -> None:
        self.workspace, self.state, self.seed, self.key = workspace, state, seed, key
        self.fabric, self.folder = workspace.fabric, workspace.folder
        self.step, self.seconds = 0, 0.0
        self.losses: dict[str, float] = {}
        self.pace = Pace(0.0, 1.0)
        """Of a probe: medians without the first steps, in which memory is asked for and kernels are chosen."""

    @property
    def state_file(self) -> Path:
        return self.folder / STATE

    def resume(self) -> None:
        """Continue from the folder's last saved state, if there is one of this training.

        The state of another one, before the recipe or the clips changed, is set aside as `state.previous.pt`.
        Raises StganError for a damaged state.
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
                raise StganError(
                    f"cannot resume from {self.state_file}: it is damaged; delete it to start anew, "
                    "or choose another folder to work in"
                ) from error
        self.fabric.barrier()  # all processes look before the first one moves it
        if other and self.fabric.is_global_zero:
            print(f"{self.folder.name} begins anew, its recipe or clips have changed; the former state is kept")
            os.replace(self.state_file, self.state_file.with_name("state.previous.pt"))

    def save(self) -> None:
        """Write the state; the previous one stays in place until the new one is complete."""
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
        except (OSError, RuntimeError) as error:  # of a full disk torch.save makes a RuntimeError
            raise StganError(
                f"cannot write {self.state_file}: make room there, and the same command goes on where it was last saved"
            ) from error

    def _saved(self, part: Any) -> dict[str, Any]:
        saved: dict[str, Any] = part.state_dict()
        # An optimizer is told by its groups; what it remembers is its state.
        forgotten: dict[str, Any] = {"state": {}} if self.workspace.compact and "param_groups" in saved else {}
        return {**saved, **forgotten}

    def update(
        self, loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float = float("inf")
    ) -> None:
        """One step down the loss, its gradient cut to `max_norm`.

        Raises StganError, before the weights are touched, if the gradient is not finite.
        """
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        norm = self.fabric.clip_gradients(network, optimizer, max_norm=max_norm, error_if_nonfinite=False)
        if not (torch.isfinite(loss) and norm is not None and torch.isfinite(norm)):
            raise StganError(
                f"training stopped at step {self.step}: a loss or its gradient is not a finite number; "
                "lower the learning rate and run again"
            )
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

        `draw` runs one step ahead on a thread of its own, so that the device does not wait for clips. Losses are
        averaged over processes, checked, and logged; the state is saved now and then, on Ctrl-C and at the end.
        `validate` and `picture` are called so many times in all, on the first process only.

        Raises StganError when a loss stops being finite: the last saved state is then from before.
        """
        if self.workspace.probe:
            return self._probe(draw, step_function)
        if self.fabric.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.folder)
        self.fabric.barrier()
        self.resume()
        last_save = time.monotonic()
        chief = self.fabric.is_global_zero
        with (
            bars(None, TextColumn("{task.fields[losses]}"), hidden=not chief) as progress,
            Log(self.folder, self.step, enabled=chief) as log,
            ThreadPoolExecutor(1) as ahead,
            Interruptible() as interruption,
        ):
            task = progress.add_task(description, total=steps, completed=self.step, losses="")
            following = ahead.submit(draw, self._randomness(self.step))
            while self.step < steps:
                started = time.monotonic()
                interruption.asked |= started > self.workspace.deadline
                batch = following.result()
                following = ahead.submit(draw, self._randomness(self.step + 1))
                losses, interrupted = self._take_step(step_function, batch, interruption)
                self.seconds += time.monotonic() - started
                progress.update(task, completed=self.step, losses=_sentence(self.losses))
                last = self.step == steps
                log.losses(
                    self.step, self.seconds, losses, self.losses, to_csv=last or self.step == 1 or self.step % 20 == 0
                )
                if chief and validate and (last or self.step % max(1, steps // validations) == 0):
                    log.validation(self.step, validate())
                if chief and picture and (last or self.step % max(1, steps // pictures) == 0):
                    picture(self.folder / f"step_{self.step:06d}.png")
                if interrupted or time.monotonic() - last_save > self.workspace.save_every:
                    self.save()
                    last_save = time.monotonic()
                if interrupted:
                    raise KeyboardInterrupt
            self.save()
            interruption.raise_if_asked()
        self.fabric.barrier()

    def _take_step(
        self,
        step_function: Callable[[StepRandomness, Batch], dict[str, Tensor]],
        batch: Batch,
        interruption: Interruptible,
    ) -> tuple[dict[str, float], bool]:
        """The step's losses, and whether any process was asked to stop: all must, after the same step.

        One that stopped alone would leave the others waiting for its share of the next step.
        """
        random = self._randomness(self.step)
        random.seed_dropout()
        means = step_function(random, tuple(part.to(self.fabric.device, non_blocking=True) for part in batch))
        values = [loss.detach().float() for loss in means.values()]
        *averages, stop = self.mean(torch.stack([*values, values[0].new_tensor(float(interruption.asked))])).tolist()
        losses = dict(zip(means, averages, strict=True))
        self.step += 1
        for name, value in losses.items():
            self.losses[name] = _SMOOTHING * self.losses.get(name, value) + (1 - _SMOOTHING) * value
        return losses, stop > 0

    def _probe(
        self,
        draw: Callable[[StepRandomness], Batch],
        step_function: Callable[[StepRandomness, Batch], dict[str, Tensor]],
    ) -> None:
        def step(batch: Batch) -> float:
            started = time.monotonic()
            self._take_step(step_function, batch, Interruptible())
            return time.monotonic() - started

        fed, at_hand = [], []
        with ThreadPoolExecutor(1) as ahead:
            batch = draw(self._randomness(0))
            for number in range(self.workspace.probe):
                at_hand.append(step(batch))
                started = time.monotonic()
                following = ahead.submit(draw, self._randomness(number + 1))
                step(batch)
                batch = following.result()
                fed.append(time.monotonic() - started)
        seconds = median(fed[1:])
        self.pace = Pace(seconds, median(at_hand[1:]) / seconds)

    def _randomness(self, step: int) -> StepRandomness:
        return StepRandomness(self.seed, step, self.fabric.global_rank, self.fabric.world_size, self.fabric.device)


def _sentence(losses: Losses) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in losses.items())


def identity(recipe: Any, *made_from: str) -> str:
    """Tells trainings apart: a hash of a recipe (a dataclass) and of the hashes of what goes into it."""
    return hashlib.sha256(json.dumps([asdict(recipe), *made_from], sort_keys=True).encode()).hexdigest()
