"""Stream clips through a network: decoded in parallel, scored in batches, with few of them in memory at a time."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from stgan.errors import StganError, is_out_of_memory
from stgan.metrics.appearance import background_change, colour_change
from stgan.metrics.copies import SIDE
from stgan.metrics.motion import block_means, flicker, frozen, held, motion, visible_motion
from stgan.names import quoted
from stgan.records import Text, as_record
from stgan.scoring.cache import ScoreCache
from stgan.scoring.clips import MIDDLE, Clip, Protocol
from stgan.scoring.evaluators import Evaluator
from stgan.version import __version__
from stgan.video import random_windows, spread_windows, window_at, windows_in_view
from stgan.video.decoding import ClipFacts, decode_clip, in_order, resize_and_crop
from stgan.video.frame_folders import clip_sha256

BATCH = 4
"""Windows that a worker scores at once."""
_MOST_WORKERS = 8
_LARGE = 2**20
"""Values that a network sees of a window. Of more (I3D, 16x224x224), one worker that uses all cores for two windows at
a time is a third faster than a worker for each core, whose activations push each other out of the caches."""
_MOST_VALUES = 2**24
"""About how many values of pixels a worker scores at once: 60 clips of 64x64, four of 240x320, one of 1080x1920."""
FORMAT = 8
"""Of the results that caches and files of measurements keep; must be raised when they change."""
PIXEL_METRICS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "motion": lambda videos, colours: motion(videos),
    "visible_motion": visible_motion,
    "flicker": flicker,
    "frozen": frozen,
    "held": held,
    "background_drift": lambda videos, colours: background_change(videos),
    "colour_drift": lambda videos, colours: colour_change(videos),
}
"""Metrics of the pixels of windows and of their `block_means`, by their keys in `stgan.metrics.table`. From the
last two follows `appearance_change`, so it is not computed again."""

Watch = Callable[[Iterator["Arrays"], str, int], Iterable["Arrays"]]
Arrays = dict[str, np.ndarray]
"""Arrays of one clip. A row for each window: features, log_probabilities, shuffled, start, `PIXEL_METRICS`. One row:
content, size, stored_size, fps, variable_rate, and thumbnails."""


@dataclass(frozen=True)
class Skipped:
    """A clip that could not be scored, and why."""

    file: Text
    reason: Text


@dataclass(frozen=True)
class Measurements:
    """The outputs of a network for windows, and metrics of their pixels. Row i is a window of clips[i].

    Rows are in the order of a hash of their contents, which is as good as random and does not depend on file names.

    contents: content hash of the clip of each row, hexadecimal.
    sizes:    (height, width) of each row's clip when it was scored; stored_sizes: in its file.
    rates:    frames a second of each row's clip in its file; NaN if the file does not say.
    shuffled: log probabilities of the same windows with their frames in random order; NaN where not computed.
    pixels:   `PIXEL_METRICS` and "appearance_drift" of each row.
    thumbnails: gray pictures of all frames of each row's clip; rows of one clip share them.
    variable: the names of the clips in which the time between frames varies.
    """

    clips: tuple[Clip, ...]
    contents: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    features: Float[Tensor, "n d"]
    log_probabilities: Float[Tensor, "n classes"]
    shuffled: Float[Tensor, "n classes"]
    pixels: dict[str, Float[Tensor, " n"]]
    thumbnails: tuple[UInt8[np.ndarray, "_ side side"], ...]
    stored_sizes: tuple[tuple[int, int], ...]
    rates: tuple[float, ...]
    variable: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def num_clips(self) -> int:
        """The number of clips that the windows are from."""
        return len({clip.name for clip in self.clips})

    @classmethod
    def joined(cls, parts: Sequence["Measurements"]) -> "Measurements":
        """All rows of these parts, by one network, in their order."""

        def together(name: str) -> Any:
            return tuple(chain.from_iterable(getattr(part, name) for part in parts))

        def stacked(name: str) -> Tensor:
            return torch.cat([getattr(part, name) for part in parts])

        return cls(
            together("clips"), together("contents"), together("sizes"), stacked("features"),
            stacked("log_probabilities"), stacked("shuffled"),
            {name: torch.cat([part.pixels[name] for part in parts]) for name in parts[0].pixels},
            together("thumbnails"), together("stored_sizes"), together("rates"), frozenset(together("variable")),
        )  # fmt: skip

    def select(self, rows: Sequence[int]) -> "Measurements":
        """Some of the rows, in the order given."""
        index = torch.tensor(rows, dtype=torch.long)
        return Measurements(
            tuple(self.clips[i] for i in rows),
            tuple(self.contents[i] for i in rows),
            tuple(self.sizes[i] for i in rows),
            self.features[index],
            self.log_probabilities[index],
            self.shuffled[index],
            {name: values[index] for name, values in self.pixels.items()},
            tuple(self.thumbnails[i] for i in rows),
            tuple(self.stored_sizes[i] for i in rows),
            tuple(self.rates[i] for i in rows),
            self.variable & {self.clips[i].name for i in rows},
        )


def measure(
    clips: Sequence[Clip],
    evaluator: Evaluator,
    protocol: Protocol = MIDDLE,
    *,
    cache: ScoreCache | None = None,
    batch_size: int = BATCH,
    workers: int | None = None,
    keep_going: bool = False,
    watch: Watch = lambda results, description, total: results,
    description: str = "clips",
    enough: int | None = None,
) -> tuple[Measurements, list[Skipped]]:
    """Measure clips by a network. The result does not depend on batches or on the number of threads.

    Args:
        cache: keeps results, by the contents of clip and network. Those that it has are not computed again.
        batch_size: windows that a worker scores at once.
        workers: threads that decode and score; default: one for each thread that PyTorch may use, at most eight; one
            for a network of large input.
        keep_going: leave out clips that cannot be read, and return them. Otherwise the first one raises the error.
        watch: may wrap the iterator over `total` results, to show progress.
        enough: read no further clip when there are so many windows, and return as many; default: read all clips.

    Raises:
        StganError: a clip is missing, damaged, a still, or not the one of its manifest; or none is left; or two clips
            have one name, or the protocol is none.
    """
    as_record(Protocol, asdict(protocol), "the protocol")
    (name, times), *_ = Counter(clip.name for clip in clips).most_common(1) or [("", 0)]
    if times > 1:  # they would count as windows of one
        raise StganError(f"{times} of the clips are called {quoted(name)}; give each clip once, with a name of its own")
    if clips and clips[0].saved:
        return clips[0].saved(clips, evaluator, protocol, enough)
    found: list[tuple[Clip, Arrays]] = []
    skipped: list[Skipped] = []

    def results() -> Iterator[Arrays]:
        windows = 0
        for clip, result in _results(clips, evaluator, protocol, cache, batch_size, workers):
            if isinstance(result, StganError):
                if not keep_going and not isinstance(result, ShortClipError):
                    raise result
                skipped.append(Skipped(clip.name, str(result)))
                yield {}
            else:
                found.append((clip, result))
                yield result
                windows += len(result["start"])
                if enough is not None and windows >= enough:
                    return

    total = len(clips) if enough is None else min(len(clips), math.ceil(enough / protocol.windows))
    for _ in watch(results(), description, total):
        pass
    if not found:
        raise StganError(f"none of the {len(clips)} clips can be scored; the first: {skipped[0].reason}")
    measured = _collect(found)
    return measured if enough is None else measured.select(range(min(enough, len(measured)))), skipped


class ShortClipError(StganError):
    """A clip of fewer frames than a window, which the protocol leaves out."""


@dataclass(frozen=True)
class _Read:
    """A decoded clip, not scored yet. windows: uint8 "windows time height width 3"; order: of shuffled frames;
    thumbnails: uint8 "time side side"; fps: NaN if unknown."""

    path: str
    key: str
    facts: ClipFacts
    fps: float
    starts: np.ndarray
    windows: np.ndarray
    order: np.ndarray | None
    thumbnails: np.ndarray


def _results(
    clips: Sequence[Clip],
    evaluator: Evaluator,
    protocol: Protocol,
    cache: ScoreCache | None,
    batch_size: int,
    workers: int | None,
) -> Iterator[tuple[Clip, Arrays | StganError]]:
    """Every clip with its results or the reason why it has none, in order.

    Each worker decodes and scores its own clips. On CPUs this is faster than one worker that decodes and one that
    scores on all cores, because no core waits for another.
    """
    rules = repr((FORMAT, tuple(PIXEL_METRICS), __version__, evaluator.identity, replace(protocol, shuffled=0.0)))
    cores = torch.get_num_threads()
    workers = workers or (1 if evaluator.input_values > _LARGE else min(cores, _MOST_WORKERS))

    def read(clip: Clip) -> _Read | Arrays | StganError:
        try:
            clip.check_file()
            file = clip.sha256 or clip_sha256(clip.source)
            shuffled = int(file[:8], 16) < protocol.shuffled * 16**8
            key = hashlib.sha256(f"{file} {rules} {shuffled}".encode()).hexdigest()
            known = cache.get(key) if cache else None
            return known if known is not None else _read(clip, key, evaluator.frames, protocol, shuffled)
        except StganError as error:
            return error
        except OSError as error:
            return StganError(f"{quoted(clip.path)} cannot be read ({error.strerror or error}); check the file")

    def score(found: Sequence[_Read | Arrays | StganError]) -> list[Arrays | StganError]:
        new = [each for each in found if isinstance(each, _Read)]
        scored = _score_all(new, evaluator, batch_size)
        if cache:
            pairs = zip(new, scored, strict=True)
            cache.put({each.key: arrays for each, arrays in pairs if not isinstance(arrays, StganError)})
        results = iter(scored)
        return [next(results) if isinstance(each, _Read) else each for each in found]

    def work(some: Sequence[Clip]) -> list[Arrays | StganError]:
        torch.set_num_threads(max(1, cores // workers))  # of this thread
        results: list[Arrays | StganError] = []
        waiting: list[_Read | Arrays | StganError] = []
        for clip in some:
            waiting.append(read(clip))
            if sum(each.windows.size for each in waiting if isinstance(each, _Read)) > _MOST_VALUES:
                results += score(waiting)
                waiting = []
        return results + score(waiting)

    batches = [clips[start : start + batch_size] for start in range(0, len(clips), batch_size)]
    try:
        # With TF32, GPUs round to ten bits, and scores differ from those of a CPU in the third digit.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for batch, results in zip(batches, in_order(work, batches, workers), strict=True):
                yield from zip(batch, results, strict=True)
    finally:
        torch.set_num_threads(cores)


def _read(clip: Clip, key: str, frames: int, protocol: Protocol, shuffled: bool) -> _Read:
    path = str(clip.source)
    facts, video = decode_clip(clip.source, protocol.size, protocol.fps, protocol.resize)
    if len(video) < 2:
        rate = f" at {protocol.fps:g} frames a second" if protocol.fps is not None and facts.frames > 1 else ""
        raise StganError(f"{quoted(path)} has a single frame{rate}; give videos" + " or a higher rate" * bool(rate))
    if protocol.short == "skip" and len(video) < frames * protocol.stride:
        least = frames * protocol.stride
        raise ShortClipError(f"{quoted(path)} has {len(video)} frames, fewer than the {least} that a window asks for")
    content = int(facts.sha256[:16], 16)
    windows = np.stack(_windows(video, frames, protocol, content))
    order = np.random.default_rng(content).permutation(frames) if shuffled else None
    thumbnails = resize_and_crop(_as_gray(video), SIDE)
    first = windows[:, 0].copy()
    fps = facts.fps if clip.tensor is None and clip.path.is_file() else math.nan
    return _Read(path, key, facts, fps, first, video[windows], order, thumbnails)


def _windows(video: np.ndarray, frames: int, protocol: Protocol, content: int) -> list[np.ndarray]:
    """The numbers of the frames of each window."""
    span = (frames - 1) * protocol.stride + 1
    if protocol.window == "random":
        rng = np.random.default_rng([content, protocol.seed])
        found = random_windows(len(video), span, protocol.windows, rng)
    elif protocol.window == "first":
        found = [window_at(len(video), span)]
    else:
        starts = windows_in_view(video, span) if protocol.windows > 1 else None
        found = spread_windows(len(video), span, protocol.windows, starts)
    return [window[:: protocol.stride] for window in found]


def _score_all(reads: Sequence[_Read], evaluator: Evaluator, batch_size: int) -> list[Arrays | StganError]:
    """The results of each clip, or why the network cannot score it."""
    if not reads:
        return []
    try:
        return [*_score_batch(reads, evaluator, batch_size)]
    except (StganError, MemoryError, RuntimeError) as error:
        if not isinstance(error, StganError) and not is_out_of_memory(error):
            raise
        if len(reads) == 1:
            why = error if isinstance(error, StganError) else "there is not enough memory; use fewer workers"
            return [StganError(f"{quoted(reads[0].path)}: {why}")]
        return [result for each in reads for result in _score_all([each], evaluator, batch_size)]


def _score_batch(reads: Sequence[_Read], evaluator: Evaluator, batch_size: int) -> list[Arrays]:
    """The results of each clip. Windows of one shape are scored together."""
    windows = [(each, window) for each in reads for window in each.windows]
    shapes: dict[tuple[int, ...], list[int]] = {}
    for i, (_, window) in enumerate(windows):
        shapes.setdefault(window.shape, []).append(i)
    rows: list[Arrays] = [{}] * len(windows)
    for shape, indices in shapes.items():
        step = max(1, min(batch_size, _MOST_VALUES // math.prod(shape), 5 * _LARGE // max(1, evaluator.input_values)))
        for start in range(0, len(indices), step):
            part = indices[start : start + step]
            scored = _score_windows([windows[i] for i in part], evaluator)
            for row, i in enumerate(part):
                rows[i] = {name: array[row] for name, array in scored.items()}
    remaining = iter(rows)
    results = []
    for each in reads:
        own = list(islice(remaining, len(each.windows)))
        arrays = {name: np.stack([row[name] for row in own]) for name in own[0]}
        content = np.frombuffer(bytes.fromhex(each.facts.sha256), np.uint8)
        of_clip = {
            "size": np.array(each.windows.shape[2:4]),
            "stored_size": np.array([each.facts.height, each.facts.width]),
            "fps": np.array([each.fps]),
            "variable_rate": np.array([each.facts.variable_rate]),
        }
        results.append({**arrays, **of_clip, "start": each.starts, "content": content, "thumbnails": each.thumbnails})
    return results


def _score_windows(windows: Sequence[tuple[_Read, np.ndarray]], evaluator: Evaluator) -> Arrays:
    """A row for each window, all of one shape."""
    frames = torch.from_numpy(np.stack([window for _, window in windows])).to(evaluator.device)
    videos = frames.permute(0, 4, 1, 2, 3).contiguous().float().div_(255)
    features, log_probabilities = evaluator.classify(videos)
    shuffled = torch.full_like(log_probabilities, torch.nan)
    some = [i for i, (each, _) in enumerate(windows) if each.order is not None]
    if some:
        disordered = torch.stack([videos[i][:, torch.from_numpy(windows[i][0].order)] for i in some])
        shuffled[some] = evaluator.classify(disordered)[1]
    colours = block_means(videos)
    values = {
        "features": features.float(),
        "log_probabilities": log_probabilities.double(),
        "shuffled": shuffled.double(),
        **{name: metric(videos, colours).double() for name, metric in PIXEL_METRICS.items()},
    }
    return {name: value.cpu().numpy() for name, value in values.items()}


def _collect(found: Sequence[tuple[Clip, Arrays]]) -> Measurements:
    rows = []
    for number, (clip, arrays) in enumerate(found):
        content = arrays["content"].tobytes().hex()
        for window, start in enumerate(arrays["start"]):
            order = hashlib.sha256(f"{content} {start}".encode()).hexdigest()
            rows.append((order, clip.name, number, window, content))
    rows.sort()
    take = [(found[number][1], window) for _, _, number, window, _ in rows]
    pixels = {name: _stack(take, name) for name in PIXEL_METRICS}
    pixels["appearance_drift"] = (pixels["background_drift"] + pixels["colour_drift"]) / 2
    return Measurements(
        clips=tuple(found[number][0] for _, _, number, _, _ in rows),
        contents=tuple(content for *_, content in rows),
        sizes=tuple(_size(arrays["size"]) for arrays, _ in take),
        stored_sizes=tuple(_size(arrays["stored_size"]) for arrays, _ in take),
        rates=tuple(float(arrays["fps"][0]) for arrays, _ in take),
        features=_stack(take, "features"),
        log_probabilities=_stack(take, "log_probabilities"),
        shuffled=_stack(take, "shuffled"),
        pixels=pixels,
        thumbnails=tuple(arrays["thumbnails"] for arrays, _ in take),
        variable=frozenset(clip.name for clip, arrays in found if arrays["variable_rate"][0]),
    )


def _size(pair: np.ndarray) -> tuple[int, int]:
    return int(pair[0]), int(pair[1])


def _stack(take: Sequence[tuple[Mapping[str, np.ndarray], int]], name: str) -> Tensor:
    return torch.from_numpy(np.stack([arrays[name][window] for arrays, window in take]))


def _as_gray(frames: UInt8[np.ndarray, "time height width 3"]) -> UInt8[np.ndarray, "time height width"]:
    """The brightness (luma of BT.601)."""
    return np.stack([np.asarray(Image.fromarray(frame).convert("L")) for frame in frames])
