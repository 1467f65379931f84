"""Train the map encoder and the map generator together: the composite loss of Eq. 1-5 on crops of frames."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Interval
from jaxtyping import UInt8
from torch import Tensor

from stgan.checkpoints.checkpoint import weights_hash
from stgan.networks import Encoder
from stgan.networks.layout import channels_last
from stgan.networks.map_codec import MapCodec, MapCodecConfig
from stgan.networks.map_discriminator import MapDiscriminator, MapDiscriminatorConfig
from stgan.records import Fraction
from stgan.training.adversary import Adversary
from stgan.training.averaging import moving_average
from stgan.training.clip_data import ClipData, emphasis, to_images
from stgan.training.losses import feature_loss, image_loss
from stgan.training.parallel import share_batch_norm
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


@dataclass(frozen=True)
class MapCodecRecipe:
    """All settings of the map codec's training.

    lambda_img, lambda_feat, lambda_adv are the weights of Eq. 1. Images are in [0, 1]; the features of Eq. 3 are the
    vector encoder's. Image and feature losses are divided by the number of pixels and of features, so that crops of
    any size have the same balance.
    """

    network: MapCodecConfig
    discriminator: MapDiscriminatorConfig
    steps: Steps = 4000
    batch_size: BatchSize = 32
    learning_rate: LearningRate = 1e-3
    crop: Annotated[int, Interval(ge=0, le=4096)] = 0
    """Side of the random crops that are trained on, in pixels; 0: whole frames."""
    lambda_img: LossWeight = 100.0
    lambda_feat: LossWeight = 1.0
    lambda_adv: LossWeight = 0.02
    code_noise: CodeNoise = 0.1
    """Standard deviation of noise on the codes, whose own is 1, because sampled codes differ from real ones. The
    noise also makes the codes of similar frames similar."""
    pause_ratio: LossWeight = 0.1
    """The discriminator is not updated while its loss is below this fraction of the adversarial loss."""
    adversarial_from: Fraction = 0.6
    """The fraction of the steps after which the discriminator takes part."""
    foreground: Foreground = 0.0
    """Extra weight of moving pixels in Eq. 2, because limbs cover few pixels. 0: equal weights, as in the paper."""
    shift: Pixels = 0
    """Largest random shift of frames in pixels, in each direction (edges replicated)."""
    feature_share: Annotated[float, Interval(gt=0, le=1)] = 1.0
    """Share of each batch for which Eq. 3 is computed. The mean loss is the same, with less work."""
    ema: Fraction = 0.998
    seed: Seed = 0


def train_map_codec(
    recipe: MapCodecRecipe, comparator: Encoder, train: ClipData, validation: ClipData, workspace: Workspace
) -> tuple[MapCodec, TrainingRun]:
    """The trained codec in eval mode, with averaged weights. State and logs are in the workspace's folder.

    comparator: the encoder E of Eq. 3.
    """
    torch.manual_seed(recipe.seed)
    fabric = workspace.fabric
    check_batch(recipe.batch_size, fabric.world_size)
    comparator = channels_last(comparator.to(fabric.device)).eval().requires_grad_(False)
    features = workspace.in_precision(comparator.features)
    codec = channels_last(share_batch_norm(MapCodec(recipe.network), fabric.world_size))
    codec.start_from_principal_components(images for images, _ in train.frame_batches(most=512))
    discriminator = channels_last(MapDiscriminator(recipe.discriminator))
    optimizer = torch.optim.AdamW(codec.parameters(), recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    rise = max(0.05, 2 / recipe.steps)  # two steps at least: the scheduler divides by one less
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=rise)
    optimizer_d = torch.optim.AdamW(discriminator.parameters(), 3e-4, betas=(0.5, 0.99))
    wrapped, optimizer = fabric.setup(codec, optimizer)
    begin = math.ceil(recipe.adversarial_from * recipe.steps)
    adversary = Adversary(workspace, discriminator, optimizer_d, begin, recipe.pause_ratio)
    average = moving_average(codec, recipe.ema, use_buffers=True)
    smooth: MapCodec = average.module  # type: ignore[assignment]
    compared = math.ceil(recipe.feature_share * recipe.batch_size / fabric.world_size)
    run = TrainingRun(
        workspace,
        {
            "codec": codec, "average": average, "optimizer": optimizer, "schedule": schedule, **adversary.state,
        },
        recipe.seed,
        identity(recipe, train.digest, weights_hash(comparator.state_dict())),
    )  # fmt: skip

    def draw(random: StepRandomness) -> Batch:
        frames = train.frames(recipe.batch_size, random, recipe.shift, recipe.foreground > 0)
        tops, lefts = (
            random.rng.integers(side - (recipe.crop or side) + 1, size=recipe.batch_size)
            for side in frames.images.shape[1:3]
        )
        mine = random.share(tops)
        corners = list(zip(tops[mine].tolist(), lefts[mine].tolist(), strict=True))
        return cropped(frames.images, corners, recipe.crop), cropped(frames.foreground, corners, recipe.crop)

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        codec.train()
        real, weights = to_images(batch[0]), emphasis(batch[1], recipe.foreground)
        with torch.no_grad():
            real_features = features(real[:compared]).float()
        generated, codes = wrapped(real, lambda codes: recipe.code_noise * random.normal_like(codes))
        drawn_features = features(generated[:compared]).float()
        losses = {
            "img": image_loss(generated, real, weights) / real[0].numel(),
            "feat": feature_loss(drawn_features, real_features) / drawn_features[0].numel(),
            "adv": adversary.loss(run, generated, codes),
        }
        run.update(
            recipe.lambda_img * losses["img"] + recipe.lambda_feat * losses["feat"] + recipe.lambda_adv * losses["adv"],
            wrapped,
            optimizer,
            max_norm=1.0,
        )
        losses |= adversary.update(run, real, generated, codes, losses["adv"])
        average.update_parameters(codec)
        schedule.step()
        return losses

    def validate() -> dict[str, float]:
        return {"psnr": codec_error(smooth, validation, most=256)}

    @torch.no_grad()
    def picture(path: Path) -> None:
        smooth.eval()
        rows = []
        for part in [train, validation] if validation.clips else [train]:
            real = next(part.frame_batches(most=16))[0][:16]
            rows += [real, smooth(real.to(fabric.device))[0].cpu()]
        save_image_grid(path, rows)

    run.loop(
        recipe.steps,
        draw,
        step,
        description="map codec",
        validate=validate if validation.clips else None,
        picture=picture,
        pictures=10,
    )
    codec.load_state_dict(smooth.state_dict())
    return codec.eval(), run


def cropped(
    frames: UInt8[Tensor, "n height width *channels"], corners: list[tuple[int, int]], side: int
) -> UInt8[Tensor, "n h w *channels"]:
    """A square of each frame, from its top left corner on; side 0: all of it."""
    if not side:
        return frames
    parts = zip(frames, corners, strict=True)
    return torch.stack([frame[top : top + side, left : left + side] for frame, (top, left) in parts])


@torch.no_grad()
def codec_error(codec: MapCodec, data: ClipData, most: int) -> float:
    """Peak signal-to-noise ratio in dB of G(E(x)): the mean over up to `most` frames of `data`."""
    codec.eval()
    device = next(codec.parameters()).device
    values = []
    for images, _ in data.frame_batches(most):
        images = images.to(device)
        error = F.mse_loss(codec(images)[0].clamp(0, 1), images, reduction="none").mean((1, 2, 3))
        values.append(-10 * error.clamp(min=1e-10).log10())
    return torch.cat(values).mean().item()
