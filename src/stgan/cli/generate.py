"""`stgan generate`: clips of named actions into a folder."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from stgan.checkpoints import OWN, is_own_classifier, load_own_classifier
from stgan.devices import Precision
from stgan.errors import Interrupted, StganError
from stgan.files import DEFAULT_MODEL, replacing, typed
from stgan.generation import FPS, MOST_TOGETHER, as_before, generate_clips, manifest_entry, run_settings
from stgan.output_folder import CONTACT_SHEET, PREVIOUS, open_output
from stgan.pipeline import BOTH, FRAMES, STGAN, STRENGTH
from stgan.report.iterations import Trace
from stgan.sampling import Init
from stgan.video import center_window, read_video, to_float, to_uint8, write_gif, write_video
from stgan.video.io import LARGEST_GIF

_MOST_CLIPS = 1_000_000  # of each action
_MOST_ITERATIONS = 100_000
_LARGEST_SEED = 2**63 - 1
_MOST_INTERMEDIATES = 200  # of each clip


def generate(
    actions: Annotated[
        list[str] | None, typer.Argument(metavar="[ACTION]...", help="What to show; default: every action.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="Bundled name, folder, or Hugging Face hub id.", show_default="weizmann")
    ] = str(DEFAULT_MODEL),
    num: Annotated[int, typer.Option(help="Clips of each action.")] = 4,
    seed: Annotated[int, typer.Option(help="Same seed, same clips.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for clips, manifest and contact sheet.")] = Path("outputs"),
    preset: Annotated[
        str | None,
        typer.Option(
            help="motion (knows clips; the default where the model has a sequence prior), robust (knows frames only; "
            "the default with --init), paper (as published), or pixels (no generator)."
        ),
    ] = None,
    condition: Annotated[
        str,
        typer.Option(
            metavar="NAME|MODULE:FUNCTION",
            help="Which condition network steers: lrcn, c3d or both; or a classifier of your own, which this function "
            "of a module or FILE.py returns: its code is run.",
        ),
    ] = BOTH,
    iterations: Annotated[int | None, typer.Option(help="Of activation maximization; default: the preset's.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of a clip; below 16 only with --condition lrcn.")] = FRAMES,
    init: Annotated[Path | None, typer.Option(metavar="CLIP", help="Start from this video, not from noise.")] = None,
    strength: Annotated[float, typer.Option(help="How much of --init may change, above 0 and up to 1.")] = STRENGTH,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER[:UNIT]",
            help="Activate this part of the condition network instead of showing an action: LAYER, LAYER:CHANNEL or "
            "LAYER:CHANNEL,T,Y,X; stgan info --layers lists them.",
        ),
    ] = None,
    intermediate: Annotated[
        int | None, typer.Option(metavar="N", help="Write the clip as it stands every N iterations, too.")
    ] = None,
    gif: Annotated[bool, typer.Option("--gif", help="Write a .gif beside each .mp4.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Write how each clip came about over the iterations.")] = False,
    batch: Annotated[
        int | None, typer.Option(help="Clips of an action at a time; default: as many as suit the device.")
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(
            help="What a clip is sought in: bf16-mixed is faster where GPU or processor have it, and gives other clips."
        ),
    ] = "32-true",
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the folder's clips and make the missing ones.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ...; default: a GPU if there is one.")] = None,
) -> None:
    """Generate clips of human actions: OUT/ACTION/*.mp4, OUT/manifest.jsonl, OUT/contact_sheet.png.

    Examples:

      stgan generate                               (every action, 4 clips each)

      stgan generate wave2 jack --num 8 --seed 1 --gif --out clips

      stgan generate bend --preset paper --trace

      stgan generate wave2 --init walk.mp4         (what is in walk.mp4, made to wave)

      stgan generate --target lstm:17 --condition lrcn

      stgan generate --condition my_classifier.py:make
    """
    console = Console(markup=False, highlight=False)
    started = time.monotonic()
    check_range("--num", num, 1, _MOST_CLIPS)
    check_range("--seed", seed, -_LARGEST_SEED, _LARGEST_SEED)
    if iterations is not None:
        check_range("--iterations", iterations, 1, _MOST_ITERATIONS)
    if batch is not None:
        check_range("--batch", batch, 1, MOST_TOGETHER)
    own = load_own_classifier(condition) if is_own_classifier(condition) else None
    stgan = STGAN.from_pretrained(typed(model), device, own)
    condition = OWN if own else condition
    settings = stgan.preset(preset, iterations, precision, init=init is not None)
    names = ", ".join(stgan.condition_names(condition))
    stgan.check_frames(condition, frames)
    chosen = what_to_show(stgan, actions or [], target, condition, frames)
    start = read_init(stgan, init, frames, strength) if init else None
    if intermediate is not None:
        check_range(
            "--intermediate", intermediate, math.ceil(settings.iterations / _MOST_INTERMEDIATES), _MOST_ITERATIONS
        )
    size = stgan.clip_size(condition)
    if gif and size > LARGEST_GIF:
        raise StganError(
            f"a GIF is at most {LARGEST_GIF} pixels wide, and {stgan.name} makes larger frames; drop --gif"
        )
    endings = [".gif"] * gif + [".trace.png"] * trace + [".iterations"] * bool(intermediate)
    with ExitStack() as stack:
        together = stgan.batch_size(frames)
        if resume:
            together = stack.enter_context(as_before(out, together))
        together = batch or together
        common = run_settings(stgan, seed, settings, condition, frames, together, target=target, init=start)
        stack.enter_context(saying_how_to_go_on())
        folder = stack.enter_context(open_output(out, common, resume=resume))
        left = sum(not folder.finished((action, index), endings) for index in range(num) for action in chosen)
        if folder.previous:
            console.print(f"{out} is started anew: its former manifest is now {PREVIOUS}", soft_wrap=True)
        if folder.damaged:
            console.print(
                f"{folder.damaged} clips of {out} are missing or damaged and left its manifest", soft_wrap=True
            )
        console.print(
            f"{stgan.name}: {left} clips of {target or f'{len(chosen)} actions'}, {frames} frames of "
            f"{size}x{size}, preset {settings.name}, steered by {names}, "
            f"{settings.iterations} iterations"
            + (", its prior of clips not told the action" if settings.action_guidance == 0 else "")
        )
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(),
        )  # fmt: skip
        seconds: list[float] = []
        with Progress(*columns, console=console) as progress:
            clips = progress.add_task("clips", total=left)
            steps = progress.add_task("iterations", total=settings.iterations)
            recorder = Trace(settings.iterations)
            stages = Intermediates(intermediate or settings.iterations)

            def on_iteration(iteration: int, objective: Tensor, render: Callable[[], Tensor]) -> None:
                progress.update(steps, completed=iteration + 1)
                if trace:
                    recorder.record(iteration, objective, render)
                if intermediate:
                    stages.record(iteration, render)

            for clip in generate_clips(
                stgan, dict.fromkeys(chosen, num), seed, settings, condition, frames, on_iteration,
                skip=lambda request: folder.finished((request.action, request.index), endings),
                batch=together, target=target, init=start,
            ):  # fmt: skip
                video = to_uint8(clip.sample.videos[0].cpu())
                writers: dict[str, Callable[[Path], None]] = {
                    ".gif": partial(write_gif, frames=video, fps=FPS),
                    ".trace.png": partial(recorder.save, place=clip.place),
                    ".iterations": partial(stages.save, place=clip.place),
                }
                name = folder.name((clip.request.action, clip.request.index))
                folder.add(
                    manifest_entry(clip, name, common), video, FPS, {ending: writers[ending] for ending in endings}
                )
                seconds.append(clip.seconds)
                progress.update(clips, advance=1)
        folder.finish((action, index) for index in range(num) for action in chosen)
    if seconds:
        each = sum(seconds) / len(seconds)
        console.print(f"{each:.1f} s a clip, {time.monotonic() - started:.0f} s in all on {stgan.device}")
    console.print(f"Clips, {folder.manifest.path.name} and {CONTACT_SHEET} are in {out}", soft_wrap=True)


def check_range(option: str, value: int | float, least: int | float, most: int) -> None:
    if not least <= value <= most:
        raise StganError(f"{option} must be at least {least} and at most {most}, not {value}")


def what_to_show(stgan: STGAN, actions: list[str], target: str | None, condition: str, frames: int) -> list[str]:
    """The actions, or the name of the target, that clips are made of."""
    if target is None:
        return stgan.check_actions(actions)
    if actions:
        raise StganError(f"name either actions or a --target, not both {actions[0]!r} and {target!r}")
    stgan.find_target(target, condition, frames)
    return [stgan.target_name(target, condition)]


def read_init(stgan: STGAN, path: Path, frames: int, strength: float) -> Init:
    """The middle frames of a video file, as what to start from."""
    clip = read_video(path).frames
    return stgan.init(to_float(clip[center_window(len(clip), frames)]), frames, strength, path.name)


@contextmanager
def saying_how_to_go_on() -> Iterator[None]:
    """Ctrl-C ends with a sentence."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("finished clips are kept, --resume makes the rest") from None


class Intermediates:
    """The clips of a batch as they stand every few iterations, in a folder beside each: 0010.mp4, 0020.mp4, ..."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.videos: dict[int, list[np.ndarray]] = {}

    def record(self, iteration: int, render: Callable[[], Tensor]) -> None:
        if iteration == 0:  # another batch
            self.videos = {}
        if (iteration + 1) % self.every == 0:
            self.videos[iteration + 1] = [to_uint8(video.cpu()) for video in render()]

    def save(self, path: Path, place: int) -> None:
        """Write the folder of the clip at this place in the batch."""
        with replacing(path) as folder:
            folder.mkdir()
            for number, videos in self.videos.items():
                write_video(folder / f"{number:04d}.mp4", videos[place], FPS)
