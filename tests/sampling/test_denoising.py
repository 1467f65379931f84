"""Noise levels and the solver between them: against the published algorithm, Euler's step and an exact solution."""

from itertools import pairwise

import pytest
import torch
from solving import solved
from torch import Tensor

from stgan.sampling.denoising import Solver, exponential_sigmas


def test_noise_levels_fall_by_a_constant_factor() -> None:
    assert exponential_sigmas(8.0, 1.0, 3) == pytest.approx([8.0, 4.0, 2.0, 1.0])


def test_the_solver_is_dpm_solver_2m() -> None:
    def denoise(h: Tensor, sigma: float) -> Tensor:
        return torch.tanh(h) / (1 + sigma)

    h, sigmas = torch.randn(5, dtype=torch.float64), [9.0, 4.0, 3.5, 1.0, 0.2]
    solver, found = Solver(denoise, multistep=True), h
    for sigma, following in pairwise(sigmas):
        found = solver.step(found, sigma, following)
    torch.testing.assert_close(found, solved(denoise, h, sigmas))
    solver, found, euler = Solver(denoise, multistep=False), h, h
    for sigma, following in pairwise(sigmas):
        found = solver.step(found, sigma, following)
        euler = euler + (following - sigma) * (euler - denoise(euler, sigma)) / sigma  # dh/dsigma = (h - D) / sigma
    torch.testing.assert_close(found, euler)


@pytest.mark.parametrize(("multistep", "factor"), [(True, 4), (False, 2)])
def test_the_solver_is_of_second_order_with_several_steps(multistep: bool, factor: int) -> None:
    """For data from N(m, v) the equation has the solution m + (h - m) sqrt((v + sigma'^2) / (v + sigma^2))."""
    m, v = 0.3, torch.tensor([0.1, 1.0, 7.0], dtype=torch.float64)
    start, first, last = torch.tensor([9.0, -4.0, 2.0], dtype=torch.float64), 10.0, 0.1
    exact = m + (start - m) * ((v + last**2) / (v + first**2)).sqrt()
    errors = []
    for steps in (40, 80, 160):
        solver, h = Solver(lambda h, sigma: m + v / (v + sigma**2) * (h - m), multistep), start
        for sigma, following in pairwise(exponential_sigmas(first, last, steps)):
            h = solver.step(h, sigma, following)
        errors.append((h - exact).abs())
    assert errors[-1].max() < (1e-2 if multistep else 1e-1)
    for coarse, fine in pairwise(errors):
        assert ((coarse / fine > 0.8 * factor) & (coarse / fine < 1.2 * factor)).all()
