"""Copies of training clips among generated ones. Blur, mirroring, small shifts and other colours do not hide them.

A generator that knows its training clips by heart draws them again, blurred. A network's features move away under blur,
so distances between features do not show this. Here frames are compared by *fingerprints*: their brightness at low
resolution, in bands of spatial frequencies, each with the same contrast. Blur lowers the contrast of the finer bands;
with equal contrasts both sides have the same sharpness.

Whether a distance is small enough for a copy is decided by real clips that are none: see `copy_threshold`.
"""

import math
from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

SIDE = 24
"""Pixels of a thumbnail's side."""
FRAMES, APART = 16, 4
"""A window is so many frames long, and every so many of them are compared."""
PASSING = 0.01
"""The share of real clips that are no copies and nevertheless lie below the threshold."""
FEWEST = 100
"""Windows that a threshold needs. Of fewer, a single one is more than the share that may lie below it."""
NEAR_DUPLICATE = 0.2
"""Clips are near-duplicates if they differ by less than this share of the mean difference of real clips."""

_GRID = 16  # pixels of the compared part of a frame
_BANDS = ((1, 4), (4, 8), (8, 12))  # half waves across the part; a blur of 1/64 of the frame halves the finest
_FAINT = 0.001  # contrast in [0, 1] below which a band counts less: rounding to 256 levels is most of it
_PART = 0.88  # of a frame's side is compared, so that the other frame can be shifted
_ZOOMS = (1.0, 0.92)  # of a reference; generators may keep the inner part of a frame, the paper's 227 of 256 pixels
_SHIFTS = (-0.04, 0.0, 0.04)  # of a frame's side
_BLOCK = 2**24  # distances held at a time: 64 MiB
_VERSIONS = tuple(
    (_PART * zoom, down, right, mirrored)
    for zoom, down, right, mirrored in product(_ZOOMS, _SHIFTS, _SHIFTS, (False, True))
)


class Nearest(NamedTuple):
    """What is nearest to each window (row) among the references.

    distance: from 0 to 2; inf where there is no reference.
    own:      the frame of the window that is compared; the first one where windows are compared.
    place:    (reference, thumbnail) that it is compared with.
    """

    distance: Float[Tensor, " n"]
    own: Int[Tensor, " n"]
    place: Int[Tensor, "n 2"]


def nearest_references(
    windows: UInt8[Tensor, "n frames side side"],
    references: Sequence[UInt8[Tensor, "_ side side"]],
    apart: int = APART,
    groups: Int[Tensor, " n"] | None = None,
    reference_groups: Sequence[int] = (),
) -> tuple[Nearest, Nearest]:
    """The nearest frame and the nearest window among the references, for each window of gray thumbnails.

    The distance of two frames is 1 - r, where r is the correlation of their fingerprints: 0 for equal ones, about 1
    for unrelated ones. It is the smallest over 36 versions of the reference: as it is and mirrored, whole and its inner
    part, shifted by up to 4 %. The distance of a window to the nearest frames is the median over its frames (of an even
    number the lower one), so that a single frame does not decide. The distance of two windows is the mean over their
    frames in order, for one and the same version.

    The cost is that of matrix products: the frames of all windows, times those of all references, times 36 versions,
    times 117 numbers of a fingerprint. 2,300 frames against 19,000 take 18 seconds of one CPU core.

    Args:
        references: the thumbnails of each clip in order, enough for a window.
        apart: thumbnails of a reference from one frame of a window to the next.
        groups, reference_groups: numbers of groups (actors). References of a window's own group do not count.
    """
    n, length = windows.shape[:2]
    ours = fingerprints(_versions(windows.flatten(0, 1), [(_PART, 0.0, 0.0, False)])[0]).unflatten(0, (n, length))
    frames = torch.full((n, length), torch.inf), torch.zeros(n, length, 2, dtype=torch.long)
    in_time = torch.full((n,), torch.inf), torch.zeros(n, 2, dtype=torch.long)
    for number, reference in enumerate(references):
        theirs = fingerprints(_versions(reference, _VERSIONS))
        starts = len(reference) - apart * (length - 1)
        size = max(1, _BLOCK // (length * theirs.shape[:2].numel()))
        for rows in (slice(start, start + size) for start in range(0, n, size)):
            distance = 1 - (ours[rows] @ theirs.flatten(0, 1).T).unflatten(2, theirs.shape[:2])
            if groups is not None:
                distance[groups[rows] == reference_groups[number]] = torch.inf
            _keep_nearer(frames[0][rows], frames[1][rows], distance.amin(2), number)
            steps = [distance[:, t, :, apart * t : apart * t + starts] for t in range(length)]
            _keep_nearer(in_time[0][rows], in_time[1][rows], torch.stack(steps).mean(0).amin(1), number)
    middle, own = frames[0].median(1)
    return Nearest(middle, own, frames[1][torch.arange(n), own]), Nearest(in_time[0], torch.zeros_like(own), in_time[1])


def fingerprints(pictures: Float[Tensor, "*n grid grid"]) -> Float[Tensor, "*n numbers"]:
    """Numbers that describe gray pictures at low resolution; their scalar product is a correlation, at most 1.

    They are coefficients of the cosine transform, without the mean. Those of each band of spatial frequencies are
    divided by the band's contrast, and the bands count equally.
    """
    waves = _cosines(pictures.shape[-1])
    coefficients = (waves @ pictures @ waves.T).flatten(-2)
    parts = []
    for band in _bands():
        part = coefficients[..., band]
        parts.append(part / (part.norm(dim=-1, keepdim=True) + _FAINT * _GRID))
    return torch.cat(parts, -1) / math.sqrt(len(_BANDS))


def copy_threshold(distances: Float[Tensor, " n"]) -> float | None:
    """The distance below which at most 1 % of these lie, of windows that are no copies. None for fewer than 100.

    Distances that are not finite do not count.
    """
    distances = distances[distances.isfinite()]
    if len(distances) < FEWEST:
        return None
    return float(distances.sort().values[int(PASSING * len(distances))])


def pixel_differences(windows: UInt8[Tensor, "n frames side side"]) -> Float[Tensor, "n n"]:
    """The mean absolute difference of each pair of windows of gray thumbnails, in 0-255 units."""
    values = windows.flatten(1).float()
    return torch.cdist(values, values, p=1) / values.shape[1]


def _keep_nearer(
    nearest: Float[Tensor, "*n"], place: Int[Tensor, "*n 2"], distance: Float[Tensor, "*n time"], number: int
) -> None:
    """Replace those of the nearest distances, and their (reference, thumbnail), that this reference is nearer to."""
    found, time = distance.min(-1)
    nearer = found < nearest
    nearest[nearer] = found[nearer]
    place[nearer] = torch.stack([torch.full_like(time, number), time], -1)[nearer]


def _versions(
    pictures: UInt8[Tensor, "n side side"], parts: Sequence[tuple[float, float, float, bool]]
) -> Float[Tensor, "parts n grid grid"]:
    """Squares cut out of pictures: (side, shift down, shift right, mirrored), as shares of the picture's side."""
    planes = pictures[:, None].float() / 255
    cut = []
    for side, down, right, mirrored in parts:
        map_ = torch.tensor([[-side if mirrored else side, 0, 2 * right], [0, side, 2 * down]])
        places = F.affine_grid(map_.expand(len(planes), 2, 3), [len(planes), 1, _GRID, _GRID], align_corners=False)
        cut.append(F.grid_sample(planes, places, padding_mode="border", align_corners=False)[:, 0])
    return torch.stack(cut)


@cache
def _cosines(size: int) -> Float[Tensor, "waves size"]:
    """Orthonormal cosines of 0, 1, 2, ... half waves (DCT-II)."""
    waves, places = torch.arange(_BANDS[-1][1])[:, None], torch.arange(size) + 0.5
    cosines = torch.cos(math.pi / size * waves * places) * math.sqrt(2 / size)
    cosines[0] /= math.sqrt(2)
    return cosines


@cache
def _bands() -> list[Int[Tensor, " numbers"]]:
    """The positions of each band's coefficients among all."""
    waves = torch.arange(_BANDS[-1][1])
    frequency = (waves[:, None] ** 2 + waves**2).sqrt().flatten()
    return [((frequency >= low) & (frequency < high)).nonzero().flatten() for low, high in _BANDS]
