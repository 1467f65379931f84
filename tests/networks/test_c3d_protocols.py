"""The published ways to feed C3D, against OpenCV and restatements in numpy of what those evaluations compute."""

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from stgan.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from stgan.networks import C3D, AlexNet, AlexNetConfig, C3DConfig, Preprocessing
from stgan.networks.preprocessing import C3D_CAFFE, C3D_TENSORFLOW, C3D_TGAN, C3D_TGAN2

SIZES = [(240, 320), (320, 240), (64, 64), (112, 112), (113, 112)]
PROTOCOLS = [C3D_CAFFE, C3D_TENSORFLOW, C3D_TGAN, C3D_TGAN2]


def random_bytes(height: int, width: int, time: int = 2) -> np.ndarray:
    """Frames with edges and slopes, "time height width 3"."""
    rng = np.random.default_rng(height * 1000 + width)
    coarse = rng.integers(0, 256, (time, 9, 11, 3), np.uint8)
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST) for frame in coarse])


def as_videos(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).double().movedim(3, 0)[None] / 255


def volume(time: int = 2) -> np.ndarray:
    """A mean volume as in the published files, "3 time 128 171"."""
    return np.random.default_rng(1).uniform(80, 110, (3, time, 128, 171))


def c3d_tensorflow(frames: np.ndarray, mean: np.ndarray, resized_as: type = np.float64) -> np.ndarray:
    """input_data.py's arithmetic, resizing floats or (as published) bytes: "time 112 112 3" of RGB minus crop_mean."""
    outputs = []
    for frame, mean_frame in zip(frames.astype(resized_as), mean, strict=True):
        height, width = frame.shape[:2]
        if width > height:
            wanted = (int(width * (112.0 / height) + 1), 112)
        else:
            wanted = (112, int(height * (112.0 / width) + 1))
        frame = cv2.resize(frame, wanted)
        top, left = (frame.shape[0] - 112) // 2, (frame.shape[1] - 112) // 2
        outputs.append(frame[top : top + 112, left : left + 112] - mean_frame)
    return np.stack(outputs)


def caffe(frames: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """video_data_layer.cpp's arithmetic when it tests: "3 time 112 112" of BGR minus the mean, both cropped alike."""
    resized = np.stack([cv2.resize(frame.astype(np.float64), (171, 128)) for frame in frames])
    top, left = (128 - 112) // 2, (171 - 112) // 2
    return (resized.transpose(3, 0, 1, 2)[::-1] - mean)[:, :, top : top + 112, left : left + 112]


def tgan(frames: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """calc_inception.py's arithmetic: "3 time 112 112" of BGR minus the middle of the mean."""
    resized = np.stack(
        [cv2.resize(frame.astype(np.float64), (128, 128), None, 0, 0, cv2.INTER_CUBIC) for frame in frames]
    )
    difference = resized.transpose(3, 0, 1, 2)[::-1] - mean[:, :, :, 21 : 21 + 128]
    return difference[:, :, 8 : 8 + 112, 8 : 8 + 112]


def tgan2(frames: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """C3DVersion1UCF101's arithmetic on [-1, 1]: 128 x, bilinear from corner to corner, + (128 - mean)."""
    x = (frames.astype(np.float64) - 128) / 128
    for axis in (1, 2):  # the interpolation is separable: a matrix for each axis
        place = np.linspace(0, x.shape[axis] - 1, 112)
        grid = np.arange(x.shape[axis])
        weights = np.maximum(0, 1 - abs(place[:, None] - grid[None]))
        x = np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)
    return x.transpose(3, 0, 1, 2)[::-1] * 128 + 128 - mean[:, :, 8 : 8 + 112, 8 : 8 + 112]


def test_c3d_tensorflow() -> None:
    for size in SIZES:
        frames = random_bytes(*size)
        crop_mean = volume()[:, :, 8:120, 29:141].transpose(1, 2, 3, 0)
        result = C3D_TENSORFLOW.video(as_videos(frames), torch.from_numpy(crop_mean).movedim(3, 0))
        wanted = c3d_tensorflow(frames, crop_mean).transpose(3, 0, 1, 2)
        np.testing.assert_allclose(result[0].numpy(), wanted, rtol=0, atol=1e-9)
        rounded = abs(wanted - c3d_tensorflow(frames, crop_mean, np.uint8).transpose(3, 0, 1, 2))
        assert rounded.max() < 1 and rounded.mean() < 0.3  # what it is worth that OpenCV works on bytes there, of 255


@pytest.mark.parametrize(
    ("protocol", "restated", "rows", "columns"),
    [(C3D_CAFFE, caffe, 8, 29), (C3D_TGAN, tgan, 8, 29), (C3D_TGAN2, tgan2, 8, 8)],
)
def test_caffe_tgan_and_tgan2(protocol: Preprocessing, restated: Callable, rows: int, columns: int) -> None:
    for size in SIZES:
        frames, mean = random_bytes(*size), volume()
        cropped = torch.from_numpy(mean[:, :, rows : rows + 112, columns : columns + 112])
        result = protocol.video(as_videos(frames), cropped)
        tolerance = 1e-4 if protocol is C3D_TGAN else 1e-9  # OpenCV's bicubic weights are of single precision
        np.testing.assert_allclose(result[0].numpy(), restated(frames, mean), rtol=0, atol=tolerance)


def test_stretching_is_opencvs_bilinear_interpolation() -> None:
    for size in SIZES:
        frames = random_bytes(*size)
        wanted = np.stack([cv2.resize(frame.astype(np.float64), (224, 224)) for frame in frames]).transpose(3, 0, 1, 2)
        result = Preprocessing(size=224, fit="stretch", scale=255.0).video(as_videos(frames))
        np.testing.assert_allclose(result[0].numpy(), wanted, rtol=0, atol=1e-9)


def test_protocols_steer_too() -> None:
    """The gradient at the pixels is that of finite differences."""
    for protocol in PROTOCOLS:
        videos = as_videos(random_bytes(12, 16)).requires_grad_()
        small = Preprocessing(size=7, fit=protocol.fit, channels=protocol.channels, scale=255.0, mean="volume")
        mean = torch.zeros(3, 2, 7, 7, dtype=torch.float64)
        assert torch.autograd.gradcheck(partial(small.video, volume=mean), videos, fast_mode=True)


def small_c3d(preprocessing: Preprocessing) -> C3D:
    torch.manual_seed(0)
    config = C3DConfig(num_classes=3, stages=((4,),), hidden_sizes=(5,), frames=2, preprocessing=preprocessing)
    return C3D(config).eval().requires_grad_(False)


def test_a_checkpoint_carries_its_protocol(tmp_path) -> None:
    for protocol in (C3D_CAFFE, C3D_TGAN2):
        network = small_c3d(protocol)
        network.mean_volume.copy_(torch.from_numpy(volume()[:, :, 8:120, 29:141]))
        save_checkpoint(tmp_path, network, half=False)
        loaded = load_checkpoint(tmp_path).network
        assert loaded.config.preprocessing == protocol and torch.equal(loaded.mean_volume, network.mean_volume)
        videos = as_videos(random_bytes(48, 64)).float()
        before = network.log_probabilities(videos)
        torch.testing.assert_close(loaded.log_probabilities(videos), before)
        network.mean_volume.zero_()
        assert (network.log_probabilities(videos) - before).abs().max() > 0.01


def test_a_mean_volume_that_repeats_a_mean_is_that_mean() -> None:
    mean = (101.4, 97.7, 90.2)
    by_volume, by_channel = (
        small_c3d(Preprocessing(size=20, channels="bgr", scale=255.0, mean=each)) for each in ("volume", mean)
    )
    by_volume.mean_volume.copy_(torch.tensor(mean).view(3, 1, 1, 1).expand(3, 2, 20, 20))
    videos = as_videos(random_bytes(20, 31)).float()
    torch.testing.assert_close(by_volume(videos), by_channel(videos))
    assert by_channel.mean_volume is None and "mean_volume" not in by_channel.state_dict()


def test_only_c3d_has_a_mean_volume() -> None:
    with pytest.raises(ValueError, match="network that has one"):
        AlexNet(AlexNetConfig(preprocessing=Preprocessing(size=227, mean="volume")))(torch.zeros(1, 3, 227, 227))
    with pytest.raises(ValueError, match="mean per channel"):
        Preprocessing(mean="volume").invert(torch.zeros(1, 3, 4, 4))
