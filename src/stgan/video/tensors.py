"""Clips that are tensors in files: .npy and .npz of NumPy, .pt and .pth of PyTorch, and .safetensors.

Files are mapped into memory, so that only the frames that are read take memory. The members of a compressed .npz are
unpacked into a temporary file first. No file runs code: pickles may name nothing but tensors.
"""

import os
import struct
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from math import prod
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Any, Literal, get_args
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import UInt8
from safetensors import safe_open
from torch import Tensor

from stgan.archives import is_archive, open_archive
from stgan.errors import VideoError
from stgan.names import is_file_name, one_line, quoted
from stgan.records import parse_json
from stgan.tensor_files import LONGEST_HEADER, check_pickles, check_table, npy_header
from stgan.video.columns import with_class_names

TENSORS = (".npy", ".npz", ".pt", ".pth", ".safetensors")
"""Endings of the names of files of tensors."""
Layout = Literal["THWC", "TCHW", "CTHW"]
Range = Literal["0-255", "0-1", "-1-1"]
LAYOUTS = tuple(f"{batch}{clip}" for batch in ("", "B") for clip in get_args(Layout))
"""Axes of a tensor of one clip, and of several (B): time, height, width, and the three channels."""
RANGES: dict[Range, tuple[float, float]] = {"0-255": (0, 255), "0-1": (0, 1), "-1-1": (-1, 1)}
"""The values of black and of white."""

MOST_FRAMES = 3000
"""Of a clip that is read, unless a caller says otherwise; with `MOST_PIXELS` of a frame and `MOST_DECODED` of all."""
MOST_PIXELS = 4096 * 4096
MOST_DECODED = 6 << 30  # 3000 frames of 1920x1080 have 5.8 GiB

_LABELS = ("labels", "actions")
_SLACK = 1e-3  # beyond 0 and 1, for rounding errors
_SURELY_NEGATIVE = -0.1  # less is overshoot of a resized clip, or a dark clip in [-1, 1]
_MOST_CLIPS = 1_000_000  # of an input
_MOST_UNPACKED = 4 << 30  # bytes of all members of compressed .npz files that are mapped
_MOST_SCANNED = 4 << 30  # bytes of values to find their range
_SCANNED = 1 << 24  # bytes of them at a time
_MOST_LABELS = 1 << 26  # bytes
_OPEN = 8  # files
_NAME_LENGTHS = 26  # bytes of a zip member's header before the lengths of its name and of what follows that
_DTYPES = {
    **{"U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8"},
    **{"F16": "<f2", "F32": "<f4", "F64": "<f8"},
}
"""Types of .safetensors files that NumPy has too."""
_opening = threading.Lock()  # no file is unpacked twice at once
_unpacked: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""Bytes of each unpacked member that is mapped. Its file is gone with the map."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class TensorClip:
    """A clip that is a tensor in a file, or a row of one.

    key:    the name of the tensor in its file; "" if it has none.
    index:  the row; None if the tensor is a single clip.
    layout: the axes of the clip.
    values: the range of its values, which become 256 levels, rounded to the nearest. Bytes have "0-255".
    """

    path: Path
    key: str = ""
    index: int | None = None
    layout: Layout = "THWC"
    values: Range = "0-255"

    def __str__(self) -> str:
        return f"{self.path}/{self.inner}".rstrip("/")

    @property
    def inner(self) -> str:
        """Its name within the file; "" if the file has no other clip."""
        return "/".join(part for part in (self.key, "" if self.index is None else f"{self.index:06d}") if part)

    def stored(self) -> np.ndarray:
        """Its values as stored, "time height width 3", not yet read. VideoError if the file no longer has them."""
        whole = tensors_in(self.path).get(self.key)
        try:
            clip = whole if self.index is None else whole[self.index]  # type: ignore[index]
            return clip.transpose([self.layout.index(axis) for axis in "THWC"])  # type: ignore[union-attr]
        except (AttributeError, TypeError, IndexError, ValueError) as error:
            raise VideoError(f"{quoted(str(self))} is no longer there: the file was changed.") from error

    def frames(self, part: range) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        """These frames as RGB bytes. VideoError as `as_bytes`, or if the file is changed meanwhile."""
        changed, stored = _watch(self.path), self.stored()
        for frame in stored[part.start : part.stop]:
            changed()
            yield self.as_bytes(frame)

    def as_bytes(self, frame: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
        """A frame as stored, as RGB bytes. VideoError if it has values outside the range."""
        if frame.dtype == np.uint8:
            return np.ascontiguousarray(frame)
        black, white = RANGES[self.values]
        low, high, slack = float(frame.min()), float(frame.max()), _SLACK * (white - black)
        if not black - slack <= low <= high <= white + slack:
            found = "values that are no finite numbers" if np.isnan(low + high) else f"values from {low:g} to {high:g}"
            raise VideoError(
                f"{quoted(str(self))} has {found}, where its range is {self.values}: correct it or state its --range."
            )
        levels = (frame.astype(np.promote_types(frame.dtype, np.float32)) - black) * (255 / (white - black))
        return np.ascontiguousarray(levels.round().clip(0, 255).astype(np.uint8))

    def sha256(self) -> str:
        """SHA-256 of the number, height, width and RGB bytes of all frames, hexadecimal.

        VideoError as `read_video` raises it for a clip beyond its limits.
        """
        from stgan.video.decoding import inspect_clip  # which imports this module

        facts = inspect_clip(self)
        return sha256(f"{facts.frames} {facts.height} {facts.width} {facts.sha256}".encode()).hexdigest()


def find_tensors(
    files: Sequence[Path], *, layout: str | None = None, values: Range | None = None
) -> list[tuple[TensorClip, str | None]]:
    """The clips of files, in their order, each with its action, or None.

    Every tensor of four axes is a clip, and one of five axes has a clip in each row; others are ignored. The texts or
    whole numbers of a tensor `labels` or `actions` are the actions of the rows of the other one. Numbers have the names
    from `classes.txt`, `classInd.txt` or `labels.txt` beside the file, if there is one.

    Args:
        layout: one of `LAYOUTS`. Default: of each tensor, the one in which the channels' axis has length 3.
        values: one of `RANGES`, for floating-point values. Default: -1-1 if any value of the files is below -0.1, and
            0-1 if all are in [0, 1]. Whole numbers are 0-255, and refused if all are in another stated range.

    Raises:
        VideoError: a file cannot be read, has no clips, or other values; its layout or range has to be stated, the
            range also if the first 4 GiB of values leave it open; its labels are not one for each clip.
    """
    found: list[tuple[TensorClip, str | None, bool]] = []
    for file in files:
        found += _clips_of(file, layout, _MOST_CLIPS - len(found))
    if values not in (None, "0-255") and (whole := [clip for clip, _, is_floating in found if not is_floating]):
        _check_bytes(whole, values)
    if floating := [clip for clip, _, is_floating in found if is_floating]:
        known = values or _range(floating)
        return [(replace(clip, values=known) if is_floating else clip, action) for clip, action, is_floating in found]
    return [(clip, action) for clip, action, _ in found]


def tensors_in(path: Path) -> Arrays:
    """The arrays of a file by name, mapped into memory. VideoError if it cannot be read or holds more than numbers."""
    if not os.path.isfile(path):  # opening a pipe would block
        raise VideoError(f"{quoted(path)} is missing or no regular file: give a file of tensors.")
    try:
        about = path.stat()
        with _opening:
            return _mapped(path, about.st_mtime_ns, about.st_size)
    except Exception as error:  # zipfile, safetensors and PyTorch raise many types
        reason = one_line(error, lines=1).rstrip(" .:")
        raise VideoError(f"{quoted(path)} cannot be read as tensors ({reason}): check the file.") from error


def _watch(path: Path) -> Callable[[], None]:
    """A function that raises VideoError once the file is another one or has changed since.

    A map of a file that becomes shorter must not be read: the system would end the process.
    """
    before = _state(path)

    def changed() -> None:
        if _state(path) != before:
            raise VideoError(f"{quoted(path)} was changed while it was read: start again when it is complete.")

    return changed


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


@lru_cache(_OPEN)
def _mapped(path: Path, modified: int, size: int) -> Arrays:
    """The arrays of a file of this size, as it was at this time."""
    match path.suffix.lower():
        case ".npy":
            with path.open("rb") as file:
                return {"": _npy(path, 0, file.read(LONGEST_HEADER), size)}
        case ".npz":
            return _of_archive(path, size)
        case ".safetensors":
            return _of_safetensors(path)
        case _:
            return _of_torch(path, size)


def _npy(file: Path | IO[bytes], begin: int, head: bytes, size: int) -> np.ndarray:
    """The array of a .npy file of this size, which begins there in another file. head: its first bytes."""
    shape, fortran, dtype, offset = npy_header(head, size)
    return _map(file, dtype, begin + offset, shape, "F" if fortran else "C")


def _map(file: Path | IO[bytes], dtype: np.dtype, offset: int, shape: tuple[int, ...], order: Any = "C") -> np.ndarray:
    if not prod(shape):  # nothing can be mapped
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype, "r", offset, shape, order)


def _of_archive(path: Path, size: int) -> Arrays:
    """The arrays of a .npz file."""
    arrays = {}
    with open_archive(path, size + _MOST_UNPACKED) as archive, path.open("rb") as file:
        for info in archive.infolist():
            with archive.open(info) as stream:
                head = stream.read(LONGEST_HEADER)
            if info.compress_type == zipfile.ZIP_STORED:
                file.seek(info.header_offset + _NAME_LENGTHS)
                begin = file.tell() + 4 + sum(struct.unpack("<2H", file.read(4)))
                array = _npy(path, begin, head, info.file_size)
            else:
                if info.file_size + sum(_unpacked.values()) > _MOST_UNPACKED:
                    raise ValueError(
                        f"compressed files would take more than {_MOST_UNPACKED >> 30} GiB unpacked; "
                        "save them with numpy.savez"
                    )
                with tempfile.TemporaryFile() as place, archive.open(info) as stream:
                    copyfileobj(stream, place)
                    array = _npy(place, 0, head, info.file_size)
                if isinstance(array, np.memmap):
                    _unpacked[array.base] = info.file_size
            arrays[info.filename.removesuffix(".npy")] = array
    return arrays


def _of_safetensors(path: Path) -> Arrays:
    """The arrays of a .safetensors file, which `safe_open` has compared with its table of contents."""
    check_table(path)
    with safe_open(path, framework="numpy") as checked:
        names = list(checked.keys())
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        table = parse_json(file.read(length))
    arrays = {}
    for name in names:
        kind, begin, shape = table[name]["dtype"], table[name]["data_offsets"][0], table[name]["shape"]
        if not _is_used(name, len(shape)):
            continue
        if kind not in _DTYPES:
            raise ValueError(f"its tensor {quoted(name)} is of type {kind}; save it as float32, uint8 or int64")
        arrays[name] = _map(path, np.dtype(_DTYPES[kind]), 8 + length + begin, tuple(shape))
    return arrays


def _of_torch(path: Path, size: int) -> Arrays:
    """The tensors of a file of torch.save: one, or a dictionary or a list of some. Lists of texts are arrays, too."""
    if not is_archive(path):
        raise ValueError("it is no archive of torch.save; save it again with PyTorch 1.6 or later")
    check_pickles(path, True, size)
    values = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    values = values if isinstance(values, dict | list | tuple) else {"": values}
    named = values.items() if isinstance(values, dict) else enumerate(values)
    arrays = {}
    for name, value in named:
        if isinstance(value, Tensor) and _is_used(str(name), value.ndim):
            if value.numel() > size:
                raise ValueError("it is damaged: it names more values than it has bytes")
            arrays[str(name)] = value.detach().numpy()
        elif name in _LABELS and isinstance(value, list | tuple):
            if not all(isinstance(each, str | int) for each in value):
                raise ValueError("its labels are not all texts or whole numbers")
            arrays[str(name)] = np.array(value, object)
    return arrays


def _is_used(name: str, axes: int) -> bool:
    """Whether a tensor holds clips or labels. Others may be of types that NumPy does not have."""
    return axes in (4, 5) or name in _LABELS


def _clips_of(file: Path, layout: str | None, most: int) -> list[tuple[TensorClip, str | None, bool]]:
    """The clips of a file, each with its action and whether its values are floating-point numbers."""
    arrays = tensors_in(file)
    clips = {key: array for key, array in arrays.items() if key not in _LABELS and array.ndim in (4, 5)}
    if not clips:
        raise VideoError(f"{quoted(file)} has no tensor of four or five axes: give one of clips (docs/metrics.md).")
    if sum(len(array) if array.ndim == 5 else 1 for array in clips.values()) > most:
        raise VideoError(f"{quoted(file)} has too many clips: give at most {_MOST_CLIPS}.")
    found: list[tuple[TensorClip, bool]] = []
    for key, array in clips.items():
        whole = TensorClip(file, key, layout=_layout(TensorClip(file, key), array, layout))
        rows = range(len(array)) if array.ndim == 5 else (None,)
        found += [(replace(whole, index=row), array.dtype.kind == "f") for row in rows]
    labels = next((arrays[key] for key in _LABELS if key in arrays), None)
    if labels is not None and len(clips) > 1:
        raise VideoError(f"{quoted(file)} has labels of clips in several tensors: give the clips in one.")
    actions = [None] * len(found) if labels is None else _actions(file, labels, len(found))
    return [(clip, action, floating) for (clip, floating), action in zip(found, actions, strict=True)]


def _layout(where: TensorClip, array: np.ndarray, stated: str | None) -> Layout:
    """The axes of a clip of an array."""
    axes = "x".join(map(str, array.shape))
    if array.dtype.kind not in "fiu" or not array.size:
        raise VideoError(f"{quoted(str(where))} of {axes} {array.dtype} has no numbers of pixels: correct the file.")
    fitting = [each for each in get_args(Layout) if array.shape[each.index("C") - 4] == 3]
    if stated:
        fitting = [each for each in fitting if each == stated.removeprefix("B") and len(stated) == array.ndim]
        if not fitting:
            raise VideoError(f"{quoted(str(where))} of {axes} is not {stated} with three channels: correct --layout.")
    if len(fitting) != 1:
        why = f"may be {' or '.join(fitting)}: state its --layout" if fitting else "has no axis of 3 channels: give RGB"
        raise VideoError(f"{quoted(str(where))} of {axes} {why}.")
    return fitting[0]


def _range(clips: Sequence[TensorClip]) -> Range:
    """The range that the values of all clips together show. Values are read until the first that is surely negative."""
    least = 0.0
    for clip, low, high in _extremes(clips):
        if np.isnan(low + high):
            raise VideoError(f"{quoted(str(clip))} has values that are no finite numbers: correct it.")
        if not -1 - _SLACK <= low <= high <= 1 + _SLACK:
            raise VideoError(f"{quoted(str(clip))} has values from {low:g} to {high:g}: state their --range.")
        if low < _SURELY_NEGATIVE:
            return "-1-1"
        least = min(least, low)
    if least < -_SLACK:
        raise VideoError(f"{quoted(str(clips[0]))} and others have no value below {least:g}: state their --range.")
    return "0-1"


def _check_bytes(clips: Sequence[TensorClip], values: Range) -> None:
    """VideoError if whole numbers, which are 0-255, are all in the range of floating-point values that is stated."""
    black, white = RANGES[values]
    if all(black <= low <= high <= white for _, low, high in _extremes(clips)):
        raise VideoError(
            f"{quoted(str(clips[0]))} has whole numbers within {values}, but those count as 0-255: "
            "save floating-point numbers."
        )


def _extremes(clips: Sequence[TensorClip]) -> Iterator[tuple[TensorClip, float, float]]:
    """The least and the largest value of the frames of each clip, some at a time. VideoError beyond `_MOST_SCANNED`."""
    left = _MOST_SCANNED
    for clip in clips:
        changed, stored = _watch(clip.path), clip.stored()
        if is_too_large(stored):  # and refused when it is read
            continue
        step = max(1, _SCANNED * len(stored) // stored.nbytes)  # frames
        for first in range(0, len(stored), step):
            changed()
            some = stored[first : first + step]
            left -= some.nbytes
            if left < 0:
                raise VideoError(
                    f"the first {_MOST_SCANNED >> 30} GiB of values up to {quoted(str(clip))} leave their range open: "
                    "state their --range."
                )
            yield clip, float(some.min()), float(some.max())


def is_too_large(stored: np.ndarray) -> bool:
    """Whether a clip "time height width 3" has more frames or pixels than are read."""
    time, height, width, _ = stored.shape
    return time > MOST_FRAMES or height * width > MOST_PIXELS or time * height * width > MOST_DECODED


def _actions(file: Path, labels: np.ndarray, count: int) -> list[str]:
    """The actions that labels name, of this many clips."""
    if labels.shape != (count,) or labels.dtype.kind not in "UiuO" or labels.nbytes > _MOST_LABELS:
        raise VideoError(f"{quoted(file)} has labels that are not one text or whole number for each of {count} clips.")
    names, _ = with_class_names(file, [str(label) for label in labels.tolist()])
    if wrong := [name for name in names if not is_file_name(name)]:
        raise VideoError(f"{quoted(file)} has the label {quoted(wrong[0])}: use printable words of at most 100 bytes.")
    return names
