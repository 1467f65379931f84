"""Measurements of clips in a file, which takes the place of the clips: `stgan evaluate --save-features`.

The file has the format of safetensors. Its metadata tell, as JSON under "stgan", which clips were measured, by which
networks and how. Its tensors are those of `Measurements`: of the first part by their names ("features",
"log_probabilities", "shuffled", "sizes", "pixels.motion", ...), of the others behind "1.", "2.", ...; and the
thumbnails of all clips, one clip after the other.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from torch import Tensor

from stgan.checkpoints.checkpoint import write_tensors
from stgan.checkpoints.fingerprint import from_text
from stgan.errors import StganError, on_out_of_memory
from stgan.metrics.copies import SIDE
from stgan.names import one_line, quoted
from stgan.records import Count, Number, Text, as_plain, checked, parse_json
from stgan.scoring.clips import Clip, Protocol, SteeredBy, folder_clips
from stgan.scoring.evaluators import Evaluator
from stgan.scoring.measurements import FORMAT, PIXEL_METRICS, Measurements, Skipped
from stgan.version import __version__

SAVED = ".features.safetensors"
"""How the name of such a file ends."""
_LARGEST = 1 << 32  # bytes; the thumbnails of 10,000 clips of 200 frames take about a fourth
_LARGEST_HEADER = 1 << 26  # bytes; a clip takes about 400
_LONGEST_SIDE = 1 << 16  # pixels of a clip
_TOLERANCE = 1e-2  # of the sum of probabilities, by a network's rounding

_PIXELS = (*PIXEL_METRICS, "appearance_drift")
_Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class _Network:
    """A network that measured. identity: a hash of `Evaluator.identity`."""

    name: Text
    frames: Count
    identity: _Hash

    @classmethod
    def of(cls, evaluator: Evaluator) -> "_Network":
        identity = hashlib.sha256(evaluator.identity.encode()).hexdigest()
        return cls(evaluator.name, evaluator.frames, identity)

    def __str__(self) -> str:
        return f"{quoted(self.name)} on windows of {self.frames} frames"


@dataclass(frozen=True)
class Part:
    """The clips that `measure` was given, by which network and protocol it measured them, and what it returned."""

    clips: tuple[Clip, ...]
    network: _Network
    protocol: Protocol
    enough: int | None
    measured: Measurements
    skipped: tuple[Skipped, ...]

    def serves(self, protocol: Protocol) -> bool:
        """Whether its measurements are those of this protocol. Any share of shuffled clips serves for any other."""
        some = self.protocol.shuffled > 0 or protocol.shuffled == 0
        return some and replace(self.protocol, shuffled=protocol.shuffled) == protocol


class Recording:
    """`measure` with its settings, which also keeps all that it returned, for `save_measurements`."""

    def __init__(self, run: Callable[..., tuple[Measurements, list[Skipped]]]) -> None:
        self.run = run
        self.parts: list[Part] = []

    def __call__(
        self,
        clips: Sequence[Clip],
        evaluator: Evaluator,
        protocol: Protocol,
        *,
        enough: int | None = None,
        **options: Any,
    ) -> tuple[Measurements, list[Skipped]]:
        measured, skipped = self.run(clips, evaluator, protocol, enough=enough, **options)
        part = Part(tuple(clips), _Network.of(evaluator), protocol, enough, measured, tuple(skipped))
        self.parts.append(part)
        return measured, skipped


@dataclass(frozen=True)
class SavedMeasurements:
    """What a file of measurements holds; see `load_measurements`."""

    path: Path
    described: tuple[Clip, ...] = field(repr=False)
    parts: tuple[Part, ...] = field(repr=False)

    @property
    def clips(self) -> list[Clip]:
        """The clips, for `evaluate`: `measure` takes their measurements from here."""
        return [replace(clip, saved=self.select) for clip in self.described]

    def select(
        self, clips: Sequence[Clip], evaluator: Evaluator, protocol: Protocol, enough: int | None
    ) -> tuple[Measurements, list[Skipped]]:
        """What `measure` would return for these clips of the file.

        Raises:
            StganError: there are other clips among them, or they were measured by another network or protocol.
        """
        if any(clip.saved != self.select for clip in clips):
            raise StganError(f"the clips of {quoted(self.path)} cannot be scored together with others; give it alone")
        network = _Network.of(evaluator)
        own = [part for part in self.parts if part.network.identity == network.identity]
        if not own:
            by = " and by ".join(dict.fromkeys(str(part.network) for part in self.parts))
            raise StganError(
                f"{quoted(self.path)} was measured by {by}, not by this {network}; name that network and its frames, "
                "or save it again from the clips"
            )
        if evaluator.actions and own[0].measured.log_probabilities.shape[1] != len(evaluator.actions):
            raise StganError(f"{quoted(self.path)} has other classes than {network}; save it again from the clips")
        if not (same := [part for part in own if part.serves(protocol)]):
            known, asked = vars(own[0].protocol), vars(protocol)
            changed = [name for name in asked if known[name] != asked[name]]
            differences = ", ".join(f"{name} {known[name]} instead of {asked[name]}" for name in changed)
            many = ", with as many clips (--num) as are scored beside it now" * (changed == ["windows"])
            raise StganError(
                f"{quoted(self.path)} was measured by another protocol ({differences}); save it again from the clips"
                + many
            )
        names = [clip.name for clip in clips]
        for part in same:
            given = [clip.name for clip in part.clips]
            # Of clips that were measured until there were enough, some cannot be taken.
            if part.enough == enough and (names == given or (enough is None and set(names) <= set(given))):
                return self._some(part, clips)
        raise StganError(f"{quoted(self.path)} was measured for another number of clips; save it again from the clips")

    def _some(self, part: Part, clips: Sequence[Clip]) -> tuple[Measurements, list[Skipped]]:
        own = {clip.name: clip for clip in clips}
        rows = [i for i, clip in enumerate(part.measured.clips) if clip.name in own]
        if not rows:
            raise StganError(f"{quoted(self.path)} has no measurements of these clips; save it again from the clips")
        found = part.measured.select(rows)
        found = replace(found, clips=tuple(own[clip.name] for clip in found.clips))
        return found, [each for each in part.skipped if each.file in own]


@dataclass(frozen=True)
class _Steering:
    names: tuple[Text, ...]
    hashes: tuple[_Hash, ...]
    tensors: dict[Text, str]

    def __post_init__(self) -> None:
        for text in self.tensors.values():
            from_text(text)  # raises ValueError


@dataclass(frozen=True)
class _Clip:
    """As `Clip`; steering is a place in the list of the file."""

    name: Text
    action: Text | None
    group: Text | None
    split: Text | None
    sha256: _Hash | None
    unit: tuple[Text, Number] | None
    steering: Count | None
    number: tuple[Count, Count] | None = None


@dataclass(frozen=True)
class _Part:
    """As `Part`; clips are places in the list of the file. rows: the clip of each row."""

    network: _Network
    protocol: Protocol
    enough: Count | None
    clips: tuple[Count, ...]
    rows: tuple[Count, ...]
    contents: tuple[_Hash, ...]
    variable: tuple[Count, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class _Index:
    clips: tuple[_Clip, ...]
    steering: tuple[_Steering, ...]
    parts: tuple[_Part, ...]
    format: int
    version: Text

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"it has format {self.format}, not {FORMAT}")
        if len({clip.name for clip in self.clips}) < len(self.clips):
            raise ValueError("two clips have one name")
        places = [place for part in self.parts for place in (*part.clips, *part.rows, *part.variable)]
        if max(places, default=0) >= len(self.clips):
            raise ValueError("it measured clips that it does not describe")
        if max((clip.steering or 0 for clip in self.clips), default=0) >= max(1, len(self.steering)):
            raise ValueError("what steered a clip is missing")
        if not self.parts or any(not 0 < len(part.rows) == len(part.contents) for part in self.parts):
            raise ValueError("rows or their contents are missing")


def save_measurements(path: Path, parts: Sequence[Part]) -> None:
    """Write measurements of one set of clips, by one network or several, to a file (see the module), atomically.

    Raises:
        StganError: the disk has no room for it.
    """
    clips = list({clip.name: clip for part in parts for clip in part.clips}.values())
    number = {clip.name: i for i, clip in enumerate(clips)}
    steering: list[SteeredBy] = []
    for clip in clips:
        if clip.steering is not None and clip.steering not in steering:
            steering.append(clip.steering)
    index = _Index(
        clips=tuple(
            _Clip(
                clip.name, clip.action, clip.group, clip.split, clip.sha256, clip.unit,
                None if clip.steering is None else steering.index(clip.steering), clip.number,
            )
            for clip in clips
        ),
        steering=tuple(_Steering(each.names, tuple(sorted(each.hashes)), dict(each.tensors)) for each in steering),
        parts=tuple(
            _Part(
                network=part.network,
                protocol=part.protocol,
                enough=part.enough,
                clips=tuple(number[clip.name] for clip in part.clips),
                rows=tuple(number[clip.name] for clip in part.measured.clips),
                contents=part.measured.contents,
                variable=tuple(sorted(number[name] for name in part.measured.variable)),
                skipped=part.skipped,
            )
            for part in parts
        ),
        format=FORMAT,
        version=__version__,
    )  # fmt: skip
    pictures = {
        clip.name: own
        for part in parts
        for clip, own in zip(part.measured.clips, part.measured.thumbnails, strict=True)
    }
    tensors = {
        f"{_prefix(i)}{name}": values.contiguous()
        for i, part in enumerate(parts)
        for name, values in _tensors(part.measured).items()
    }
    tensors["thumbnail_counts"] = torch.tensor([len(pictures.get(clip.name, ())) for clip in clips])
    order = sorted(pictures, key=number.__getitem__)
    tensors["thumbnails"] = torch.from_numpy(np.concatenate([pictures[name] for name in order]))
    # A second name in the metadata would come before or after this one at random.
    write_tensors(path, tensors, {"stgan": json.dumps(as_plain(index))})


def find_given(
    path: Path, say: Callable[[str], None], find: Callable[..., list[Clip]] = folder_clips, **reading: Any
) -> list[Clip]:
    """The clips of a file of measurements, or those that `find` (`folder_clips` or `given_clips`) finds.

    Raises:
        StganError: as `load_measurements` or `find`.
    """
    return load_measurements(path).clips if path.name.endswith(SAVED) else find(path, say, **reading)


def load_measurements(path: str | Path) -> SavedMeasurements:
    """Read a file of `save_measurements`. It is not trusted.

    Raises:
        StganError: it is missing, damaged, of another format, or holds what no network says of clips; or there is not
            enough memory.
    """
    path = Path(path)
    with on_out_of_memory(f"there is not enough memory to read {quoted(path)}; close other programs"):
        try:
            return _loaded(path)
        except (SafetensorError, OSError, ValueError) as error:
            reason = one_line(getattr(error, "strerror", None) or error)
            raise StganError(
                f"{quoted(path)} cannot take the place of clips: {reason}; save it again with stgan evaluate "
                "--save-features or --save-real"
            ) from error


def _loaded(path: Path) -> SavedMeasurements:
    index = _read_index(path)
    shapes: dict[str, tuple[str, tuple[int | None, ...]]] = {
        "thumbnails": ("U8", (None, SIDE, SIDE)),
        "thumbnail_counts": ("I64", (len(index.clips),)),
    }
    for i, part in enumerate(index.parts):
        n = len(part.rows)
        shapes |= {f"{_prefix(i)}{name}": ("F64", (n, None)) for name in ("log_probabilities", "shuffled")}
        shapes |= {f"{_prefix(i)}pixels.{name}": ("F64", (n,)) for name in _PIXELS}
        shapes |= {f"{_prefix(i)}{name}": ("I64", (n, 2)) for name in ("sizes", "stored_sizes")}
        shapes |= {f"{_prefix(i)}features": ("F32", (n, None)), f"{_prefix(i)}rates": ("F64", (n,))}
    with safe_open(path, framework="pt") as file:
        if set(file.keys()) != set(shapes):
            raise ValueError("its tensors are not those of its parts")
        for name, (kind, shape) in shapes.items():
            found = file.get_slice(name)
            sides = found.get_shape()
            fits = len(sides) == len(shape) and all(b in (None, a) for a, b in zip(sides, shape, strict=True))
            if found.get_dtype() != kind or not fits or 0 in sides:
                raise ValueError(f"{name} has the type {found.get_dtype()} and the shape {sides}")
        tensors = {name: file.get_tensor(name) for name in shapes}
    counts = tensors["thumbnail_counts"].tolist()
    measured = {clip for part in index.parts for clip in part.rows}
    if min(counts) < 0 or sum(counts) != len(tensors["thumbnails"]) or any(counts[clip] < 2 for clip in measured):
        raise ValueError("its thumbnails are not those of its clips")
    pictures = np.split(tensors["thumbnails"].numpy(), np.cumsum(counts)[:-1])
    steering = [SteeredBy(each.names, frozenset(each.hashes), each.tensors) for each in index.steering]
    clips = tuple(
        Clip(
            path, clip.name, clip.action, clip.group, clip.split, clip.sha256,
            None if clip.steering is None else steering[clip.steering], clip.unit, number=clip.number,
        )
        for clip in index.clips
    )  # fmt: skip
    parts = tuple(_part(each, _prefix(i), clips, tensors, pictures) for i, each in enumerate(index.parts))
    sizes = {
        (part.network.identity, part.measured.features.shape[1], part.measured.log_probabilities.shape[1])
        for part in parts
    }
    if len(sizes) > len({part.network.identity for part in parts}):
        raise ValueError("one network has outputs of two sizes")
    return SavedMeasurements(path, clips, parts)


def _read_index(path: Path) -> _Index:
    """The metadata, without reading more. ValueError if they are not those of a file of measurements."""
    if not path.is_file():  # opening a pipe would block
        raise ValueError("there is no such file")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if size > _LARGEST or not 0 < length <= min(size - 8, _LARGEST_HEADER):
            raise ValueError("it is no safetensors file, or a larger one than these are")
        header = parse_json(file.read(length))
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    text = metadata.get("stgan") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ValueError("it holds no measurements")
    return checked(_Index, parse_json(text))


def _part(
    part: _Part, prefix: str, clips: Sequence[Clip], tensors: dict[str, Tensor], pictures: Sequence[np.ndarray]
) -> Part:
    features, log_p, shuffled, sizes, stored_sizes, rates = (
        tensors[f"{prefix}{name}"]
        for name in ("features", "log_probabilities", "shuffled", "sizes", "stored_sizes", "rates")
    )
    pixels = {name: tensors[f"{prefix}pixels.{name}"] for name in _PIXELS}
    both = shuffled[~shuffled.isnan().all(1)]
    sums = [values.logsumexp(1).abs() for values in (log_p, both)]
    if (
        not features.isfinite().all()
        or log_p.shape != shuffled.shape
        or not (log_p.isfinite().all() and both.isfinite().all())
        or any(len(each) and each.max() > _TOLERANCE for each in sums)
        or any(not (values.min() >= 0 and values.max() <= 255) for values in pixels.values())
        or any(not (each.min() >= 1 and each.max() <= _LONGEST_SIDE) for each in (sizes, stored_sizes))
        or not (rates.isnan() | ((rates > 0) & rates.isfinite())).all()
    ):
        raise ValueError("it holds values that no network gives and no clip has")
    measured = Measurements(
        clips=tuple(clips[i] for i in part.rows),
        contents=part.contents,
        sizes=tuple((height, width) for height, width in sizes.tolist()),
        features=features,
        log_probabilities=log_p,
        shuffled=shuffled,
        pixels=pixels,
        thumbnails=tuple(pictures[i] for i in part.rows),
        stored_sizes=tuple((height, width) for height, width in stored_sizes.tolist()),
        rates=tuple(rates.tolist()),
        variable=frozenset(clips[i].name for i in part.variable),
    )
    given = tuple(clips[i] for i in part.clips)
    return Part(given, part.network, part.protocol, part.enough, measured, part.skipped)


def _tensors(measured: Measurements) -> dict[str, Tensor]:
    return {
        "features": measured.features,
        "log_probabilities": measured.log_probabilities,
        "shuffled": measured.shuffled,
        "sizes": torch.tensor(measured.sizes),
        "stored_sizes": torch.tensor(measured.stored_sizes),
        "rates": torch.tensor(measured.rates, dtype=torch.float64),
        **{f"pixels.{name}": values for name, values in measured.pixels.items()},
    }


def _prefix(part: int) -> str:
    return f"{part}." if part else ""
