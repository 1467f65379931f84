"""Windows read from files: which frames, whole or in part, from the file or from memory, with somebody in view."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stgan.training import reading
from stgan.training.finetuning import FinetuningClips
from stgan.training.reading import WindowReader, in_epochs
from stgan.video import ClipFile, VideoError, read_video, windows_in_view, write_video


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, range | None]]:
    """What is decoded: the file, and which of its frames (None: all)."""
    found: list[tuple[Path, range | None]] = []
    read = reading.read_video
    monkeypatch.setattr(
        reading, "read_video", lambda path, part=None: found.append((path, part)) or read(path, part=part)
    )
    return found


def test_a_fixed_window_follows_from_the_seed_and_the_name(clips: FinetuningClips, tmp_path: Path) -> None:
    clip = clips.test[0]
    frames = read_video(clip.path).frames
    windows = {seed: WindowReader(8).fixed_window(clip, seed) for seed in range(12)}
    starts = {seed: [(frames[t : t + 8] == window).all() for t in range(5)] for seed, window in windows.items()}
    assert all(sum(found) == 1 for found in starts.values())
    assert len({found.index(True) for found in starts.values()}) > 2
    moved = ClipFile(tmp_path / clip.path.name, clip.label)
    shutil.copy(clip.path, moved.path)
    np.testing.assert_array_equal(WindowReader(8).fixed_window(moved, 5), windows[5])
    together = list(WindowReader(8).fixed_windows((clips.test[3], clip), 5, 3))
    np.testing.assert_array_equal(together[3], windows[5])
    for number in range(3):
        np.testing.assert_array_equal(together[3 + number], WindowReader(8).fixed_window(clip, 5, number))
    several = list(WindowReader(8).fixed_windows([clip], 5, 12))
    assert len({window.tobytes() for window in several}) > 2


def test_a_window_to_train_on_is_a_part_of_the_frames(clips: FinetuningClips) -> None:
    path = clips.train[1].path
    frames = read_video(path).frames
    parts = [WindowReader(8).window(path, np.random.default_rng(i), crop=1.5) for i in range(12)]
    assert {part.shape for part in parts} == {(8, 12, 16, 3)}
    windows = np.lib.stride_tricks.sliding_window_view(frames, (8, 12, 16, 3))[..., 0, :, :, :, :]
    found = {tuple(map(int, place)) for part in parts for place in np.argwhere((windows == part).all((-1, -2, -3, -4)))}
    assert len(found) > 6 and all(len({place[axis] for place in found}) > 1 for axis in range(3))
    assert WindowReader(8).window(path, np.random.default_rng(0), crop=1.5, least=17).shape == (8, 17, 17, 3)
    np.testing.assert_array_equal(parts[3], WindowReader(8).window(path, np.random.default_rng(3), crop=1.5))


def test_a_clip_that_is_known_is_read_in_part(clips: FinetuningClips, reads: list[tuple[Path, range | None]]) -> None:
    for length in (1, 8, 20):
        reads.clear()
        reader, path = WindowReader(length, memory=0), clips.train[0].path
        for seed in range(4):
            known = reader.window(path, np.random.default_rng(seed), crop=1.2)
            anew = WindowReader(length).window(path, np.random.default_rng(seed), crop=1.2)
            assert len(known) == length
            np.testing.assert_array_equal(known, anew)
        parts = [part for _, part in reads]
        assert parts[0] is None and all(part is not None and len(part) <= min(length, 12) for part in parts[2::2])


def test_clips_are_kept_in_memory_while_there_is_room(
    clips: FinetuningClips, reads: list[tuple[Path, range | None]]
) -> None:
    paths = [clip.path for clip in clips.train[:4]]
    sizes = [read_video(path).frames.nbytes for path in paths]
    drawn = [(path, seed) for seed in range(3) for path in paths]

    def windows(memory: int, in_view: bool = False) -> tuple[list[np.ndarray], Counter[Path]]:
        reads.clear()
        reader = WindowReader(8, in_view, memory)
        found = [reader.window(path, np.random.default_rng(seed), crop=1.3) for path, seed in drawn]
        return found, Counter(path for path, _ in reads)

    whole, often = windows(sum(sizes))
    assert often == dict.fromkeys(paths, 1)
    for memory, kept in ((0, 0), (sizes[0] - 1, 0), (sizes[0], 1), (sizes[0] + sizes[1], 2), (sum(sizes) - 1, 3)):
        for in_view in (False, True):
            found, often = windows(memory, in_view)
            assert [often[path] for path in paths[:kept]] == [1] * kept
            assert sum(count == 1 for count in often.values()) == kept
            for one, other in zip(found, whole, strict=True):  # nobody passes through these clips
                np.testing.assert_array_equal(one, other)


def test_windows_with_somebody_in_view(tmp_path: Path) -> None:
    """Somebody crosses an empty room, from frame 12 to frame 28 of 40."""
    frames = np.full((40, 32, 32, 3), 90, np.uint8)
    for t in range(12, 28):
        left = 2 * (t - 12) - 1
        frames[t, 3:, max(0, left) : left + 5] = 220
    clip = ClipFile(tmp_path / "crossing.mp4", "walk")
    write_video(clip.path, frames)
    decoded = read_video(clip.path).frames
    allowed = windows_in_view(decoded, 6)
    assert 0 < len(allowed) < 35 and min(allowed) >= 10 and max(allowed) <= 24

    def with_it(in_view: bool, memory: int) -> list[bool]:
        reader = WindowReader(6, in_view, memory)
        found = [reader.window(clip.path, np.random.default_rng(seed)) for seed in range(30)]
        found += reader.fixed_windows([clip], 0, 10)
        assert len({window.tobytes() for window in found}) > 2
        return [any((decoded[t : t + 6] == window).all() for t in allowed) for window in found]

    for memory in (0, 1 << 20):
        assert all(with_it(True, memory)) and not all(with_it(False, memory))
        assert len(WindowReader(50, True, memory).window(clip.path, np.random.default_rng(0))) == 50


def test_a_clip_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("no clip")
    with pytest.raises(VideoError, match=r"clip\.mp4"):
        WindowReader(8).window(tmp_path / "clip.mp4", np.random.default_rng(0))


@given(count=st.integers(1, 9), batch=st.integers(1, 7), seed=st.integers(0, 99))
def test_an_epoch_takes_every_clip_once(count: int, batch: int, seed: int) -> None:
    steps = [in_epochs(count, step, batch, seed) for step in range(4 * count)]
    taken = [clip for step in steps for clip in step]
    for start in range(0, len(taken) - count + 1, count):
        assert sorted(taken[start : start + count]) == list(range(count))


def test_another_epoch_has_another_order() -> None:
    orders = {tuple(in_epochs(20, epoch, 20, seed)) for epoch in range(3) for seed in (0, 1)}
    assert len(orders) == 6
