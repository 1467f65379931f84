"""The precision statement of docs/metrics.md: `pytest tests/metrics/test_precision.py -s` prints the differences.

Sizes are those of a real evaluation: hundreds of clips, a hundred classes, features in single precision.
"""

from collections.abc import Iterator
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.functional.classification import multiclass_confusion_matrix
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import poly_mmd

from stgan.metrics.appearance import background_change, colour_change, feature_diversity
from stgan.metrics.classification import confusion_matrix, contributions, inception_score
from stgan.metrics.distances import frechet_distance, kernel_distance
from stgan.metrics.motion import motion
from stgan.metrics.neighbours import precision_recall_density_coverage

Pairs = Iterator[tuple[float, float]]  # ours and the reference's


def generators() -> Iterator[torch.Generator]:
    return (torch.Generator().manual_seed(seed) for seed in range(5))


def logits(generator: torch.Generator, n: int = 500, classes: int = 101) -> Tensor:
    """Of a sharp network in single precision: probabilities from 1 down to exp(-150)."""
    return 30 * torch.randn(n, classes, generator=generator)


def features(generator: torch.Generator, n: int, d: int) -> Tensor:
    """In single precision, correlated, mostly positive, as after a ReLU."""
    mixing = torch.randn(d, d, generator=generator) / d**0.5
    return (torch.randn(n, d, generator=generator) @ mixing + 0.5).relu()


def inception_in_torchmetrics() -> Pairs:
    for generator in generators():
        given = logits(generator).double()
        reference = InceptionScore(feature=nn.Identity(), splits=1)
        reference.update(given)
        yield inception_score(given)[0].item(), reference.compute()[0].item()


def inception_in_numpy() -> Pairs:
    """Single precision given, entropies in double: what a network's own rounding could cost."""
    for generator in generators():
        given = logits(generator)
        p = np.exp(given.double().numpy() - given.double().numpy().max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        entropies = [-(q * np.log(np.where(q > 0, q, 1))).sum(-1) for q in (p.mean(0), p)]
        yield inception_score(given)[0].item(), float(np.exp(entropies[0] - entropies[1].mean()))


def inception_of_rounded_logarithms() -> Pairs:
    for generator in generators():
        given = logits(generator)
        yield inception_score(given.log_softmax(1))[0].item(), inception_score(given)[0].item()


def contributions_in_decimals() -> Pairs:
    for generator in generators():
        given = logits(generator, 8, 5)
        with localcontext() as context:
            context.prec = 60
            p = [[Decimal(x).exp() for x in row] for row in given.tolist()]
            p = [[x / sum(row) for x in row] for row in p]
            marginal = [sum(column) / len(p) for column in zip(*p, strict=True)]
            exact = [float(sum(x * (x / m).ln() for x, m in zip(row, marginal, strict=True))) for row in p]
        yield from zip(contributions(given).tolist(), exact, strict=True)


def frechet_in_torchmetrics() -> Pairs:
    for generator in generators():
        a, b = features(generator, 400, 128), features(generator, 300, 128)
        x, y = a.double(), b.double()
        yield (
            frechet_distance(a, b).item(),
            _compute_fid(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T)).item(),
        )


def frechet_of_few_clips() -> Pairs:
    """Fewer clips than features, against numpy's symmetric roots in the space that the clips span."""
    for generator in generators():
        a, b = features(generator, 90, 200), features(generator, 60, 200)
        x, y = a.double().numpy(), b.double().numpy()
        basis = np.linalg.svd(np.concatenate([x - x.mean(0), y - y.mean(0)]), full_matrices=False)[2][:148]
        cov_x, cov_y = np.cov(basis @ x.T), np.cov(basis @ y.T)
        values, vectors = np.linalg.eigh(cov_x)
        root = vectors * np.sqrt(values.clip(0)) @ vectors.T
        cross = np.sqrt(np.linalg.eigvalsh(root @ cov_y @ root).clip(0)).sum()
        means = ((x.mean(0) - y.mean(0)) ** 2).sum()
        yield frechet_distance(a, b).item(), means + np.trace(cov_x) + np.trace(cov_y) - 2 * cross


def kernel_in_torchmetrics() -> Pairs:
    for generator in generators():
        a, b = features(generator, 400, 128), features(generator, 400, 128)
        yield kernel_distance(a, b).item(), poly_mmd(a.double(), b.double()).item()


def neighbourhood_by_sorting() -> Pairs:
    for generator in generators():
        a, b = features(generator, 120, 16), features(generator, 90, 16)
        x, y = a.double().numpy(), b.double().numpy()
        cross, own_x, own_y = (np.linalg.norm(p[:, None] - q, axis=2) for p, q in ((y, x), (x, x), (y, y)))
        inside = cross < np.sort(own_x)[:, 5]
        recalled = cross < np.sort(own_y)[:, 5][:, None]
        expected = inside.any(1).mean(), recalled.any(0).mean(), inside.sum() / 450, inside.any(0).mean()
        yield from zip(precision_recall_density_coverage(a, b), map(float, expected), strict=True)


def distances_in_numpy() -> Pairs:
    for generator in generators():
        a = features(generator, 90, 128)
        own = np.linalg.norm(a.double().numpy()[:, None] - a.double().numpy(), axis=2)
        yield feature_diversity(a, torch.zeros(90, dtype=torch.int64)).item(), float(own.sum() / (90 * 89))


def confusion_in_torchmetrics() -> Pairs:
    for generator in generators():
        actions, named = torch.randint(101, (2, 500), generator=generator)
        reference = multiclass_confusion_matrix(named, actions, 101)
        yield from zip(*(x.flatten().tolist() for x in (confusion_matrix(actions, named, 101), reference)), strict=True)


def pixels_in_numpy() -> Pairs:
    """In single precision throughout: these are the only metrics that are not in double."""
    for generator in generators():
        video = torch.rand(1, 3, 16, 120, 160, generator=generator)
        x = 255 * video.double().numpy()[0]
        yield motion(video).item(), float(np.abs(np.diff(x, axis=1)).mean())
        large = x[..., :150].reshape(3, 16, 8, 15, 10, 15).mean((3, 5)).reshape(3, 16, 80)
        middle = np.sort(np.abs(np.diff(large, axis=1)).mean(0), axis=1)[:, 39]
        yield background_change(video).item(), float(middle.mean())
        values = np.sort(x.reshape(3, 16, -1), axis=2)
        yield colour_change(video).item(), float(np.abs(np.diff(values, axis=1)).mean())


PRECISION = {
    inception_in_torchmetrics: 1e-12,
    inception_in_numpy: 1e-12,
    inception_of_rounded_logarithms: 1e-6,
    contributions_in_decimals: 1e-12,
    frechet_in_torchmetrics: 1e-10,
    frechet_of_few_clips: 1e-6,
    kernel_in_torchmetrics: 1e-10,
    neighbourhood_by_sorting: 0,
    distances_in_numpy: 1e-12,
    confusion_in_torchmetrics: 0,
    pixels_in_numpy: 1e-4,
}


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save", r"ignore:std\(\)")
def test_largest_relative_difference() -> None:
    too_large = {}
    for pairs, bound in PRECISION.items():
        largest = max(abs(ours - reference) / max(abs(reference), 1e-300) for ours, reference in pairs())
        print(f"{pairs.__name__}: {largest:.0e}")
        if not largest <= bound:
            too_large[pairs.__name__] = largest
    assert not too_large
