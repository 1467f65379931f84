"""Train the sequence prior on windows of codes, in the code prior's coordinates."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stgan.checkpoints.checkpoint import weights_hash
from stgan.networks import CodePrior, Encoder, SequencePrior, SequencePriorConfig
from stgan.training.data import ClipData, shifted, to_images
from stgan.training.losses import denoising_loss
from stgan.training.randomness import StepRandomness, check_batch
from stgan.training.run import Batch, TrainingRun, Workshop, identity


@dataclass(frozen=True)
class SequencePriorRecipe:
    """Everything that decides the sequence prior's weights but the encoder, the code prior and the data."""

    network: SequencePriorConfig
    steps: int = 5000
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    ema: float = 0.998
    noise_mean: float = -0.5
    noise_std: float = 1.5
    """log sigma in training is N(noise_mean, noise_std^2), as in Karras et al. 2022."""
    untold: float = 0.15
    """How often the action is not told, so that the prior also knows clips of any action."""
    copies: int = 6
    """How many versions of each clip there are: as it is, then shifted by up to `shift` pixels each way."""
    shift: int = 3
    mirror: bool = True
    """Mirror images too: not where an action has a side."""
    seed: int = 0


@torch.no_grad()
def code_sequences(
    encoder: Encoder, prior: CodePrior, data: ClipData, recipe: SequencePriorRecipe
) -> list[Float[Tensor, "versions time rank"]]:
    """The whitened codes of every version of each clip."""
    device = next(encoder.parameters()).device
    rng = np.random.default_rng(recipe.seed)
    sequences = []
    for clip in data.clips:
        shifts = np.concatenate(
            [np.zeros((1, 2), int), rng.integers(-recipe.shift, recipe.shift + 1, (recipe.copies - 1, 2))]
        )
        versions = [
            shifted(clip, down, right, mirror)
            for down, right in shifts.tolist()
            for mirror in ([False, True] if recipe.mirror else [False])
        ]
        codes = [
            torch.cat([encoder(images.to(device)) for images in to_images(torch.from_numpy(frames)).split(256)])
            for frames in versions
        ]
        sequences.append(prior.whiten(torch.stack(codes)))
    return sequences


def train_sequence_prior(
    recipe: SequencePriorRecipe,
    encoder: Encoder,
    prior: CodePrior,
    train: ClipData,
    validation: ClipData,
    workshop: Workshop,
) -> tuple[SequencePrior, TrainingRun]:
    """The trained prior (moving average of the weights, eval mode). The workshop's folder gets state and logs."""
    torch.manual_seed(recipe.seed)
    fabric = workshop.fabric
    check_batch(recipe.batch_size, fabric.world_size)
    encoder, prior = encoder.to(fabric.device).eval(), prior.to(fabric.device).eval()
    network = SequencePrior(recipe.network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=0.1)
    wrapped, optimizer = fabric.setup(network, optimizer)
    wrapped.mark_forward_method("denoise")
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
    smooth: SequencePrior = average.module  # type: ignore[assignment]
    run = TrainingRun(
        workshop,
        {"network": network, "average": average, "optimizer": optimizer, "schedule": schedule},
        recipe.seed,
        identity(recipe, train.digest, weights_hash(encoder.state_dict()), weights_hash(prior.state_dict())),
    )
    sequences = code_sequences(encoder, prior, train, recipe)

    def draw(random: StepRandomness) -> Batch:
        versions = random.rng.integers(len(sequences[0]), size=recipe.batch_size)
        told = random.rng.random(recipe.batch_size) >= recipe.untold
        windows = train.window_frames(recipe.batch_size, random)
        mine = random.share(versions)
        return windows_of(sequences, windows, versions[mine]), torch.tensor(
            [
                train.labels[clip] if tell else network.any_action
                for (clip, _), tell in zip(windows, told[mine], strict=True)
            ]
        )

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        network.train()
        clean, actions = batch
        sigma = torch.exp(recipe.noise_mean + recipe.noise_std * random.normal(len(clean), 1))
        loss = denoising_loss(
            lambda noisy, sigma: wrapped.denoise(noisy, sigma, actions), clean, sigma, random.normal_like(clean)
        )
        run.update(loss, wrapped, optimizer, max_norm=1.0)
        schedule.step()
        average.update_parameters(network)
        return {"denoising": loss}

    unseen = code_sequences(encoder, prior, validation, recipe)

    @torch.no_grad()
    def validate() -> dict[str, float]:
        smooth.eval()
        random = StepRandomness(recipe.seed, 0, device=fabric.device)  # the same windows and noise each time
        windows = validation.window_frames(256, random)
        clean = windows_of(unseen, windows, np.zeros(len(windows), int))
        actions = torch.tensor([validation.labels[clip] for clip, _ in windows], device=clean.device)
        sigma = torch.exp(recipe.noise_mean + recipe.noise_std * random.normal(len(clean), 1))
        loss = denoising_loss(
            lambda noisy, sigma: smooth.denoise(noisy, sigma, actions), clean, sigma, random.normal_like(clean)
        )
        return {"denoising": loss.item()}

    run.loop(recipe.steps, draw, step, description="sequence prior", validate=validate if validation.clips else None)
    network.load_state_dict(smooth.state_dict())
    return network.eval(), run


def windows_of(
    sequences: list[Float[Tensor, "versions time rank"]],
    windows: list[tuple[int, Int[np.ndarray, " frames"]]],
    versions: Int[np.ndarray, " batch"],
) -> Float[Tensor, "batch frames rank"]:
    return torch.stack(
        [
            sequences[clip][version, torch.from_numpy(frames)]
            for (clip, frames), version in zip(windows, versions.tolist(), strict=True)
        ]
    )
