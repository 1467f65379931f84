"""`stgan generate`: generate clips of actions into a folder."""

import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stgan.cli import options
from stgan.cli.memory import keep_freed_memory
from stgan.cli.terminal import check_needed, check_range, new_console, on_interrupt
from stgan.defaults import BOTH, LARGEST_SEED, STRENGTH
from stgan.errors import StganError
from stgan.files import typed
from stgan.names import quoted
from stgan.progress import bars

if TYPE_CHECKING:
    from torch import Tensor

    from stgan.generation import Companion, GenerationJob, Unit
    from stgan.sampling import OnIteration, SamplerSettings

_MOST_CLIPS = 1_000_000  # of each action
_MOST_ITERATIONS = 100_000
_MOST_INTERMEDIATES = 200  # of each clip
_MOST_THREADS = 1024
_INTERRUPTED = (
    "finished clips are kept; the same command with --resume (make generate ARGS=--resume) makes the rest and the "
    "contact sheet"
)
_INTERRUPTED_SHARD = "finished clips are kept; the same command makes the rest of its shard"
EXAMPLES = (
    "stgan generate                                 (every action, 4 clips each)",
    "stgan generate wave2 jack --num 8 --seed 1 --gif --out clips",
    "stgan generate bend --preset paper --trace",
    "stgan generate wave2 --init walk.mp4           (the person in walk.mp4 waves)",
    "stgan generate --target lstm:17 --condition lrcn",
    "stgan generate --condition torchvision:r3d_18 --num 1   (what a network of torchvision has learned)",
    "stgan generate --condition my_classifier.py:make --preset spectral --speed fast",
    "stgan generate --num 1000 --out clips --on ray        (a worker for each GPU or core)",
    "stgan generate --num 1000 --out clips --shard 1/8     (one of eight processes, on any machines that share clips)",
)


def generate(
    actions: Annotated[
        list[str] | None, typer.Argument(metavar="ACTION", help="Actions to generate. Default: all of the model's.")
    ] = None,
    model: options.Model = options.MODEL,
    num: options.Num = 4,
    seed: options.Seed = 0,
    out: Annotated[Path, options.folder("--out", "Folder for the clips, the manifest and the contact sheet.")] = Path(
        "outputs"
    ),
    preset: options.Preset = None,
    condition: Annotated[
        str,
        options.classifier("Condition network: the video classifier whose gradient steers the clips. lrcn, c3d, both,"),
    ] = BOTH,
    iterations: options.Iterations = None,
    frames: options.FramesOrNone = None,
    speed: Annotated[
        Literal["slow", "natural", "fast"] | None,
        typer.Option(help="With the preset spectral: how fast things may move.", show_default="natural"),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="With the preset spectral: width and height of a clip.",
            show_default="what the condition network takes",
        ),
    ] = None,
    magnitudes: Annotated[
        Literal["free", "natural"] | None,
        typer.Option(
            help="With the preset spectral: natural keeps the spectrum of natural video, and changes phases only.",
            show_default="free",
        ),
    ] = None,
    diversity: Annotated[
        float | None,
        typer.Option(
            help="With the preset spectral: how much clips of a batch are made to differ, such as 1.", show_default="0"
        ),
    ] = None,
    init: Annotated[
        Path | None, options.file("--init", "Start from this video or picture instead of from noise.")
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(show_default=str(STRENGTH), help="With --init: how much of it may change, above 0 and up to 1."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER[:UNIT]",
            help="Activate this part of the condition network instead of an action: LAYER, LAYER:CHANNEL or "
            "LAYER:CHANNEL,T,Y,X. stgan info --layers lists them.",
        ),
    ] = None,
    intermediate: Annotated[
        int | None, typer.Option(metavar="N", help="Also write each clip as it is after every N iterations.")
    ] = None,
    gif: Annotated[bool, typer.Option("--gif", help="Also write each clip as a GIF.")] = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Also write a picture of each clip over the iterations.")
    ] = False,
    batch: Annotated[
        int | None, typer.Option(help="Clips that are made at the same time. Default: what suits the device.")
    ] = None,
    precision: options.Precision = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the clips in the folder and make the missing ones.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Make one of N parts, from 1 on, of the missing clips; other processes or machines that share the "
            "folder make the others (docs/many_machines.md).",
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="ray[:HOST:PORT]",
            help="Let workers of Ray make the clips: of this machine, or of the cluster at this address, whose "
            "machines share the folder (docs/many_machines.md).",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="With --on ray: CPU cores of a worker without a GPU.", show_default="1")
    ] = None,
    device: options.Device = None,
) -> None:
    """Generate clips of human actions: OUT/ACTION/*.mp4, OUT/manifest.jsonl, OUT/contact_sheet.png.

    Clips are optimised until the condition network, a video classifier, recognises the action in them.
    """
    from stgan.generation import CONTACT_SHEET, PREVIOUS, cluster, make_on_ray
    from stgan.manifest import MANIFEST

    console = new_console()
    started = time.monotonic()
    share, engine = parse_shard(shard), parse_engine(on)
    check_range("--threads", threads, 1, _MOST_THREADS)
    check_needed("--on ray", engine, {"--threads": threads})
    request = Request(
        actions=tuple(actions or ()), model=model, num=num, seed=seed, preset=preset, condition=condition,
        iterations=iterations, frames=frames, speed=speed, size=size, magnitudes=magnitudes, diversity=diversity,
        init=init, strength=strength, target=target, intermediate=intermediate, gif=gif, trace=trace, batch=batch,
        precision=precision, device=device,
    )  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(on_interrupt(_INTERRUPTED_SHARD if shard else _INTERRUPTED))
        if engine:
            import torch

            stack.enter_context(cluster(engine[0]))
            torch.set_num_threads(threads or 1)  # the folder records them, and workers use what it records
        job = request.job()
        companions, record = request.companions(job)
        run = stack.enter_context(job.open(out, resume=resume or shard is not None, shard=share, companions=companions))
        units = [(len(unit.clips), run.folder.begun(unit)) for unit in run.units()]
        there, total = (sum(clips for clips, begun in units if begun or all_of) for all_of in (False, True))
        if run.previous:
            console.print(f"{out} starts again; its former manifest is now {PREVIOUS}", soft_wrap=True)
        console.print(
            f"{job.model.name}: {total - there} clips of {target or f'{len(job.steering.objectives)} actions'}, "
            + f"beside {there} that are there, " * bool(there)
            + f"{job.steering.frames} frames of {job.steering.side}x{job.steering.side}, preset {job.preset.name}, "
            f"steered by {', '.join(job.steering.classifiers)}, {job.preset.iterations} iterations"
            + ", unconditional prior"
            * (job.preset.needs == "clip_prior" and not job.preset.conditional)
        )
        made, working = 0, time.monotonic()
        with bars(console) as progress:
            clips = progress.add_task("clips", total=total)
            making: Iterator[tuple["Unit", int]]
            if engine:
                work = partial(making_units, request.elsewhere(job), out.absolute())
                gpu = None if device is None else device.startswith("cuda")
                making = make_on_ray(out, run.units(), work, threads=threads or 1, gpu=gpu)
            else:
                steps = progress.add_task("iterations", total=job.preset.iterations)

                def on_iteration(iteration: int, objective: "Tensor", render: Callable[[], "Tensor"]) -> None:
                    progress.update(steps, completed=iteration + 1)
                    record(iteration, objective, render)

                making = ((unit, len(run.make(unit, on_iteration))) for unit in run.units())
            for unit, new in run.merged(making):
                made += new
                progress.update(clips, advance=len(unit.clips))
        if run.folder.damaged:
            console.print(
                f"{run.folder.damaged} clips of {out} were missing or damaged and are made again", soft_wrap=True
            )
        complete = run.is_complete()
    if made:
        each, now = (time.monotonic() - working) / made, time.monotonic()
        where = "Ray" if engine else job.model.device
        console.print(f"{each:.1f} s per clip, {now - started:.0f} s in total on {where}")
    if complete:
        console.print(f"Clips, {MANIFEST} and {CONTACT_SHEET} are in {out}", soft_wrap=True)
    else:
        console.print(
            f"Shard {shard} is finished; {MANIFEST} and {CONTACT_SHEET} are made when the last one is "
            f"(stgan status {out})",
            soft_wrap=True,
        )


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options that say what to make. It holds plain values only, so that any process can make the same job."""

    actions: tuple[str, ...]
    model: str | None  # None: the default of the installation
    num: int
    seed: int
    preset: str | None
    condition: str
    iterations: int | None
    frames: int | None
    speed: str | None
    size: int | None
    magnitudes: str | None
    diversity: float | None
    init: Path | None
    strength: float | None
    target: str | None
    intermediate: int | None
    gif: bool
    trace: bool
    batch: int | None
    precision: str
    device: str | None

    def job(self) -> "GenerationJob":
        """Load the networks. StganError if an option is out of its range or does not fit the others."""
        from stgan.checkpoints.own_classifier import OWN, is_own_classifier, load_own_classifier
        from stgan.generation import MOST_TOGETHER, GenerationJob, read_init
        from stgan.pipeline import STGAN
        from stgan.video.encoding import LARGEST_GIF

        check_range("--num", self.num, 1, _MOST_CLIPS)
        check_range("--seed", self.seed, -LARGEST_SEED, LARGEST_SEED)
        check_range("--iterations", self.iterations, 1, _MOST_ITERATIONS)
        check_range("--batch", self.batch, 1, MOST_TOGETHER)
        check_needed("--init", self.init, {"--strength": self.strength})
        own = load_own_classifier(self.condition) if is_own_classifier(self.condition) else None
        stgan = STGAN.from_pretrained(typed(self.model or options.MODEL), self.device, own)
        settings = spectral_options(
            stgan.preset(self.preset, self.iterations, self.precision),  # type: ignore[arg-type]
            speed=self.speed, size=self.size, magnitudes=self.magnitudes, diversity=self.diversity,
        )  # fmt: skip
        steering = stgan.steering(
            self.actions, condition=OWN if own else self.condition, frames=self.frames, target=self.target,
            preset=settings,
        )  # fmt: skip
        strength = STRENGTH if self.strength is None else self.strength
        start = read_init(stgan, self.init, steering, strength) if self.init else None
        job = GenerationJob(stgan, steering, settings, self.num, self.seed, self.batch, start)
        least = math.ceil(settings.iterations / _MOST_INTERMEDIATES)
        check_range("--intermediate", self.intermediate, least, _MOST_ITERATIONS)
        if self.gif and steering.side > LARGEST_GIF:
            raise StganError(
                f"a GIF is at most {LARGEST_GIF} pixels wide, and {stgan.name} makes larger frames; drop --gif"
            )
        return job

    def companions(self, job: "GenerationJob") -> "tuple[dict[str, Companion], OnIteration]":
        """What writes the files beside a clip, and what has to see each iteration for them."""
        from stgan.generation import FPS
        from stgan.report.iterations import Intermediates, Trace, maximised
        from stgan.video import write_gif

        settings, steering = job.preset, job.steering
        recorder = Trace(settings.iterations, maximised(steering.classifiers, settings.name, steering.target))
        stages = Intermediates(self.intermediate or settings.iterations)
        companions: dict[str, "Companion"] = {}
        if self.gif:
            companions[".gif"] = lambda clip, path: write_gif(path, clip.frames, FPS)
        if self.trace:
            companions[".trace.png"] = lambda clip, path: recorder.save(path, clip.place)
        if self.intermediate:
            companions[".iterations"] = lambda clip, path: stages.save(path, clip.place)

        def on_iteration(iteration: int, objective: "Tensor", render: Callable[[], "Tensor"]) -> None:
            if self.trace:
                recorder.record(iteration, objective, render)
            if self.intermediate:
                stages.record(iteration, render)

        return companions, on_iteration

    def elsewhere(self, job: "GenerationJob") -> "Request":
        """The same request for a process in another folder, whose device would choose another precision."""
        file, colon, function = self.condition.rpartition(":")
        code = file.endswith(".py") and Path(file).is_file()
        model = typed(self.model or "")
        return replace(
            self,
            model=None
            if self.model == options.MODEL
            else os.path.abspath(model)
            if model != self.model
            else self.model,
            init=self.init and self.init.absolute(),
            condition=os.path.abspath(file) + colon + function if code else self.condition,
            precision=job.preset.precision,
        )


@contextmanager
def making_units(request: Request, out: Path) -> "Iterator[Callable[[Unit], int]]":
    """Load the model and join the folder; makes units and returns how many clips were made here."""
    keep_freed_memory()
    job = request.job()
    companions, record = request.companions(job)
    with job.open(out, resume=True, companions=companions) as run:
        yield lambda unit: len(run.make(unit, record))


def parse_engine(text: str | None) -> tuple[str | None] | None:
    """The address in "ray:HOST:PORT", None for "ray", as a tuple; None for None. StganError for anything else."""
    if text is None:
        return None
    found = re.fullmatch(r"ray(?::([\w.-]{1,253}:\d{1,5}))?", text, re.ASCII)
    if not found:
        raise StganError(f"--on is ray or ray:HOST:PORT, such as ray:10.0.0.1:6379, not {quoted(text)}")
    return (found[1],)


def parse_shard(text: str | None) -> tuple[int, int]:
    """Number and count of "I/N", 1/1 for None. StganError for anything else."""
    found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text or "1/1", re.ASCII)
    if not found or int(found[1]) > int(found[2]):
        raise StganError(f"--shard is I/N, such as 1/8 for the first of eight, not {quoted(str(text))}")
    return int(found[1]), int(found[2])


def spectral_options(settings: "SamplerSettings", **given: Any) -> "SamplerSettings":
    """The settings with these options, those that were given. StganError for those of another preset."""
    from stgan.sampling import SpectralSettings

    chosen = {name: value for name, value in given.items() if value is not None}
    if chosen and not isinstance(settings, SpectralSettings):
        raise StganError(f"--{next(iter(chosen))} is for the preset spectral, not for {settings.name}")
    return replace(settings, **chosen)
