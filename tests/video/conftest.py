"""Tiny clips and files made for these tests."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

Encode = Callable[..., Path]


def make_stripes(num_frames: int = 20, height: int = 48, width: int = 64) -> np.ndarray:
    """Saturated red and blue stripes with hard edges, moving a pixel a frame, over a green ramp."""
    columns = np.arange(width) + np.arange(num_frames)[:, None]
    red = np.broadcast_to((columns // 8 % 2 * 255)[:, None, :], (num_frames, height, width))
    green = np.broadcast_to(np.linspace(0, 80, height)[None, :, None], red.shape)
    return np.stack([red, green, 255 - red], axis=-1).astype(np.uint8)


@pytest.fixture
def stripes() -> np.ndarray:
    return make_stripes()


@pytest.fixture
def encode(tmp_path: Path) -> Encode:
    """Write frames with any of ffmpeg's encoders (`write_video` knows only one)."""

    def encode_(name: str, frames: np.ndarray, codec: str, pix_fmt: str = "yuv420p") -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = pix_fmt
            stream.bit_rate = 4_000_000
            for array in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
            container.mux(stream.encode())
        return path

    return encode_
