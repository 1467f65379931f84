"""Clips that a program holds as tensors, as clips to score."""

import atexit
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stgan.errors import StganError
from stgan.files import replacing
from stgan.scoring.clips import Clip
from stgan.scoring.evaluators import check_videos
from stgan.video import TensorClip, to_uint8

Videos = Tensor | Iterable[Any]
"""Videos "n 3 time height width", or an iterable of them, each alone or with the labels of its clips."""


def tensor_clips(
    videos: Videos,
    actions: Iterable[str | int] | None = None,
    *,
    classes: Sequence[str] = (),
    folder: Path | None = None,
) -> list[Clip]:
    """Clips of tensors, for `evaluate`: `evaluate(tensor_clips(videos), evaluator)`.

    Each clip is written to a file of its own, so that only those of one batch are in memory. Evaluation of files sees
    bytes: values are rounded to the nearest of 256 levels.

    Args:
        videos: RGB videos "n 3 time height width", floats from 0 to 1 or uint8; or an iterable of such batches, such as
            a generator or a DataLoader, each alone or as a pair of videos and labels. Batches may differ in size.
        actions: what each clip should show, in the order of the clips. Default: the labels of the batches, if any.
        classes: the names of actions that are given as numbers.
        folder: where the clips are written, and stay. Default: a temporary folder, which is removed when Python ends.

    Raises:
        StganError: a batch is no such tensor, has other values, or stills; there are no clips, or not as many actions;
            a number has no name; or the folder has other files.
    """
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="stgan-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StganError(f"the folder {str(folder)!r} is not empty; name a new one for the clips")
    batches = [videos] if isinstance(videos, Tensor) else videos
    clips: list[Clip] = []
    for frames, label in chain.from_iterable(map(_with_labels, batches)):
        path = folder / f"{len(clips):06d}.npy"
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, frames)
        clips.append(Clip(path, path.name, _named(label, classes), tensor=TensorClip(path)))
    if actions is not None:
        names = [_named(label, classes) for label in actions]
        if len(names) != len(clips):
            raise StganError(f"there are {len(names)} actions of {len(clips)} clips; give one for each")
        clips = [replace(clip, action=name) for clip, name in zip(clips, names, strict=True)]
    if not clips:
        raise StganError("there are no videos to score; give at least one")
    return clips


def _with_labels(batch: Any) -> Iterator[tuple[np.ndarray, str | int | None]]:
    """The frames "time height width 3" of each video of a batch, with its label."""
    videos, *labels = batch if isinstance(batch, tuple | list) else (batch,)
    if not isinstance(videos, Tensor) or videos.ndim != 5 or videos.shape[1] != 3:
        shape = "x".join(map(str, videos.shape)) if isinstance(videos, Tensor) else type(videos).__name__
        raise StganError(f"videos are tensors of 'n 3 time height width', not {shape}; rearrange them")
    names = labels[0] if labels else [None] * len(videos)
    names = names.tolist() if isinstance(names, Tensor) else names
    if len(labels) > 1 or len(names) != len(videos):
        raise StganError("a batch is a tensor of videos, or a pair of it and one label for each video")
    if videos.dtype != torch.uint8:
        check_videos(videos.float())
    for video, name in zip(videos, names, strict=True):
        yield video.permute(1, 2, 3, 0).cpu().numpy() if video.dtype == torch.uint8 else to_uint8(video.float()), name


def _named(label: Any, classes: Sequence[str]) -> str | None:
    if label is None or isinstance(label, str):
        return label
    if not isinstance(label, int) or not (0 <= label < len(classes) or not classes):
        raise StganError(f"{label!r} is no action; give a name, or the number of one of the {len(classes)} classes")
    return classes[label] if classes else str(label)
