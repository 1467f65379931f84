"""The video at a few iterations of activation maximization (the paper's Figure 3)."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stgan.checkpoints import CheckpointError, ModelFolder
from stgan.devices import choose_device
from stgan.errors import NoMemoryError, StganError, on_out_of_memory
from stgan.files import replacing
from stgan.generation import FPS
from stgan.names import printable
from stgan.pipeline import STGAN
from stgan.records import as_record
from stgan.report.films import read_clip
from stgan.report.page import fixed, known, picture_uri
from stgan.report.shown import Shown
from stgan.sampling import SamplerSettings, Settings
from stgan.spacing import evenly_spread
from stgan.video import VideoError, to_uint8, write_video
from stgan.video.strips import Strip, save_strips

_ROWS, _COLUMNS = 8, 8
_HASHES = ("generator", "encoder", "map_codec", "frame_prior", "clip_prior", "condition")
_TOO_LONG = "making one again would take too long"
_NO_MEMORY = "there is not enough memory to make one again; close other programs"
_MOST_WORK = 64 * 1000 * 64**2  # iterations times pixels of all frames, of a clip that is sampled again for a page


class Trace:
    """Records the videos of a batch at a few iterations, which are denser at the beginning.

    maximised: what the clips maximise, in words (see `maximised`).
    """

    def __init__(self, iterations: int, maximised: str, rows: int = _ROWS) -> None:
        self.maximised = maximised
        spread = torch.linspace(0, 1, rows).square() * (iterations - 1)
        self.moments = {round(float(moment)) for moment in spread}
        self.strips: list[list[Strip]] = []

    def record(self, iteration: int, objective: Tensor, render: Callable[[], Tensor]) -> None:
        if iteration == 0:  # another batch
            self.strips = [[] for _ in objective]
        if iteration in self.moments:
            for strips, value, video in zip(self.strips, objective.tolist(), render(), strict=True):
                # The value is NaN before the first step up the gradient.
                label = f"{iteration + 1}" if math.isnan(value) else f"{iteration + 1}:  {fixed(value)}"
                strips.append(Strip(label, to_uint8(video.cpu())))

    def save(self, path: Path, place: int = 0) -> None:
        """Write the picture of the clip at this place in the batch: one row for each recorded iteration."""
        save_strips(path, self.strips[place], columns=_COLUMNS, title=f"iteration: {self.maximised}")


def maximised(steered_by: Iterable[str], preset: str, target: str | None) -> str:
    """What clips maximise: the value beside an iteration. It is of the networks that steer, not of an evaluator."""
    value = "logit of the action, minus the mean logit," if preset == "spectral" else "log p of the action"
    names = printable(" and ".join(steered_by), 60)
    return f"{printable(target, 40) if target else value} under {names}, which steered"


class Intermediates:
    """Records the videos of a batch after every few iterations: a folder for each, with 0010.mp4, 0020.mp4, ..."""

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


@dataclass(frozen=True)
class Drawn:
    """The clip whose iterations a picture shows, and a text that says where the picture comes from."""

    clip: Shown
    source: str


def draw_iterations(path: Path, clips: Sequence[Shown], model: ModelFolder) -> Drawn | str:
    """Write the picture of the first clip that `stgan generate --trace` or `--intermediate` recorded. If there is
    none, sample the first clip again, provided that this model made it.

    Returns:
        The clip and the source of the picture, or the reason why there is none.
    """
    for clip in clips:
        beside = clip.path.with_suffix(".trace.png")
        if beside.is_file() and not beside.is_symlink() and picture_uri(beside):
            with replacing(path) as temporary, Image.open(beside) as image:
                image.convert("RGB").save(temporary, format="PNG")
            return Drawn(
                clip,
                f"its trace; beside each row the number of the iteration and {_maximised(clip)}",
            )
    for clip in clips:
        strips = _intermediates(clip.path.with_suffix(".iterations"))
        if strips:
            save_strips(path, strips, columns=_COLUMNS)
            return Drawn(clip, "its intermediate clips; beside each row the number of the iteration")
    if not clips:
        return "there are no clips"
    trace = _sample_again(clips[0], model)
    if isinstance(trace, str):
        return f"no clip has a trace beside it (stgan generate --trace), and {trace}"
    trace.save(path)
    return Drawn(
        clips[0],
        f"sampled again from the manifest; beside each row the number of the iteration and {_maximised(clips[0])}",
    )


def _maximised(clip: Shown) -> str:
    """In words, once gradients of it are taken. The manifest is not trusted."""
    names, target = known(clip.entry, "hashes", "condition"), clip.entry.get("target")
    by = names if isinstance(names, dict) else ["the networks"]
    value = maximised(by, str(clip.entry.get("preset")), target if isinstance(target, str) else None)
    return f"{value} (none in iterations that are not steered)"


def _intermediates(folder: Path) -> list[Strip]:
    if not folder.is_dir() or folder.is_symlink():
        return []
    files = sorted(path for path in folder.glob("*.mp4") if not path.is_symlink())
    strips = []
    for number in evenly_spread(len(files), min(len(files), _ROWS)):
        try:
            strips.append(Strip(files[number].stem.lstrip("0")[:12] or "0", read_clip(files[number]).frames))
        except VideoError:
            continue
    sizes = {strip.frames.shape[1:] for strip in strips}
    return strips if len(sizes) == 1 else []


def _sample_again(clip: Shown, model: ModelFolder) -> Trace | str:
    """Make a clip again and return its trace, or the reason why that is not possible."""
    entry = clip.entry
    if not entry:
        return "there is no manifest to make one from"
    if entry.get("init") or entry.get("target"):
        return "clips that start from a video or maximize a target are not made again for a page"
    try:
        with on_out_of_memory(_NO_MEMORY):
            preset: SamplerSettings = as_record(Settings, entry["settings"], "the settings")
            if not all(isinstance(n, int) and n > 0 for n in (preset.iterations, entry["frames"])):
                raise TypeError
            stgan = STGAN(model, choose_device())
            work = preset.iterations * entry["frames"]
            if work * stgan.image_size**2 > _MOST_WORK:
                return _TOO_LONG
            steering = stgan.steering(condition=entry["condition"], frames=entry["frames"], preset=preset)
            if work * steering.whole**2 > _MOST_WORK:
                return _TOO_LONG
            hashes = stgan.hashes(steering)
            if any(entry["hashes"].get(name) != hashes.get(name) for name in _HASHES):
                return f"the model {stgan.name} did not make the clips"
            trace = Trace(preset.iterations, maximised(steering.classifiers, preset.name, steering.target))
            stgan.sample(steering, clip.action, [entry["index"]], entry["seed"], preset, on_iteration=trace.record)
    except NoMemoryError:
        return _NO_MEMORY
    except CheckpointError:
        return "the model that made them is not available (--model)"
    except (StganError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError):
        return "the manifest does not say how to make one again"
    return trace
