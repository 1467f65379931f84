"""Where a classifier looks, in space and time: by gradients, and by covering parts of the clip."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor

from stgan.errors import StganError
from stgan.explain.answers import log_odds
from stgan.sampling.objectives import ConditionNetwork

SAMPLES = 16
"""Gradients that the attribution averages."""
PLACES = 4
"""Places of the grey cube along each of time, height and width."""
COVER = 4
"""The cube covers this part of each of time, height and width: a quarter."""

_GREY = 0.5
_NOISE = 0.1  # deviation of the noise that is added to the clip, in units of its range
_SMOOTH = 16  # the heat is averaged over squares of a 16th of the side

OnStep = Callable[[], None]
"""Called after each gradient and each batch of covered clips."""


@dataclass(frozen=True)
class Attribution:
    """Where a classifier looks for an action.

    heat:      from 0 to 1, positive attribution, averaged over small squares and three frames.
    cubes:     what each cube of the clip contributes to the log odds according to the gradients.
    covering:  how much the log odds of the action fall if the cube is grey.
    agreement: Spearman's rank correlation between `cubes` and `covering`, from -1 to 1; None if one of them is the same
               everywhere.
    """

    heat: Float[Tensor, "time height width"]
    cubes: Float[Tensor, "times rows columns"]
    covering: Float[Tensor, "times rows columns"]
    agreement: float | None


def attribute(
    network: ConditionNetwork,
    video: Float[Tensor, "3 time height width"],
    action: int,
    *,
    seed: int = 0,
    batch: int = 4,
    on_step: OnStep = lambda: None,
) -> Attribution:
    """Attribute the log odds of an action to places and times of a video, RGB in [0, 1].

    batch: covered clips that the network is shown at a time.

    Raises:
        StganError: Captum is not installed.
    """
    values = gradients(network, video, action, seed=seed, on_step=on_step)
    covering = cover(network, video, action, batch=batch, on_step=on_step)
    cubes = torch.stack([values[place].sum() for place in _places(values.shape)]).view_as(covering)
    return Attribution(_heat(values), cubes, covering, _rank_correlation(cubes, covering))


def gradients(
    network: ConditionNetwork,
    video: Float[Tensor, "3 time height width"],
    action: int,
    *,
    seed: int = 0,
    on_step: OnStep = lambda: None,
) -> Float[Tensor, "time height width"]:
    """What each pixel contributes to the log odds of an action, compared with grey: GradientSHAP of Captum.

    GradientSHAP (Lundberg & Lee 2017, as in Captum) is the mean of (x - grey) times the gradient at random points
    between grey and the clip x with noise. The sum over pixels is about the difference of the log odds between the clip
    and grey. Every gradient is at a point with noise of its own. For 16 gradients, its map agreed a little better with
    covering than Integrated Gradients (Sundararajan et al. 2017) averaged with noise, which spends them on few noises
    (docs/explain.md).

    Raises:
        StganError: Captum is not installed.
    """
    try:
        from captum.attr import GradientShap
    except ImportError as error:
        raise StganError(
            'where a network looks is found by Captum, which is missing: pip install "stgan[explain]"'
        ) from error
    method = GradientShap(lambda videos: log_odds(network, videos, action))
    grey, total = torch.full_like(video, _GREY)[None], torch.zeros_like(video)
    with _seeded(seed):
        for _ in range(SAMPLES):  # one at a time, as Captum would hold all of them in memory
            total += method.attribute(video[None], baselines=grey, n_samples=1, stdevs=_NOISE)[0].detach()
            on_step()
    return total.sum(0) / SAMPLES


@torch.no_grad()
def cover(
    network: ConditionNetwork,
    video: Float[Tensor, "3 time height width"],
    action: int,
    *,
    batch: int = 4,
    on_step: OnStep = lambda: None,
) -> Float[Tensor, "times rows columns"]:
    """How much the log odds of an action fall if a grey cube covers a part of the video (Zeiler & Fergus 2014).

    The cube covers a quarter of the frames, of the height and of the width. A short video has fewer places in time.
    """
    places = list(_places(video.shape[1:]))
    whole, values = log_odds(network, video[None], action), []
    for first in range(0, len(places), batch):
        covered = torch.stack([_covered(video, place) for place in places[first : first + batch]])
        values.append(whole - log_odds(network, covered, action))
        on_step()
    return torch.cat(values).view(*(len(_starts(size)) for size in video.shape[1:]))


def steps(shape: torch.Size | tuple[int, ...], batch: int) -> int:
    """How many times `attribute` calls `on_step` for a video "time height width"."""
    return SAMPLES + -(-len(list(_places(shape))) // batch)


def _covered(video: Tensor, place: tuple[slice, slice, slice]) -> Tensor:
    copy = video.clone()
    copy[(slice(None), *place)] = _GREY
    return copy


def _places(shape: torch.Size | tuple[int, ...]) -> Iterator[tuple[slice, slice, slice]]:
    """The cubes of a video "time height width", in the order of time, rows and columns."""
    lengths = [_length(size) for size in shape]
    for t, y, x in product(*(_starts(size) for size in shape)):
        yield slice(t, t + lengths[0]), slice(y, y + lengths[1]), slice(x, x + lengths[2])


def _length(size: int) -> int:
    return -(-size // COVER)


def _starts(size: int) -> list[int]:
    return np.unique(np.linspace(0, size - _length(size), PLACES).round().astype(int)).tolist()


def _heat(values: Float[Tensor, "time height width"]) -> Float[Tensor, "time height width"]:
    """Positive attribution, averaged over squares and three frames; the largest value is 1."""
    reach = max(1, values.shape[-1] // _SMOOTH) // 2
    heat = values[None, None].clamp(min=0)
    for _ in range(2):  # twice, so that the squares have no edges
        heat = F.avg_pool3d(heat, (3, 2 * reach + 1, 2 * reach + 1), 1, (1, reach, reach), count_include_pad=False)
    return heat[0, 0] / heat.max().clamp(min=1e-12)


def _rank_correlation(one: Tensor, other: Tensor) -> float | None:
    if one.unique().numel() < 2 or other.unique().numel() < 2:
        return None
    return float(spearmanr(one.flatten().cpu().numpy(), other.flatten().cpu().numpy()).statistic)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Captum draws from the generators of PyTorch and NumPy. They continue afterwards as if nothing had happened."""
    state = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % (1 << 32))
        try:
            yield
        finally:
            np.random.set_state(state)
