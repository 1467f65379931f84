"""A set of clips for a study: made once, kept, and completed if a run was interrupted; the first of its clips."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from stgan.generation import FPS, as_before, generate_clips, manifest_entry, run_settings
from stgan.manifest import Manifest
from stgan.output_folder import open_output
from stgan.pipeline import FRAMES, STGAN, OnIteration
from stgan.sampling import SamplerSettings
from stgan.scoring import Clip, generated_clips
from stgan.video import read_video, to_uint8


def generate_set(
    model: STGAN,
    preset: SamplerSettings,
    condition: str,
    num: int | Mapping[str, int],
    seed: int,
    folder: Path,
    *,
    on_iteration: OnIteration | None = None,
    on_clip: Callable[[], None] = lambda: None,
) -> Path:
    """`num` clips of every action in a folder, those that are there already kept; returns the folder.

    num: of every action alike, or of each action by its name; of actions that it does not name, none.
    on_clip: called for every clip, made or kept.

    Raises:
        StganError: the folder holds clips that were made otherwise, is in use, or cannot be written to.
    """
    of = dict(num) if isinstance(num, Mapping) else dict.fromkeys(model.actions, num)
    with as_before(folder, model.batch_size(FRAMES)) as batch:
        settings = run_settings(model, seed, preset, condition, FRAMES, batch)
        with open_output(folder, settings, resume=True) as output:
            keys = [(action, index) for index in range(max(of.values())) for action in of if index < of[action]]
            for key in keys:
                if output.finished(key):
                    on_clip()
            for clip in generate_clips(
                model, of, seed, preset, condition, FRAMES, on_iteration,
                skip=lambda request: output.finished((request.action, request.index)), batch=batch,
            ):  # fmt: skip
                name = output.name((clip.request.action, clip.request.index))
                output.add(manifest_entry(clip, name, settings), to_uint8(clip.sample.videos[0].cpu()), FPS)
                on_clip()
            output.finish(keys)
    return output.path


def first_clips(folder: Path, num: int) -> list[Clip]:
    """The first `num` clips of every action in a set: it may have more from an earlier run."""
    kept = {entry["file"] for entry in Manifest(folder).read() if entry["index"] < num}
    return [clip for clip in generated_clips(folder) if clip.name in kept]


def first_frames(folder: Path, action: str) -> UInt8[np.ndarray, "time height width 3"]:
    """The frames of an action's first clip in a set."""
    first = next(entry for entry in Manifest(folder).read() if entry["action"] == action and entry["index"] == 0)
    return read_video(folder / first["file"]).frames
