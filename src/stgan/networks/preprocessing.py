"""From RGB in [0, 1] to what a network was trained on, and back.

Only this file knows about BGR, means, crops and the 0-255 range of Caffe models. It also holds what published
evaluations do to a frame; docs/metrics.md has them step by step, with their sources.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

IMAGENET_MEAN_BGR = (104.0, 117.0, 123.0)
"""Mean of CaffeNet and of the DeePSiM generator's output (blue, green, red; 0-255 units)."""

LRCN_MEAN_BGR = (103.939, 116.779, 128.68)
"""Mean of the published LRCN; its last figure differs from VGG's 123.68 and is meant as written there."""


Fit = Literal["resize", "crop", "stretch", "c3d-caffe", "c3d-tensorflow", "tgan", "tgan2"]

_INTERPOLATION: dict[str, dict[str, Any]] = {
    "resize": {"mode": "bilinear", "antialias": True},
    "stretch": {"mode": "bilinear"},
    "c3d-caffe": {"mode": "bilinear"},
    "c3d-tensorflow": {"mode": "bilinear"},
    "tgan": {"mode": "bicubic"},
    "tgan2": {"mode": "bilinear", "align_corners": True},
}

_FIT_IN_WORDS: dict[str, str] = {
    "resize": "short side to {size} (bilinear, antialiased), centre {size}x{size}",
    "crop": "centre {size}x{size}",
    "stretch": "both sides to {size} (bilinear)",
    "c3d-caffe": "{larger} rows and {wider} columns (bilinear), centre {size}x{size}",
    "c3d-tensorflow": "short side to {size} (bilinear, as C3D-tensorflow), centre {size}x{size}",
    "tgan": "both sides to {larger} (bicubic), centre {size}x{size}",
    "tgan2": "both sides to {size} (bilinear, corners on corners)",
}


@dataclass(frozen=True)
class Preprocessing:
    """How a network wants its pixels: `(scale * x - mean) / std`, per channel.

    size:     side of the square network input in pixels; None leaves the size alone.
    fit:      how frames come to it.
              "resize":         the short side becomes `size` (bilinear, antialiased), then the centre is cropped;
              "crop":           the centre is cropped, as LRCN's 227 out of the generator's 256;
              "stretch":        both sides become `size` (bilinear), as FVD does with I3D.
              What published evaluations do with C3D, without antialiasing:
              "c3d-caffe":      8/7 `size` rows and 171/112 `size` columns, 128x171 for 112 (bilinear), then the
                                centre is cropped;
              "c3d-tensorflow": the short side becomes `size` (bilinear), the other one (of a square the height)
                                int(side * size / short + 1); then the centre is cropped;
              "tgan":           both sides become 8/7 `size`, 128 for 112 (bicubic), then the centre is cropped;
              "tgan2":          both sides become `size` (bilinear, corners on corners).
    channels: "rgb" or "bgr", the order in which `mean` and `std` are given too.
    mean:     a number per channel, or "volume": a number per channel, frame and pixel, which the network holds.
    """

    size: int | None = None
    fit: Fit = "resize"
    channels: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1.0
    mean: tuple[float, float, float] | Literal["volume"] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.fit not in get_args(Fit):
            raise ValueError(f"fit is one of {', '.join(get_args(Fit))}, not {self.fit!r}")
        if self.channels not in ("rgb", "bgr"):
            raise ValueError(f"channels is 'rgb' or 'bgr', not {self.channels!r}")
        if (self.mean != "volume" and len(self.mean) != 3) or len(self.std) != 3:
            raise ValueError("mean and std have one number per channel, three in all")

    def __call__(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 new_height new_width"]:
        """RGB in [0, 1] to network input. Raises ValueError when a crop is larger than the image."""
        return self.normalize(self.resize(images))

    def video(
        self,
        videos: Float[Tensor, "batch 3 time height width"],
        volume: Float[Tensor, "3 time new_height new_width"] | None = None,
    ) -> Float[Tensor, "batch 3 time new_height new_width"]:
        """The same, frame by frame, for videos. `volume` is the mean where `mean` is "volume"."""
        images = self.resize(flatten_time(videos))
        if volume is None:
            return unflatten_time(self.normalize(images), len(videos))
        std = images.new_tensor(self.std).view(3, 1, 1, 1)
        return (unflatten_time(self._scaled(images), len(videos)) - volume) / std

    def resize(self, images: Tensor) -> Tensor:
        if self.size is None:
            return images
        height, width = shape = self._resized(*images.shape[-2:])
        if shape != images.shape[-2:]:
            if images.dtype is torch.bfloat16:  # there is no such kernel on CPUs
                images = images.float()
            images = F.interpolate(images, shape, **_INTERPOLATION[self.fit])
        if min(height, width) < self.size:
            raise ValueError(f"frames of {height}x{width} are smaller than the {self.size}-pixel crop of the network")
        return center_square(images, self.size)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """The size of frames before the centre is cropped."""
        size = self.size or 0
        if self.fit == "crop":
            return height, width
        if self.fit in ("stretch", "tgan2"):
            return size, size
        if self.fit == "tgan":
            return round(size * 8 / 7), round(size * 8 / 7)
        if self.fit == "c3d-caffe":
            return round(size * 8 / 7), round(size * 171 / 112)
        factor = size / min(height, width)
        if self.fit == "resize":
            return max(size, round(height * factor)), max(size, round(width * factor))
        # In floating point as published: of 320x240 it makes 150x112, of 64x64 it makes 112x113.
        return (size, int(width * factor + 1)) if width > height else (int(height * factor + 1), size)

    def normalize(self, images: Tensor) -> Tensor:
        if self.mean == "volume":
            raise ValueError("a mean volume is subtracted from videos by a network that has one, which is C3D")
        return (self._scaled(images) - self._per_channel(images, self.mean)) / self._per_channel(images, self.std)

    def invert(self, outputs: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Network units to RGB in [0, 1] (not clamped): how a generator's last layer becomes an image."""
        mean, std = (self._per_channel(outputs, values) for values in self._mean_and_std())
        return self._reorder((outputs * std + mean) / self.scale)

    def inverting(
        self, weight: Float[Tensor, "channels 3 height width"], bias: Float[Tensor, "3"]
    ) -> tuple[Float[Tensor, "channels 3 height width"], Float[Tensor, "3"]]:
        """Weights of a transposed convolution as weights of the same layer with `invert` behind it.

        Pixels by the million need not be passed over again for a change of units.
        """
        std = self._per_channel(weight, self.std)
        return self._reorder(weight * std / self.scale), self.invert(bias.view(1, 3, 1, 1)).flatten()

    def in_words(self) -> str:
        """One line for people: what happens to a frame, step by step."""
        size = self.size
        sizes = {"size": size, "larger": round((size or 0) * 8 / 7), "wider": round((size or 0) * 171 / 112)}
        steps = [] if size is None else [_FIT_IN_WORDS[self.fit].format(**sizes)]
        steps.append(f"{self.channels.upper()}, 0 to {self.scale:g}")
        if self.mean == "volume":
            steps.append("minus a mean for each frame and pixel")
        elif any(self.mean):
            steps.append(f"minus {', '.join(f'{value:g}' for value in self.mean)}")
        if self.std != (1.0, 1.0, 1.0):
            steps.append(f"divided by {', '.join(f'{value:g}' for value in self.std)}")
        return "; ".join(steps)

    def _scaled(self, images: Tensor) -> Tensor:
        return self._reorder(images) * self.scale

    def _reorder(self, images: Tensor) -> Tensor:
        return images.flip(1) if self.channels == "bgr" else images

    def _mean_and_std(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        if self.mean == "volume":
            raise ValueError("a generator's images have a mean per channel, not a volume")
        return self.mean, self.std

    @staticmethod
    def _per_channel(like: Tensor, values: tuple[float, float, float]) -> Tensor:
        return like.new_tensor(values).view(1, 3, 1, 1)


CAFFENET = Preprocessing(size=227, fit="crop", channels="bgr", scale=255.0, mean=IMAGENET_MEAN_BGR)
LRCN_FRAMES = Preprocessing(size=227, fit="crop", channels="bgr", scale=255.0, mean=LRCN_MEAN_BGR)
TORCHVISION_IMAGES = Preprocessing(size=224, fit="crop", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""torchvision's networks of images: the centre of images of 256 pixels."""
C3D_FRAMES = Preprocessing(size=112, fit="resize", channels="rgb", scale=255.0, mean=(101.4, 97.7, 90.2))
"""C3D's published mean is a volume (16x112x112); the figures here are a stand-in of its order of magnitude
for networks that are trained from scratch."""

C3D_CAFFE = Preprocessing(size=112, fit="c3d-caffe", channels="bgr", scale=255.0, mean="volume")
"""C3D's own Caffe (`video_data_layer.cpp`): of the published means (3x16x128x171) the centre, as of the frames."""

C3D_JFZHANG95 = Preprocessing(size=112, fit="c3d-caffe", channels="bgr", scale=255.0, mean=(90.0, 98.0, 102.0))
"""jfzhang95/pytorch-video-recognition (`dataloaders/dataset.py`): the same with a mean per channel."""

C3D_MMACTION = Preprocessing(size=112, fit="c3d-caffe", scale=255.0, mean=(104.0, 117.0, 128.0))
"""MMAction2's C3D configs, for clips of 4:3: others keep their shape there, which is not done here."""

C3D_TENSORFLOW = Preprocessing(size=112, fit="c3d-tensorflow", channels="rgb", scale=255.0, mean="volume")
"""hx173149/C3D-tensorflow (`input_data.py`), with which the STGAN paper scores: the volume is crop_mean.npy. The
original works on bytes and rounds to bytes after resizing, which is not done here (it has no gradient)."""

C3D_TGAN = Preprocessing(size=112, fit="tgan", channels="bgr", scale=255.0, mean="volume")
"""TGAN (`evaluation/calc_inception.py`): bicubic, and of mean2.npz the rows from 8 and the columns from 29."""

C3D_TGAN2 = Preprocessing(size=112, fit="tgan2", channels="bgr", scale=255.0, mean="volume")
"""TGANv2 (`C3DVersion1UCF101`), also in StyleGAN-V: bilinear, of mean2.npz rows and columns from 8 (off the centre)."""

I3D_FRAMES = Preprocessing(size=224, fit="stretch", scale=2.0, mean=(1.0, 1.0, 1.0))
"""RGB in [-1, 1]; frames that are not square are squeezed, as in the FVD's first implementation."""


def flatten_time(videos: Float[Tensor, "batch 3 time height width"]) -> Float[Tensor, "frames 3 height width"]:
    """Videos as a batch of frames, clip after clip."""
    return videos.transpose(1, 2).flatten(0, 1)


def unflatten_time(
    frames: Float[Tensor, "frames 3 height width"], batch: int
) -> Float[Tensor, "batch 3 time height width"]:
    """The inverse of `flatten_time`."""
    return frames.unflatten(0, (batch, -1)).transpose(1, 2)


def center_square(
    images: Float[Tensor, "*n height width"], side: int | None
) -> Float[Tensor, "*n new_height new_width"]:
    """The square in the middle of images or frames, whose side is at most theirs; None leaves them whole."""
    if side is None:
        return images
    height, width = images.shape[-2:]
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]


def to_unit_range(images: Tensor) -> Tensor:
    """Clamp to what a file can hold, [0, 1]."""
    return torch.clamp(images, 0.0, 1.0)
