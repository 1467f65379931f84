"""Train the encoder E on single frames, without a pretrained AlexNet.

The paper's encoder is trained on ImageNet. On a few thousand frames of a few actors, fc6 of a classifier does not
learn where the limbs are. So the encoder learns three tasks: classify the action; classify the clip (each clip is a
class: exemplar learning, Dosovitskiy et al. 2014); and let a small decoder reconstruct the frame from a noisy code.
The noise also keeps the codes of similar frames close to each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from stgan.checkpoints.pretrained import check_frozen, freeze, initial_hash, start_from
from stgan.networks import Encoder, GeneratorConfig, ImageGenerator
from stgan.networks.encoder_architectures import EncoderConfig, build_encoder
from stgan.training.clip_data import ClipData, Frames, emphasis, to_images
from stgan.training.losses import image_loss
from stgan.training.parallel import share_batch_norm
from stgan.training.pictures import save_image_grid
from stgan.training.ranges import BatchSize, CodeNoise, Foreground, LearningRate, LossWeight, Pixels, Seed, Steps
from stgan.training.run import Batch, TrainingRun, Workspace, identity
from stgan.training.step_randomness import StepRandomness, check_batch


@dataclass(frozen=True)
class EncoderRecipe:
    """All settings of the encoder's training."""

    network: EncoderConfig
    decoder: GeneratorConfig
    """Its image size is that of the reconstructed frames, which may be smaller than the clips' frames."""
    initial: str = ""
    """Weights to start from: a known file in a Python package (efficientnet-lite0), or a checkpoint."""
    frozen: bool = False
    """Whether only the code layer is trained."""
    steps: Steps = 2500
    batch_size: BatchSize = 64
    learning_rate: LearningRate = 1e-3
    weight_action: LossWeight = 0.2
    weight_clip: LossWeight = 0.2
    weight_image: LossWeight = 1.0
    code_noise: CodeNoise = 0.2
    """Standard deviation of the noise on a code before it is decoded, in standard deviations of the codes."""
    foreground: Foreground = 0.0
    """Extra weight of moving pixels in the reconstruction, because limbs cover few pixels. 0: equal weights."""
    shift: Pixels = 0
    """Largest random shift of frames in pixels, in each direction (edges replicated)."""
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_frozen(self.initial, self.frozen)


class _Tasks(nn.Module):
    """The encoder with the layers of its three tasks."""

    def __init__(self, recipe: EncoderRecipe, data: ClipData) -> None:
        super().__init__()
        self.encoder = build_encoder(recipe.network)
        if recipe.initial:
            start_from(self.encoder, recipe.initial)
        if recipe.frozen:
            freeze(self.encoder)
        self.action = nn.Linear(recipe.network.code_size, len(data.actions))
        self.clip = nn.Linear(recipe.network.code_size, len(data.clips))
        self.decoder = ImageGenerator(recipe.decoder)

    def forward(
        self, images: Tensor, code_noise: Callable[[Tensor], Tensor]
    ) -> tuple[Float[Tensor, "n code"], Float[Tensor, "n actions"], Float[Tensor, "n clips"], Tensor]:
        """Codes, logits of the action and of the clip, and the frame reconstructed from the noisy code."""
        codes = self.encoder(images)
        return codes, self.action(codes), self.clip(codes), self.decoder(codes + code_noise(codes.detach()))


def train_encoder(
    recipe: EncoderRecipe, train: ClipData, validation: ClipData, workspace: Workspace
) -> tuple[Encoder, TrainingRun]:
    """The trained encoder in eval mode. State, logs and pictures are in the workspace's folder."""
    torch.manual_seed(recipe.seed)
    fabric = workspace.fabric
    check_batch(recipe.batch_size, fabric.world_size)
    tasks = share_batch_norm(_Tasks(recipe, train), fabric.world_size)
    learned = [parameter for parameter in tasks.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=recipe.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=0.1)
    wrapped, optimizer = fabric.setup(tasks, optimizer)
    run = TrainingRun(
        workspace,
        {"tasks": tasks, "optimizer": optimizer, "schedule": schedule},
        recipe.seed,
        identity(recipe, train.digest, *initial_hash(recipe.initial).values()),
    )

    def small(images: Float[Tensor, "n channels _height _width"]) -> Float[Tensor, "n channels side side"]:
        """Images of the decoder's size."""
        return F.interpolate(images, recipe.decoder.image_size, mode="area")

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        tasks.train()
        frames = Frames(*batch)
        images = to_images(frames.images)

        def code_noise(codes: Tensor) -> Tensor:
            moments = run.mean(torch.stack([codes.float().mean(), codes.float().square().mean()]))
            deviation = (moments[1] - moments[0].square()).clamp(min=0).sqrt()
            return recipe.code_noise * deviation * random.normal_like(codes)

        codes, action, clip, reconstructed = wrapped(_jitter(images, random), code_noise)
        weights = emphasis(frames.foreground, recipe.foreground)
        losses = {
            "action": F.cross_entropy(action, frames.actions),
            "clip": F.cross_entropy(clip, frames.clips),
            "image": image_loss(reconstructed, small(images), small(weights)) / 10,
        }
        shares = {"action": recipe.weight_action, "clip": recipe.weight_clip, "image": recipe.weight_image}
        total = torch.stack([shares[name] * loss for name, loss in losses.items()]).sum()
        run.update(total, wrapped, optimizer, max_norm=10.0)
        schedule.step()
        return {**losses, "active": (codes > 0).float().mean()}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        tasks.eval()
        right, error, count = 0.0, 0.0, 0
        for images, clips in validation.frame_batches(most=512):
            images = images.to(fabric.device)
            codes = tasks.encoder(images)
            right += float((tasks.action(codes).argmax(1).cpu() == torch.tensor(validation.labels)[clips]).sum())
            error += float((tasks.decoder(codes) - small(images)).square().sum()) / 10
            count += len(images)
        return {"accuracy": right / count, "image": error / count}

    @torch.no_grad()
    def picture(path: Path) -> None:
        tasks.eval()
        images = next(train.frame_batches(most=16))[0]
        save_image_grid(path, [small(images), tasks.decoder(tasks.encoder(images.to(fabric.device))).cpu()])

    run.loop(
        recipe.steps,
        lambda random: train.frames(recipe.batch_size, random, recipe.shift, recipe.foreground > 0),
        step,
        description="encoder",
        validate=validate if validation.clips else None,
        picture=picture,
    )
    return tasks.encoder.eval(), run


def _jitter(images: Tensor, random: StepRandomness) -> Tensor:
    """Add random brightness and noise, so that codes do not depend on exact pixel values."""
    brightness = 0.05 * random.normal(len(images), 1, 1, 1)
    return (images + brightness + 0.02 * random.normal_like(images)).clamp(0, 1)
