"""Small files with a header that would make ffmpeg ask for gigabytes."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from stgan.video import VideoError, read_video, write_video
from stgan.video.boxes import declared_entries


def box(kind: str, *contents: bytes) -> bytes:
    data = b"".join(contents)
    return struct.pack(">I4s", 8 + len(data), kind.encode()) + data


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def track(*tables: bytes) -> bytes:
    return box("trak", box("mdia", box("minf", box("stbl", *tables))))


def promised(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    return declared_entries(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


def test_whole_files_promise_nothing(path: Path, encode, stripes: np.ndarray) -> None:
    write_video(path, stripes)
    assert declared_entries(path) == 0
    assert declared_entries(encode("clip.avi", stripes, "mpeg4")) == 0
    assert declared_entries(encode("clip.webm", stripes, "libvpx")) == 0
    assert promised(path, b"words, no boxes" * 99) == promised(path, b"") == promised(path, b"short") == 0


def test_fragments_promise_their_frames(path: Path, stripes: np.ndarray) -> None:
    with av.open(str(path), "w", options={"movflags": "frag_keyframe+empty_moov"}) as container:
        stream = container.add_stream("mpeg4", rate=25, options={"g": "5"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for array in stripes:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        container.mux(stream.encode())
    assert declared_entries(path) == len(stripes)
    assert len(read_video(path).frames) == len(stripes)


def test_samples_of_one_size(path: Path, stripes: np.ndarray) -> None:
    """50 million entries took ffmpeg 0.6 to 3.5 GB."""
    for count in (3_000_000, 0xFFFFFFFF):
        write_video(path, stripes)
        data = bytearray(path.read_bytes())
        at = data.index(b"stsz") + 8
        data[at : at + 8] = numbers(1, count)
        assert promised(path, bytes(data)) == count
        with pytest.raises(VideoError, match="more frames than it has bytes"):
            read_video(path)


def test_what_each_table_promises(path: Path) -> None:
    def sizes(size: int, count: int) -> bytes:
        return box("stsz", numbers(0, size, count))

    assert promised(path, box("moov", track(sizes(1, 7)), track(sizes(2, 5), sizes(0, 999)))) == 12
    assert promised(path, box("moof", box("traf", box("trun", numbers(0, 9)), box("trun", numbers(1, 8))))) == 17
    # Chunks 1 and 2 with 2048 samples each, 3 to 5 with 1024 each.
    table = box("stsc", numbers(0, 2, 1, 2048, 1, 3, 1024, 1))
    places = box("stco", numbers(0, 5, 0, 0, 0, 0, 0))
    assert promised(path, box("moov", track(table, places))) == 7
    assert promised(path, box("moov", track(places, table), track(table, places))) == 14
    long = struct.pack(">I4sQ", 1, b"moov", 16 + len(track(sizes(1, 7)))) + track(sizes(1, 7))
    assert promised(path, box("ftyp", b"isom") + long) == 7
    assert promised(path, struct.pack(">I4s", 0, b"moov") + track(sizes(1, 7))) == 7  # up to the end of the file
    assert promised(path, box("moov", track(sizes(1, 7)))[:-4]) == 0  # cut short
    assert promised(path, struct.pack(">I4s", 4, b"moov") * 9) == 0  # smaller than its own header


def test_boxes_without_end(path: Path) -> None:
    data = b""
    for _ in range(40):
        data = box("moov", data)
    path.write_bytes(data)
    with pytest.raises(VideoError):
        read_video(path)
    path.write_bytes(box("free") * 200_001)
    with pytest.raises(VideoError):
        read_video(path)


def test_an_edit_list_promises_its_samples_again(path: Path) -> None:
    """2,000 samples shown 50,000 times took ffmpeg 3.4 GB; a clip of two pieces is usual."""
    sizes = box("stsz", numbers(0, 0, 2000), numbers(*range(2000)))
    for edits, extra in ((1, 0), (2, 2000), (50_000, 49_999 * 2000)):
        listed = box("edts", box("elst", numbers(0, edits), numbers(40, 0, 1 << 16) * edits))
        assert promised(path, box("moov", box("trak", listed, box("mdia", box("minf", box("stbl", sizes)))))) == extra
