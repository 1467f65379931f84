"""The U-Net of maps: sizes, where it starts, what reaches what, and its attention written out."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stgan.networks.unet import Attention, Block, UNet, group_norm

EMBEDDING = 6


def make(
    grid: int, widths: tuple[int, ...], depth: int = 1, dropout: float = 0.0, incoming: int = 5, outgoing: int = 3
) -> UNet:
    torch.manual_seed(0)
    return UNet(incoming, outgoing, grid, widths, depth, EMBEDDING, dropout).double().eval()


def lively(network: nn.Module) -> nn.Module:
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


def inputs(grid: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 5, grid, grid, dtype=torch.float64, generator=random)
    return x, torch.randn(batch, EMBEDDING, dtype=torch.float64, generator=random)


@pytest.mark.parametrize(
    ("grid", "widths", "depth"),
    [(4, (8,), 1), (16, (8, 12), 2), (8, (6, 4, 10), 1), (5, (7,), 2), (2, (3, 5), 1), (3, (8,), 0)],
)
def test_it_keeps_the_grid_and_starts_at_0(grid: int, widths: tuple[int, ...], depth: int) -> None:
    network = make(grid, widths, depth)
    x, embedding = inputs(grid)
    out = network(x, embedding)
    assert out.shape == (2, 3, grid, grid) and not out.any()
    lively(network)
    changed = network(x, embedding)
    assert changed.shape == (2, 3, grid, grid) and changed.std() > 0.01


def test_everything_that_is_put_in_matters() -> None:
    network = lively(make(8, (6, 10)))
    x, embedding = inputs(8)
    out = network(x, embedding)
    torch.testing.assert_close(network(x[1:], embedding[1:]), out[1:])  # but not the others of a batch
    for number in range(5):
        other = x.clone()
        other[:, number, 7, 7] += 1
        assert (network(other, embedding) - out)[:, :, 0, 0].abs().min() > 0  # attention reaches everywhere
    for number in range(EMBEDDING):
        other = embedding.clone()
        other[:, number] += 1
        assert not torch.allclose(network(x, other), out)
    same = torch.zeros_like(x)
    assert network(same, embedding).std((2, 3)).min() > 0.01  # places have names


def test_every_weight_learns() -> None:
    network = lively(make(4, (6, 10), depth=2))
    network(*inputs(4)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("grid", "widths", "attending"), [(16, (8, 8, 8), [8, 4]), (16, (8,), [16]), (8, (8, 8), [8, 4]), (32, (8, 8), [])]
)
def test_levels_of_at_most_8_by_8_places_and_the_middle_have_attention(
    grid: int, widths: tuple[int, ...], attending: list[int]
) -> None:
    network, found = make(grid, widths), []
    for module in network.modules():
        if isinstance(module, Attention):
            module.register_forward_pre_hook(lambda module, args: found.append(args[0].shape[-1]))
    network(*inputs(grid, 1))
    middle = grid >> (len(widths) - 1)
    expected = sorted([middle, *(2 * [size for size in attending if size <= 8])])
    assert sorted(found) == expected


@pytest.mark.parametrize(("width", "heads"), [(6, 1), (33, 1), (32, 1), (64, 2)])
def test_attention_written_out(width: int, heads: int) -> None:
    attention = lively(Attention(width)).double()
    x = torch.randn(2, width, 3, 2, dtype=torch.float64)
    w = {name: value.detach().numpy() for name, value in attention.named_parameters()}
    places = attention.norm(x).detach().flatten(2).numpy()  # type: ignore[operator]
    qkv = np.einsum("oi,nip->nop", w["qkv.weight"][:, :, 0, 0], places) + w["qkv.bias"][:, None]
    out = np.zeros_like(places)
    size = width // heads
    for n in range(2):
        for head in range(heads):
            q, k, v = (qkv[n, part * width + head * size :][:size] for part in range(3))
            scores = np.exp(q.T @ k / math.sqrt(size))
            out[n, head * size : (head + 1) * size] = v @ (scores / scores.sum(1, keepdims=True)).T
    expected = np.einsum("oi,nip->nop", w["out.weight"][:, :, 0, 0], out) + w["out.bias"][:, None]
    found = attention(x) - x
    np.testing.assert_allclose(found.detach().flatten(2).numpy(), expected, rtol=1e-9, atol=1e-9)


def test_a_new_block_passes_on_what_comes_in_and_dropout_is_for_training_alone() -> None:
    torch.manual_seed(0)
    block, x = Block(8, EMBEDDING, 0.5, attends=True), torch.randn(2, 8, 4, 4)
    embedding = torch.randn(2, EMBEDDING)
    torch.testing.assert_close(block(x, embedding), x)
    lively(block)
    assert not torch.equal(block(x, embedding), block(x, embedding))
    block.eval()
    assert torch.equal(block(x, embedding), block(x, embedding))


@pytest.mark.parametrize(("width", "groups"), [(32, 32), (64, 32), (48, 16), (7, 1), (1, 1)])
def test_groups_divide_the_channels(width: int, groups: int) -> None:
    assert group_norm(width).num_groups == groups
