"""Clips that a program holds as tensors, as clips to score."""

import atexit
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from operator import index
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import torch
from torch import Tensor

from stgan.errors import StganError
from stgan.files import replacing
from stgan.names import is_file_name, printable, quoted
from stgan.scoring.clips import Clip
from stgan.scoring.evaluators import check_videos
from stgan.video import TensorClip, to_uint8

Videos = Tensor | Iterable[Any]
"""Videos "n 3 time height width", or an iterable of them, each alone or with the labels of its clips."""


def tensor_clips(
    videos: Videos,
    actions: Iterable[str | SupportsIndex] | None = None,
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
        folder: where the clips are written, and stay, unless one is wrong. Default: a temporary folder, which is
            removed when Python ends.

    Raises:
        StganError: a batch is no such tensor, has other values, or stills; there are no clips, or not as many actions;
            an action is no name that a file could have, or no number of a class; or the folder has other files.
    """
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="stgan-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StganError(f"the folder {str(folder)!r} is not empty; name a new one for the clips")
    batches = [videos] if isinstance(videos, Tensor) else videos
    clips: list[Clip] = []
    try:
        for frames, label in chain.from_iterable(map(_with_labels, batches)):
            path, action = folder / f"{len(clips):06d}.npy", _named(label, classes)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, frames)
            clips.append(Clip(path, path.name, action, tensor=TensorClip(path)))
        if actions is not None:
            names = [_named(label, classes) for label in actions]
            if len(names) != len(clips):
                raise StganError(f"there are {len(names)} actions of {len(clips)} clips; give one for each")
            clips = [replace(clip, action=name) for clip, name in zip(clips, names, strict=True)]
        if not clips:
            raise StganError("there are no videos to score; give at least one")
    except BaseException:  # so that the folder is empty for the next try
        for clip in clips:
            clip.path.unlink(missing_ok=True)
        raise
    return clips


def _with_labels(batch: Any) -> Iterator[tuple[np.ndarray, str | SupportsIndex | None]]:
    """The frames "time height width 3" of each video of a batch, with its label."""
    videos, *labels = batch if isinstance(batch, tuple | list) else (batch,)
    if not isinstance(videos, Tensor) or videos.ndim != 5 or videos.shape[1] != 3:
        shape = "x".join(map(str, videos.shape)) if isinstance(videos, Tensor) else type(videos).__name__
        raise StganError(f"videos are tensors of 'n 3 time height width', not {shape}; rearrange them")
    names = labels[0] if labels else [None] * len(videos)
    names = names.tolist() if isinstance(names, Tensor | np.ndarray) and names.ndim == 1 else names
    if len(labels) > 1 or not isinstance(names, list | tuple) or len(names) != len(videos):
        raise StganError("a batch is a tensor of videos, or a pair of it and one label for each video")
    if videos.dtype != torch.uint8:
        check_videos(videos.float())
    for video, name in zip(videos, names, strict=True):
        yield video.permute(1, 2, 3, 0).cpu().numpy() if video.dtype == torch.uint8 else to_uint8(video.float()), name


def _named(label: Any, classes: Sequence[str]) -> str | None:
    """The action of a label: a name, or the number of a class."""
    if label is None:
        return None
    name = label
    if not isinstance(label, str):
        try:
            number = index(label)  # also of NumPy and of PyTorch
        except TypeError:
            number = -1
        if number < 0 or (classes and number >= len(classes)):
            raise StganError(
                f"{printable(repr(label), 60)} is no action; give a name, or the number of one of the "
                f"{len(classes)} classes"
            )
        name = classes[number] if classes else str(number)
    if not is_file_name(name):
        raise StganError(f"{quoted(name)} is no name of an action; use printable words of at most 100 bytes")
    return name
