"""Inflation (Eq. 6-7): the form that runs, the 3D convolutions that it stands for, and what follows from it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stgan.networks import ImageGenerator, inflate
from stgan.networks.temporal import UNIFORM_KERNEL, Conv3dReference, inflate_weight, mix, mixing_matrix

EXACT = {"rtol": 0, "atol": 1e-10}
KERNELS = [UNIFORM_KERNEL, (0.05, 0.1, 0.5, 0.2, 0.15)]
PADDINGS = ["zeros", "replicate"]

kernels = st.sampled_from([1, 3, 5, 7]).flatmap(
    lambda n: st.lists(st.floats(0.01, 1), min_size=n, max_size=n).map(lambda k: [w / sum(k) for w in k])
)
times = st.integers(1, 12)


@pytest.mark.parametrize(
    ("kernel", "padding", "time"),
    [(KERNELS[0], "zeros", 8), (KERNELS[1], "zeros", 2), (KERNELS[1], "replicate", 8), (KERNELS[0], "replicate", 1)],
)
def test_both_forms_agree(image_generator: ImageGenerator, kernel: tuple, padding: str, time: int) -> None:
    """Values, gradients to the codes and gradients to every weight."""
    generator = inflate(image_generator, kernel, padding)
    codes = torch.randn(2, time, 6, dtype=torch.float64, requires_grad=True)
    weighting = torch.randn(2, 3, time, 16, 16, dtype=torch.float64)

    def value_and_gradients(video: Tensor) -> list[Tensor]:
        return [video, *torch.autograd.grad((video * weighting).sum(), [codes, *generator.parameters()])]

    factorised = value_and_gradients(generator(codes))
    reference = value_and_gradients(generator.forward_conv3d(codes))
    assert len(factorised) == 2 + 14
    for ours, theirs in zip(factorised, reference, strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, **EXACT)


def test_equations_6_and_7() -> None:
    """Against torch's own 3D layer, its weights filled in as the paper says: copy to each t, divide by T' = 3."""
    for layer in (nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.ConvTranspose2d(4, 5, 3, 1, 1)):
        layer.double()
        (height, width), (down, right) = layer.kernel_size, layer.stride
        volumetric = nn.ConvTranspose3d(4, layer.out_channels, (3, height, width), (1, down, right), 1).double()
        with torch.no_grad():
            for t in range(3):
                volumetric.weight[:, :, t] = layer.weight / 3
            volumetric.bias.copy_(layer.bias)
        x = torch.randn(2, 4, 7, 5, 6, dtype=torch.float64)
        mixed = mix(x.transpose(1, 2), mixing_matrix(7, UNIFORM_KERNEL, "zeros"))
        ours = layer(mixed.flatten(0, 1)).unflatten(0, (2, 7)).transpose(1, 2)
        torch.testing.assert_close(ours, volumetric(x), **EXACT)
        torch.testing.assert_close(Conv3dReference(layer, UNIFORM_KERNEL, "zeros")(x), volumetric(x), **EXACT)
        torch.testing.assert_close(inflate_weight(layer.weight, UNIFORM_KERNEL), volumetric.weight, **EXACT)


def test_convolutions_that_are_not_transposed() -> None:
    for kernel in KERNELS:
        for padding in PADDINGS:
            layer = nn.Conv2d(4, 3, 3, 2, 1).double()
            x = torch.randn(2, 6, 4, 5, 6, dtype=torch.float64)
            ours = layer(mix(x, mixing_matrix(6, kernel, padding)).flatten(0, 1)).unflatten(0, (2, 6)).transpose(1, 2)
            torch.testing.assert_close(ours, Conv3dReference(layer, kernel, padding)(x.transpose(1, 2)), **EXACT)


def test_zero_padding_fades_the_ends(image_generator: ImageGenerator) -> None:
    """The paper's padding: nothing before the first frame, felt as far in as there are layers (four)."""
    code = torch.randn(1, 6, dtype=torch.float64)
    video = inflate(image_generator)(code.expand(1, 12, 6))[0].transpose(0, 1)
    image = image_generator(code)
    assert [(frame - image).abs().max().item() > 1e-6 for frame in video] == [True] * 4 + [False] * 4 + [True] * 4
    torch.testing.assert_close(video[4:8], image.expand(4, -1, -1, -1), **EXACT)
    torch.testing.assert_close(video, video.flip(0), **EXACT)


def test_mixing_matrix() -> None:
    for time, padding, expected in (
        (3, "zeros", [[0.7, 0.2, 0], [0.1, 0.7, 0.2], [0, 0.1, 0.7]]),
        (3, "replicate", [[0.8, 0.2, 0], [0.1, 0.7, 0.2], [0, 0.1, 0.9]]),
        (2, "zeros", [[0.7, 0.2], [0.1, 0.7]]),
        (1, "zeros", [[0.7]]),
        (1, "replicate", [[1.0]]),
    ):
        matrix = mixing_matrix(time, (0.1, 0.7, 0.2), padding)
        torch.testing.assert_close(matrix, torch.tensor(expected, dtype=torch.float64))


@settings(deadline=None)
@given(kernels, times)
def test_rows_sum_to_one_with_replicated_edges(kernel: list[float], time: int) -> None:
    sums = mixing_matrix(time, kernel, "replicate").sum(1)
    torch.testing.assert_close(sums, torch.ones(time, dtype=torch.float64), **EXACT)


@settings(deadline=None)
@given(kernels, times)
def test_the_paddings_differ_only_near_the_ends(kernel: list[float], time: int) -> None:
    zeros, replicate = (mixing_matrix(time, kernel, padding) for padding in PADDINGS)
    reach = len(kernel) // 2
    inside = slice(reach, max(reach, time - reach))
    assert torch.equal(zeros[inside], replicate[inside])
    assert torch.equal(zeros[:, 1:-1], replicate[:, 1:-1])  # only the edge frames stand in for what is missing
    frame = torch.arange(time)
    assert (zeros[(frame[:, None] - frame).abs() > reach] == 0).all()


def test_bad_kernels(image_generator: ImageGenerator) -> None:
    for kernel in ((), (0.5, 0.5), (0.3, 0.3, 0.3), (float("nan"),), (float("inf"), float("-inf"), 1.0)):
        with pytest.raises(ValueError, match="odd number of weights that sum to 1"):
            inflate(image_generator, kernel)
        with pytest.raises(ValueError, match="odd number of weights that sum to 1"):
            Conv3dReference(image_generator.upconv0, kernel, "zeros")


@pytest.mark.usefixtures("unchecked")
def test_bad_padding(image_generator: ImageGenerator) -> None:
    with pytest.raises(ValueError, match="'edge'"):
        inflate(image_generator, temporal_padding="edge")
