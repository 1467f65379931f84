"""Train the image generator to invert the encoder: the composite loss of Eq. 1-5 (DeePSiM).

Beside codes of real frames the generator can be shown codes drawn from the code prior. There is no image to
compare those with; the discriminator must take the result for real, and its code must be the one it was made
from (`prior_fraction`, off by default).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stgan.checkpoints.checkpoint import weights_hash
from stgan.networks import CodePrior, Discriminator, DiscriminatorConfig, Encoder, GeneratorConfig, ImageGenerator
from stgan.networks.layout import channels_last
from stgan.training.data import ClipData, to_images
from stgan.training.pictures import save_image_grid
from stgan.training.randomness import StepRandomness, check_batch
from stgan.training.run import Batch, TrainingRun, Workshop, identity


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
    """Share of the batch that is codes drawn from the code prior instead of real frames; 0, as in DeePSiM, is what
    the bundled model uses: see docs/results.md for what 0.33 did."""
    code_noise: float = 0.1
    """Noise on real codes, in whitened standard deviations (0: the codes themselves, as in DeePSiM): optimised
    codes are never quite real ones. The discriminator sees the same codes beside the real images."""
    pause_ratio: float = 0.1
    """The discriminator is not updated while its loss is below this fraction of the adversarial loss."""
    ema: float = 0.998
    seed: int = 0


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
    recipe: GeneratorRecipe,
    encoder: Encoder,
    prior: CodePrior,
    train: ClipData,
    validation: ClipData,
    workshop: Workshop,
) -> tuple[ImageGenerator, TrainingRun]:
    """The trained generator (moving average of the weights, eval mode). The workshop's folder gets state and logs."""
    torch.manual_seed(recipe.seed)
    fabric = workshop.fabric
    drawn = int(recipe.batch_size * recipe.prior_fraction)
    for part in (drawn, recipe.batch_size - drawn):
        check_batch(part, fabric.world_size)
    drawn_here = drawn // fabric.world_size
    encoder = channels_last(encoder.to(fabric.device)).eval().requires_grad_(False)
    prior = prior.to(fabric.device).eval().requires_grad_(False)
    generator = channels_last(ImageGenerator(recipe.network))
    discriminator = channels_last(Discriminator(recipe.discriminator))
    adam = {"lr": recipe.learning_rate, "betas": (0.9, 0.999)}
    optimizer_g = torch.optim.Adam(generator.parameters(), **adam)  # type: ignore[arg-type]
    optimizer_d = torch.optim.Adam(discriminator.parameters(), **adam)  # type: ignore[arg-type]
    decay = lambda step: 1.0 if step < recipe.steps / 2 else max(0.02, 2 - 2 * step / recipe.steps)  # noqa: E731
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, decay) for o in (optimizer_g, optimizer_d)]
    wrapped_g, optimizer_g = fabric.setup(generator, optimizer_g)
    wrapped_d, optimizer_d = fabric.setup(discriminator, optimizer_d)
    wrapped_d.mark_forward_method("log_probability")
    average = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
    smooth: ImageGenerator = average.module  # type: ignore[assignment]
    run = TrainingRun(
        workshop,
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
        identity(recipe, train.digest, weights_hash(encoder.state_dict()), weights_hash(prior.state_dict())),
    )
    first = StepRandomness(recipe.seed, 0, device=fabric.device)
    with torch.no_grad():
        pool = prior.unwhiten(prior.sample(first.normal(8192 if drawn else 0, prior.config.rank)))

    def draw(random: StepRandomness) -> Batch:
        frames, _, _ = train.frames(recipe.batch_size - drawn, random)
        chosen = random.rng.choice(len(pool), drawn, replace=False)
        return frames, torch.from_numpy(chosen[random.share(chosen)])

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        real = to_images(batch[0])
        with torch.no_grad(), fabric.autocast():
            real_features = encoder.features(real).float()
            codes = encoder.code(real_features).float()
        if recipe.code_noise:
            coordinates = prior.whiten(codes)
            codes = prior.unwhiten(coordinates + recipe.code_noise * random.normal_like(coordinates))
        invented = pool[batch[1]]
        inputs = torch.cat([invented, codes])
        generated = wrapped_g(inputs)

        discriminator.requires_grad_(False)  # this pass needs the gradient through D, not that of its weights
        with fabric.autocast():
            log_d_fake = discriminator.log_probability(generated, inputs).float()
            features = encoder.features(generated)
            codes_again = encoder.code(features[:drawn_here]).float()
        losses = {
            "img": image_loss(generated[drawn_here:], real),
            "feat": feature_loss(features[drawn_here:].float(), real_features),
            "adv": adversarial_loss(log_d_fake[:, Discriminator.REAL]),
            "code": (codes_again - invented).square().sum(1).mean() if drawn else generated.new_zeros(()),
        }
        total = (
            recipe.lambda_img * losses["img"]
            + recipe.lambda_feat * losses["feat"]
            + recipe.lambda_adv * losses["adv"]
            + recipe.lambda_code * losses["code"]
        )
        run.update(total, wrapped_g, optimizer_g)
        average.update_parameters(generator)

        discriminator.requires_grad_(True)
        # Real and generated images as one batch: D has no layer that would mix them.
        log_d = wrapped_d.log_probability(torch.cat([real, generated.detach()]), torch.cat([codes, inputs]))
        loss_d = discriminator_loss(
            log_d[: len(real), Discriminator.REAL].float(), log_d[len(real) :, Discriminator.FAKE].float()
        )
        # DeePSiM: a discriminator that already wins by far only takes the generator's gradient away.
        balance = run.mean(torch.stack([loss_d.detach(), losses["adv"].detach()]))
        paused = balance[0] < recipe.pause_ratio * balance[1]
        if not paused:
            run.update(loss_d, wrapped_d, optimizer_d)
        for schedule in schedules:
            schedule.step()
        return {**losses, "discr": loss_d, "paused": paused.float()}

    def validate() -> dict[str, float]:
        return {"psnr": reconstruction_error(smooth, encoder, validation, most=512)}

    @torch.no_grad()
    def picture(path: Path) -> None:
        # Seen frames, unseen ones where some are held out, and codes of the prior.
        rows = []
        for part in [train, validation] if validation.clips else [train]:
            real = next(part.frame_batches(most=16))[0]
            rows += [real, smooth(encoder(real.to(fabric.device))).cpu()]
        if drawn:
            rows.append(smooth(pool[:16]).cpu())
        save_image_grid(path, rows)

    run.loop(
        recipe.steps,
        draw,
        step,
        description="generator",
        validate=validate if validation.clips else None,
        picture=picture,
        pictures=30,
    )
    generator.load_state_dict(smooth.state_dict())
    return generator.eval(), run


@torch.no_grad()
def reconstruction_error(generator: ImageGenerator, encoder: Encoder, data: ClipData, most: int = 20_000) -> float:
    """Peak signal-to-noise ratio in dB of G(E(x)) over up to `most` frames of `data`: mean over frames."""
    device = next(generator.parameters()).device
    values = []
    for images, _ in data.frame_batches(most, batch_size=128):
        images = images.to(device)
        error = F.mse_loss(generator(encoder(images)).clamp(0, 1), images, reduction="none").mean((1, 2, 3))
        values.append(-10 * error.clamp(min=1e-10).log10())
    return torch.cat(values).mean().item()
