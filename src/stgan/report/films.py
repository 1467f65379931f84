"""Clips in formats that every browser plays, inside a page. `film_files` writes them beside it.

The clips on disk have colour at full resolution, which Firefox and Safari do not play. Each is encoded twice with
colour at half the resolution, as H.264 (baseline) and as VP8. Small clips are enlarged by 2 first, so that no colour is
lost.
"""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from stgan.errors import StganError
from stgan.report.page import data_uri, image_uri
from stgan.scoring import Clip
from stgan.video import DecodedVideo, TensorClip, read_video
from stgan.video.decoding import resize_and_crop
from stgan.video.strips import thumbnails

LONGEST = 250
"""The largest number of frames of a clip that a page shows."""
_SHORT = 1  # seconds
SPEED = "Clips shorter than a second play at half speed."
_MOST_FRAMES = 3000  # of a clip; longer ones are refused
_MOST_BYTES = 1 << 29  # of a clip in memory
_SIDE = 320  # pixels: the largest width and height of a film
_WIDE = 960  # the same for films of several pictures side by side
_STRIP = 1024  # pixels: the largest width of frames side by side
_WHOLE_PAGE = 5_000_000  # bytes of all films together

_BT601 = {"colorspace": "smpte170m", "color_range": "tv"}  # explicit, as players assume another one for large frames
_H264 = {
    "profile": "baseline",
    "level": "3.1",
    "crf": "20",
    "preset": "veryfast",
    "tune": "psnr",
    "x264-params": "mbtree=0",
    **_BT601,
}
_VP8 = {"crf": "10", "b": "1M", "deadline": "good", "cpu-used": "4"}  # VP8 always uses BT.601

Frames = UInt8[np.ndarray, "time height width 3"]


@dataclass(frozen=True)
class Film:
    """A clip as three addresses (data URIs, or files beside the page), and its width and height in pixels."""

    mp4: str
    webm: str
    poster: str
    width: int
    height: int

    @property
    def size(self) -> int:
        """Bytes in the page."""
        return len(self.mp4) + len(self.webm) + len(self.poster)


@dataclass(frozen=True)
class Encoded:
    """The bytes of a film, in both formats, and its middle frame at the clip's size."""

    mp4: bytes
    webm: bytes
    poster: Image.Image
    width: int
    height: int


@dataclass
class Films:
    """Makes the films of a page.

    budget:   bytes that the page can still hold.
    refused:  why clips could not be shown, by path.
    left_out: the number of clips that no longer fit into the page.
    """

    beside: ClassVar = False  # none of them is a file beside the page

    budget: int = _WHOLE_PAGE
    refused: dict[Path | TensorClip, str] = field(default_factory=dict)
    left_out: int = 0
    _made: dict[Path | TensorClip, Film] = field(default_factory=dict)

    def get(self, clip: Clip, wide: bool = False) -> Film | None:
        """The film of a clip; None if it cannot be shown, does not match its manifest, or no longer fits.

        wide: as for `encode_film`.
        """
        film = self._make(clip, wide)
        if clip.source in self.refused:
            return None
        if film is None or film.size > self.budget:
            self.left_out += 1
            return None
        self.budget -= film.size
        return film

    def hold(self, places: Iterable[tuple[Clip, bool]]) -> bool:
        """Whether the page has space for the films of all these places: each a clip, and whether its film is wide."""
        space = self.budget
        for place in places:
            film = self._make(*place)
            space -= film.size if film else 0
            if space < 0:
                return False
        return True

    def _make(self, clip: Clip, wide: bool) -> Film | None:
        path = clip.source
        if path not in self._made and path not in self.refused:
            try:
                clip.check_file()
                self._made[path] = make_film(path, wide)
            except StganError as error:
                self.refused[path] = str(error)
        return self._made.get(path)


def make_film(path: Path | TensorClip, wide: bool = False) -> Film:
    """The film of a clip as data URIs. Arguments and errors as for `encode_film`."""
    film = encode_film(path, wide)
    mp4, webm = data_uri("video/mp4", film.mp4), data_uri("video/webm", film.webm)
    return Film(mp4, webm, image_uri(film.poster), film.width, film.height)


def encode_film(path: Path | TensorClip, wide: bool = False) -> Encoded:
    """Encode the first 250 frames of a clip. Short clips play at half speed.

    wide: the film shows several pictures side by side. It may be 960 pixels wide, and any other one 320.

    Raises:
        VideoError: the clip cannot be read, or is too long.
    """
    side = _WIDE if wide else _SIDE
    clip = read_clip(path, side)
    frames, fps = clip.frames[:LONGEST], Fraction(clip.fps).limit_denominator(1000)
    if len(frames) < _SHORT * fps:
        fps /= 2
    factor = enlargement(frames.shape[1:3], side)
    large = even_sides(frames.repeat(factor, axis=1).repeat(factor, axis=2))
    return Encoded(
        mp4=_encode(large, fps, "libx264", "mp4", _H264),
        webm=_encode(large, fps, "libvpx", "webm", _VP8),
        poster=Image.fromarray(frames[len(frames) // 2]),
        width=large.shape[2],
        height=large.shape[1],
    )


def read_clip(path: Path | TensorClip, side: int | None = None, size: tuple[int, int] | None = None) -> DecodedVideo:
    """A clip with frames of at most `side` pixels, default 320, in width and height; or of `size`, (height, width), to
    which they are scaled and cropped.
    """
    transform = partial(_fit, side=side or _SIDE) if size is None else partial(_cover, size=size)
    return read_video(path, max_frames=_MOST_FRAMES, max_bytes=_MOST_BYTES, transform=transform)


def enlargement(size: Iterable[int], side: int | None = None) -> int:
    """The factor by which frames of this height and width are enlarged: 2, or 1 if they are large."""
    return 2 if 2 * max(size) <= (side or _SIDE) else 1


def even_sides(frames: Frames) -> UInt8[np.ndarray, "time even_height even_width 3"]:
    """Repeat the last row or column of frames with an odd side, which colour at half the resolution does not allow."""
    height, width = frames.shape[1:3]
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def strip(frames: Frames, columns: int = 8) -> str:
    """Frames evenly spread over a clip, side by side, as a data URI of at most 1024 pixels in width."""
    picture = Image.fromarray(np.concatenate(list(thumbnails(frames, min(columns, len(frames)))), axis=1))
    picture.thumbnail((_STRIP, _STRIP))
    return image_uri(picture)


def alike(clips: list[UInt8[np.ndarray, "_ _ _ 3"]]) -> list[UInt8[np.ndarray, "_ _ _ 3"]]:
    """Clips scaled to the frame size of the first one."""
    size = clips[0].shape[2], clips[0].shape[1]
    return [
        clip
        if (clip.shape[2], clip.shape[1]) == size
        else np.stack([np.asarray(Image.fromarray(frame).resize(size)) for frame in clip])
        for clip in clips
    ]


def _fit(frame: UInt8[np.ndarray, "_ _ 3"], side: int) -> UInt8[np.ndarray, "_ _ 3"]:
    if max(frame.shape[:2]) <= side:
        return frame
    image = Image.fromarray(frame)
    image.thumbnail((side, side))
    return np.asarray(image)


def _cover(frame: UInt8[np.ndarray, "_ _ 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "_ _ 3"]:
    return resize_and_crop(frame[None], size)[0]


def _encode(frames: Frames, fps: Fraction, codec: str, container: str, options: dict[str, str]) -> bytes:
    """Encode into a file, not into memory, because the beginning of an mp4 is written last."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"film.{container}")
        settings = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if container == "mp4" else {})
        with av.open(str(path), "w", format=container, options=settings) as output:
            stream: Any = output.add_stream(codec, rate=fps, options=options)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.thread_count = 1  # together with bitexact: always the same bytes
            for array in frames:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
        return path.read_bytes()
