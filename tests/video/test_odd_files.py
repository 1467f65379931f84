"""Files that are not what a clip should be: refused in one sentence, and nothing waits for ever."""

import os
import stat
import struct
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stgan.video import VideoError, find_clips, io, read_video, write_gif, write_video

ODD_NAMES = (
    *("two words.mp4", " .mp4", "-rf.mp4", "--out=x.mp4", "%03d.mp4", "a;b|c&d.mp4", "file:x.mp4", "concat:a|b.mp4"),
    *("caf\u00e9.mp4", "cafe\u0301.mp4", "\U0001f483\U0001f3fd.mp4", "\u0634\u062e\u0635 \u05d0.mp4", "a\u202egnp.mp4"),
    *("new\nline.mp4", "tab\t.mp4", "'quoted\".mp4", "subfile,,start,0,end,9,,:x.mp4", "x" * 200 + ".mp4"),
)


def message(path: Path, **limits: int) -> str:
    """The one sentence with which `path` is refused."""
    with pytest.raises(VideoError) as caught:
        read_video(path, **limits)
    text = str(caught.value)
    assert text.isprintable() and text.endswith(".") and len(text) < 600
    return text


def test_any_name_will_do(tmp_path: Path, stripes: np.ndarray) -> None:
    paths = [tmp_path / "walk" / name for name in ODD_NAMES]
    paths[0].parent.mkdir()
    for path in paths:
        write_video(path, stripes[:2])
        assert len(read_video(path).frames) == 2
    assert {clip.path for clip in find_clips(tmp_path).clips} == set(paths)
    for path in paths:
        path.write_bytes(b"no video")
        message(path)


def test_names_that_no_file_can_have(tmp_path: Path, stripes: np.ndarray) -> None:
    for name in ("x" * 300 + ".mp4", "a\0b.mp4", "x" * 5000 + ".mp4"):
        message(tmp_path / name)
    with pytest.raises(VideoError, match="cannot be written"):
        write_video(tmp_path / ("x" * 252 + ".mp4"), stripes)
    assert not list(tmp_path.iterdir())


def test_one_frame(tmp_path: Path, stripes: np.ndarray) -> None:
    write_video(tmp_path / "clip.mp4", stripes[:1])
    write_gif(tmp_path / "clip.gif", stripes[:1])
    for name in ("clip.mp4", "clip.gif"):
        read = read_video(tmp_path / name)
        assert read.frames.shape == (1, 48, 64, 3) and 0 < read.fps <= 100


def test_no_frame(tmp_path: Path) -> None:
    for name, codec in (("clip.mp4", "mpeg4"), ("clip.avi", "mjpeg"), ("clip.mkv", "libx264")):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            container.start_encoding()
        message(tmp_path / name)


def test_frames_of_several_sizes(encode, stripes: np.ndarray) -> None:
    large = encode("large.mpg", np.tile(stripes, (1, 2, 2, 1)), "mpeg1video")
    both = encode("both.mpg", stripes, "mpeg1video")
    both.write_bytes(both.read_bytes() + large.read_bytes())
    assert "changes its frame size" in message(both)


def test_a_gif_that_claims_any_size(tmp_path: Path, stripes: np.ndarray) -> None:
    """A few bytes are enough to ask for gigabytes."""
    path = tmp_path / "clip.gif"
    write_gif(path, stripes)
    data = path.read_bytes()
    for size in ((65_535, 65_535), (65_535, 300), (5000, 5000), (0, 0)):
        path.write_bytes(data[:6] + struct.pack("<HH", *size) + data[10:])
        message(path)


def test_small_files_of_many_pixels(
    tmp_path: Path, stripes: np.ndarray, encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is bounded, also if little of each frame is kept, and is refused before it is done."""
    side, frames = 4096, 3000
    Image.new("P", (side, side)).save(tmp_path / "one.gif")
    one = (tmp_path / "one.gif").read_bytes()
    pixel = b"\x21\xf9\x04\x04\x0a\0\0\0\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    (tmp_path / "many.gif").write_bytes(one[:-1] + pixel * (frames - 1) + one[-1:])
    kept = 0

    def transform(frame: np.ndarray) -> np.ndarray:
        nonlocal kept
        kept += 1
        return frame[:8, :8]

    with pytest.raises(VideoError, match="in all frames together"):
        read_video(tmp_path / "many.gif", transform=transform)
    assert kept == 0
    assert len(read_video(tmp_path / "many.gif", part=range(2), transform=transform).frames) == 2
    monkeypatch.setattr(io, "MOST_DECODED", stripes[1:, ..., 0].size)
    for name, codec in (
        ("clip.mp4", "mpeg4"),
        ("clip.mkv", "mpeg4"),
        ("clip.mpg", "mpeg1video"),
        ("clip.h264", "libx264"),
    ):
        path = encode(name, stripes, codec)
        with pytest.raises(VideoError, match="in all frames together"):
            read_video(path, transform=transform)
        assert kept == 2
        assert len(read_video(path, part=range(2)).frames) == 2
    (tmp_path / "pictures").mkdir()
    for number, stripe in enumerate(stripes):
        Image.fromarray(stripe).save(tmp_path / "pictures" / f"{number}.png")
    assert "in all frames together" in message(tmp_path / "pictures")
    assert len(read_video(tmp_path / "pictures", part=range(2)).frames) == 2


def test_thousands_of_frames(encode, stripes: np.ndarray) -> None:
    assert "more than 3000 frames" in message(
        encode("long.avi", stripes[:, :2, :2].repeat(151, 0), "rawvideo", "bgr24")
    )


def test_a_picture(tmp_path: Path, stripes: np.ndarray) -> None:
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
        Image.fromarray(stripes[0]).save(tmp_path / "clip.mp4", format=kind)
        message(tmp_path / "clip.mp4")


PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile TARGET\n",
    "hls": "#EXTM3U\n#EXTINF:1,\nTARGET\n#EXT-X-ENDLIST\n",
    "dash": '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>TARGET</BaseURL></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=control:TARGET\n",
    "asx": '<ASX version="3.0"><ENTRY><REF HREF="TARGET"/></ENTRY></ASX>',
    "reference": "[Reference]\r\nRef1=TARGET\r\n",
}


def test_a_list_of_other_files(tmp_path: Path, stripes: np.ndarray) -> None:
    """By its whole address or by its name alone."""
    write_video(tmp_path / "secret.mp4", stripes)
    for target in (f"file://{tmp_path}/secret.mp4", "secret.mp4"):
        for text in PLAYLISTS.values():
            for ending in (".mp4", ".mkv", ".gif"):
                path = tmp_path / f"clip{ending}"
                path.write_text(text.replace("TARGET", target))
                message(path)


def test_an_archive(tmp_path: Path, stripes: np.ndarray) -> None:
    write_video(tmp_path / "inside.mp4", stripes)
    with zipfile.ZipFile(tmp_path / "clip.mp4", "w") as archive:
        archive.write(tmp_path / "inside.mp4")
    message(tmp_path / "clip.mp4")


def test_music_with_a_cover(tmp_path: Path, stripes: np.ndarray) -> None:
    """The cover is a video stream, as ffmpeg sees it."""
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=44100)
        cover = container.add_stream("mjpeg", rate=25)
        cover.height, cover.width, cover.pix_fmt = 48, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(cover.encode(av.VideoFrame.from_ndarray(stripes[0], format="rgb24")))
        container.mux(cover.encode())
        container.mux(sound.encode())
    with av.open(str(path)) as container:
        assert container.streams.video
    assert "no video stream" in message(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_pipes_devices_and_links(tmp_path: Path, stripes: np.ndarray) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    os.mkfifo(folder / "pipe.mp4")
    (folder / "device.mp4").symlink_to("/dev/zero")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "broken.mp4").symlink_to("nothing")
    (folder / "folder.mp4").mkdir()
    (folder / "up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to("again")
    assert "pipe or a device" in message(folder / "pipe.mp4")
    assert "pipe or a device" in message(folder / "device.mp4")
    assert "does not exist" in message(folder / "loop.mp4")
    assert "does not exist" in message(folder / "broken.mp4")
    assert "is a folder" in message(folder / "folder.mp4")
    write_video(tmp_path / "clip.mp4", stripes)
    (folder / "link.mp4").symlink_to("../clip.mp4")
    assert [clip.path.name for clip in find_clips(tmp_path).clips] == ["link.mp4"]
    assert len(read_video(folder / "link.mp4").frames) == len(stripes)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_files_without_permission(tmp_path: Path, stripes: np.ndarray) -> None:
    write_video(tmp_path / "clip.mp4", stripes)
    (tmp_path / "clip.mp4").chmod(0)
    assert "permission denied" in message(tmp_path / "clip.mp4")
    (tmp_path / "clip.mp4").chmod(stat.S_IRUSR)


def test_memory_that_is_not_there(tmp_path: Path, stripes: np.ndarray) -> None:
    def none_left(frame: np.ndarray) -> np.ndarray:
        raise MemoryError

    write_video(tmp_path / "clip.mp4", stripes)
    with pytest.raises(VideoError, match="does not fit into memory"):
        read_video(tmp_path / "clip.mp4", transform=none_left)
