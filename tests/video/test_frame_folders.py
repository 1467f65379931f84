"""Clips that are folders of images, one a frame."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from clip_folders import touch, write_csv, write_frames
from PIL import Image

from stgan.video import VideoError, find_clips, read_video
from stgan.video.clip_cache import ClipCache
from stgan.video.decoding import decode_clip
from stgan.video.frame_folders import clip_sha256, frame_files


def test_folders_of_frames(tmp_path: Path) -> None:
    levels = [20 * number for number in range(12)]
    write_frames(tmp_path / "walk" / "ann", levels, "frame_{}.png")  # 10 comes behind 9
    write_frames(tmp_path / "run" / "bob", levels, "{:05d}.jpg")
    (tmp_path / "run" / "bob" / "notes.txt").touch()
    folder = find_clips(tmp_path)
    assert [(clip.path.name, clip.label) for clip in folder.clips] == [("bob", "run"), ("ann", "walk")]
    for clip in folder.clips:
        video = read_video(clip.path)
        assert video.frames.shape == (12, 16, 24, 3) and video.fps == 25
        assert np.abs(video.frames.mean((1, 2, 3)) - levels).max() < 2
        np.testing.assert_array_equal(read_video(clip.path, part=range(3, 5)).frames, video.frames[3:5])
    write_csv(tmp_path, "path,label\nwalk/ann,walk\nrun/bob,run\n")
    folder = find_clips(tmp_path)
    assert [clip.path.name for clip in folder.clips] == ["ann", "bob"] and folder.notes == ()


def test_folders_of_frames_on_no_list_are_counted(tmp_path: Path) -> None:
    """Also those of UCF-101's clips, whose lists name videos."""
    for name in ("run/v_g01_c01", "run/v_g01_c02"):
        write_frames(tmp_path / name, [10, 20])
    touch(tmp_path, "run/v_g02_c01.avi", "trainlist01.txt", "testlist01.txt")
    (tmp_path / "trainlist01.txt").write_text("run/v_g01_c01.avi 1\nrun/v_g02_c01.avi 1\n")
    (note,) = find_clips(tmp_path).notes
    assert "2 folder(s) of images on no list" in note and "v_g01_c01" in note


def test_the_cache_notices_another_frame(tmp_path: Path) -> None:
    write_frames(tmp_path / "clips" / "walk" / "ann", [10, 20])
    folder = find_clips(tmp_path / "clips")
    cache = ClipCache(tmp_path / "cache", None)
    (before,) = cache.load(folder)
    digest = clip_sha256(folder.clips[0].path)
    Image.new("RGB", (24, 16), (200, 200, 200)).save(folder.clips[0].path / "2.png")
    (after,) = cache.load(folder)
    assert before[1].mean() == 20 and after[1].mean() == 200
    assert clip_sha256(folder.clips[0].path) != digest


def test_frames_that_are_wrong(tmp_path: Path) -> None:
    write_frames(tmp_path / "ann", [10, 20, 30])
    for limits in ({"max_frames": 2}, {"max_pixels": 24 * 16 - 1}, {"max_bytes": 3 * 24 * 16 * 3 - 1}):
        with pytest.raises(VideoError):
            read_video(tmp_path / "ann", **limits)
    Image.new("RGB", (24, 17)).save(tmp_path / "ann" / "2.png")
    with pytest.raises(VideoError, match="frame size"):
        read_video(tmp_path / "ann")
    (tmp_path / "ann" / "2.png").write_bytes(b"no image")
    with pytest.raises(VideoError, match=r"2\.png"):
        read_video(tmp_path / "ann")
    with pytest.raises(VideoError, match="no frame 3"):
        read_video(tmp_path / "ann", part=range(3, 4))


def test_a_frame_that_is_missing_is_noticed(tmp_path: Path) -> None:
    """By the numbers of the others, or by the link that leads nowhere."""
    write_frames(tmp_path / "whole", [10] * 12, "ann_2_{:03d}_rgb.png")
    write_frames(tmp_path / "thinned", [10] * 4, "{}0.png")
    for name in ("whole", "thinned"):
        assert not read_video(tmp_path / name).variable_rate
    (tmp_path / "whole" / "ann_2_007_rgb.png").unlink()
    video = read_video(tmp_path / "whole")
    assert video.variable_rate and np.allclose(video.times * 25, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11])
    (tmp_path / "whole" / "ann_2_007_rgb.png").symlink_to("nothing.png")
    with pytest.raises(VideoError, match=r"007_rgb\.png' is a broken link"):
        read_video(tmp_path / "whole")


@pytest.mark.parametrize("others", ["{}.jpg", "{:03d}.png", "{}_mask.png"])
def test_two_series_of_frames_in_a_folder_are_not_mixed(tmp_path: Path, others: str) -> None:
    write_frames(tmp_path / "ann", [10, 20])
    write_frames(tmp_path / "more", [30, 40], others)
    for file in frame_files(tmp_path / "more"):
        file.rename(tmp_path / "ann" / file.name)
    with pytest.raises(VideoError, match=r"two images of one number, '0*1.*a folder of its own"):
        read_video(tmp_path / "ann")


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_frames_as_tiff(tmp_path: Path, compression: str | None) -> None:
    write_frames(tmp_path / "png", [10, 20, 30])
    (tmp_path / "tiff").mkdir()
    for number, file in enumerate(frame_files(tmp_path / "png")):
        Image.open(file).save(tmp_path / "tiff" / f"{number}.tif{'f' * (number % 2)}", compression=compression)
    expected, found = (read_video(tmp_path / name).frames for name in ("png", "tiff"))
    np.testing.assert_allclose(found, expected, atol=2 if compression == "jpeg" else 0)


def test_pictures_that_are_no_frame_of_8_bits_are_refused(tmp_path: Path) -> None:
    """They would turn white, or lose all pages but the first."""
    gray = Image.fromarray(np.full((16, 24), 4000, np.uint16))
    pages = [Image.new("RGB", (24, 16), level) for level in ("red", "blue")]
    for name, image, options, message in (
        ("1.png", gray, {}, "more than 8 bits"),
        ("1.tif", gray, {}, "more than 8 bits"),
        ("1.tiff", Image.fromarray(np.ones((16, 24), np.float32)), {}, "more than 8 bits"),
        ("1.tif", pages[0], {"save_all": True, "append_images": pages[1:]}, "several pictures"),
        ("1.png", pages[0], {"save_all": True, "append_images": pages[1:]}, "several pictures"),
        ("1.tif", pages[0].convert("1"), {"compression": "group4"}, "compressed in a rare way"),
    ):
        folder = tmp_path / message
        folder.mkdir(exist_ok=True)
        image.save(folder / name, **options)
        with pytest.raises(VideoError, match=message):
            read_video(folder)
        (folder / name).unlink()


def test_a_small_tiff_with_a_large_tile_takes_no_memory(tmp_path: Path) -> None:
    """A tile is unpacked as a whole, however little of it the picture shows."""
    side, packed = 5000, zlib.compress(bytes(5000**2))
    values = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    start = struct.pack("<2sHI", b"II", 42, 8 + len(packed))
    (tmp_path / "1.tif").write_bytes(start + packed + struct.pack("<H", len(values)) + entries + bytes(4))
    assert read_video(tmp_path, max_pixels=side**2).frames.shape == (1, 64, 64, 3)
    with pytest.raises(VideoError, match="frames of 5000x5000, more than 16777216 pixels"):
        read_video(tmp_path)


def test_frames_as_cameras_write_them_are_turned_upright(tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    image = Image.new("RGB", (24, 16))
    image.paste((255, 255, 255), (0, 0, 24, 4))  # the upper edge of the stored image
    exif = Image.Exif()
    exif[0x0112] = 6  # its upper edge is the right one
    for ending in ("png", "tif"):
        image.save(tmp_path / "ann" / f"1.{ending}", exif=exif)
        facts, frames = decode_clip(tmp_path / "ann")
        assert frames.shape == (1, 24, 16, 3) and facts.turned
        assert frames[0, :, -4:].min() == 255 and frames[0, :, :-4].max() == 0
        (tmp_path / "ann" / f"1.{ending}").unlink()


def test_a_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", [10, 200])
    picture = sorted((tmp_path / "clip").iterdir())[1]
    assert read_video(picture).frames.shape[0] == 1
    assert np.array_equal(read_video(picture).frames[0], read_video(tmp_path / "clip").frames[1])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(VideoError, match="broken"):
        read_video(tmp_path / "broken.png")
