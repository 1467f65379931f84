"""Videos in every container and codec, damaged; and videos that are turned, trimmed, or of a variable rate."""

import struct
from fractions import Fraction
from pathlib import Path
from random import Random

import av
import numpy as np
from mutations import damage_bytes
from PIL import ExifTags, Image

from stgan.errors import StganError
from stgan.files import remove
from stgan.video import read_video
from stgan.video.decoding import decode_clip, inspect_clip

CODECS = (
    *(("mp4", "libx264", "yuv444p"), ("mp4", "mpeg4", "yuv420p"), ("mp4", "libx265", "yuv420p")),
    *(
        ("mov", "libx264", "yuv420p"),
        ("mov", "png", "rgb24"),
        ("avi", "mpeg4", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
    ),
    *(("avi", "rawvideo", "bgr24"), ("avi", "huffyuv", "yuv422p"), ("webm", "libvpx", "yuv420p")),
    *(("webm", "libvpx-vp9", "yuv420p"), ("mkv", "libx264", "yuv420p"), ("mkv", "ffv1", "yuv420p")),
    *(("gif", "gif", "rgb8"), ("mpg", "mpeg1video", "yuv420p"), ("mpg", "mpeg2video", "yuv420p")),
    *(("ts", "mpeg2video", "yuv420p"), ("flv", "flv", "yuv420p"), ("asf", "wmv2", "yuv420p")),
    *(("h264", "libx264", "yuv420p"), ("hevc", "libx265", "yuv420p"), ("m2v", "mpeg2video", "yuv420p")),
    *(("m4v", "mpeg4", "yuv420p"), ("mjpeg", "mjpeg", "yuvj420p")),
)


class Videos:
    """`read_video` of a damaged file in every container and codec."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder
        rng = np.random.default_rng(0)
        texture = rng.integers(0, 256, (48, 80, 3), np.uint8)
        self.frames = np.stack([np.roll(texture, 2 * t, 1)[:, :64] for t in range(12)])
        self.originals = [(suffix, self._encode(f"{i}.{suffix}", *rest)) for i, (suffix, *rest) in enumerate(CODECS)]

    def damage(self, rng: Random) -> Path:
        suffix, data = rng.choice(self.originals)
        path = self.folder / f"case.{suffix}"
        path.write_bytes(damage_bytes(data, rng, [other for _, other in self.originals]))
        return path

    def attempt(self, path: Path) -> None:
        read_video(path, max_bytes=1 << 29)

    def _encode(self, name: str, codec: str, pix_fmt: str) -> bytes:
        path = self.folder / name
        with av.open(str(path), "w", format="mpeg" if name.endswith("mpg") else None) as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width = self.frames.shape[1:3]
            stream.pix_fmt = pix_fmt
            stream.codec_context.thread_count = 1
            if codec == "libx265":
                stream.options = {"x265-params": "log-level=none:pools=none"}
            if codec == "libvpx-vp9":
                stream.options = {"deadline": "realtime", "cpu-used": "8"}
            for array in self.frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
            container.mux(stream.encode())
        data = path.read_bytes()
        path.unlink()
        return data


class ShownVideos:
    """`read_video` of a sound video that is turned, trimmed or of a variable rate: what players show is right.

    The corners of the frames have colours, and their grey is their number.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder
        self.originals = [
            (suffix, rate, _encoded(folder / f"clip.{suffix}", codec, pix_fmt, _regular(rate), options))
            for suffix, codec, pix_fmt, rate, options in (
                ("mp4", "libx264", "yuv444p", 25, {}),
                ("mp4", "libx264", "yuv420p", 50, {"bf": "3", "g": "7"}),
                ("mp4", "mpeg4", "yuv420p", 10, {}),
                ("mov", "png", "rgb24", 20, {}),
                ("mov", "mjpeg", "yuvj420p", 40, {}),
            )
        ]
        self.numbers: list[int] = []
        self.joined = False  # from two parts, between which FFmpeg may leave a gap in time
        self.matrix = _MATRICES[0]
        self.stamps: list[int] | None = None  # milliseconds

    def damage(self, rng: Random) -> Path:
        self.numbers, self.matrix, self.stamps, self.joined = list(range(_COUNT)), _MATRICES[0], None, False
        remove(self.folder / "frames")
        match rng.randrange(4):
            case 0:
                return self._pictures(rng)
            case 1:
                return self._irregular(rng)
            case _:
                return self._edited(rng)

    def attempt(self, path: Path) -> None:
        try:
            video, facts = read_video(path), inspect_clip(path)
            start = len(self.numbers) // 3
            part = read_video(path, part=range(start, start + 2))
        except StganError as error:
            raise AssertionError(f"refused: {error}") from error
        assert _numbers(video.frames) == self.numbers, f"{_numbers(video.frames)}, not {self.numbers}"
        assert _numbers(part.frames) == self.numbers[start : start + 2]
        assert _corners(video.frames) == self._shown(), f"{_corners(video.frames)}, not {self._shown()}"
        assert video.turned == facts.turned == (self.matrix != _MATRICES[0])
        assert (facts.frames, facts.height, facts.width) == video.frames.shape[:3]
        if self.stamps is None:
            assert not video.variable_rate or self.joined
            return
        seconds = (np.array(self.stamps) - self.stamps[0]) / 1000
        assert np.abs(video.times - seconds).max() < 0.002, f"{video.times}, not {seconds}"
        assert video.variable_rate == facts.variable_rate == (len(set(np.diff(self.stamps))) > 1)
        instants = np.arange(0, seconds[-1], 0.037)
        wanted = [max(i for i, second in enumerate(seconds) if second <= instant + 1e-6) for instant in instants]
        found = _numbers(decode_clip(path, fps=1 / 0.037)[1])
        assert not video.variable_rate or found[: len(wanted)] == wanted, f"{found}, not {wanted}"

    def _pictures(self, rng: Random) -> Path:
        """A folder of frames that a camera has turned."""
        orientation, path = rng.randrange(1, 9), self.folder / "frames"
        self.matrix = _MATRICES[orientation - 1]
        suffix, digits = rng.choice(("png", "jpg", "webp")), rng.choice((1, 4))
        path.mkdir()
        for number, frame in enumerate(_frames()):
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = orientation
            Image.fromarray(frame).save(path / f"{number:0{digits}}.{suffix}", exif=exif, quality=90)
        return path

    def _irregular(self, rng: Random) -> Path:
        """Frames that are shown for different times."""
        suffix, codec, pix_fmt = rng.choice(_TIMED)
        step, long = rng.choice((20, 40, 100)), rng.sample(range(_COUNT - 1), rng.choice((0, 1, 3, 5)))
        self.stamps = np.cumsum([0, *(4 * step if i in long else step for i in range(_COUNT - 1))]).tolist()
        path = self.folder / f"case.{suffix}"
        data = _encoded(path, codec, pix_fmt, self.stamps, {})
        path.write_bytes(self._turned(data, rng) if suffix == "mp4" else data)
        return path

    def _edited(self, rng: Random) -> Path:
        suffix, rate, data = rng.choice(self.originals)
        path = self.folder / f"case.{suffix}"
        edits = rng.choice((0, 1, 1, 2))
        if edits:
            cuts = sorted(rng.sample(range(_COUNT + 1), 2 * edits))
            parts = [range(*pair) for pair in zip(cuts[::2], cuts[1::2], strict=True)]
            self.numbers = [number for part in parts for number in part]
            data, self.joined = _trimmed(data, parts, rate, rng), edits > 1
        path.write_bytes(self._turned(data, rng))
        return path

    def _turned(self, data: bytes, rng: Random) -> bytes:
        """With another matrix in the box `tkhd`; translations and scales do not matter."""
        self.matrix = a, b, c, d = rng.choice(_MATRICES)
        scale, x, y = rng.choice((1.0, 1.0, 0.5, 1.7)), *(rng.choice((0, 32, 48)) for _ in range(2))
        values = [round((1 << 16) * value) for value in (a * scale, b * scale, 0, c * scale, d * scale, 0, x, y)]
        at = data.index(b"tkhd") + 44
        return data[:at] + struct.pack(">8i", *values) + data[at + 32 :]

    def _shown(self) -> list[str]:
        """The colours of the corners, row by row. (x, y) is shown at (a x + c y, b x + d y)."""
        a, b, c, d = self.matrix
        places = {(a * x + c * y, b * x + d * y): color for (x, y), color in zip(_PLACES, _COLORS, strict=True)}
        return [places[place] for place in _PLACES]


_COUNT, _HEIGHT, _WIDTH, _CORNER = 20, 32, 48, 8
_COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
_PLACES = ((-1, -1), (1, -1), (-1, 1), (1, 1))  # of the corners, from the left and from the top
_MATRICES = (  # in the order of the orientations of EXIF
    *((1, 0, 0, 1), (-1, 0, 0, 1), (-1, 0, 0, -1), (1, 0, 0, -1)),
    *((0, 1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0), (0, -1, 1, 0)),
)
_TIMED = (
    *(("mp4", "libx264", "yuv420p"), ("mkv", "libx264", "yuv420p"), ("mkv", "ffv1", "yuv444p"), ("gif", "gif", "rgb8")),
    *(("mov", "png", "rgb24"), ("webm", "libvpx", "yuv420p")),
)


def _regular(rate: int) -> list[int]:
    return [1000 * number // rate for number in range(_COUNT)]


def _frames() -> np.ndarray:
    frames = np.full((_COUNT, _HEIGHT, _WIDTH, 3), 20, np.uint8)
    frames += 10 * np.arange(_COUNT, dtype=np.uint8)[:, None, None, None]
    for (x, y), color in zip(_PLACES, _COLORS.values(), strict=True):
        rows, columns = (slice(0, _CORNER) if side < 0 else slice(-_CORNER, None) for side in (y, x))
        frames[:, rows, columns] = color
    return frames


def _numbers(frames: np.ndarray) -> list[int]:
    """The numbers of frames, by their grey."""
    height, width = frames.shape[1:3]
    middle = frames[:, height // 2 - 3 : height // 2 + 3, width // 2 - 3 : width // 2 + 3]
    return ((middle.mean((1, 2, 3)) - 20) / 10).round().astype(int).tolist()


def _corners(frames: np.ndarray) -> list[str]:
    """The colours of the corners of the first frame, row by row."""
    edge = slice(2, _CORNER - 2)
    found = []
    for x, y in _PLACES:
        corner = frames[0, ::-y, ::-x][edge, edge].mean((0, 1))
        found.append(min(_COLORS, key=lambda name: np.abs(corner - _COLORS[name]).sum()))
    return found


def _encoded(path: Path, codec: str, pix_fmt: str, stamps: list[int], options: dict[str, str]) -> bytes:
    """The frames, shown at these milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = _HEIGHT, _WIDTH, pix_fmt
        stream.codec_context.time_base = Fraction(1, 100 if codec == "gif" else 1000)
        stream.codec_context.thread_count, stream.bit_rate = 1, 2_000_000
        for array, stamp in zip(_frames(), stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path.read_bytes()


def _trimmed(data: bytes, parts: list[range], rate: int, rng: Random) -> bytes:
    """An mp4 file with another edit list, which shows these parts; at the end of the file, so that nothing moves."""
    at = data.index(b"elst") - 4
    size, begin = struct.unpack_from(">I12xi", data, at)[0], struct.unpack_from(">i", data, at + 20)[0]
    timescale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    edits = [(1000 * len(part) // rate, begin + part.start * timescale // rate) for part in parts]
    if rng.random() < 0.3:
        edits.insert(0, (rng.choice((40, 1000)), -1))  # nothing is shown for a while
    version = rng.randrange(2)
    entry = ">qqi" if version else ">iii"
    box = struct.pack(">B3xI", version, len(edits)) + b"".join(struct.pack(entry, *edit, 1 << 16) for edit in edits)
    box = struct.pack(">I4s", len(box) + 8, b"elst") + box
    result = bytearray(data[:at] + box + data[at + size :])
    for name in (b"moov", b"trak", b"edts"):
        place = data.index(name) - 4
        struct.pack_into(">I", result, place, struct.unpack_from(">I", data, place)[0] + len(box) - size)
    return bytes(result)
