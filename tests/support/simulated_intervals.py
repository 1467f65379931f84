"""How often 95 % intervals of `stgan compare` hold what they are of, for features of known distributions.

python tests/support/simulated_intervals.py [REPEATS]    (docs/metrics.md, minutes)

Features are Gaussian with a mean for each of ten actions, and variances that fall as 1/i, as those of networks do. The
generated ones deviate from the real ones by a factor and an offset. What intervals are of is the mean over all repeats.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stgan.metrics.distances import frechet_distance, frechet_influence, kernel_distance, kernel_influence
from stgan.metrics.draws import mean_draws, placed, simultaneous_intervals

ACTIONS = 10
_DRAWS = 1000
_SHARED = 0.7  # of the variance of two paired clips
Distance = Callable[[Tensor, Tensor], Tensor]
DISTANCES: dict[str, tuple[Distance, Distance]] = {
    "Fréchet": (frechet_distance, frechet_influence),
    "kernel": (kernel_distance, kernel_influence),
}


@dataclass(frozen=True)
class Found:
    """Of the intervals of a distance, and of the difference of two equally good generators, independent and paired: the
    share that holds what it is of, and the width over that of the exact interval, 3.92 standard deviations.
    """

    value: float
    covered: dict[str, float]
    widths: dict[str, float]


def simulate(name: str, n: int, size: int, apart: float, repeats: int, seed: int = 0) -> Found:
    """The intervals of a distance (of `DISTANCES`) of n generated and n real clips with this many features.

    apart: how far generated features deviate from real ones; 0: not at all.
    """
    distance, influence = DISTANCES[name]
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    scale = 3 * torch.arange(1, size + 1).double() ** -0.5
    middles = noise(ACTIONS, size).repeat(n // ACTIONS, 1) * scale
    offset = apart * noise(size) * scale / 2

    def made(clips: Tensor) -> Tensor:
        return middles + (1 + apart / 4) * clips * scale + offset

    def times() -> Tensor:
        each = n // ACTIONS
        chosen = torch.randint(each, (_DRAWS, each, ACTIONS), generator=generator) * ACTIONS + torch.arange(ACTIONS)
        return torch.zeros(_DRAWS, n, dtype=torch.float64).scatter_add_(
            1, chosen.flatten(1), torch.ones(_DRAWS, n, dtype=torch.float64)
        )

    values: dict[str, list[float]] = {}
    intervals: dict[str, list[tuple[float, float]]] = {}
    for _ in range(repeats):
        real, of_real, first, of_first = middles + noise(n, size) * scale, times(), noise(n, size), times()
        pairs = {
            "of a difference": (noise(n, size), times()),
            "of a paired difference": (_SHARED**0.5 * first + (1 - _SHARED) ** 0.5 * noise(n, size), of_first),
        }

        def measure(
            clips: Tensor, own: Tensor, real: Tensor = real, of_real: Tensor = of_real
        ) -> tuple[Tensor, Tensor]:
            features = made(clips)
            draws = mean_draws(influence(features, real), own) + mean_draws(influence(real, features), of_real)
            value = distance(features, real)
            return value, placed(float(value), draws, n // ACTIONS)

        one, draws = measure(first, of_first)
        low, high = draws.quantile(draws.new_tensor([0.025, 0.975])).tolist()
        values.setdefault("of a distance", []).append(float(one))
        intervals.setdefault("of a distance", []).append((low, high))
        for which, other in pairs.items():
            two, more = measure(*other)
            (interval,) = simultaneous_intervals(torch.stack([one, two]), torch.stack([draws, more], 1)).values()
            values.setdefault(which, []).append(float(one - two))
            intervals.setdefault(which, []).append(interval)
    covered, widths = {}, {}
    for which, bounds in intervals.items():
        low, high = torch.tensor(bounds).T
        truth = torch.tensor(values[which]).mean() if which == "of a distance" else 0.0
        covered[which] = float(((low <= truth) & (truth <= high)).double().mean())
        widths[which] = float((high - low).mean() / (3.92 * torch.tensor(values[which]).std()))
    return Found(sum(values["of a distance"]) / repeats, covered, widths)


def main(repeats: int) -> None:
    torch.set_num_threads(1)
    print(
        "| distance | clips | generated features | value | of a distance | of a difference | of a paired difference |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in DISTANCES:
        for n in (90, 500):
            for words, apart in (("as real", 0.0), ("near", 0.5), ("far", 2.0)):
                found = simulate(name, n, 128, apart, repeats)
                cells = (f"{found.covered[which]:.2f} ({found.widths[which]:.2f})" for which in found.covered)
                print(f"| {name} | {n} | {words} | {found.value:.3g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
