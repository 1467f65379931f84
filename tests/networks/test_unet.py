"""The U-Net over space and time: sizes, where it starts, what reaches what, and its layers written out."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stgan.networks.unet import Attention, Block, UNet, from_clips, group_norm, to_clips

EMBEDDING = 6


def make(frames: int, grid: int, widths: tuple[int, ...], depth: int = 1) -> UNet:
    torch.manual_seed(0)
    return UNet(5, 3, frames, grid, widths, depth, EMBEDDING, 0.0).double().eval()


def lively(network: nn.Module) -> nn.Module:
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


def inputs(frames: int, grid: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(batch, frames, 5, grid, grid, dtype=torch.float64, generator=random)
    return x, torch.randn(batch, frames, EMBEDDING, dtype=torch.float64, generator=random)


@pytest.mark.parametrize(
    ("frames", "grid", "widths", "depth"),
    [(4, 4, (8,), 1), (1, 16, (8, 12), 2), (3, 8, (6, 4, 10), 1), (2, 5, (7,), 2), (5, 2, (3, 5), 1), (1, 3, (8,), 0)],
)
def test_it_keeps_frames_and_grid_and_starts_at_0(frames: int, grid: int, widths: tuple[int, ...], depth: int) -> None:
    network = make(frames, grid, widths, depth)
    x, embedding = inputs(frames, grid)
    out = network(x, embedding)
    assert out.shape == (2, frames, 3, grid, grid) and not out.any()
    lively(network)
    changed = network(x, embedding)
    assert changed.shape == (2, frames, 3, grid, grid) and changed.std() > 0.01


def test_everything_that_is_put_in_matters() -> None:
    network = lively(make(5, 8, (6, 10)))
    x, embedding = inputs(5, 8)
    out = network(x, embedding)
    torch.testing.assert_close(network(x[1:], embedding[1:]), out[1:])  # but not the others of a batch
    for number in range(5):
        other = x.clone()
        other[:, 4, number, 7, 7] += 1
        assert (network(other, embedding) - out)[:, 0, :, 0, 0].abs().min() > 0  # attention reaches everywhere
    for number in range(EMBEDDING):
        other = embedding.clone()
        other[:, 0, number] += 1
        assert not torch.allclose(network(x, other), out)
    same = torch.zeros_like(x)
    assert network(same, embedding).std((3, 4)).min() > 0.01  # places have names


def test_every_weight_learns() -> None:
    network = lively(make(3, 4, (6, 10), depth=2))
    network(*inputs(3, 4)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("frames", "grid", "widths", "attending"),
    [
        (16, 16, (8, 8, 8), [4]),
        (1, 16, (8, 8), [16, 8]),
        (4, 8, (8, 8), [8, 4]),
        (16, 8, (8,), []),
        (5, 8, (8, 8), [4]),
    ],
)
def test_levels_of_few_places_of_all_frames_have_attention(
    frames: int, grid: int, widths: tuple[int, ...], attending: list[int]
) -> None:
    network, found = make(frames, grid, widths), []
    for module in network.modules():
        if isinstance(module, Attention):
            module.register_forward_pre_hook(lambda module, args: found.append(args[0].shape[-1]))
    network(*inputs(frames, grid, 1))
    middle = [grid >> (len(widths) - 1)]
    assert sorted(found) == sorted([*(2 * attending), *(middle if middle[0] in attending else [])])


def test_images_and_clips() -> None:
    images = torch.randn(6, 4, 3, 5)
    clips = to_clips(images, 3)
    assert clips.shape == (2, 4, 3, 15)
    for clip in range(2):
        for time in range(3):
            assert torch.equal(clips[clip, :, time], images[3 * clip + time].flatten(1))
    assert torch.equal(from_clips(clips, images.shape), images)
    last = images.contiguous(memory_format=torch.channels_last)
    assert to_clips(last, 3).data_ptr() == last.data_ptr()  # nothing is copied
    assert to_clips(last, 3).is_contiguous(memory_format=torch.channels_last)


def test_a_block_written_out() -> None:
    frames, width = 4, 6
    block = lively(Block(frames, width, EMBEDDING, 0.0, attends=False)).double()
    x, embedding = torch.randn(8, width, 3, 2).double(), torch.randn(8, EMBEDDING).double()
    scale, shift = block.modulation(embedding)[..., None, None].chunk(2, 1)  # type: ignore[operator]
    branch = block.space(nn.functional.silu(block.norm1(x)))  # type: ignore[operator]
    branch = nn.functional.silu(block.norm2(branch) * (1 + scale) + shift)  # type: ignore[operator]
    branch = nn.functional.pad(branch.unflatten(0, (2, 4)), (0, 0) * 3 + (1, 1))
    kernel, bias = block.time.weight[..., 0], block.time.bias  # type: ignore[union-attr, index]
    mixed = sum(torch.einsum("oi,btiyx->btoyx", kernel[..., k], branch[:, k : k + 4]) for k in range(3))
    expected = x.unflatten(0, (2, 4)) + mixed + bias[:, None, None]  # type: ignore[index]
    torch.testing.assert_close(block(x, embedding), expected.flatten(0, 1))


@pytest.mark.parametrize(("width", "heads"), [(6, 1), (33, 1), (32, 1), (64, 2)])
def test_attention_written_out(width: int, heads: int) -> None:
    attention = lively(Attention(3, width)).double()
    x = torch.randn(6, width, 1, 2, dtype=torch.float64)
    w = {name: value.detach().numpy() for name, value in attention.named_parameters()}
    places = to_clips(attention.norm(x), 3).detach().flatten(2).numpy()  # type: ignore[operator]
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
    np.testing.assert_allclose(to_clips(found, 3).detach().flatten(2).numpy(), expected, rtol=1e-9, atol=1e-9)


def test_a_new_block_passes_on_what_comes_in_and_dropout_is_for_training_alone() -> None:
    torch.manual_seed(0)
    block, x = Block(2, 8, EMBEDDING, 0.5, attends=True), torch.randn(2, 8, 4, 4)
    embedding = torch.randn(2, EMBEDDING)
    torch.testing.assert_close(block(x, embedding), x)
    lively(block)
    assert not torch.equal(block(x, embedding), block(x, embedding))
    block.eval()
    assert torch.equal(block(x, embedding), block(x, embedding))


@pytest.mark.parametrize(("width", "groups"), [(32, 2), (64, 4), (48, 3), (8, 1), (7, 1), (24, 1)])
def test_groups_divide_the_channels(width: int, groups: int) -> None:
    assert group_norm(width).num_groups == groups
