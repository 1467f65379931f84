"""Where a clip starts: noise that its frames share, or a video."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stgan.errors import StganError
from stgan.networks import Encoder
from stgan.networks.map_encoder import MapEncoder
from stgan.networks.preprocessing import Preprocessing, flatten_time, to_unit_range
from stgan.sampling.randomness import ClipRandomness
from stgan.video import center_window


@dataclass(frozen=True)
class Init:
    """A video to start from, with the size and the number of frames of the clip.

    strength: in (0, 1], how much of it may change: the share of the denoising (of the logarithm of its range of noise
              levels) that is done. Only guided denoising has noise levels; PPGN's update starts at the video itself.
    source:   where it came from, for the record.
    """

    video: Float[Tensor, "3 time height width"]
    strength: float
    source: str = ""

    @classmethod
    def fit(
        cls,
        video: Float[Tensor, "3 any_time any_height any_width"],
        size: int,
        frames: int,
        strength: float,
        source: str = "",
    ) -> "Init":
        """Any video, RGB in [0, 1], as square frames of `size` pixels (short side, then centre), and `frames` of them.

        Those are the middle ones; a video that is too short is played back and forth.

        Raises:
            StganError: a strength that is out of its range, or no such video.
        """
        if not 0 < strength <= 1:
            raise StganError(f"the strength must be above 0 and at most 1, not {strength}")
        if video.ndim != 4 or len(video) != 3 or not video.numel() or not bool(torch.isfinite(video).all()):
            raise StganError(
                "a video to start from has the shape (3, time, height, width) and finite values in [0, 1]; "
                f"this one has the shape {tuple(video.shape)}"
            )
        window = torch.from_numpy(center_window(video.shape[1], frames)).to(video.device)
        images = Preprocessing(size=size).resize(video[:, window].transpose(0, 1).float())
        return cls(to_unit_range(images.transpose(0, 1)), strength, source)


def encode(encoder: Encoder | MapEncoder, video: Float[Tensor, "3 time height width"]) -> Float[Tensor, "1 time *code"]:
    """The code of each frame of a video."""
    return encoder(flatten_time(video.unsqueeze(0))).unsqueeze(0)


def starting_noise(
    frames: int, shape: tuple[int, ...], own_noise: float, own_noise_frames: float, random: ClipRandomness
) -> Float[Tensor, "batch time *shape"]:
    """N(0, 1) that is similar from frame to frame: a common part plus one of each frame's own.

    own_noise: share of the variance that a frame's own part has. own_noise_frames: see `smoothing_matrix`.
    """
    common = random.normal(1, *shape)
    if frames == 1:
        return common
    own = random.normal(frames, *shape)
    own = torch.einsum("ts,bs...->bt...", smoothing_matrix(frames, own_noise_frames).to(own), own)
    return (1 - own_noise) ** 0.5 * common + own_noise**0.5 * own


def smoothing_matrix(frames: int, width: float) -> Float[Tensor, "frames frames"]:
    """The matrix (float64) that makes noise of unit variance, smooth over about `width` frames, from white noise."""
    window = time_window(frames, width)
    return window / window.square().sum(1, keepdim=True).sqrt()


def averaging_matrix(frames: int, width: float) -> Float[Tensor, "frames frames"]:
    """The matrix (float64) of means over about `width` frames."""
    window = time_window(frames, width)
    return window / window.sum(1, keepdim=True)


def time_window(frames: int, width: float) -> Float[Tensor, "frames frames"]:
    """A Gaussian window around each frame, a row each; the identity for width 0."""
    if width == 0:
        return torch.eye(frames, dtype=torch.float64)
    time = torch.arange(frames, dtype=torch.float64)
    return torch.exp(-(((time[:, None] - time[None]) / width) ** 2))
