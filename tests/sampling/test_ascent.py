"""Steps up the gradient, in which each clip stops at its own goal and draws its own random numbers."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stgan import STGAN
from stgan.sampling import PAPER, Action, ClipRandomness, clip_seed
from stgan.sampling.ascent import Ascent, mean_absolute, root_mean_square
from stgan.sampling.starts import starting_noise
from stgan.sampling.task import Task


@pytest.fixture(scope="module")
def task(tiny_model: Path) -> Task:
    networks = STGAN.from_pretrained(tiny_model, device="cpu").steering(condition="lrcn").networks
    return Task(networks, Action(networks.condition, 1), ClipRandomness([0, 1]), 16)


def objective(h: Tensor, clips: Tensor, goal: float = 3.0) -> Tensor:
    return -((h - goal) ** 2).sum((1, 2)) / 2  # its gradient is goal - h


def climb(h: Tensor, ascent: Ascent, steps: int) -> Tensor:
    for _ in range(steps):
        clips = ascent.clips()
        if len(clips):
            h = h.index_copy(0, clips, h[clips] + 0.1 * ascent.gradient(objective, h[clips], clips).sign())
    return h


def test_the_gradient_is_of_each_clip_and_the_value_of_before_the_step(task: Task) -> None:
    ascent, h = Ascent(task, PAPER), torch.tensor([2.9, 1.0]).view(2, 1, 1)
    assert ascent.value.isnan().all() and ascent.clips().tolist() == [0, 1]
    gradient = ascent.gradient(objective, h[1:], torch.tensor([1]), 5.0)
    assert gradient.item() == 4.0 and not gradient.requires_grad and not h.requires_grad
    assert math.isnan(ascent.value[0]) and ascent.value[1] == -8.0 and ascent.steps.tolist() == [0, 1]


def test_clips_that_reached_their_goal_rest_and_the_others_go_on(task: Task) -> None:
    settings = replace(PAPER, goal=math.exp(-0.1), patience=2)
    start = torch.tensor([2.9, 1.0]).view(2, 1, 1)
    together, both = Ascent(task, settings), start
    both = climb(both, together, 30)
    assert together.steps[0] == 2 and 2 < together.steps[1] < 30 and len(together.clips()) == 0
    for clip in range(2):
        alone = Ascent(replace(task, random=ClipRandomness([clip])), settings)
        assert torch.equal(climb(start[clip : clip + 1], alone, 30), both[clip : clip + 1])
        assert alone.steps[0] == together.steps[clip]


def test_patience_counts_iterations_in_a_row(task: Task) -> None:
    ascent = Ascent(task, replace(PAPER, goal=0.5, patience=2))
    clips, above, below = torch.tensor([0, 1]), torch.zeros(2, 1, 1), torch.full((2, 1, 1), -9.0)
    for h in (above, below, above):
        ascent.gradient(lambda h, clips: h.sum((1, 2)), h, clips)
    assert len(ascent.clips()) == 2
    ascent.gradient(lambda h, clips: h.sum((1, 2)), above, clips)
    assert len(ascent.clips()) == 0


def test_sizes_are_of_each_clip_and_never_0() -> None:
    d = torch.tensor([[[3.0, -4.0]], [[0.0, 0.0]]])
    assert mean_absolute(d).flatten()[0] == 3.5 and root_mean_square(d).flatten()[0] == pytest.approx(12.5**0.5)
    for size in (mean_absolute(d), root_mean_square(d)):
        assert size.shape == (2, 1, 1) and size[1] > 0 and torch.isfinite(d / size).all()


@pytest.mark.parametrize("width", [0.0, 1.0, 6.0])
def test_starting_noise_has_unit_variance_and_is_smooth_over_time(width: float) -> None:
    noise = starting_noise(16, (500,), 0.5, width, ClipRandomness(range(8)))
    assert noise.std() == pytest.approx(1, abs=0.05)
    steps = noise.diff(dim=1).square().mean()
    assert steps == pytest.approx(2 * 0.5, rel=0.1) if width == 0 else steps < 0.5
    assert starting_noise(16, (5,), 0.0, width, ClipRandomness([1])).diff(dim=1).abs().max() == 0


def test_clip_seeds_differ_and_stay() -> None:
    seeds = {clip_seed(s, action, i) for s in range(5) for action in ("walk", "walk1", "run") for i in range(20)}
    assert len(seeds) == 5 * 3 * 20
    assert clip_seed(0, "wave2", 3) == clip_seed(0, "wave2", 3) < 2**63


def test_randomness_belongs_to_the_clip_and_not_to_the_batch() -> None:
    together, alone = ClipRandomness([7, 8, 9]), ClipRandomness([8])
    for _ in range(3):
        assert torch.equal(together.normal(2, 3)[1:2], alone.normal(2, 3))
        assert torch.equal(together.uniform(4)[1:2], alone.uniform(4))
