"""What a network gets to see, against a restatement in numpy (and Pillow for the resizing)."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

from stgan.networks.preprocessing import (
    C3D_FRAMES,
    C3D_TGAN,
    CAFFENET,
    LRCN_FRAMES,
    Fit,
    Preprocessing,
    flatten_time,
    unflatten_time,
)

UNEVEN = Preprocessing(channels="bgr", scale=2.0, mean=(0.1, 0.2, 0.3), std=(0.5, 1.5, 2.5))


def random_images(height: int, width: int, n: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((n, 3, height, width)))


def test_values() -> None:
    for preprocessing, blue_first, scale, mean, std in (
        (CAFFENET, True, 255, (104, 117, 123), (1, 1, 1)),
        (LRCN_FRAMES, True, 255, (103.939, 116.779, 128.68), (1, 1, 1)),
        (C3D_FRAMES, False, 255, (101.4, 97.7, 90.2), (1, 1, 1)),
        (UNEVEN, True, 2, (0.1, 0.2, 0.3), (0.5, 1.5, 2.5)),
        (replace(UNEVEN, channels="rgb"), False, 2, (0.1, 0.2, 0.3), (0.5, 1.5, 2.5)),
        (Preprocessing(), False, 1, (0, 0, 0), (1, 1, 1)),
    ):
        images = random_images(4, 5)
        wanted = np.empty((2, 3, 4, 5))
        for channel in range(3):
            wanted[:, channel] = (
                scale * images.numpy()[:, 2 - channel if blue_first else channel] - mean[channel]
            ) / std[channel]
        outputs = preprocessing.normalize(images)
        np.testing.assert_allclose(outputs.numpy(), wanted, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(preprocessing.invert(outputs).numpy(), images.numpy(), rtol=1e-12, atol=1e-12)


def test_the_centre_is_cropped() -> None:
    for height, width, top, left in ((240, 320, 6, 46), (227, 230, 0, 1)):
        images = random_images(height, width, 1)
        for preprocessing in (CAFFENET, LRCN_FRAMES):
            wanted = preprocessing.normalize(images[..., top : top + 227, left : left + 227])
            assert torch.equal(preprocessing(images), wanted)


def test_the_short_side_is_resized() -> None:
    for height, width, resized in ((60, 82, (24, 33)), (82, 60, (33, 24)), (12, 12, (24, 24)), (24, 40, (24, 40))):
        images = random_images(height, width, 1)
        new_height, new_width = resized
        wanted = np.stack(
            [
                np.asarray(Image.fromarray(channel).resize((new_width, new_height), Image.Resampling.BILINEAR))
                for channel in images[0].float().numpy()
            ]
        )
        top, left = (new_height - 24) // 2, (new_width - 24) // 2
        result = Preprocessing(size=24)(images)[0].numpy()
        np.testing.assert_allclose(result, wanted[:, top : top + 24, left : left + 24], atol=1e-5)


def test_images_of_the_right_size_are_left_alone() -> None:
    images = random_images(24, 24)
    assert torch.equal(Preprocessing(size=24)(images), images)
    assert torch.equal(Preprocessing(size=24, fit="crop")(images), images)
    assert torch.equal(Preprocessing(size=None)(images), images)


def test_a_crop_does_not_fit_into_a_smaller_image() -> None:
    for height, width in ((226, 300), (300, 226)):
        with pytest.raises(ValueError, match=f"{height}x{width} are smaller than the 227-pixel crop"):
            CAFFENET(random_images(height, width, 1))


def test_videos_are_preprocessed_frame_by_frame() -> None:
    preprocessing = replace(UNEVEN, size=8)
    videos = torch.from_numpy(np.random.default_rng(1).random((2, 3, 4, 12, 16)))
    wanted = torch.stack([preprocessing(videos[:, :, t]) for t in range(4)], dim=2)
    torch.testing.assert_close(preprocessing.video(videos), wanted)


def test_flatten_time_goes_clip_after_clip() -> None:
    videos = torch.rand(2, 3, 4, 5, 6)
    frames = flatten_time(videos)
    assert torch.equal(frames[1], videos[0, :, 1]) and torch.equal(frames[4], videos[1, :, 0])
    assert torch.equal(unflatten_time(frames, 2), videos)


@pytest.mark.usefixtures("unchecked")
def test_unknown_settings() -> None:
    for values in (
        *[{"fit": "squeeze"}, {"fit": None}, {"channels": "BGR"}, {"mean": (0.5,)}, {"mean": "cube"}],
        *[{"std": (1.0, 1.0, 1.0, 1.0)}, {"mean": "volume", "std": (1.0,)}],
    ):
        with pytest.raises(ValueError):
            Preprocessing(**values)


def test_in_words() -> None:
    assert CAFFENET.in_words() == "centre 227x227; BGR, 0 to 255; minus 104, 117, 123"
    assert C3D_TGAN.in_words() == (
        "both sides to 128 (bicubic), centre 112x112; BGR, 0 to 255; minus a mean for each frame and pixel"
    )
    assert Preprocessing(std=(0.5, 0.25, 1.0)).in_words() == "RGB, 0 to 1; divided by 0.5, 0.25, 1"
    assert len({Preprocessing(size=64, fit=fit).in_words() for fit in get_args(Fit)}) == len(get_args(Fit))
