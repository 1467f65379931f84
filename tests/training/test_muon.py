"""Muon's steps, against singular values and against AdamW."""

import copy

import pytest
import torch
from torch import nn

from stgan.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(32, 32), (24, 200), (200, 24), (64, 576)])
def test_all_directions_have_about_the_same_size(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    sizes = torch.logspace(0, -2, min(shape))  # singular values over two orders of magnitude
    found = orthogonal(left * sizes @ right)
    own = torch.linalg.svdvals(found)
    assert own.min() > 0.5 and own.max() < 1.3
    torch.testing.assert_close(
        (left.mT @ found @ right.mT).diagonal().sort().values, own.sort().values, atol=0.02, rtol=0
    )


def layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(24, 40, 3), nn.GroupNorm(1, 40), nn.Conv2d(40, 8, 1), nn.Embedding(20, 20))


def test_a_layer_moves_by_a_fifth_of_the_rate_and_other_weights_as_by_adamw() -> None:
    rate = 1e-2
    ours, reference = layers(), layers()
    optimizers = Muon(ours, rate, 0.1), torch.optim.AdamW(reference.parameters(), rate, (0.9, 0.99), weight_decay=0.1)
    before = ours.get_parameter("0.weight").detach().clone()
    for network, optimizer in zip((ours, reference), optimizers, strict=True):
        torch.manual_seed(1)
        for each in network.parameters():
            each.grad = torch.randn_like(each)
        optimizer.step()
    for (name, mine), theirs in zip(ours.named_parameters(), reference.parameters(), strict=True):
        if name == "0.weight":
            moved = mine - (1 - 0.1 * rate) * before
            assert moved.square().mean().sqrt().item() == pytest.approx(0.2 * rate, rel=0.25)
        else:
            torch.testing.assert_close(mine, theirs)


def test_it_learns_and_resumes() -> None:
    def run(network: nn.Module, optimizer: Muon, steps: range) -> None:
        for step in steps:
            torch.manual_seed(step)
            x = torch.randn(64, 32)
            optimizer.zero_grad()
            (network(x) - x.flip(1)).square().mean().backward()
            optimizer.step()

    torch.manual_seed(0)
    network = nn.Linear(32, 32)
    optimizer = Muon(network, 2e-2, 0.0)
    run(network, optimizer, range(20))
    again = nn.Linear(32, 32)
    again.load_state_dict(network.state_dict())
    other = Muon(again, 2e-2, 0.0)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, own in ((network, optimizer), (again, other)):
        run(each, own, range(20, 60))
    assert torch.equal(network.weight, again.weight)
    assert (network(torch.eye(32)) - torch.eye(32).flip(1)).square().mean() < 0.005
