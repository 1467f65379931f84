"""From RGB in [0, 1] to what a network was trained on, and back.

Only this file knows about BGR, means, crops and the 0-255 range of Caffe models.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

IMAGENET_MEAN_BGR = (104.0, 117.0, 123.0)
"""Mean of CaffeNet and of the DeePSiM generator's output (blue, green, red; 0-255 units)."""

LRCN_MEAN_BGR = (103.939, 116.779, 128.68)
"""Mean of the published LRCN; its last figure differs from VGG's 123.68 and is meant as written there."""


@dataclass(frozen=True)
class Preprocessing:
    """How a network wants its pixels: `(scale * x - mean) / std`, per channel.

    size:     side of the square network input in pixels; None leaves the size alone.
    fit:      "resize": the short side becomes `size` (bilinear, antialiased), then the centre is cropped;
              "crop": the centre is cropped, as LRCN's 227 out of the generator's 256.
    channels: "rgb" or "bgr", the order in which `mean` and `std` are given too.
    """

    size: int | None = None
    fit: Literal["resize", "crop"] = "resize"
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.fit not in ("resize", "crop"):
            raise ValueError(f"fit is 'resize' or 'crop', not {self.fit!r}")
        if self.channels not in ("rgb", "bgr"):
            raise ValueError(f"channels is 'rgb' or 'bgr', not {self.channels!r}")
        if len(self.mean) != 3 or len(self.std) != 3:
            raise ValueError("mean and std have one number per channel, three in all")

    def __call__(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 new_height new_width"]:
        """RGB in [0, 1] to network input. Raises ValueError when a crop is larger than the image."""
        return self.normalize(self.resize(images))

    def video(
        self, videos: Float[Tensor, "batch 3 time height width"]
    ) -> Float[Tensor, "batch 3 time new_height new_width"]:
        """The same, frame by frame, for videos."""
        return unflatten_time(self(flatten_time(videos)), len(videos))

    def resize(self, images: Tensor) -> Tensor:
        if self.size is None or images.shape[-2:] == (self.size, self.size):
            return images
        height, width = images.shape[-2:]
        if self.fit == "resize" and min(height, width) != self.size:
            factor = self.size / min(height, width)
            shape = (max(self.size, round(height * factor)), max(self.size, round(width * factor)))
            if images.dtype is torch.bfloat16:  # there is no such kernel on CPUs
                images = images.float()
            images = F.interpolate(images, shape, mode="bilinear", antialias=True)
            height, width = shape
        if min(height, width) < self.size:
            raise ValueError(f"frames of {height}x{width} are smaller than the {self.size}-pixel crop of the network")
        top, left = (height - self.size) // 2, (width - self.size) // 2
        return images[..., top : top + self.size, left : left + self.size]

    def normalize(self, images: Tensor) -> Tensor:
        mean, std = self._statistics(images)
        return (self._reorder(images) * self.scale - mean) / std

    def invert(self, outputs: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Network units to RGB in [0, 1] (not clamped): how a generator's last layer becomes an image."""
        mean, std = self._statistics(outputs)
        return self._reorder((outputs * std + mean) / self.scale)

    def _reorder(self, images: Tensor) -> Tensor:
        return images.flip(1) if self.channels == "bgr" else images

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, 3, 1, 1)
        return like.new_tensor(self.mean).view(shape), like.new_tensor(self.std).view(shape)


CAFFENET = Preprocessing(size=227, fit="crop", channels="bgr", scale=255.0, mean=IMAGENET_MEAN_BGR)
LRCN_FRAMES = Preprocessing(size=227, fit="crop", channels="bgr", scale=255.0, mean=LRCN_MEAN_BGR)
C3D_FRAMES = Preprocessing(size=112, fit="resize", channels="rgb", scale=255.0, mean=(101.4, 97.7, 90.2))
"""C3D's published mean is a volume (16x112x112); the figures here are a stand-in of its order of magnitude
for networks that are trained from scratch. Imported weights bring their own."""


def flatten_time(videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "frames 3 height width"]:
    """Videos as a batch of frames, clip after clip."""
    return videos.transpose(1, 2).flatten(0, 1)


def unflatten_time(
    frames: Float[Tensor, "frames 3 height width"], batch: int
) -> Float[Tensor, "batch 3 time height width"]:
    """The inverse of `flatten_time`."""
    return frames.unflatten(0, (batch, -1)).transpose(1, 2)


def to_unit_range(images: Tensor) -> Tensor:
    """Clamp to what a file can hold, [0, 1]."""
    return torch.clamp(images, 0.0, 1.0)
