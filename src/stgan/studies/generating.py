"""Sets of clips for studies. A set is made once and kept; an interrupted run is completed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from stgan.generation import GenerationJob
from stgan.manifest import Manifest
from stgan.sampling import OnIteration
from stgan.scoring import Clip, generated_clips
from stgan.video import read_video


def generate_set(
    job: GenerationJob,
    folder: Path,
    *,
    on_iteration: OnIteration | None = None,
    on_clip: Callable[[], None] = lambda: None,
) -> Path:
    """Generate the clips of a job in a folder, and keep those that exist; returns the folder.

    on_clip: called for every clip, made or kept.

    Raises:
        StganError: the folder holds clips that were made with other settings, is in use, or cannot be written to.
    """
    with job.open(folder, resume=True) as run:
        for unit, _ in run.make_all(on_iteration):
            for _ in unit.clips:
                on_clip()
    return folder


def first_clips(folder: Path, num: int) -> list[Clip]:
    """The first `num` clips of every action in a set, which may have more from an earlier run."""
    kept = {entry.file for entry in Manifest(folder).read() if entry.index < num}
    return [clip for clip in generated_clips(folder) if clip.name in kept]


def first_frames(folder: Path, action: str) -> UInt8[np.ndarray, "time height width 3"]:
    """The frames of an action's first clip in a set."""
    first = next(entry for entry in Manifest(folder).read() if entry.action == action and entry.index == 0)
    return read_video(folder / first.file).frames
