"""Train the image generator to invert the encoder: the composite loss of Eq. 1-5 (DeePSiM)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval
from torch import Tensor, nn

from stgan.checkpoints.checkpoint import weights_hash
from stgan.networks import CodePrior, Discriminator, DiscriminatorConfig, Encoder, GeneratorConfig, ImageGenerator
from stgan.networks.layout import channels_last
from stgan.records import Fraction
from stgan.training.averaging import moving_average
from stgan.training.clip_data import ClipData, emphasis, to_images
from stgan.training.code_prior_training import frame_codes
from stgan.training.losses import adversarial_loss, discriminator_loss, feature_loss, image_loss
from stgan.training.pictures import save_image_grid
from stgan.training.ranges import (
    BatchSize,
    CodeNoise,
    Foreground,
    LearningRate,
    LossWeight,
    Pixels,
    PositiveCount,
    Seed,
    Steps,
)
from stgan.training.run import Batch, TrainingRun, Workspace, identity
from stgan.training.step_randomness import StepRandomness, check_batch

_SMALL_FRAMES = 10_000


@dataclass(frozen=True)
class GeneratorRecipe:
    """All settings of the generator's training.

    lambda_img, lambda_feat, lambda_adv are the weights of Eq. 1. Images are in [0, 1]; features are the encoder's.
    The losses are summed over pixels (Eq. 2) and over the feature map (Eq. 3).
    """

    network: GeneratorConfig
    discriminator: DiscriminatorConfig
    steps: Steps = 3000
    batch_size: BatchSize = 48
    learning_rate: LearningRate = 3e-4
    lambda_img: LossWeight = 1.0
    lambda_feat: LossWeight = 0.02
    lambda_adv: LossWeight = 2.0
    code_noise: CodeNoise = 0.1
    """Standard deviation of noise on the whitened codes, because optimized codes differ from real ones. The
    discriminator sees the same noisy codes. 0: no noise, as in DeePSiM."""
    pause_ratio: LossWeight = 0.1
    """The discriminator is not updated while its loss is below this fraction of the adversarial loss."""
    adversarial_from: Fraction = 0.0
    """The fraction of the steps after which the discriminator takes part. Before, lambda_adv is 0, and a step takes
    little more than half the time."""
    foreground: Foreground = 0.0
    """Extra weight of moving pixels in Eq. 2, because limbs cover few pixels. 0: equal weights, as in the paper."""
    shift: Pixels = 0
    """Largest random shift of frames in pixels, in each direction (edges replicated)."""
    feature_share: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Share of each batch for which Eq. 3 is computed. The mean loss is the same, with less work."""
    small_stages: Annotated[int, Ge(0)] = 0
    """Number of first stages that are trained on small frames before, by Eq. 2 alone; 0: none. A generator of many
    scenes learns to distinguish them with less work there."""
    small_steps: Steps = 2000
    small_batch_size: PositiveCount = 64
    taken_rate: Fraction = 0.2
    """Learning rate of the layers trained on small frames, relative to the others. It is 0 for the first tenth of the
    steps, because gradients through the new random layers would destroy what these layers have learned."""
    ema: Fraction = 0.998
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.small_stages >= len(self.network.stages):
            raise ValueError(
                f"small_stages must be fewer than the network's {len(self.network.stages)} stages, "
                f"not {self.small_stages}"
            )


def train_generator(
    recipe: GeneratorRecipe,
    encoder: Encoder,
    prior: CodePrior,
    train: ClipData,
    validation: ClipData,
    workspace: Workspace,
) -> tuple[ImageGenerator, TrainingRun]:
    """The trained generator in eval mode, with averaged weights. State and logs are in the workspace's folder."""
    torch.manual_seed(recipe.seed)
    fabric = workspace.fabric
    check_batch(recipe.batch_size, fabric.world_size)
    encoder = channels_last(encoder.to(fabric.device)).eval().requires_grad_(False)
    prior = prior.to(fabric.device).eval().requires_grad_(False)
    generator = channels_last(ImageGenerator(recipe.network))
    layers: list[list[nn.Parameter]] = [list(generator.parameters())]
    if recipe.small_stages:
        small, small_run = train_small_generator(recipe, encoder, prior, train, workspace)
        taken = take_first_layers(generator, small)
        torch.manual_seed(recipe.seed)  # the same randomness whether they were trained now or loaded
        layers = [[layer for layer in generator.parameters() if all(layer is not each for each in taken)], taken]
    discriminator = channels_last(Discriminator(recipe.discriminator))
    optimizer_g = torch.optim.Adam([{"params": part} for part in layers], lr=recipe.learning_rate)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=recipe.learning_rate)

    def decay(step: int) -> float:
        return 1.0 if step < recipe.steps / 2 else max(0.02, 2 - 2 * step / recipe.steps)

    def decay_of_taken(step: int) -> float:
        """Zero until the random layers after them have learned to use them."""
        return recipe.taken_rate * decay(step) if step >= recipe.steps / 10 else 0.0

    rates: list[Callable[[int], float]] = [decay, decay_of_taken]
    begin = math.ceil(recipe.adversarial_from * recipe.steps)
    schedule_g = torch.optim.lr_scheduler.LambdaLR(optimizer_g, rates[: len(layers)])
    schedule_d = torch.optim.lr_scheduler.LambdaLR(optimizer_d, lambda step: decay(begin + step))
    wrapped_g, optimizer_g = fabric.setup(generator, optimizer_g)
    wrapped_d, optimizer_d = fabric.setup(discriminator, optimizer_d)
    wrapped_d.mark_forward_method("log_probability")
    average = moving_average(generator, recipe.ema)
    smooth: ImageGenerator = average.module  # type: ignore[assignment]
    run = TrainingRun(
        workspace,
        {
            "generator": generator,
            "discriminator": discriminator,
            "average": average,
            "optimizer_g": optimizer_g,
            "optimizer_d": optimizer_d,
            "schedule_g": schedule_g,
            "schedule_d": schedule_d,
        },
        recipe.seed,
        identity(recipe, train.digest, weights_hash(encoder.state_dict()), weights_hash(prior.state_dict())),
    )

    compared = math.ceil(recipe.feature_share * recipe.batch_size / fabric.world_size)

    def draw(random: StepRandomness) -> Batch:
        frames = train.frames(recipe.batch_size, random, recipe.shift, recipe.foreground > 0)
        return frames.images, frames.foreground

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        real, weights = to_images(batch[0]), emphasis(batch[1], recipe.foreground)
        with torch.no_grad(), fabric.autocast():
            real_features = encoder.features(real).float()
            codes = encoder.code(real_features).float()
        if recipe.code_noise:
            coordinates = prior.whiten(codes)
            codes = prior.unwhiten(coordinates + recipe.code_noise * random.normal_like(coordinates))
        generated = wrapped_g(codes)
        with fabric.autocast():
            features = encoder.features(generated[:compared]).float()
        losses = {
            "img": image_loss(generated, real, weights),
            "feat": feature_loss(features, real_features[:compared]),
        }
        total = recipe.lambda_img * losses["img"] + recipe.lambda_feat * losses["feat"]
        if run.step < begin:
            run.update(total, wrapped_g, optimizer_g)
            losses |= {"adv": total.new_zeros(()), "discr": total.new_zeros(()), "paused": total.new_ones(())}
        else:
            discriminator.requires_grad_(False)  # gradients with respect to D's weights are not needed
            with fabric.autocast():
                log_d_fake = discriminator.log_probability(generated, codes).float()
            losses["adv"] = adversarial_loss(log_d_fake[:, Discriminator.REAL])
            run.update(total + recipe.lambda_adv * losses["adv"], wrapped_g, optimizer_g)
            losses |= discriminate(real, generated.detach(), codes, losses["adv"].detach())
        average.update_parameters(generator)
        schedule_g.step()
        return losses

    def discriminate(real: Tensor, generated: Tensor, codes: Tensor, adversarial: Tensor) -> dict[str, Tensor]:
        """Update the discriminator, unless its loss is so low that the generator's gradient would vanish."""
        discriminator.requires_grad_(True)
        # Real and generated images form one batch, because no layer of D mixes examples.
        with fabric.autocast():  # not by itself for methods other than `forward`
            log_d = wrapped_d.log_probability(torch.cat([real, generated]), torch.cat([codes, codes]))
        loss = discriminator_loss(
            log_d[: len(real), Discriminator.REAL].float(), log_d[len(real) :, Discriminator.FAKE].float()
        )
        balance = run.mean(torch.stack([loss.detach(), adversarial]))
        paused = balance[0] < recipe.pause_ratio * balance[1]
        if not paused:
            run.update(loss, wrapped_d, optimizer_d)
        schedule_d.step()
        return {"discr": loss, "paused": paused.float()}

    def validate() -> dict[str, float]:
        return {"psnr": reconstruction_error(smooth, encoder, validation, most=512)}

    @torch.no_grad()
    def picture(path: Path) -> None:
        # Training frames, and validation frames if there are any.
        rows = []
        for part in [train, validation] if validation.clips else [train]:
            real = next(part.frame_batches(most=16))[0]
            rows += [real, smooth(encoder(real.to(fabric.device))).cpu()]
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
    if workspace.probe and recipe.small_stages:  # a step's share of the time for small frames
        small_seconds = small_run.pace.seconds * recipe.small_steps / recipe.steps
        run.pace = replace(run.pace, seconds=run.pace.seconds + small_seconds)
    generator.load_state_dict(smooth.state_dict())
    return generator.eval(), run


def train_small_generator(
    recipe: GeneratorRecipe, encoder: Encoder, prior: CodePrior, train: ClipData, workspace: Workspace
) -> tuple[ImageGenerator, TrainingRun]:
    """Train a generator of the first stages and an own last layer to reconstruct small frames from codes of full ones.

    Codes and small frames are computed once, for a subset of the frames and their mirror images.
    """
    fabric = workspace.fabric
    check_batch(recipe.small_batch_size, fabric.world_size)
    small = channels_last(ImageGenerator(replace(recipe.network, stages=recipe.network.stages[: recipe.small_stages])))
    optimizer = torch.optim.Adam(small.parameters(), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.small_steps, pct_start=0.1)
    wrapped, optimizer = fabric.setup(small, optimizer)
    own = replace(  # only these settings identify this training
        GeneratorRecipe(recipe.network, recipe.discriminator),
        **{
            name: getattr(recipe, name)
            for name in ("small_stages", "small_steps", "small_batch_size", "learning_rate", "code_noise", "seed")
        },
    )
    run = TrainingRun(
        workspace.subfolder("small"),
        {"generator": small, "optimizer": optimizer, "schedule": schedule},
        recipe.seed,
        identity(own, train.digest, weights_hash(encoder.state_dict()), weights_hash(prior.state_dict())),
    )
    if not workspace.probe:
        run.resume()
    if run.step == recipe.small_steps:  # already trained
        return small, run
    with fabric.autocast():
        codes, _ = frame_codes(encoder, train, _SMALL_FRAMES)
    codes = prior.whiten(codes.to(fabric.device)).cpu()
    parts = train.frame_batches(_SMALL_FRAMES)
    shrunk = (F.interpolate(images, small.config.image_size, mode="area") for images, _ in parts)
    frames = torch.cat([(255 * images).round().byte() for images in shrunk])  # bytes need little memory
    frames = torch.cat([frames, frames.flip(-1)])

    def draw(random: StepRandomness) -> Batch:
        chosen = random.rng.integers(len(frames), size=recipe.small_batch_size)
        mine = torch.from_numpy(chosen[random.share(chosen)])
        return frames[mine], codes[mine]

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        real, coordinates = batch[0].float() / 255, batch[1]
        noisy = prior.unwhiten(coordinates + recipe.code_noise * random.normal_like(coordinates))
        loss = image_loss(wrapped(noisy), real)
        run.update(loss, wrapped, optimizer)
        schedule.step()
        return {"img": loss}

    @torch.no_grad()
    def picture(path: Path) -> None:
        real = frames[:: max(1, len(frames) // 32)][:16].float() / 255
        drawn = small(prior.unwhiten(codes[:: max(1, len(frames) // 32)][:16].to(fabric.device))).cpu()
        save_image_grid(path, [real, drawn])

    run.loop(recipe.small_steps, draw, step, description="generator, small frames", picture=picture)
    return small, run


@torch.no_grad()
def take_first_layers(generator: ImageGenerator, small: ImageGenerator) -> list[nn.Parameter]:
    """Copy all layers but the last from a generator with fewer stages. Returns the parameters of these layers."""
    taken: list[nn.Parameter] = []
    first = ("fc8", "fc7", "fc6")
    for ours, theirs in zip((*first, *generator.spatial_names), (*first, *small.spatial_names), strict=False):
        layer = generator.get_submodule(ours)
        layer.load_state_dict(small.get_submodule(theirs).state_dict())
        taken += layer.parameters()
    return taken


@torch.no_grad()
def reconstruction_error(generator: ImageGenerator, encoder: Encoder, data: ClipData, most: int) -> float:
    """Peak signal-to-noise ratio in dB of G(E(x)): the mean over up to `most` frames of `data`."""
    device = next(generator.parameters()).device
    values = []
    for images, _ in data.frame_batches(most):
        images = images.to(device)
        error = F.mse_loss(generator(encoder(images)).clamp(0, 1), images, reduction="none").mean((1, 2, 3))
        values.append(-10 * error.clamp(min=1e-10).log10())
    return torch.cat(values).mean().item()
