"""Files as phones, cutters and old cameras write them: turned, trimmed, at a varying rate, interlaced."""

import math
import shutil
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from stgan.video import VideoError, find_clips, read_video, write_video
from stgan.video.clip_cache import ClipCache
from stgan.video.clip_folder import ClipFile, ClipFolder
from stgan.video.decoding import decode_clip, inspect_clip

ONE = 1 << 16

# (a, b, c, d) of the display matrix in a file's `tkhd` box, and what ffmpeg's transpose, hflip and vflip make of it.
TURNS = {
    "upright": ((1, 0, 0, 1), lambda v: v),
    "a quarter clockwise": ((0, 1, -1, 0), lambda v: np.rot90(v, -1, (1, 2))),
    "a half": ((-1, 0, 0, -1), lambda v: np.rot90(v, 2, (1, 2))),
    "a quarter counterclockwise": ((0, -1, 1, 0), lambda v: np.rot90(v, 1, (1, 2))),
    "mirrored": ((-1, 0, 0, 1), lambda v: v[:, :, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda v: v[:, ::-1]),
    "transposed": ((0, 1, 1, 0), lambda v: v.transpose(0, 2, 1, 3)),
    "transposed the other way": ((0, -1, -1, 0), lambda v: np.rot90(v.transpose(0, 2, 1, 3), 2, (1, 2))),
}


def patch(path: Path, box: bytes, offset: int, *numbers: int) -> None:
    """Overwrite 32-bit numbers in a box of an mp4 file."""
    data = bytearray(path.read_bytes())
    at = data.index(box) + 4 + offset
    struct.pack_into(f">{len(numbers)}i", data, at, *numbers)
    path.write_bytes(data)


def turn(path: Path, matrix: tuple[float, float, float, float]) -> None:
    a, b, c, d = (round(ONE * value) for value in matrix)
    patch(path, b"tkhd", 40, a, b, 0, c, d)


def trim(path: Path, first: int, count: int) -> None:
    """Show only some frames of a file of `write_video` with 25 frames a second, by its edit list."""
    data = path.read_bytes()
    at = data.index(b"elst") + 4
    start = struct.unpack_from(">i", data, at + 12)[0]
    patch(path, b"elst", 8, 40 * count, start + first * 512)


@pytest.mark.parametrize("how", TURNS)
def test_turned_clips_are_upright_everywhere(tmp_path: Path, stripes: np.ndarray, how: str) -> None:
    path = tmp_path / "clip.mp4"
    frames = np.pad(stripes, ((0, 0), (8, 0), (0, 4), (0, 0)))
    write_video(path, frames)
    stored = read_video(path).frames
    matrix, upright = TURNS[how]
    turn(path, matrix)
    expected = np.ascontiguousarray(upright(stored))
    video, facts = read_video(path), inspect_clip(path)
    np.testing.assert_array_equal(video.frames, expected)
    np.testing.assert_array_equal(read_video(path, part=range(3, 5)).frames, expected[3:5])
    np.testing.assert_array_equal(decode_clip(path)[1], expected)
    (cached,) = ClipCache(tmp_path / "cache", None).load(ClipFolder(tmp_path, (ClipFile(path, "x"),)))
    np.testing.assert_array_equal(cached, expected)
    assert (facts.height, facts.width) == expected.shape[1:3]
    assert video.turned == facts.turned == (how != "upright")


@pytest.mark.parametrize(("degrees", "tilted"), [(0, 0), (0.3, 0), (90, 0), (-90, 0), (30, 1), (89, 1), (135, 1)])
def test_angles_that_are_no_quarter_turns_are_noted(
    tmp_path: Path, stripes: np.ndarray, degrees: float, tilted: int
) -> None:
    path, angle = tmp_path / "clip.mp4", math.radians(degrees)
    write_video(path, stripes)
    turn(path, (math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)))
    assert inspect_clip(path).tilted == bool(tilted)


@pytest.mark.parametrize("ratio", [None, "1", "999/1000", "16/15", "12/11", "4/3", "1/2"])
def test_pixels_that_are_not_square_are_noted(tmp_path: Path, stripes: np.ndarray, ratio: str | None) -> None:
    for name in ("clip.mp4", "clip.mkv"):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width = stripes.shape[1:3]
            if ratio:
                stream.codec_context.sample_aspect_ratio = Fraction(ratio)
            for array in stripes:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
            container.mux(stream.encode())
        facts = inspect_clip(tmp_path / name)
        assert facts.stretched == (ratio not in (None, "1", "999/1000"))
        assert (facts.height, facts.width) == stripes.shape[1:3]


@pytest.mark.parametrize(("first", "count"), [(0, 50), (25, 25), (0, 25), (10, 7), (13, 37)])
def test_a_trimmed_clip_has_the_frames_that_are_left(tmp_path: Path, first: int, count: int) -> None:
    path = tmp_path / "clip.mp4"
    frames = np.arange(50, dtype=np.uint8)[:, None, None, None] * 5 + np.zeros((50, 32, 32, 3), np.uint8)
    write_video(path, frames)
    trim(path, first, count)
    read = read_video(path)
    shown = (read.frames.mean((1, 2, 3)) / 5).round().astype(int)
    assert shown.tolist() == list(range(first, first + count))
    assert read.times[-1] == pytest.approx((count - 1) / 25)
    assert not read.variable_rate


def test_a_trimmed_clip_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), np.uint8))
    trim(path, 25, 25)
    data = path.read_bytes()
    for part in (0.5, 0.8):
        path.write_bytes(data[: int(part * len(data))])
        with pytest.raises(VideoError):
            read_video(path)


def write_at(path: Path, frames: np.ndarray, milliseconds: list[int], codec: str = "libx264") -> None:
    """Write frames with these time stamps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for array, stamp in zip(frames, milliseconds, strict=True):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_variable_rate_is_read_by_time(tmp_path: Path, name: str) -> None:
    """30 frames a second for a second, then 5."""
    stamps = [round(1000 * i / 30) for i in range(30)] + [1000, 1200, 1400, 1600, 1800]
    frames = np.arange(35, dtype=np.uint8)[:, None, None, None] * 7 + np.zeros((35, 32, 32, 3), np.uint8)
    write_at(tmp_path / name, frames, stamps)
    facts, video = decode_clip(tmp_path / name, None, 5.0)
    assert facts.variable_rate and facts.frames == 35
    assert (video.mean((1, 2, 3)) / 7).round().astype(int).tolist() == [0, 6, 12, 18, 24, 30, 31, 32, 33, 34]
    _, video = decode_clip(tmp_path / name, None, 10.0)
    assert (video.mean((1, 2, 3)) / 7).round().astype(int).tolist()[10:] == [30, 30, 31, 31, 32, 32, 33, 33, 34]


@pytest.mark.parametrize("rate", [12, 24, 30, 60])
def test_rounded_time_stamps_are_no_variable_rate(tmp_path: Path, stripes: np.ndarray, rate: int) -> None:
    write_at(tmp_path / "clip.mkv", stripes, [round(1000 * i / rate) for i in range(len(stripes))])
    facts, video = decode_clip(tmp_path / "clip.mkv", None, rate / 2)
    assert not facts.variable_rate
    assert len(video) == len(stripes) / 2


@pytest.mark.parametrize(
    ("milliseconds", "varies"),
    [
        ([round(1000 * i / 29.97) for i in range(60)], False),  # 33 or 34
        ([10 * round(100 * i / 24) for i in range(60)], False),  # 40 or 50
        ([1000 * i // 60 for i in range(60)], False),
        ([40 * i + (5 * i) % 3 for i in range(60)], False),  # a phone's jitter
        ([round(1000 * i / 30) for i in range(30)] + [1000 + 40 * i for i in range(30)], True),
        ([40 * i + (i > 30) * 16 for i in range(60)], True),
        ([round(1000 * i / 30) for i in range(60) if i != 30], True),
    ],
)
def test_a_rate_varies_if_no_constant_one_gives_its_time_stamps(
    tmp_path: Path, milliseconds: list[int], varies: bool
) -> None:
    frames = np.zeros((len(milliseconds), 32, 32, 3), np.uint8)
    write_at(tmp_path / "clip.mkv", frames, milliseconds)
    assert inspect_clip(tmp_path / "clip.mkv").variable_rate == varies


def test_frames_are_taken_by_time_if_the_rate_varies_a_little(tmp_path: Path) -> None:
    stamps = [round(1000 * i / 30) for i in range(30)] + [1000 + 40 * i for i in range(25)]
    frames = np.arange(55, dtype=np.uint8)[:, None, None, None] * 4 + np.zeros((55, 32, 32, 3), np.uint8)
    write_at(tmp_path / "clip.mkv", frames, stamps)
    _, video = decode_clip(tmp_path / "clip.mkv", None, 5.0)
    assert (video.mean((1, 2, 3)) / 4).round().astype(int).tolist() == [0, 6, 12, 18, 24, 30, 35, 40, 45, 50]


def test_time_stamps_that_last_for_ever_take_no_memory(tmp_path: Path, stripes: np.ndarray) -> None:
    write_at(tmp_path / "clip.mkv", stripes[:3], [0, 40, 10**9])
    with pytest.raises(VideoError, match="lasts over"):
        decode_clip(tmp_path / "clip.mkv", None, 25.0)


def test_interlaced_material_is_noted(tmp_path: Path, stripes: np.ndarray) -> None:
    for interlaced in (False, True):
        path = tmp_path / f"{interlaced}.avi"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ildct+ilme"} if interlaced else {})
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            for array in stripes:
                frame = av.VideoFrame.from_ndarray(array, format="rgb24").reformat(format="yuv420p")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        assert inspect_clip(path).interlaced == interlaced


@pytest.mark.parametrize(
    ("ending", "container", "codec"),
    [
        ("wmv", "asf", "wmv2"),
        ("flv", "flv", "flv"),
        ("mts", "mpegts", "libx264"),
        ("3gp", "3gp", "libx264"),
        ("ogv", "ogg", "libtheora"),
        ("vob", "vob", "mpeg2video"),
        ("mxf", "mxf", "mpeg2video"),
        ("mkv", "matroska", "libx264"),
        ("h264", "h264", "libx264"),
        ("265", "hevc", "libx265"),
        ("m1v", "mpeg1video", "mpeg1video"),
        ("m2v", "mpeg2video", "mpeg2video"),
        ("m4v", "m4v", "mpeg4"),
        ("3gpp", "3gp", "mpeg4"),
        ("xvid", "avi", "mpeg4"),
        ("y4m", "yuv4mpegpipe", "wrapped_avframe"),
    ],
)
def test_containers(tmp_path: Path, stripes: np.ndarray, ending: str, container: str, codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder {codec}")
    made = tmp_path / "made"
    with av.open(str(made), "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none:pools=none"}
        for array in stripes:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        output.mux(stream.encode())
    path = tmp_path / "run" / f"clip.{ending}"
    path.parent.mkdir()
    shutil.move(made, path)
    (clip,) = find_clips(tmp_path).clips
    read = read_video(clip.path)
    assert len(read.frames) == len(stripes) and read.fps == 25 and not read.variable_rate
