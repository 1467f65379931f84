"""Losses: Eq. 1-5 of the image networks (DeePSiM, Dosovitskiy & Brox 2016), and that of the priors' denoisers."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor


def image_loss(
    generated: Float[Tensor, "n 3 h w"], real: Float[Tensor, "n 3 h w"], weights: Float[Tensor, "n 1 h w"] | float = 1.0
) -> Float[Tensor, ""]:
    """Eq. 2: squared Euclidean distance of images, summed over pixels, mean over the batch; pixels may have weights."""
    return (weights * (generated - real).square()).sum((1, 2, 3)).mean()


def feature_loss(generated: Float[Tensor, "n c h w"], real: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
    """Eq. 3: squared Euclidean distance of the encoder's feature maps, summed over the map, mean over the batch."""
    return (generated - real).square().sum((1, 2, 3)).mean()


def adversarial_loss(log_d_fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Eq. 4: -log D(G(z))."""
    return -log_d_fake.mean()


def discriminator_loss(log_d_real: Float[Tensor, " n"], log_not_d_fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Eq. 5: -[log D(x) + log(1 - D(G(z)))]."""
    return -(log_d_real.mean() + log_not_d_fake.mean())


def denoising_loss(
    denoise: Callable[[Tensor, Tensor], Tensor],
    clean: Float[Tensor, "batch *n"],
    sigma: Float[Tensor, "batch 1"],
    noise: Float[Tensor, "batch *n"],
) -> Float[Tensor, ""]:
    """Squared error of D(w + sigma n; sigma), weighted so that the network's own error counts equally at every noise
    level (Karras et al. 2022, Table 1, for data of unit variance)."""
    strength = sigma.view(-1, *[1] * (clean.ndim - 1))
    error = denoise(clean + strength * noise, sigma) - clean
    return ((1 + strength**2) / strength**2 * error.square()).mean()
