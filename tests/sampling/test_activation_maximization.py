"""The update against a restatement of PPGN's in numpy, and what makes a clip independent of its batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stgan.sampling import ROBUST, ClipRandomness, activation_maximization, clip_seed
from stgan.sampling.activation_maximization import falling
from stgan.sampling.spaces import geometric
from stgan.sampling.starts import starting_noise


def objective(h: torch.Tensor, iteration: int, clips: torch.Tensor) -> torch.Tensor:
    return -((h - 3) ** 2).sum((1, 2)) / 2  # its gradient is 3 - h


def reconstruct(h: torch.Tensor, iteration: int) -> torch.Tensor:
    return h / 2 + 1


@pytest.mark.parametrize("norm", ["mean", "rms"])
def test_update_equals_a_plain_restatement_of_ppgn(norm: str) -> None:
    rng = np.random.default_rng(0)
    start, noise = rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 2, 3, 4))
    epsilon1, epsilon2, epsilon3 = 0.3, 0.7, 0.2
    draws = iter(torch.from_numpy(noise))
    result, steps = activation_maximization(
        torch.from_numpy(start),
        objective,
        learning_rates=falling(1.0, 0.1, 5),
        epsilon1=epsilon1,
        epsilon2=epsilon2,
        epsilon3=epsilon3,
        reconstruct=reconstruct,
        noise=lambda clips: next(draws),
        project=lambda h, iteration: h.clamp(0, 30),
        norm=norm,
    )
    expected = start.copy()
    for i, lr in enumerate([1.0, 0.775, 0.55, 0.325, 0.1]):
        for clip in range(2):
            h = expected[clip]
            d = epsilon1 * ((h / 2 + 1) - h) + epsilon2 * (3 - h) + epsilon3 * noise[i, clip]
            size = np.abs(d).mean() if norm == "mean" else np.sqrt((d**2).mean())
            expected[clip] = np.clip(h + lr / size * d, 0, 30)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)
    assert steps.tolist() == [5, 5]


def test_objective_is_maximized() -> None:
    h, _ = activation_maximization(
        torch.zeros(1, 2, 3, dtype=torch.float64),
        objective,
        learning_rates=falling(0.1, 0.001, 200),
        epsilon1=0.0,
        epsilon2=1.0,
        epsilon3=0.0,
        reconstruct=reconstruct,
        noise=lambda clips: pytest.fail("no noise was asked for"),
        project=lambda h, iteration: h,
    )
    assert (h - 3).abs().max() < 0.05


def test_each_step_is_reported() -> None:
    seen = []
    activation_maximization(
        torch.zeros(1, 1, 1),
        objective,
        learning_rates=[0.1] * 3,
        epsilon1=0.0,
        epsilon2=1.0,
        epsilon3=0.0,
        reconstruct=reconstruct,
        noise=torch.Tensor,
        project=lambda h, iteration: h,
        on_step=lambda h, value, iteration: seen.append((iteration, float(value[0]), float(h[0, 0, 0]))),
    )
    assert [iteration for iteration, _, _ in seen] == [0, 1, 2]
    assert [h for _, _, h in seen] == pytest.approx([0.1, 0.2, 0.3])
    assert seen[0][1] == pytest.approx(-4.5) and seen[0][1] < seen[1][1] < seen[2][1]


def test_clips_that_reached_their_goal_rest_and_the_others_go_on() -> None:
    asked = []

    def counted(h: torch.Tensor, iteration: int, clips: torch.Tensor) -> torch.Tensor:
        asked.append(iteration)
        return objective(h, iteration, clips)

    start = torch.tensor([2.9, 1.0]).view(2, 1, 1)
    arguments = {
        "learning_rates": [0.1] * 30,
        "epsilon1": 0.0,
        "epsilon2": 1.0,
        "epsilon3": 0.0,
        "reconstruct": reconstruct,
        "noise": torch.Tensor,
        "project": lambda h, iteration: h,
        "goal": -0.1,
        "patience": 2,
    }
    together, steps = activation_maximization(start, counted, **arguments)
    assert steps[0] == 2 and 2 < steps[1] < 30
    assert max(asked) == steps[1] - 1  # nothing is computed once all are done
    for clip in range(2):
        alone, own = activation_maximization(start[clip : clip + 1], objective, **arguments)
        assert torch.equal(alone, together[clip : clip + 1]) and own[0] == steps[clip]


def test_nothing_but_the_projection_is_computed_where_the_learning_rate_is_0() -> None:
    asked, projected, seen = [], [], []

    def counted(h: torch.Tensor, iteration: int, clips: torch.Tensor) -> torch.Tensor:
        asked.append(iteration)
        return objective(h, iteration, clips)

    def project(h: torch.Tensor, iteration: int) -> torch.Tensor:
        projected.append(iteration)
        return 2 * h

    h, steps = activation_maximization(
        torch.ones(1, 1, 1),
        counted,
        learning_rates=[0.0, 0.5, 0.0],
        epsilon1=0.0,
        epsilon2=1.0,
        epsilon3=0.0,
        reconstruct=reconstruct,
        noise=torch.Tensor,
        project=project,
        on_step=lambda h, value, iteration: seen.append(float(value[0])),
    )
    assert asked == [1] and projected == [0, 1, 2] and steps.tolist() == [1]
    assert h.item() == pytest.approx(2 * 2 * (2 + 0.5))
    assert np.isnan(seen[0]) and seen[1:] == pytest.approx([-0.5, -0.5])


def test_learning_rate_ends_at_its_second_value() -> None:
    assert falling(1.0, 0.1, 4) == pytest.approx([1.0, 0.7, 0.4, 0.1])
    assert falling(1.0, 0.1, 1) == [1.0]
    assert geometric(8.0, 1.0, 4) == pytest.approx([8.0, 4.0, 2.0, 1.0])


@pytest.mark.parametrize("width", [0.0, 1.0, 6.0])
def test_starting_noise_has_unit_variance_and_is_smooth_over_time(width: float) -> None:
    preset = replace(ROBUST, own_noise=0.5, own_noise_frames=width)
    noise = starting_noise(preset, 16, 500, ClipRandomness(range(8)))
    assert noise.std() == pytest.approx(1, abs=0.05)
    steps = noise.diff(dim=1).square().mean()
    assert steps == pytest.approx(2 * 0.5, rel=0.1) if width == 0 else steps < 0.5
    common = replace(preset, own_noise=0.0)
    assert starting_noise(common, 16, 5, ClipRandomness([1])).diff(dim=1).abs().max() == 0


def test_clip_seeds_differ_and_stay() -> None:
    seeds = {clip_seed(s, action, i) for s in range(5) for action in ("walk", "walk1", "run") for i in range(20)}
    assert len(seeds) == 5 * 3 * 20
    assert clip_seed(0, "wave2", 3) == clip_seed(0, "wave2", 3) < 2**63


def test_randomness_belongs_to_the_clip_and_not_to_the_batch() -> None:
    together, alone = ClipRandomness([7, 8, 9]), ClipRandomness([8])
    for _ in range(3):
        assert torch.equal(together.normal(2, 3)[1:2], alone.normal(2, 3))
        assert torch.equal(together.uniform(4)[1:2], alone.uniform(4))
