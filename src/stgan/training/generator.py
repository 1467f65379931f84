"""Train the image generator to invert the encoder: the composite loss of Eq. 1-5 (DeePSiM).

Beside codes of real frames the generator can be shown codes drawn from the code prior. There is no image to
compare those with; the discriminator must take the result for real, and its code must be the one it was made
from (`prior_fraction`, off by default).
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stgan.checkpoints.checkpoint import weights_hash
from stgan.networks import CodePrior, Discriminator, DiscriminatorConfig, Encoder, GeneratorConfig, ImageGenerator
from stgan.networks.layout import channels_last
from stgan.training.data import ClipData
from stgan.training.pictures import save_image_grid
from stgan.training.run import Losses, TrainingRun, identity


@dataclass(frozen=True)
class GeneratorRecipe:
    """Everything that decides the generator's weights but the encoder, the code prior and the data.

    lambda_img, lambda_feat, lambda_adv are Eq. 1's weights, for images in [0, 1] and features of the encoder.
    The losses are summed over pixels (Eq. 2) and over the feature map (Eq. 3).
    """

    network: GeneratorConfig
    discriminator: DiscriminatorConfig
    steps: int = 3000
    batch_size: int = 48
    learning_rate: float = 3e-4
    lambda_img: float = 1.0
    lambda_feat: float = 0.02
    lambda_adv: float = 2.0
    lambda_code: float = 0.02
    """Weight of |E(G(z)) - z|^2 for codes drawn from the code prior."""
    prior_fraction: float = 0.0
    """Share of the batch whose codes are drawn from the code prior; 0 as in DeePSiM is what the bundled model uses:
    see docs/results.md for what 0.33 did."""
    code_noise: float = 0.1
    """Noise on real codes, in whitened standard deviations (0: the codes themselves, as in DeePSiM): optimised
    codes are never quite real ones. The discriminator sees the same codes beside the real images."""
    pause_ratio: float = 0.1
    """The discriminator is not updated while its loss is below this fraction of the adversarial loss."""
    ema: float = 0.998
    seed: int = 0
    held_out: tuple[str, ...] = field(default=())


def image_loss(generated: Float[Tensor, "n 3 h w"], real: Float[Tensor, "n 3 h w"]) -> Float[Tensor, ""]:
    """Eq. 2: squared Euclidean distance of images, summed over pixels, mean over the batch."""
    return (generated - real).square().sum((1, 2, 3)).mean()


def feature_loss(generated: Float[Tensor, "n c h w"], real: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
    """Eq. 3: squared Euclidean distance of the encoder's feature maps, summed over the map, mean over the batch."""
    return (generated - real).square().sum((1, 2, 3)).mean()


def adversarial_loss(log_d_fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Eq. 4: -log D(G(z))."""
    return -log_d_fake.mean()


def discriminator_loss(log_d_real: Float[Tensor, " n"], log_not_d_fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Eq. 5: -[log D(x) + log(1 - D(G(z)))]."""
    return -(log_d_real.mean() + log_not_d_fake.mean())


def train_generator(
    recipe: GeneratorRecipe, encoder: Encoder, prior: CodePrior, data: ClipData, out: Path, fabric: Fabric
) -> tuple[ImageGenerator, TrainingRun]:
    """The trained generator (moving average of the weights, eval mode). `out` receives state, log and pictures."""
    torch.manual_seed(recipe.seed)
    train, test = data.split_groups(recipe.held_out)
    device = fabric.device
    encoder = channels_last(encoder.to(device)).eval().requires_grad_(False)
    prior = prior.to(device).eval().requires_grad_(False)
    generator = channels_last(ImageGenerator(recipe.network).to(device))
    discriminator = channels_last(Discriminator(recipe.discriminator).to(device))
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
    adam = {"lr": recipe.learning_rate, "betas": (0.9, 0.999)}
    optimizer_g = torch.optim.Adam(generator.parameters(), **adam)  # type: ignore[arg-type]
    optimizer_d = torch.optim.Adam(discriminator.parameters(), **adam)  # type: ignore[arg-type]
    decay = lambda step: 1.0 if step < recipe.steps / 2 else max(0.02, 2 - 2 * step / recipe.steps)  # noqa: E731
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, decay) for o in (optimizer_g, optimizer_d)]
    run = TrainingRun(
        fabric,
        out,
        {
            "generator": generator,
            "discriminator": discriminator,
            "average": average,
            "optimizer_g": optimizer_g,
            "optimizer_d": optimizer_d,
            "schedule_g": schedules[0],
            "schedule_d": schedules[1],
        },
        recipe.seed,
        identity(recipe, data.digest, weights_hash(encoder.state_dict()), weights_hash(prior.state_dict())),
    )
    drawn = int(recipe.batch_size * recipe.prior_fraction)
    with torch.no_grad():
        pool = prior.sample(torch.randn(8192 if drawn else 0, prior.config.rank, device=device))

    def step(number: int, rng: np.random.Generator) -> Losses:
        real, _, _ = train.frames(recipe.batch_size, rng)
        real = real.to(device)
        with torch.no_grad():
            real_features = encoder.features(real)
            codes = encoder.code(real_features)
            if recipe.code_noise:
                coordinates = prior.whiten(codes)
                codes = prior.unwhiten(coordinates + recipe.code_noise * torch.randn_like(coordinates))
            invented = prior.unwhiten(pool[torch.from_numpy(rng.choice(len(pool), drawn, replace=False)).to(device)])
        inputs = torch.cat([invented, codes[drawn:]])
        generated = generator(inputs)

        discriminator.requires_grad_(False)  # this pass needs the gradient through D, not that of its weights
        log_d_fake = discriminator.log_probability(generated, inputs)
        features = encoder.features(generated)
        losses = {
            "img": image_loss(generated[drawn:], real[drawn:]),
            "feat": feature_loss(features[drawn:], real_features[drawn:]),
            "adv": adversarial_loss(log_d_fake[:, Discriminator.REAL]),
            "code": (encoder.code(features[:drawn]) - invented).square().sum(1).mean()
            if drawn
            else generated.new_zeros(()),
        }
        total = (
            recipe.lambda_img * losses["img"]
            + recipe.lambda_feat * losses["feat"]
            + recipe.lambda_adv * losses["adv"]
            + recipe.lambda_code * losses["code"]
        )
        optimizer_g.zero_grad(set_to_none=True)
        fabric.backward(total)
        optimizer_g.step()
        average.update_parameters(generator)

        discriminator.requires_grad_(True)
        loss_d = discriminator_loss(
            discriminator.log_probability(real, codes)[:, Discriminator.REAL],
            discriminator.log_probability(generated.detach(), inputs)[:, Discriminator.FAKE],
        )
        # DeePSiM: a discriminator that already wins by far only takes the generator's gradient away.
        paused = loss_d.item() < recipe.pause_ratio * losses["adv"].item()
        if not paused:
            optimizer_d.zero_grad(set_to_none=True)
            fabric.backward(loss_d)
            optimizer_d.step()
        for schedule in schedules:
            schedule.step()
        return {**{name: loss.item() for name, loss in losses.items()}, "discr": loss_d.item(), "paused": paused}

    @torch.no_grad()
    def picture(path: Path) -> None:
        # Seen frames, unseen actors' frames where some are held out, and codes of the prior.
        rows = []
        for part in [train, test] if test.clips else [train]:
            real, _, _ = part.frames(16, np.random.default_rng(0))
            rows += [real, average.module(encoder(real.to(device))).cpu()]
        if drawn:
            rows.append(average.module(prior.unwhiten(pool[:16])).cpu())
        save_image_grid(path, rows)

    run.loop(recipe.steps, step, description="generator", picture=picture, pictures=30)
    generator.load_state_dict(average.module.state_dict())
    return generator.eval(), run


@torch.no_grad()
def reconstruction_error(generator: ImageGenerator, encoder: Encoder, data: ClipData) -> float:
    """Peak signal-to-noise ratio in dB of G(E(x)) over all frames of `data`: mean over frames."""
    device = next(generator.parameters()).device
    images, _ = data.all_frames()
    values = []
    for batch in images.split(128):
        batch = batch.to(device)
        error = F.mse_loss(generator(encoder(batch)).clamp(0, 1), batch, reduction="none").mean((1, 2, 3))
        values.append(-10 * error.clamp(min=1e-10).log10())
    return torch.cat(values).mean().item()
