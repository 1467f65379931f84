"""`stgan generate`: generate clips of actions into a folder."""

import math
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stgan.cli import options
from stgan.cli.terminal import check_needed, check_range, new_console, on_interrupt
from stgan.defaults import BOTH, LARGEST_SEED, STRENGTH
from stgan.errors import StganError
from stgan.files import typed
from stgan.names import quoted
from stgan.progress import bars

if TYPE_CHECKING:
    from torch import Tensor

    from stgan.generation import Companion
    from stgan.sampling import SamplerSettings

_MOST_CLIPS = 1_000_000  # of each action
_MOST_ITERATIONS = 100_000
_MOST_INTERMEDIATES = 200  # of each clip
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
    device: options.Device = None,
) -> None:
    """Generate clips of human actions: OUT/ACTION/*.mp4, OUT/manifest.jsonl, OUT/contact_sheet.png.

    Clips are optimised until the condition network, a video classifier, recognises the action in them.
    """
    from stgan.checkpoints.own_classifier import OWN, is_own_classifier, load_own_classifier
    from stgan.generation import CONTACT_SHEET, FPS, MOST_TOGETHER, PREVIOUS, GenerationJob, read_init
    from stgan.manifest import MANIFEST
    from stgan.pipeline import STGAN
    from stgan.report.iterations import Intermediates, Trace, maximised
    from stgan.video import write_gif
    from stgan.video.encoding import LARGEST_GIF

    console = new_console()
    started = time.monotonic()
    check_range("--num", num, 1, _MOST_CLIPS)
    check_range("--seed", seed, -LARGEST_SEED, LARGEST_SEED)
    check_range("--iterations", iterations, 1, _MOST_ITERATIONS)
    check_range("--batch", batch, 1, MOST_TOGETHER)
    share = parse_shard(shard)
    check_needed("--init", init, {"--strength": strength})
    own = load_own_classifier(condition) if is_own_classifier(condition) else None
    stgan = STGAN.from_pretrained(typed(model), device, own)
    condition = OWN if own else condition
    settings = spectral_options(
        stgan.preset(preset, iterations, precision), speed=speed, size=size, magnitudes=magnitudes, diversity=diversity
    )
    steering = stgan.steering(actions or [], condition=condition, frames=frames, target=target, preset=settings)
    start = read_init(stgan, init, steering, STRENGTH if strength is None else strength) if init else None
    job = GenerationJob(stgan, steering, settings, num, seed, batch, start)
    check_range("--intermediate", intermediate, math.ceil(settings.iterations / _MOST_INTERMEDIATES), _MOST_ITERATIONS)
    if gif and steering.side > LARGEST_GIF:
        raise StganError(
            f"a GIF is at most {LARGEST_GIF} pixels wide, and {stgan.name} makes larger frames; drop --gif"
        )
    recorder = Trace(settings.iterations, maximised(steering.classifiers, settings.name, steering.target))
    stages = Intermediates(intermediate or settings.iterations)
    companions: dict[str, "Companion"] = {}
    if gif:
        companions[".gif"] = lambda clip, path: write_gif(path, clip.frames, FPS)
    if trace:
        companions[".trace.png"] = lambda clip, path: recorder.save(path, clip.place)
    if intermediate:
        companions[".iterations"] = lambda clip, path: stages.save(path, clip.place)
    with (
        on_interrupt(_INTERRUPTED_SHARD if shard else _INTERRUPTED),
        job.open(out, resume=resume or shard is not None, shard=share, companions=companions) as run,
    ):
        units = [(len(unit.clips), run.folder.begun(unit)) for unit in run.units()]
        there, total = (sum(clips for clips, begun in units if begun or all_of) for all_of in (False, True))
        if run.previous:
            console.print(f"{out} starts again; its former manifest is now {PREVIOUS}", soft_wrap=True)
        console.print(
            f"{stgan.name}: {total - there} clips of {target or f'{len(steering.objectives)} actions'}, "
            + f"beside {there} that are there, " * bool(there)
            + f"{steering.frames} frames of {steering.side}x{steering.side}, preset {settings.name}, "
            f"steered by {', '.join(steering.classifiers)}, {settings.iterations} iterations"
            + ", unconditional prior"
            * (settings.needs == "clip_prior" and not settings.conditional)
        )
        made, working = 0, time.monotonic()
        with bars(console) as progress:
            clips = progress.add_task("clips", total=total)
            steps = progress.add_task("iterations", total=settings.iterations)

            def on_iteration(iteration: int, objective: "Tensor", render: Callable[[], "Tensor"]) -> None:
                progress.update(steps, completed=iteration + 1)
                if trace:
                    recorder.record(iteration, objective, render)
                if intermediate:
                    stages.record(iteration, render)

            for unit, entries in run.make_all(on_iteration):
                made += len(entries)
                progress.update(clips, advance=len(unit.clips))
        if run.folder.damaged:
            console.print(
                f"{run.folder.damaged} clips of {out} were missing or damaged and are made again", soft_wrap=True
            )
        complete = run.is_complete()
    if made:
        each, now = (time.monotonic() - working) / made, time.monotonic()
        console.print(f"{each:.1f} s per clip, {now - started:.0f} s in total on {stgan.device}")
    if complete:
        console.print(f"Clips, {MANIFEST} and {CONTACT_SHEET} are in {out}", soft_wrap=True)
    else:
        console.print(
            f"Shard {shard} is finished; {MANIFEST} and {CONTACT_SHEET} are made when the last one is "
            f"(stgan status {out})",
            soft_wrap=True,
        )


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
