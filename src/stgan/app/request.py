"""What a person asks the page to generate: a record in the folder of the run, with which it can be resumed."""

import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Interval, MaxLen

from stgan.app.desk import Desk
from stgan.defaults import LARGEST_SEED, MOST_FRAMES, STRENGTH
from stgan.errors import StganError
from stgan.generation import GenerationJob, read_init
from stgan.names import is_file_name, quoted
from stgan.records import Text, as_record, read_record, write_record
from stgan.sampling import SpectralSettings
from stgan.version import __version__

RECORD = "request.json"
MOST_CLIPS = 64
"""Of each action. More are a matter of the command line."""
_START = "start"  # name of the file to start from, in the folder of the run
_LARGEST = 1 << 20  # bytes of a record

Speed = Literal["slow", "natural", "fast"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Options of `stgan generate`, by their names. None: the default of the command.

    model, condition: names that the `Desk` knows.
    init: the name of the file to start from, in the folder of the run.
    """

    model: Text
    condition: Text
    actions: Annotated[tuple[Text, ...], MaxLen(10_000)] = ()
    preset: Text | None = None
    num: Annotated[int, Interval(ge=1, le=MOST_CLIPS)] = 1
    seed: Annotated[int, Interval(ge=-LARGEST_SEED, le=LARGEST_SEED)] = 0
    iterations: Annotated[int, Interval(ge=1, le=100_000)] | None = None
    frames: Annotated[int, Interval(ge=1, le=MOST_FRAMES)] | None = None
    speed: Speed | None = None
    target: Text | None = None
    init: Text | None = None
    strength: Annotated[float, Interval(gt=0, le=1)] | None = None
    version: Text = __version__

    def __post_init__(self) -> None:
        if self.init is not None and not is_file_name(self.init):
            raise ValueError(f"{quoted(self.init)} cannot be the name of a file")

    def command(self, folder: Path, desk: Desk) -> str:
        """The command that makes the same clips again."""
        given = {
            "target": self.target,
            "num": self.num,
            "seed": self.seed,
            "model": desk.models.get(self.model, self.model),
            "condition": self.condition,
            "preset": self.preset,
            "iterations": self.iterations,
            "frames": self.frames,
            "speed": self.speed,
            "init": self.init and folder / self.init,
            "strength": self.strength if self.init else None,
        }
        options = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
        return shlex.join(["stgan", "generate", *self.actions, *options, "--out", f"{folder}_again"])

    def job(self, folder: Path, desk: Desk) -> GenerationJob:
        """The job, with its networks loaded. StganError where something does not fit."""
        model, condition = desk.model(self.model, self.condition), desk.condition(self.condition)
        settings = model.preset(self.preset, self.iterations, "auto")
        if self.speed is not None:
            if not isinstance(settings, SpectralSettings):
                raise StganError(f"the speed is for the preset spectral, not for {settings.name}")
            settings = replace(settings, speed=self.speed)
        steering = model.steering(
            self.actions, condition=condition, frames=self.frames, target=self.target, preset=settings
        )
        strength = STRENGTH if self.strength is None else self.strength
        init = read_init(model, folder / self.init, steering, strength) if self.init else None
        return GenerationJob(model, steering, settings, self.num, self.seed, init=init)


def as_request(**values: Any) -> Request:
    """A request of what a browser sent. StganError if it is none."""
    return as_record(Request, values, "this request", "correct it and try again")


def write_request(request: Request, folder: Path, start: str | None = None) -> Request:
    """Write the record into the folder of a run. start: a file that the clips start from, which is copied there."""
    if start is not None:
        name = _START + Path(start).suffix.lower()
        shutil.copyfile(start, folder / name)
        request = replace(request, init=name)
    write_record(folder / RECORD, request)
    return request


def read_request(folder: Path) -> Request:
    """StganError if the page did not make this run."""
    if not (folder / RECORD).is_file():
        raise StganError(f"{quoted(folder.name)} was not made by this page; resume it by stgan generate --resume")
    return read_record(folder / RECORD, Request, "make the clips again", _LARGEST)
