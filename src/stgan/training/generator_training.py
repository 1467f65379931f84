"""Train the image generator to invert the encoder: the composite loss of Eq. 1-5 (DeePSiM)."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor

from stgan.checkpoints.checkpoint import weights_hash
from stgan.networks import Discriminator, DiscriminatorConfig, Encoder, GeneratorConfig, ImageGenerator
from stgan.networks.layout import channels_last
from stgan.records import Fraction
from stgan.training.adversary import Adversary
from stgan.training.averaging import moving_average
from stgan.training.clip_data import ClipData, emphasis, to_images
from stgan.training.losses import feature_loss, image_loss
from stgan.training.pictures import save_image_grid
from stgan.training.ranges import (
    BatchSize,
    CodeNoise,
    Foreground,
    LearningRate,
    LossWeight,
    Pixels,
    Seed,
    Steps,
)
from stgan.training.run import Batch, TrainingRun, Workspace, identity
from stgan.training.step_randomness import StepRandomness, check_batch

_MEASURED_FRAMES = 512  # of which the codes' standard deviations are taken


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
    """Standard deviation of Gaussian noise on the codes, because optimized codes differ from real ones. Its unit is the
    standard deviation of each code over training frames; earlier models had as much noise on the codes' principal
    components. The discriminator sees the same noisy codes. 0: no noise, as in DeePSiM."""
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
    ema: Fraction = 0.998
    seed: Seed = 0


def train_generator(
    recipe: GeneratorRecipe, encoder: Encoder, train: ClipData, validation: ClipData, workspace: Workspace
) -> tuple[ImageGenerator, TrainingRun]:
    """The trained generator in eval mode, with averaged weights. State and logs are in the workspace's folder."""
    torch.manual_seed(recipe.seed)
    fabric = workspace.fabric
    check_batch(recipe.batch_size, fabric.world_size)
    encoder = channels_last(encoder.to(fabric.device)).eval().requires_grad_(False)
    features, code = workspace.in_precision(encoder.features), workspace.in_precision(encoder.code)
    frames = (images.to(fabric.device) for images, _ in train.frame_batches(_MEASURED_FRAMES))
    deviation = torch.cat([code(features(images)).float() for images in frames]).std(0)
    generator = channels_last(ImageGenerator(recipe.network))
    discriminator = channels_last(Discriminator(recipe.discriminator))
    optimizer = torch.optim.Adam(generator.parameters(), lr=recipe.learning_rate)
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=recipe.learning_rate)

    def decay(step: int) -> float:
        return 1.0 if step < recipe.steps / 2 else max(0.02, 2 - 2 * step / recipe.steps)

    begin = math.ceil(recipe.adversarial_from * recipe.steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, decay)
    schedule_d = torch.optim.lr_scheduler.LambdaLR(optimizer_d, lambda step: decay(begin + step))
    wrapped, optimizer = fabric.setup(generator, optimizer)
    adversary = Adversary(workspace, discriminator, optimizer_d, begin, recipe.pause_ratio)
    average = moving_average(generator, recipe.ema)
    smooth: ImageGenerator = average.module  # type: ignore[assignment]
    run = TrainingRun(
        workspace,
        {
            "generator": generator, "average": average, "optimizer_g": optimizer, "schedule_g": schedule,
            "schedule_d": schedule_d, **adversary.state,
        },
        recipe.seed,
        identity(recipe, train.digest, weights_hash(encoder.state_dict())),
    )  # fmt: skip

    compared = math.ceil(recipe.feature_share * recipe.batch_size / fabric.world_size)

    def draw(random: StepRandomness) -> Batch:
        frames = train.frames(recipe.batch_size, random, recipe.shift, recipe.foreground > 0)
        return frames.images, frames.foreground

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        real, weights = to_images(batch[0]), emphasis(batch[1], recipe.foreground)
        with torch.no_grad():
            real_features = features(real).float()
            codes = code(real_features).float()
            codes = F.relu(codes + recipe.code_noise * deviation * random.normal_like(codes))  # real ones are positive
        generated = wrapped(codes)
        losses = {
            "img": image_loss(generated, real, weights),
            "feat": feature_loss(features(generated[:compared]).float(), real_features[:compared]),
            "adv": adversary.loss(run, generated, codes),
        }
        run.update(
            recipe.lambda_img * losses["img"] + recipe.lambda_feat * losses["feat"] + recipe.lambda_adv * losses["adv"],
            wrapped,
            optimizer,
        )
        losses |= adversary.update(run, real, generated, codes, losses["adv"])
        average.update_parameters(generator)
        schedule.step()
        if run.step >= begin:
            schedule_d.step()
        return losses

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
    generator.load_state_dict(smooth.state_dict())
    return generator.eval(), run


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
