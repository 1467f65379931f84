"""From RGB in [0, 1] to the input that a network was trained on, and back.

Only this file deals with BGR, means, crops and the 0-255 range of Caffe models. It also holds the preprocessing of
published evaluations; docs/metrics.md lists them step by step, with their sources.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

IMAGENET_MEAN_BGR = (104.0, 117.0, 123.0)
"""Mean of CaffeNet and of the DeePSiM generator's output (blue, green, red; 0-255 units)."""

LRCN_MEAN_BGR = (103.939, 116.779, 128.68)
"""Mean of the published LRCN. Its last number is 128.68 there, not VGG's 123.68."""

Fit = Literal["resize", "crop", "stretch", "c3d-caffe", "c3d-tensorflow", "tgan", "tgan2", "videogpt"]

_INTERPOLATION: dict[str, dict[str, Any]] = {
    "resize": {"mode": "bilinear", "antialias": True},
    "stretch": {"mode": "bilinear"},
    "c3d-caffe": {"mode": "bilinear"},
    "c3d-tensorflow": {"mode": "bilinear"},
    "tgan": {"mode": "bicubic"},
    "tgan2": {"mode": "bilinear", "align_corners": True},
    "videogpt": {"mode": "bilinear"},
}

_FIT_IN_WORDS: dict[str, str] = {
    "resize": "short side to {size} (bilinear, antialiased), centre {size}x{size}",
    "crop": "centre {size}x{size}",
    "stretch": "both sides to {size} (bilinear)",
    "c3d-caffe": "{larger} rows and {wider} columns (bilinear), centre {size}x{size}",
    "c3d-tensorflow": "short side to {size} (bilinear, as C3D-tensorflow), centre {size}x{size}",
    "tgan": "both sides to {larger} (bicubic), centre {size}x{size}",
    "tgan2": "both sides to {size} (bilinear, corners on corners)",
    "videogpt": "short side to {size} (bilinear, as VideoGPT), centre {size}x{size}",
}


@dataclass(frozen=True)
class Preprocessing:
    """The input of a network: resized and cropped frames as `(scale * x - mean) / std`, per channel.

    size:     side of the square network input in pixels; None keeps the size of the frames.
    fit:      how frames are brought to this size.
              "resize":         the short side becomes `size` (bilinear, antialiased), then the centre is cropped;
              "crop":           the centre is cropped, such as 227 of the generator's 256 pixels for LRCN;
              "stretch":        both sides become `size` (bilinear), as in the FVD with I3D.
              The others are those of published evaluations with C3D and I3D, without antialiasing:
              "c3d-caffe":      8/7 `size` rows and 171/112 `size` columns, 128x171 for 112 (bilinear), then the
                                centre is cropped;
              "c3d-tensorflow": the short side becomes `size` (bilinear), the other one (of a square the height)
                                int(side * size / short + 1); then the centre is cropped;
              "tgan":           both sides become 8/7 `size`, 128 for 112 (bicubic), then the centre is cropped;
              "tgan2":          both sides become `size` (bilinear, corners on corners);
              "videogpt":       the short side becomes `size` (bilinear), the other one is rounded up; then the centre
                                is cropped.
    channels: "rgb" or "bgr", also the order of `mean` and `std`.
    mean:     a number per channel, or "volume": a number per channel, frame and pixel, stored in the network.
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
        """RGB in [0, 1] to network input. Raises ValueError if a crop is larger than the image."""
        return self.normalize(self.resize(images))

    def video(
        self,
        videos: Float[Tensor, "batch 3 time height width"],
        volume: Float[Tensor, "3 time new_height new_width"] | None = None,
    ) -> Float[Tensor, "batch 3 time new_height new_width"]:
        """The same for each frame of videos. `volume` is the mean if `mean` is "volume"."""
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
            if images.dtype is torch.bfloat16:  # CPUs have no such kernel
                images = images.float()
            images = F.interpolate(images, shape, **_INTERPOLATION[self.fit])
        if min(height, width) < self.size:
            raise ValueError(f"frames of {height}x{width} are smaller than the {self.size}-pixel crop of the network")
        return center_square(images, self.size)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of frames before the centre is cropped."""
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
        if self.fit == "videogpt":
            return (size, ceil(width * factor)) if height < width else (ceil(height * factor), size)
        # Floating point as published: 320x240 becomes 150x112, and 64x64 becomes 112x113.
        return (size, int(width * factor + 1)) if width > height else (int(height * factor + 1), size)

    def normalize(self, images: Tensor) -> Tensor:
        if self.mean == "volume":
            raise ValueError("a mean volume can only be subtracted from videos, by a network that has one (C3D)")
        return (self._scaled(images) - self._per_channel(images, self.mean)) / self._per_channel(images, self.std)

    def invert(self, outputs: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """Network units to RGB in [0, 1] (not clamped), for the output of a generator's last layer."""
        if self.mean == "volume":
            raise ValueError("a generator's images have a mean per channel, not a volume")
        mean, std = self._per_channel(outputs, self.mean), self._per_channel(outputs, self.std)
        return self._reorder((outputs * std + mean) / self.scale)

    def inverting(
        self, weight: Float[Tensor, "channels 3 height width"], bias: Float[Tensor, "3"]
    ) -> tuple[Float[Tensor, "channels 3 height width"], Float[Tensor, "3"]]:
        """Fold `invert` into the weights of the transposed convolution before it.

        This saves one pass over all pixels.
        """
        std = self._per_channel(weight, self.std)
        return self._reorder(weight * std / self.scale), self.invert(bias.view(1, 3, 1, 1)).flatten()

    def in_words(self) -> str:
        """The steps that prepare a frame, as one line of text."""
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

    @staticmethod
    def _per_channel(like: Tensor, values: tuple[float, float, float]) -> Tensor:
        return like.new_tensor(values).view(1, 3, 1, 1)


CAFFENET = Preprocessing(size=227, fit="crop", channels="bgr", scale=255.0, mean=IMAGENET_MEAN_BGR)
LRCN_FRAMES = Preprocessing(size=227, fit="crop", channels="bgr", scale=255.0, mean=LRCN_MEAN_BGR)
TORCHVISION_IMAGES = Preprocessing(size=224, fit="crop", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""torchvision's image networks: the centre of images of 256 pixels."""
C3D_FRAMES = Preprocessing(size=112, fit="resize", channels="rgb", scale=255.0, mean=(101.4, 97.7, 90.2))
"""For networks that are trained from scratch: means of the magnitude of C3D's published mean volume (16x112x112)."""

C3D_CAFFE = Preprocessing(size=112, fit="c3d-caffe", channels="bgr", scale=255.0, mean="volume")
"""C3D's own Caffe (`video_data_layer.cpp`): the published means (3x16x128x171) are cropped like the frames."""

C3D_JFZHANG95 = Preprocessing(size=112, fit="c3d-caffe", channels="bgr", scale=255.0, mean=(90.0, 98.0, 102.0))
"""jfzhang95/pytorch-video-recognition (`dataloaders/dataset.py`): as C3D_CAFFE with a mean per channel."""

C3D_MMACTION = Preprocessing(size=112, fit="c3d-caffe", scale=255.0, mean=(104.0, 117.0, 128.0))
"""MMAction2's C3D configs, exact for clips of 4:3. MMAction2 keeps the aspect ratio of others; this does not."""

C3D_TENSORFLOW = Preprocessing(size=112, fit="c3d-tensorflow", channels="rgb", scale=255.0, mean="volume")
"""hx173149/C3D-tensorflow (`input_data.py`), which the STGAN paper scores with. The volume is crop_mean.npy. The
original rounds to bytes after resizing, which is not done here because rounding has no gradient."""

C3D_TGAN = Preprocessing(size=112, fit="tgan", channels="bgr", scale=255.0, mean="volume")
"""TGAN (`evaluation/calc_inception.py`): bicubic; rows from 8 and columns from 29 of mean2.npz."""

C3D_TGAN2 = Preprocessing(size=112, fit="tgan2", channels="bgr", scale=255.0, mean="volume")
"""TGANv2 (`C3DVersion1UCF101`), also in StyleGAN-V: bilinear; rows and columns from 8 (off centre) of mean2.npz."""

I3D_FRAMES = Preprocessing(size=224, fit="stretch", scale=2.0, mean=(1.0, 1.0, 1.0))
"""RGB in [-1, 1]. The aspect ratio is not kept, as in the FVD's first implementation."""


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
    """The centre square of images or frames. `side` is at most theirs; None returns them unchanged."""
    if side is None:
        return images
    height, width = images.shape[-2:]
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]


def to_unit_range(images: Tensor) -> Tensor:
    """Clamp to [0, 1], the range that a file can store."""
    return torch.clamp(images, 0.0, 1.0)
