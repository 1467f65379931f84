"""Video files in and out."""

import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from stgan.video import TensorClip, VideoError, read_video, to_float, to_uint8, write_gif, write_video
from stgan.video.io import count_frames


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int))


def message(path: Path, **limits: int) -> str:
    """The one sentence with which `path` is refused."""
    with pytest.raises(VideoError) as caught:
        read_video(path, **limits)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_frames_are_counted_without_decoding(tmp_path: Path, stripes: np.ndarray) -> None:
    """In every form of a clip; VideoError for none."""
    frames = np.tile(stripes, (3, 1, 1, 1))
    places: list[Path | TensorClip] = [tmp_path / name for name in ("clip.mp4", "clip.gif", "frames")]
    write_video(tmp_path / "clip.mp4", frames)
    write_gif(tmp_path / "clip.gif", frames)
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{number}.png")
    np.save(tmp_path / "clip.npy", frames)
    for place in (*places, TensorClip(tmp_path / "clip.npy")):
        assert count_frames(place) == len(read_video(place).frames) == len(frames)
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("empty.mp4", "missing.mp4"):
        with pytest.raises(VideoError):
            count_frames(tmp_path / name)


def test_mp4_keeps_colours_at_any_size(tmp_path: Path, stripes: np.ndarray) -> None:
    for size in ((48, 64), (37, 53), (3, 100), (1, 1)):
        height, width = size
        frames = np.tile(stripes, (1, 1, 2, 1))[:, :height, :width]
        path = tmp_path / "clip.mp4"
        write_video(path, frames, fps=24.0)
        read = read_video(path)
        assert read.fps == 24
        assert read.frames.shape == frames.shape
        assert difference(read.frames, frames).max() <= 6
        assert difference(read.frames, frames).mean() < 1


def test_mp4_keeps_the_frame_rate(tmp_path: Path, stripes: np.ndarray) -> None:
    for fps in (5.0, 23.976, 30000 / 1001, 60.0):
        write_video(tmp_path / "clip.mp4", stripes, fps)
        assert read_video(tmp_path / "clip.mp4").fps == pytest.approx(fps, rel=1e-4)


def test_mp4_starts_with_its_index_and_names_its_colours(tmp_path: Path, stripes: np.ndarray) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, stripes)
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.format.name, frame.colorspace) == ("yuv444p", 6)


def test_frames_need_not_be_contiguous(tmp_path: Path, stripes: np.ndarray) -> None:
    mirrored = stripes[:, :, ::-1]
    write_video(tmp_path / "clip.mp4", mirrored)
    write_gif(tmp_path / "clip.gif", mirrored)
    assert difference(read_video(tmp_path / "clip.mp4").frames, mirrored).max() <= 6
    assert difference(read_video(tmp_path / "clip.gif").frames, mirrored).max() <= 8


def test_gif_round_trip(tmp_path: Path, stripes: np.ndarray) -> None:
    for fps in (10.0, 24.0, 50.0):
        path = tmp_path / "clip.gif"
        write_gif(path, stripes, fps)
        read = read_video(path)
        assert difference(read.frames, stripes).max() <= 8
        assert read.fps == pytest.approx(fps, rel=0.03)
        with Image.open(path) as image:
            assert image.info["loop"] == 0
            shown = 0.0
            for index in range(image.n_frames):
                image.seek(index)
                shown += image.info["duration"]
        assert shown == pytest.approx(1000 * len(stripes) / fps, abs=5)


def test_gif_shows_a_still_stretch_as_long_and_at_most_50_frames_a_second(tmp_path: Path, stripes: np.ndarray) -> None:
    write_gif(tmp_path / "clip.gif", stripes[:3].repeat(4, 0), fps=25.0)
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == 3
        assert image.info["duration"] == 160
    write_gif(tmp_path / "clip.gif", stripes, fps=100.0)
    assert read_video(tmp_path / "clip.gif").fps == pytest.approx(50)


def test_reads_other_formats(encode, stripes: np.ndarray) -> None:
    for name, codec in (
        ("clip.avi", "mpeg4"),
        ("vp8.webm", "libvpx"),
        ("vp9.webm", "libvpx-vp9"),
        ("clip.mov", "libx264"),
    ):
        read = read_video(encode(name, stripes, codec))
        assert read.frames.shape == stripes.shape
        assert read.fps == pytest.approx(25)
        # Halved colour smears the edges, so that only the brightness of the whole can be asked for.
        assert difference(read.frames.mean((0, 1)), stripes.mean((0, 1))).mean() < 20


def test_a_name_with_a_colon_is_a_file(tmp_path: Path, stripes: np.ndarray, monkeypatch) -> None:
    write_video(tmp_path / "clip.mp4", stripes)
    if os.name == "nt":
        pytest.skip("Windows has no such names")
    shutil.copy(tmp_path / "clip.mp4", tmp_path / "http:clip.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(read_video("http:clip.mp4").frames) == len(stripes)


def test_refuses_what_is_no_video(tmp_path: Path) -> None:
    assert "does not exist" in message(tmp_path / "missing.mp4")
    assert "is a folder" in message(tmp_path)
    (tmp_path / "empty.mp4").touch()
    assert "empty file" in message(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("These are only words.\n" * 500)
    assert "cannot be read as a video" in message(tmp_path / "text.mp4")
    (tmp_path / "odd\nname.mp4").write_text("words")
    message(tmp_path / "odd\nname.mp4")


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", None), ("clip.avi", "mpeg4"), ("vp8.webm", "libvpx")])
def test_refuses_a_truncated_file(tmp_path: Path, encode, name: str, codec: str | None) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    path = tmp_path / name
    if codec is None:
        write_video(path, frames)
    else:
        encode(name, frames, codec)
    data = path.read_bytes()
    for part in (0.1, 0.5, 0.8):
        path.write_bytes(data[: int(part * len(data))])
        message(path)


def test_a_part_is_that_of_the_whole(tmp_path: Path, stripes: np.ndarray) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, stripes)
    whole = read_video(path)
    count = len(whole.frames)
    for start, stop in ((0, 1), (0, 4), (2, 5), (count - 1, count), (3, count + 9)):
        read = read_video(path, part=range(start, stop))
        np.testing.assert_array_equal(read.frames, whole.frames[start:stop])
        assert read.fps == whole.fps
    with pytest.raises(VideoError, match=f"has {count} frames, no frame {count}"):
        read_video(path, part=range(count, count + 1))


def test_limits(tmp_path: Path, stripes: np.ndarray) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, stripes)
    assert "more than 19 frames" in message(path, max_frames=19)
    assert "64x48" in message(path, max_pixels=64 * 48 - 1)
    assert "GiB" in message(path, max_bytes=stripes.nbytes - 1)
    exact = read_video(path, max_frames=20, max_pixels=64 * 48, max_bytes=stripes.nbytes)
    assert np.array_equal(exact.frames, read_video(path, max_frames=None).frames)


@pytest.mark.parametrize(("write", "name"), [(write_video, "clip.mp4"), (write_gif, "clip.gif")])
def test_writing_refuses_bad_places(tmp_path: Path, stripes: np.ndarray, write, name: str) -> None:
    with pytest.raises(VideoError, match="folder does not exist"):
        write(tmp_path / "missing" / name, stripes)
    with pytest.raises(VideoError, match="does not end in"):
        write(tmp_path / "clip.avi", stripes)
    (tmp_path / name).mkdir()
    with pytest.raises(VideoError, match="cannot be written"):
        write(tmp_path / name, stripes)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("write", "name"), [(write_video, "clip.mp4"), (write_gif, "clip.gif")])
def test_a_failing_write_leaves_what_was_there(
    tmp_path: Path, stripes: np.ndarray, monkeypatch, write, name: str
) -> None:
    path = tmp_path / name
    write(path, stripes)
    before = path.read_bytes()

    def disk_full(source: object, target: object) -> None:
        assert Path(str(source)).parent == tmp_path and Path(str(source)).stat().st_size > 0
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", disk_full)
    with pytest.raises(VideoError, match="no space left"):
        write(path, stripes[::-1])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_encoder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    too_wide = np.zeros((1, 1, 70_000, 3), np.uint8)
    with pytest.raises(VideoError, match="cannot be written"):
        write_video(tmp_path / "clip.mp4", too_wide)
    with pytest.raises(VideoError, match="65535 pixels"):
        write_gif(tmp_path / "clip.gif", too_wide)
    assert list(tmp_path.iterdir()) == []


def test_writing_needs_frames_and_a_rate(tmp_path: Path, stripes: np.ndarray) -> None:
    for fps in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="fps"):
            write_video(tmp_path / "clip.mp4", stripes, fps)
        with pytest.raises(ValueError, match="frames"):
            write_video(tmp_path / "clip.mp4", stripes[:0])


def test_float_and_back() -> None:
    frames = np.arange(256 * 3, dtype=np.uint16).reshape(1, 16, 16, 3).astype(np.uint8)
    video = to_float(frames)
    assert video.shape == (3, 1, 16, 16) and video.dtype == torch.float32
    assert video.min() == 0 and video.max() == 1
    assert np.array_equal(to_uint8(video), frames)


def test_to_uint8_clamps_and_rounds() -> None:
    values = torch.tensor([-0.5, 0.4999 / 255, 0.5001 / 255, 1.7]).expand(3, 1, 1, 4)
    assert to_uint8(values)[0, 0, :, 0].tolist() == [0, 0, 1, 255]
    assert to_uint8(values.half()).dtype == np.uint8
    assert to_uint8(values.clone().requires_grad_()).shape == (1, 1, 4, 3)


@pytest.mark.real
def test_real_clips_are_read_whole(real_data: Path) -> None:
    clips = sorted((real_data / "ucf101_sample").rglob("*.avi"))[::6]
    assert clips
    for path in clips:
        read = read_video(path)
        assert read.frames.shape[1:] == (240, 320, 3)
        assert read.fps in (25, pytest.approx(29.97, abs=0.01))
