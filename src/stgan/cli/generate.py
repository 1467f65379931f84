"""`stgan generate`: clips of named actions into a folder."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from stgan.errors import StganError
from stgan.manifest import Manifest
from stgan.pipeline import (
    BOTH,
    FPS,
    FRAMES,
    STGAN,
    ClipRequest,
    Generated,
    generate_clips,
    manifest_entry,
    run_settings,
)
from stgan.report.figures import Strip, save_strips
from stgan.video import read_video, to_uint8, write_gif, write_video

CONTACT_SHEET = "contact_sheet.png"
_CLIPS_ON_SHEET = 4  # of each action


def generate(
    actions: Annotated[
        list[str] | None, typer.Argument(metavar="[ACTION]...", help="What to show; default: every action.")
    ] = None,
    model: Annotated[str, typer.Option(help="Bundled name, folder, or Hugging Face hub id.")] = "weizmann",
    num: Annotated[int, typer.Option(help="Clips of each action.")] = 4,
    seed: Annotated[int, typer.Option(help="Same seed, same clips.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for clips, manifest and contact sheet.")] = Path("outputs"),
    preset: Annotated[str, typer.Option(help="robust, or paper (as published).")] = "robust",
    condition: Annotated[str, typer.Option(help="Which condition network steers: lrcn, c3d or both.")] = BOTH,
    iterations: Annotated[int | None, typer.Option(help="Of activation maximization; default: the preset's.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of a clip; other than 16 only with --condition lrcn.")] = FRAMES,
    gif: Annotated[bool, typer.Option("--gif", help="Write a .gif beside each .mp4.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Write how each clip came about over the iterations.")] = False,
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
    """
    console = Console(markup=False, highlight=False)
    started = time.monotonic()
    stgan = STGAN.from_pretrained(model, device)
    chosen = stgan.check_actions(actions or [])
    settings = stgan.preset(preset, iterations)
    names = ", ".join(stgan.condition_names(condition))
    if num < 1:
        raise StganError(f"--num must be at least 1, not {num}")
    stgan.check_frames(condition, frames)
    manifest = prepare_folder(out)
    common = run_settings(stgan, seed, settings, condition, frames)
    kept = finished_clips(manifest, common) if resume else []
    manifest.write(kept)
    finished = {(entry["action"], entry["index"]) for entry in kept}
    wanted = [(action, index) for index in range(num) for action in chosen]
    left = [pair for pair in wanted if pair not in finished]
    console.print(
        f"{stgan.name}: {len(left)} clips of {len(chosen)} actions, {frames} frames of "
        f"{stgan.image_size}x{stgan.image_size}, preset {settings.name}, steered by {names}, "
        f"{settings.iterations} iterations"
    )
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    seconds: list[float] = []
    with Progress(*columns, console=console) as progress:
        clips = progress.add_task("clips", total=len(left))
        steps = progress.add_task("iterations", total=settings.iterations)
        recorder = Trace(settings.iterations)

        def on_iteration(iteration: int, objective: Tensor, render: Callable[[], Tensor]) -> None:
            progress.update(steps, completed=iteration + 1)
            if trace:
                recorder.record(iteration, objective, render)

        made = generate_clips(
            stgan, chosen, num, seed, settings, condition, frames, on_iteration,
            skip=lambda request: (request.action, request.index) in finished,
        )  # fmt: skip
        for clip in until_interrupted(made):
            name = Path(clip.request.action) / clip_name(clip.request, seed)
            video = to_uint8(clip.samples.videos[0].cpu())
            (out / name).parent.mkdir(exist_ok=True)
            write_video(out / name, video, FPS)
            if gif:
                write_gif((out / name).with_suffix(".gif"), video, FPS)
            if trace:
                recorder.save((out / name).with_suffix(".trace.png"))
            manifest.append(manifest_entry(clip, name, common))
            seconds.append(clip.seconds)
            progress.update(clips, advance=1)
    write_contact_sheet(out, manifest)
    if seconds:
        each = sum(seconds) / len(seconds)
        console.print(f"{each:.1f} s a clip, {time.monotonic() - started:.0f} s in all on {stgan.device}")
    console.print(f"Clips, {manifest.path.name} and {CONTACT_SHEET} are in {out}")


def until_interrupted(made: Iterator[Generated]) -> Iterator[Generated]:
    """Ctrl-C ends the run with a sentence; the clips so far are complete and in the manifest."""
    try:
        yield from made
    except KeyboardInterrupt:
        Console(stderr=True).print("stgan: interrupted; finished clips are kept, --resume makes the rest")
        raise typer.Exit(130) from None


def clip_name(request: ClipRequest, seed: int) -> str:
    return f"{request.action}_seed{seed}_{request.index:04d}.mp4"


def prepare_folder(out: Path) -> Manifest:
    """The folder's manifest, in a folder that can be written to."""
    manifest = Manifest(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        manifest.path.touch()
    except OSError as error:
        raise StganError(f"cannot write to {out}: {error.strerror or error}; choose another --out") from error
    return manifest


def finished_clips(manifest: Manifest, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries whose clips are there; StganError if they were made with other settings."""
    entries = manifest.read()
    for entry in entries:
        different = [name for name, value in settings.items() if entry.get(name) != value]
        if different:
            raise StganError(
                f"cannot resume: {entry['file']} in {manifest.path.parent} was made with another {different[0]}; "
                "choose another --out, or leave --resume away to start anew"
            )
    return [entry for entry in entries if (manifest.path.parent / entry["file"]).is_file()]


def write_contact_sheet(out: Path, manifest: Manifest) -> None:
    """A strip for each of the first clips of every action in the manifest."""
    entries = sorted(manifest.read(), key=lambda entry: (entry["action"], entry["index"]))
    shown = [entry for entry in entries if entry["index"] < _CLIPS_ON_SHEET]
    if shown:
        save_strips(
            out / CONTACT_SHEET,
            [Strip(entry["action"], read_video(out / entry["file"], max_frames=None).frames) for entry in shown],
        )


class Trace:
    """The video at a few iterations, closer together at the beginning (the paper's Figure 3)."""

    def __init__(self, iterations: int, rows: int = 8) -> None:
        spread = torch.linspace(0, 1, rows).square() * (iterations - 1)
        self.moments = {round(float(moment)) for moment in spread}
        self.strips: list[Strip] = []

    def record(self, iteration: int, objective: Tensor, render: Callable[[], Tensor]) -> None:
        if iteration in self.moments:
            label = f"{iteration + 1}:  {float(objective[0]):.2f}"
            self.strips.append(Strip(label, to_uint8(render()[0].cpu())))

    def save(self, path: Path) -> None:
        """Write the rows recorded since the last call."""
        save_strips(path, self.strips, columns=8)
        self.strips = []
