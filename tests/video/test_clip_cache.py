"""Decoded clips on disk: the same frames as decoding gives, whatever happened to the cache before."""

import hashlib
import json
import resource
import signal
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stgan.errors import StganError
from stgan.video import ClipFolder, VideoError, find_clips, read_video, resize_and_crop, write_video
from stgan.video.clip_cache import ClipCache
from stgan.video.decoding import in_order, inspect_clip


@pytest.fixture
def clips(tmp_path: Path) -> ClipFolder:
    """Five clips of different lengths and colours, 16x24."""
    rng = np.random.default_rng(0)
    for number in range(5):
        folder = tmp_path / "data" / f"action {number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        write_video(folder / f"clip{number}.mp4", rng.integers(0, 255, (3 + number, 16, 24, 3), dtype=np.uint8))
    return find_clips(tmp_path / "data")


def decoded(clips: ClipFolder, size: int | None = 8) -> list[np.ndarray]:
    frames = [read_video(clip.path).frames for clip in clips.clips]
    return frames if size is None else [resize_and_crop(each, size) for each in frames]


def assert_equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def frames_file(folder: Path, size: int | str = 8) -> Path:
    return folder / f"frames_{size}.u8"


def index_file(folder: Path, size: int | str = 8) -> Path:
    return folder / f"index_{size}.jsonl"


@pytest.mark.parametrize("size", [8, None])
def test_the_cache_holds_what_decoding_gives(tmp_path: Path, clips: ClipFolder, size: int | None) -> None:
    folder = tmp_path / "new" / "cache"
    loaded = ClipCache(folder, size).load(clips)
    assert_equal(loaded, decoded(clips, size))
    assert not any(clip.flags.writeable for clip in loaded)
    assert ClipCache(folder, size).hashes(clips) == [hashlib.sha256(clip.tobytes()).hexdigest() for clip in loaded]
    assert frames_file(folder, size or "original").stat().st_size == sum(clip.nbytes for clip in loaded)


def test_a_second_load_decodes_nothing(tmp_path: Path, clips: ClipFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = decoded(clips)
    ClipCache(tmp_path, 8).load(clips)
    monkeypatch.setattr("stgan.video.clip_cache.decode_clip", pytest.fail)
    assert_equal(ClipCache(tmp_path, 8).load(clips), expected)
    assert_equal(ClipCache(tmp_path, 8).load(ClipFolder(clips.root, clips.clips[3:1:-1])), expected[3:1:-1])
    assert ClipCache(tmp_path, 8).load(ClipFolder(clips.root, ())) == []


def test_a_changed_clip_is_decoded_again_and_open_views_stay(tmp_path: Path, clips: ClipFolder) -> None:
    before = ClipCache(tmp_path, 8).load(clips)
    kept = [clip.copy() for clip in before]
    write_video(clips.clips[1].path, np.full((9, 16, 24, 3), 200, np.uint8))
    after = ClipCache(tmp_path, 8).load(clips)
    assert_equal(after, decoded(clips))
    assert len(after[1]) == 9
    assert_equal(before, kept)


def test_a_killed_run_is_taken_up_at_any_byte(tmp_path: Path, clips: ClipFolder) -> None:
    """Whatever prefix of the index and whatever tail of the frames a kill leaves behind."""
    expected = decoded(clips)
    ClipCache(tmp_path, 8).load(clips)
    index, frames = index_file(tmp_path).read_bytes(), frames_file(tmp_path).read_bytes()
    rng = np.random.default_rng(0)
    cuts = [0, 1, index.index(b"\n"), index.index(b"\n") + 1, len(index) - 1, *rng.integers(2, len(index), 12)]
    for cut in cuts:
        index_file(tmp_path).write_bytes(index[:cut])
        frames_file(tmp_path).write_bytes(frames + bytes(rng.integers(0, 999)))
        assert_equal(ClipCache(tmp_path, 8).load(clips), expected)
        assert index_file(tmp_path).read_bytes() == index and frames_file(tmp_path).read_bytes() == frames


def test_a_damaged_cache_is_made_anew(tmp_path: Path, clips: ClipFolder) -> None:
    expected = decoded(clips)
    first = ClipCache(tmp_path, 8).load(clips)
    header, *lines = index_file(tmp_path).read_text().splitlines()
    entry = json.loads(lines[2])

    def check(header: str, line: str) -> None:
        index_file(tmp_path).write_text("\n".join([header, *lines[:2], line, *lines[3:]]) + "\n")
        for _ in range(2):
            assert_equal(ClipCache(tmp_path, 8).load(clips), expected)

    for line in (
        "\0\xff not JSON",
        '{"file": 3}',
        json.dumps({**entry, "shape": [-1, 8, -8, 3]}),
        json.dumps({**entry, "offset": 10**12}),
    ):
        check(header, line)
    check('{"format": 0, "size": 8}', lines[2])
    frames_file(tmp_path).unlink()
    check(header, lines[2])
    assert_equal(first, expected)
    frames_file(tmp_path).write_bytes(frames_file(tmp_path).read_bytes()[:-1])
    check(header, lines[2])


def test_an_unreadable_clip(tmp_path: Path, clips: ClipFolder) -> None:
    clips.clips[1].path.write_text("no video")
    clips.clips[3].path.unlink()
    cache = ClipCache(tmp_path, 8)
    with pytest.raises(VideoError, match=r"clip2\.mp4"):
        cache.load(clips)
    facts = cache.inspect(clips)
    assert [isinstance(each, VideoError) for each in facts] == [False, True, False, True, False]
    assert "does not exist" in str(facts[3])
    good = ClipFolder(clips.root, clips.clips[::2])
    assert_equal(cache.load(good), decoded(good))
    for fact, clip in zip(facts[::2], good.clips, strict=True):
        video = read_video(clip.path)
        assert not isinstance(fact, VideoError)
        assert (fact.frames, fact.height, fact.width, 3) == video.frames.shape and fact.fps == video.fps
        assert fact.sha256 == hashlib.sha256(video.frames.tobytes()).hexdigest()


def test_no_room(tmp_path: Path, clips: ClipFolder) -> None:
    most = 10 * 8 * 8 * 3
    with pytest.raises(StganError, match="fewer clips or a smaller size"):
        ClipCache(tmp_path, 8, max_bytes=most).load(clips)
    assert 0 < frames_file(tmp_path).stat().st_size <= most
    assert_equal(ClipCache(tmp_path, 8).load(clips), decoded(clips))
    (tmp_path / "file").touch()
    with pytest.raises(StganError, match="choose another folder"):
        ClipCache(tmp_path / "file", 8).load(clips)


def test_a_full_disk(tmp_path: Path, clips: ClipFolder) -> None:
    expected = decoded(clips)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, limits[1]))
    try:
        with pytest.raises(StganError, match="cannot be kept"):
            ClipCache(tmp_path, 8).load(clips)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert frames_file(tmp_path).stat().st_size > 0
    assert_equal(ClipCache(tmp_path, 8).load(clips), expected)
    assert frames_file(tmp_path).stat().st_size == sum(clip.nbytes for clip in expected)


def load_and_stop(clips: ClipFolder, folder: Path, connection: Connection) -> None:
    """Load clips, tell after the first one, and wait to be told to go on."""

    def progress(done: int, total: int) -> None:
        if done == 1:
            connection.send("began")
            connection.recv()

    ClipCache(folder, 8).inspect(clips, progress)


@pytest.mark.parametrize("killed", [False, True])
def test_a_second_process_waits_for_the_first(tmp_path: Path, clips: ClipFolder, killed: bool) -> None:
    expected = decoded(clips)
    context = get_context("fork")
    ours, theirs = context.Pipe()
    other = context.Process(target=load_and_stop, args=(clips, tmp_path, theirs), daemon=True)
    other.start()
    with ThreadPoolExecutor(1) as pool:
        assert ours.poll(60) and ours.recv() == "began"
        if killed:
            other.kill()
        loading = pool.submit(ClipCache(tmp_path, 8).load, clips)
        if not killed:
            with pytest.raises(FutureTimeoutError):
                loading.result(timeout=0.5)
            ours.send("go on")
        assert_equal(loading.result(timeout=60), expected)
    other.join(60)
    assert other.exitcode == (-signal.SIGKILL if killed else 0)
    assert frames_file(tmp_path).stat().st_size == sum(clip.nbytes for clip in expected)


def test_in_order_keeps_few_items_in_flight() -> None:
    started: list[int] = []

    def slow_at_first(item: int) -> int:
        started.append(item)
        time.sleep(0.02 if item == 0 else 0)
        return -item

    results = in_order(slow_at_first, range(100), workers=2)
    assert next(results) == 0
    assert max(started) <= 4
    assert list(results) == [-item for item in range(1, 100)]
    assert sorted(started) == list(range(100))


def test_a_clip_that_nobody_waits_for_is_not_decoded_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "long").mkdir()
    Image.effect_noise((512, 512), 50).save(tmp_path / "0.png")
    for number in range(2000):
        (tmp_path / "long" / f"{number}.png").symlink_to("../0.png")
    begun, ended = threading.Event(), []

    def inspect(path: Path | None) -> None:
        if path is None:
            begun.wait(60)
            return
        begun.set()
        try:
            inspect_clip(path)
        except CancelledError as error:
            ended.append(error)
            raise

    results = in_order(inspect, [None, tmp_path / "long", tmp_path / "long"], workers=2)
    next(results)
    results.close()
    assert len(ended) in (1, 2)  # the other one may not have begun


def test_in_order_stops_at_an_error() -> None:
    started: list[int] = []

    def fail(item: int) -> int:
        started.append(item)
        if item == 3:
            raise ValueError("three")
        return item

    with pytest.raises(ValueError, match="three"):
        list(in_order(fail, range(1000), workers=2))
    assert max(started) < 20
