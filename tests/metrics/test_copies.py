"""Copies: blur, mirroring, shifts and other colours do not hide them, and other scenes are none."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from scenes import PIXELS, blurred, scenes
from scipy.fft import dctn
from torch import Tensor

from stgan.metrics.copies import (
    APART,
    FRAMES,
    SIDE,
    Nearest,
    copy_threshold,
    fingerprints,
    nearest_references,
    pixel_differences,
)

BLUR = PIXELS / 64  # as 4 of 256 pixels
Clips = UInt8[Tensor, "n time side side"]


def thumbnails(clips: Tensor) -> Clips:
    return (255 * F.avg_pool2d(clips, PIXELS // SIDE)).round().byte()


def compared(clips: Tensor) -> Clips:
    return thumbnails(clips)[:, ::APART]


def shifted(clips: Tensor) -> Tensor:
    return F.pad(clips, (5, 0, 0, 5), mode="replicate")[..., 5:, :-5]  # 4 % of 96 to each side


ALTERED: dict[str, Callable[[Tensor], Tensor]] = {
    "same": lambda clips: clips,
    "blurred": lambda clips: blurred(clips, BLUR),
    "mirrored": lambda clips: clips.flip(3),
    "shifted": shifted,
    "recoloured": lambda clips: 0.2 + 0.5 * clips**1.3,
    "enlarged": lambda clips: F.interpolate(clips[:, :, 5:-5, 5:-5], (PIXELS, PIXELS), mode="bilinear"),
    "all of it": lambda clips: 0.3 + 0.4 * shifted(blurred(clips, BLUR).flip(3)),
}


@pytest.fixture(scope="module")
def training() -> Tensor:
    return scenes(30, 0)


@pytest.fixture(scope="module")
def unseen(training: Tensor) -> tuple[Nearest, Nearest]:
    return nearest_references(compared(scenes(200, 1)), list(thumbnails(training)))


@pytest.mark.parametrize("name", ALTERED)
def test_copies_are_found(name: str, training: Tensor, unseen: tuple[Nearest, Nearest]) -> None:
    copies = compared(ALTERED[name](training))
    for found, usual in zip(nearest_references(copies, list(thumbnails(training))), unseen, strict=True):
        limit = copy_threshold(usual.distance)
        assert limit is not None and (found.distance < limit).double().mean() > 0.95
        assert (found.place[:, 0] == torch.arange(30)).double().mean() > 0.95
        if name == "same":
            assert found.distance.max() < 0.1 and torch.equal(found.place[:, 1], APART * found.own)


def test_one_in_a_hundred_other_scenes_counts_as_a_copy(training: Tensor, unseen: tuple[Nearest, Nearest]) -> None:
    for found, usual in zip(
        nearest_references(compared(scenes(200, 2)), list(thumbnails(training))), unseen, strict=True
    ):
        limit = copy_threshold(usual.distance)
        assert limit is not None and (found.distance < limit).double().mean() <= 0.03


def test_a_window_is_found_where_it_is_in_the_clip(training: Tensor) -> None:
    long = scenes(3, 5, frames=30)
    windows = thumbnails(long)[:, 9 : 9 + FRAMES : APART]
    frames, in_time = nearest_references(windows, [*thumbnails(training), *thumbnails(long)])
    assert in_time.place.tolist() == [[30, 9], [31, 9], [32, 9]] and not in_time.own.any()
    assert frames.place[:, 0].tolist() == [30, 31, 32] and torch.equal(frames.place[:, 1], 9 + APART * frames.own)
    # Frames in another order are as near, a window of them is not.
    backwards = nearest_references(windows.flip(1), list(thumbnails(long)))
    assert torch.allclose(backwards[0].distance, frames.distance, atol=1e-5)
    assert (backwards[1].distance > in_time.distance + 0.01).all()


def test_thinned_references(training: Tensor) -> None:
    """Every fourth thumbnail of the references, which are then those that are compared."""
    whole = nearest_references(compared(training), list(thumbnails(training)))
    thin = nearest_references(compared(training), list(compared(training)), 1)
    for one, other in zip(whole, thin, strict=True):
        assert torch.allclose(one.distance, other.distance, atol=1e-4) and torch.equal(
            one.place[:, 0], other.place[:, 0]
        )


def test_references_of_the_own_group_do_not_count(training: Tensor) -> None:
    groups = torch.arange(30) // 10
    for found in nearest_references(compared(training), list(thumbnails(training)), APART, groups, groups.tolist()):
        assert found.distance.isfinite().all() and (groups[found.place[:, 0]] != groups).all()
    alone = torch.zeros(30, dtype=torch.long)
    for found in nearest_references(compared(training), list(thumbnails(training)), APART, alone, [0] * 30):
        assert found.distance.isinf().all() and copy_threshold(found.distance) is None


def test_fingerprints_are_bands_of_the_cosine_transform() -> None:
    picture = torch.rand(16, 16, generator=torch.Generator().manual_seed(0))
    waves, expected = dctn(picture.double().numpy(), norm="ortho"), []
    for low, high in ((1, 4), (4, 8), (8, 12)):
        band = [waves[i, j] for i in range(12) for j in range(12) if low <= np.hypot(i, j) < high]
        expected += [value / (np.linalg.norm(band) + 0.016) / 3**0.5 for value in band]
    assert fingerprints(picture).tolist() == pytest.approx(expected, abs=1e-5)
    assert not fingerprints(torch.full((2, 16, 16), 0.5)).abs().max() > 1e-3  # a plain frame is like no other


def test_the_threshold_is_passed_by_one_percent() -> None:
    distances = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    limit = copy_threshold(distances)
    assert limit is not None and int((distances < limit).sum()) == 10
    assert copy_threshold(distances[:99]) is None and copy_threshold(distances[:100]) is not None
    none = torch.full((50,), torch.inf)
    assert copy_threshold(torch.cat([distances, none])) == limit and copy_threshold(none) is None


def test_pixel_differences() -> None:
    windows = torch.randint(256, (4, 2, 3, 3), generator=torch.Generator().manual_seed(0)).byte()
    values = windows.double().numpy()
    expected = [[np.abs(a - b).mean() for b in values] for a in values]
    assert np.allclose(pixel_differences(windows).numpy(), expected, rtol=1e-5)
