"""Where a clip starts: from noise that is alike in all its frames, or from a video."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from stgan.errors import StganError
from stgan.networks.preprocessing import Preprocessing, to_unit_range
from stgan.sampling.presets import Preset
from stgan.sampling.randomness import ClipRandomness
from stgan.video import center_window


@dataclass(frozen=True)
class Init:
    """A video to start from, of the size and the number of frames of what shall be made.

    strength: in (0, 1], how much of it may change: the part of the annealing (of the logarithm of its range of noise
              levels) that is still to come. Only the whitened space anneals; the others start at the video itself.
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


def starting_noise(preset: Preset, frames: int, rank: int, random: ClipRandomness) -> Float[Tensor, "batch time rank"]:
    """N(0, 1) coordinates, alike from frame to frame: a common part and one of each frame's own, smooth over time."""
    common, own = random.normal(1, rank), random.normal(frames, rank)
    own = torch.einsum("ts,bsn->btn", smoothing_matrix(frames, preset.own_noise_frames).to(own), own)
    return (1 - preset.own_noise) ** 0.5 * common + preset.own_noise**0.5 * own


def smoothing_matrix(frames: int, width: float) -> Float[Tensor, "frames frames"]:
    """Turns white noise into noise of unit variance that is smooth over about `width` frames (float64).

    A Gaussian window around each frame, scaled to unit variance; the identity for width 0.
    """
    if width == 0:
        return torch.eye(frames, dtype=torch.float64)
    time = torch.arange(frames, dtype=torch.float64)
    window = torch.exp(-(((time[:, None] - time[None]) / width) ** 2))
    return window / window.square().sum(1, keepdim=True).sqrt()
