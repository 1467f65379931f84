"""The discriminator judges an image together with its code."""

import pytest
import torch

from stgan.networks import Discriminator, DiscriminatorConfig, Preprocessing
from stgan.networks.discriminator import FAKE, REAL

CONFIG = DiscriminatorConfig(
    channels=(4, 4, 8, 8, 8),
    kernels=(3, 3, 3, 3, 3),
    strides=(1, 1, 2, 1, 2),
    code_size=6,
    code_layers=(8, 5),
    hidden_size=8,
    preprocessing=Preprocessing(size=24, mean=(0.5, 0.5, 0.5)),
)


@pytest.fixture
def discriminator() -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(CONFIG).double().eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 24, 24, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def codes() -> torch.Tensor:
    return torch.randn(3, 6, dtype=torch.float64, requires_grad=True)


def test_it_looks_at_the_image_and_at_the_code(discriminator: Discriminator, images, codes) -> None:
    log_d = discriminator.log_probability(images, codes)[:, REAL]
    to_images, to_codes = torch.autograd.grad(log_d[0], [images, codes])
    assert to_images[0].abs().max() > 0 and to_codes[0].abs().min() > 0
    assert not to_images[1:].any() and not to_codes[1:].any()  # each image is judged by itself


def test_two_probabilities(discriminator: Discriminator, images, codes) -> None:
    log_p = discriminator.log_probability(images, codes)
    assert log_p.shape == (3, 2)
    torch.testing.assert_close(log_p.exp().sum(1), torch.ones(3, dtype=torch.float64))
    logits = discriminator(images, codes)
    real = torch.sigmoid(logits[:, REAL] - logits[:, FAKE])
    torch.testing.assert_close(log_p[:, REAL].exp(), real)


def test_dropout_only_in_training(discriminator: Discriminator, images, codes) -> None:
    assert torch.equal(discriminator(images, codes), discriminator(images, codes))
    discriminator.train()
    assert not torch.equal(discriminator(images, codes), discriminator(images, codes))
