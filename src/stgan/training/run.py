"""What every training shares: a folder, a device, a progress bar with losses, logs, and steps that can be resumed.

Each step draws all its randomness from (seed, step), so a run that was interrupted and resumed takes the same
steps as one that was not, without any generator state in its checkpoint.
"""

import csv
import hashlib
import json
import os
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stgan.errors import StganError

Losses = Mapping[str, float]


class TrainingRun:
    """One training in one folder: `state.pt` to resume from (written atomically), `log.csv`, pictures.

    folder: where it writes; made if missing.
    state:  modules and optimizers by name, saved and restored together with the step and the seconds spent.
    key:    `identity` of the recipe and the data; the state of another training is not resumed from.
    """

    def __init__(self, fabric: Fabric, folder: Path, state: dict[str, Any], seed: int, key: str = "") -> None:
        self.fabric, self.folder, self.state, self.seed, self.key = fabric, folder, state, seed, key
        self.step, self.seconds = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def state_file(self) -> Path:
        return self.folder / "state.pt"

    def resume(self) -> None:
        """Continue from the folder's last saved state, if there is one."""
        if not self.state_file.exists():
            return
        try:
            saved = torch.load(self.state_file, map_location="cpu", weights_only=True)
            if saved["key"] != self.key:
                raise KeyError("key")
            for name, part in self.state.items():
                part.load_state_dict(saved["state"][name])
            self.step, self.seconds = saved["step"], saved["seconds"]
        except (pickle.UnpicklingError, RuntimeError, KeyError, ValueError, EOFError, OSError) as error:
            raise StganError(
                f"cannot resume from {self.state_file}: it belongs to another recipe or other clips, or is damaged; "
                "delete it to start anew, or choose another folder to work in"
            ) from error

    def save(self) -> None:
        """Write the state; the previous one stays in place until the new one is complete."""
        parts = {name: part.state_dict() for name, part in self.state.items()}
        temporary = self.state_file.with_suffix(".tmp")
        torch.save({"key": self.key, "state": parts, "step": self.step, "seconds": self.seconds}, temporary)
        os.replace(temporary, self.state_file)

    def loop(
        self,
        steps: int,
        step_function: Callable[[int, np.random.Generator], Losses],
        *,
        description: str,
        save_every: float = 60.0,
        picture: Callable[[Path], None] | None = None,
        pictures: int = 8,
    ) -> None:
        """Run `step_function(step, rng)` until `steps`; log its losses, save every so many seconds and at the end.

        Raises StganError when a loss stops being finite: the last saved state is then from before.
        """
        self.resume()
        average: dict[str, float] = {}
        last_save = time.monotonic()
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[losses]}"),
        )  # fmt: skip
        with Progress(*columns) as progress:
            task = progress.add_task(description, total=steps, completed=self.step, losses="")
            while self.step < steps:
                started = time.monotonic()
                torch.manual_seed(_mixed_seed(self.seed, self.step))
                losses = step_function(self.step, np.random.default_rng((self.seed, self.step)))
                self._check(losses)
                self.step += 1
                self.seconds += time.monotonic() - started
                for name, value in losses.items():
                    average[name] = 0.95 * average.get(name, value) + 0.05 * value
                text = " ".join(f"{name} {value:.4g}" for name, value in average.items())
                progress.update(task, completed=self.step, losses=text)
                if self.step % 20 == 0 or self.step == steps:
                    self._log(average)
                if picture and (self.step % max(1, steps // pictures) == 0 or self.step == steps):
                    picture(self.folder / f"step_{self.step:06d}.png")
                if time.monotonic() - last_save > save_every:
                    self.save()
                    last_save = time.monotonic()
        self.save()

    def _check(self, losses: Losses) -> None:
        bad = [name for name, value in losses.items() if not np.isfinite(value)]
        if bad:
            raise StganError(
                f"training stopped at step {self.step}: the {bad[0]} loss is not a finite number; "
                "lower the learning rate and run again to resume from the last saved step"
            )

    def _log(self, losses: Losses) -> None:
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", "seconds", *losses])
            writer.writerow([self.step, round(self.seconds, 1), *(f"{value:.6g}" for value in losses.values())])


def identity(recipe: Any, *made_from: str) -> str:
    """Tells trainings apart: a hash of a recipe (a dataclass) and of the hashes of what goes into it."""
    return hashlib.sha256(json.dumps([asdict(recipe), *made_from], sort_keys=True).encode()).hexdigest()


def _mixed_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0])
