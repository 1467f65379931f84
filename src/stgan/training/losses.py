"""Losses: Eq. 2-5 of the image networks (DeePSiM, Dosovitskiy & Brox 2016), and of classifiers."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def image_loss(
    generated: Float[Tensor, "n 3 h w"], real: Float[Tensor, "n 3 h w"], weights: Float[Tensor, "n 1 h w"] | float = 1.0
) -> Float[Tensor, ""]:
    """Eq. 2: squared Euclidean distance of images, summed over (weighted) pixels, mean over the batch."""
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


def classification_loss(
    logits: Float[Tensor, "n *time classes"], actions: Int[Tensor, " n"], label_smoothing: float
) -> dict[str, Tensor]:
    """The cross-entropy as `loss`, and the `accuracy` (0-1). LRCN's logits of every frame count."""
    if logits.ndim == 3:
        actions = actions.repeat_interleave(logits.shape[1])
        logits = logits.flatten(0, 1)
    loss = F.cross_entropy(logits, actions, label_smoothing=label_smoothing)
    return {"loss": loss, "accuracy": (logits.argmax(-1) == actions).float().mean()}
