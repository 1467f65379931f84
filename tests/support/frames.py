"""Frames as bytes, and how far two results are apart."""

import numpy as np
import torch


def grey_levels(rng: np.random.Generator, time: int, height: int, width: int) -> np.ndarray:
    """RGB frames of bytes, "time height width 3", with edges, and colours of different means."""
    coarse = rng.integers(0, 256, (time, 7, 9, 3)) * np.array([1.0, 0.6, 0.3])
    return coarse.repeat(-(-height // 7), 1).repeat(-(-width // 9), 2)[:, :height, :width].astype(np.uint8)


def as_videos(frames: np.ndarray) -> torch.Tensor:
    """Bytes as a batch of one video."""
    return torch.from_numpy(frames).float().movedim(3, 0)[None] / 255


def relative(found: torch.Tensor, wanted: np.ndarray) -> float:
    """The largest difference, as a share of the largest value."""
    return float(abs(found.double().numpy() - wanted).max() / abs(wanted).max())
