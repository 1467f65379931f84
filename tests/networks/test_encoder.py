"""The encoder: CaffeNet's order of layers, codes that are never negative."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.networks import AlexNet, AlexNetConfig, Preprocessing
from stgan.networks.alexnet import local_response_norm

SMALL = AlexNetConfig(
    channels=(8, 8, 6, 6, 4),
    kernels=(5, 3, 3, 3, 3),
    strides=(2, 1, 1, 1, 1),
    paddings=(0, 1, 1, 1, 1),
    groups=(1, 2, 1, 2, 2),
    code_size=10,
    preprocessing=Preprocessing(size=35, channels="bgr", scale=255.0, mean=(104.0, 117.0, 123.0)),
)


def response_norm(x: Tensor) -> Tensor:
    """Krizhevsky et al. 2012, Section 3.3, with Caffe's alpha / n: five neighbouring channels, clipped at the ends."""
    result = torch.empty_like(x)
    for c in range(x.shape[1]):
        energy = x[:, max(0, c - 2) : c + 3].square().sum(1)
        result[:, c] = x[:, c] / (1 + 1e-4 / 5 * energy) ** 0.75
    return result


def test_it_is_caffenet() -> None:
    torch.manual_seed(0)
    encoder = AlexNet(SMALL).double().eval()
    images = torch.rand(2, 3, 35, 35, dtype=torch.float64)
    x = images.flip(1) * 255 - torch.tensor([104.0, 117.0, 123.0], dtype=torch.float64).view(3, 1, 1)
    for number in range(1, 6):
        x = F.relu(encoder.get_submodule(f"conv{number}")(x))
        if number in (1, 2, 5):
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        if number in (1, 2):
            x = response_norm(x)
    torch.testing.assert_close(encoder.features(images), x)
    code = F.relu(x.flatten(1) @ encoder.fc6.weight.T + encoder.fc6.bias)
    torch.testing.assert_close(encoder(images), code)
    torch.testing.assert_close(encoder.code(encoder.features(images)), code)
    assert (code == 0).any() and (code > 0).any()


def test_batch_norm_uses_what_training_has_seen() -> None:
    torch.manual_seed(0)
    encoder = AlexNet(replace(SMALL, response_norm=False, batch_norm=True))
    images = torch.rand(4, 3, 35, 35)
    encoder.train()(images)
    encoder.eval()
    torch.testing.assert_close(encoder(images)[:1], encoder(images[:1]), rtol=1e-4, atol=1e-5)
    assert (encoder(images) >= 0).all()


def test_a_fixed_input_size_is_needed() -> None:
    with pytest.raises(ValueError, match=r"preprocessing\.size"):
        AlexNet(replace(SMALL, preprocessing=Preprocessing()))


def test_response_norm_is_torch_s() -> None:
    for size in (1.0, 300.0):
        for channels in (1, 3, 12):
            x = (size * torch.randn(2, channels, 4, 3, dtype=torch.float64)).requires_grad_()
            weighting = torch.randn(x.shape, dtype=torch.float64)
            ours, theirs = local_response_norm(x), F.local_response_norm(x, 5, alpha=1e-4, beta=0.75)
            torch.testing.assert_close(ours, theirs)
            gradients = [torch.autograd.grad((value * weighting).sum(), x)[0] for value in (ours, theirs)]
            torch.testing.assert_close(*gradients)
