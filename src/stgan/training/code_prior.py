"""Fit the code prior to the codes of real frames: whitening, the order of the coordinates, the denoiser."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stgan.checkpoints.checkpoint import weights_hash
from stgan.errors import StganError
from stgan.networks import CodePrior, CodePriorConfig, Encoder
from stgan.training.data import ClipData
from stgan.training.run import Losses, TrainingRun, identity


@dataclass(frozen=True)
class CodePriorRecipe:
    """Everything that decides the code prior's weights but the encoder and the data."""

    network: CodePriorConfig
    steps: int = 4000
    batch_size: int = 256
    learning_rate: float = 1e-3
    ema: float = 0.998
    noise_mean: float = -1.0
    noise_std: float = 1.4
    """log sigma in training is N(noise_mean, noise_std^2), as in Karras et al. 2022."""
    seed: int = 0
    held_out: tuple[str, ...] = field(default=())


@torch.no_grad()
def frame_codes(encoder: Encoder, data: ClipData, batch_size: int = 256) -> tuple[Tensor, Tensor]:
    """Codes "n code" of all frames and of their mirror images, and the number of each one's clip.

    A mirrored clip counts as a clip of its own: its frames share an appearance too.
    """
    images, clips = data.all_frames()
    device = next(encoder.parameters()).device
    both = torch.cat([images, images.flip(-1)])
    codes = torch.cat([encoder(batch.to(device)).cpu() for batch in both.split(batch_size)])
    return codes, torch.cat([clips, clips + len(data.clips)])


def fit_whitening(prior: CodePrior, codes: Float[Tensor, "n code"], clips: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Set the prior's coordinates from real codes; returns the fraction of the codes' variance that they keep.

    Principal components, scaled to unit variance, then turned so that the ratio of between-clip to within-clip
    scatter falls from the first coordinate to the last. In whitened coordinates the two scatters add up to the
    identity, so the generalised eigenvectors are simply the eigenvectors of the between-clip scatter.
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
    recipe: CodePriorRecipe, encoder: Encoder, data: ClipData, out: Path, fabric: Fabric
) -> tuple[CodePrior, TrainingRun]:
    """The trained prior (moving average of the weights, eval mode). `out` receives the state and the log."""
    torch.manual_seed(recipe.seed)
    train, _ = data.split_groups(recipe.held_out)
    prior = CodePrior(recipe.network)
    codes, clips = frame_codes(encoder, train)
    fit_whitening(prior, codes, clips)
    labels = torch.tensor(train.labels)[clips % len(train.clips)]
    weights = 1 / np.bincount(labels.numpy())[labels.numpy()]
    device = fabric.device
    prior.to(device)
    coordinates = prior.whiten(codes.to(device))
    average = AveragedModel(prior, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
    optimizer = torch.optim.AdamW(prior.parameters(), lr=recipe.learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=0.1)
    run = TrainingRun(
        fabric,
        out,
        {"prior": prior, "average": average, "optimizer": optimizer, "schedule": schedule},
        recipe.seed,
        identity(recipe, data.digest, weights_hash(encoder.state_dict())),
    )

    def step(number: int, rng: np.random.Generator) -> Losses:
        chosen = rng.choice(len(coordinates), recipe.batch_size, p=weights / weights.sum())
        clean = coordinates[torch.from_numpy(chosen).to(device)]
        sigma = torch.exp(recipe.noise_mean + recipe.noise_std * torch.randn(len(clean), 1, device=device))
        error = prior.denoise(clean + sigma * torch.randn_like(clean), sigma) - clean
        # Karras et al. 2022: the weight makes the network's own error count equally at every noise level.
        loss = ((1 + sigma**2) / sigma**2 * error.square()).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        average.update_parameters(prior)
        return {"denoising": loss.item()}

    run.loop(recipe.steps, step, description="code prior")
    prior.load_state_dict(average.module.state_dict())
    return prior.eval(), run
