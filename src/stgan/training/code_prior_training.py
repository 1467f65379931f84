"""Fit the code prior to the codes of real frames: whitening, the order of the coordinates, the denoiser."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from stgan.checkpoints.checkpoint import weights_hash
from stgan.errors import StganError
from stgan.networks import CodePrior, CodePriorConfig, Encoder
from stgan.records import Fraction
from stgan.training.averaging import moving_average
from stgan.training.clip_data import ClipData
from stgan.training.losses import denoising_loss
from stgan.training.ranges import BatchSize, LearningRate, NoiseMean, NoiseStd, Seed, Steps
from stgan.training.run import Batch, TrainingRun, Workspace, identity
from stgan.training.step_randomness import StepRandomness, check_batch


@dataclass(frozen=True)
class CodePriorRecipe:
    """All settings of the code prior's training."""

    network: CodePriorConfig
    steps: Steps = 4000
    batch_size: BatchSize = 256
    learning_rate: LearningRate = 1e-3
    ema: Fraction = 0.998
    noise_mean: NoiseMean = -1.0
    noise_std: NoiseStd = 1.4
    """log sigma in training is N(noise_mean, noise_std^2), as in Karras et al. 2022."""
    seed: Seed = 0


@torch.no_grad()
def frame_codes(
    encoder: Encoder, data: ClipData, most: int = 50_000
) -> tuple[Float[Tensor, "n code"], Int[Tensor, " n"]]:
    """Codes of up to `most` frames and of their mirror images, and each frame's clip number.

    A mirrored clip has its own number, because its frames also share an appearance.
    """
    device = next(encoder.parameters()).device
    codes, clips, mirrored = [], [], []
    for images, numbers in data.frame_batches(most):
        codes.append(encoder(images.to(device)).float().cpu())
        mirrored.append(encoder(images.flip(-1).to(device)).float().cpu())
        clips.append(numbers)
    numbers = torch.cat(clips)
    return torch.cat([*codes, *mirrored]), torch.cat([numbers, numbers + len(data.clips)])


def fit_whitening(prior: CodePrior, codes: Float[Tensor, "n code"], clips: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Set the prior's coordinates from real codes. Returns the fraction of the codes' variance that they keep.

    The coordinates are principal components, scaled to unit variance and then rotated so that the ratio of
    between-clip to within-clip scatter decreases from the first coordinate to the last. In whitened coordinates the
    two scatters sum to the identity, so the generalized eigenvectors are the eigenvectors of the between-clip scatter.

    Raises:
        StganError: the codes span fewer directions than the prior's rank.
    """
    codes = codes.double()
    mean = codes.mean(0)
    _, singular, components = torch.linalg.svd(codes - mean, full_matrices=False)
    rank = prior.config.rank
    scale = singular[:rank] / (len(codes) - 1) ** 0.5
    if len(scale) < rank or scale[-1] < 1e-6 * scale[0]:
        raise StganError(f"these clips' codes span fewer directions than the code prior's rank {rank}; lower it")
    whitened = (codes - mean) @ components[:rank].T / scale
    clip_means = torch.stack([whitened[clips == clip].mean(0) for clip in range(int(clips.max()) + 1)])[clips]
    between = clip_means.T @ clip_means / len(codes)
    _, turn = torch.linalg.eigh(between)
    turn = turn.flip(1).T  # largest ratio first
    prior.mean.copy_(mean)
    prior.to_whitened.copy_(turn @ (components[:rank] / scale.unsqueeze(1)))
    prior.from_whitened.copy_(turn @ (components[:rank] * scale.unsqueeze(1)))
    return singular[:rank].square().sum() / singular.square().sum()


def train_code_prior(
    recipe: CodePriorRecipe, encoder: Encoder, train: ClipData, validation: ClipData, workspace: Workspace
) -> tuple[CodePrior, TrainingRun]:
    """The trained prior in eval mode, with averaged weights. State and logs are in the workspace's folder."""
    torch.manual_seed(recipe.seed)
    fabric = workspace.fabric
    check_batch(recipe.batch_size, fabric.world_size)
    encoder = encoder.to(fabric.device)
    prior = CodePrior(recipe.network)
    with fabric.autocast():
        codes, clips = frame_codes(encoder, train)
        unseen = frame_codes(encoder, validation)[0] if validation.clips else None
    fit_whitening(prior, codes, clips)
    labels = np.array(train.labels)[clips.numpy() % len(train.clips)]
    weights = 1 / np.bincount(labels)[labels]
    weights /= weights.sum()
    coordinates = prior.whiten(codes)
    optimizer = torch.optim.AdamW(prior.parameters(), lr=recipe.learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=0.1)
    wrapped, optimizer = fabric.setup(prior, optimizer)
    wrapped.mark_forward_method("denoise")
    average = moving_average(prior, recipe.ema)
    smooth: CodePrior = average.module  # type: ignore[assignment]
    run = TrainingRun(
        workspace,
        {"prior": prior, "average": average, "optimizer": optimizer, "schedule": schedule},
        recipe.seed,
        identity(recipe, train.digest, weights_hash(encoder.state_dict())),
    )

    def draw(random: StepRandomness) -> Batch:
        chosen = random.rng.choice(len(coordinates), recipe.batch_size, p=weights)
        return (coordinates[torch.from_numpy(chosen[random.share(chosen)])],)

    def noise_levels(log_sigma: Tensor) -> Tensor:
        return torch.exp(recipe.noise_mean + recipe.noise_std * log_sigma)

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        (clean,) = batch
        sigma = noise_levels(random.normal(len(clean), 1))
        loss = denoising_loss(wrapped.denoise, clean, sigma, random.normal_like(clean))
        run.update(loss, wrapped, optimizer)
        schedule.step()
        average.update_parameters(prior)
        return {"denoising": loss}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        assert unseen is not None
        clean = prior.whiten(unseen.to(fabric.device))
        random = StepRandomness(recipe.seed, 0, device=fabric.device)  # the same noise each time
        sigma = noise_levels(random.normal(len(clean), 1))
        return {"denoising": denoising_loss(smooth.denoise, clean, sigma, random.normal_like(clean)).item()}

    run.loop(recipe.steps, draw, step, description="code prior", validate=None if unseen is None else validate)
    prior.load_state_dict(smooth.state_dict())
    return prior.eval(), run
