"""Train the sequence prior on windows of codes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval
from jaxtyping import Float
from torch import Tensor

from stgan.checkpoints.checkpoint import weights_hash
from stgan.errors import StganError
from stgan.networks import Encoder, SequencePrior, SequencePriorConfig
from stgan.records import Fraction
from stgan.training.averaging import moving_average
from stgan.training.clip_data import ClipData, shifted, to_images
from stgan.training.losses import denoising_loss
from stgan.training.ranges import BatchSize, LearningRate, NoiseMean, NoiseStd, Pixels, Seed, Steps, WeightDecay
from stgan.training.run import Batch, TrainingRun, Workspace, identity
from stgan.training.step_randomness import StepRandomness, check_batch

_BASIS_WINDOWS = 2048


@dataclass(frozen=True)
class SequencePriorRecipe:
    """All settings of the sequence prior's training."""

    network: SequencePriorConfig
    steps: Steps = 8000
    batch_size: BatchSize = 256
    learning_rate: LearningRate = 1e-3
    weight_decay: WeightDecay = 0.01
    ema: Fraction = 0.998
    noise_mean: NoiseMean = 0.0
    noise_std: NoiseStd = 1.6
    """log sigma in training is N(noise_mean, noise_std^2), as in Karras et al. 2022."""
    unconditional: Fraction = 0.15
    """Share of each batch that is trained without its action, for unconditional denoising."""
    copies: Annotated[int, Interval(ge=1, le=1000)] = 4
    """Number of copies of each clip: the first unchanged, the others shifted by up to `shift` pixels."""
    shift: Pixels = 3
    mirror: bool = True
    """Whether to add mirror images. Not for actions that a mirror image changes, such as turning left."""
    seed: Seed = 0


@dataclass(frozen=True)
class Sequences:
    """Codes of all versions (copies and mirror images) of all clips in one tensor, so that a batch is one indexing.

    first: index of each clip's first code. times: number of frames of each clip.
    """

    codes: Float[Tensor, "n code"]
    first: list[int]
    times: list[int]
    versions: int


@torch.no_grad()
def code_sequences(encoder: Encoder, data: ClipData, recipe: SequencePriorRecipe) -> Sequences:
    """Encode all versions of all clips."""
    device = next(encoder.parameters()).device
    rng = np.random.default_rng(recipe.seed)
    sequences, first = [], [0]
    for clip in data.clips:
        shifts = rng.integers(-recipe.shift, recipe.shift + 1, (recipe.copies, 2))
        shifts[0] = 0
        versions = [
            shifted(clip, down, right, mirror)
            for down, right in shifts.tolist()
            for mirror in ([False, True] if recipe.mirror else [False])
        ]
        for frames in versions:
            images = to_images(torch.from_numpy(frames))
            sequences += [encoder(part.to(device)).float() for part in images.split(64)]
        first.append(first[-1] + len(versions) * len(clip))
    codes = torch.cat(sequences) if sequences else torch.empty(0, encoder.config.code_size)
    return Sequences(codes, first[:-1], [len(clip) for clip in data.clips], recipe.copies * (1 + recipe.mirror))


def draw_windows(
    sequences: Sequences, data: ClipData, count: int, random: StepRandomness
) -> tuple[Float[Tensor, "share frames code"], list[int]]:
    """This process's share of `count` random windows of codes, and their clip numbers. Actions are equally frequent."""
    versions = random.rng.integers(sequences.versions, size=count)
    windows = data.window_frames(count, random)
    wanted = [
        sequences.first[clip] + version * sequences.times[clip] + frames
        for (clip, frames), version in zip(windows, versions[random.share(versions)].tolist(), strict=True)
    ]
    return sequences.codes[torch.from_numpy(np.stack(wanted))], [clip for clip, _ in windows]


def fit_basis(network: SequencePrior, windows: Float[Tensor, "n frames code"]) -> None:
    """Set mean, basis, variance and unit from the principal components of windows of codes.

    With a `scene_rank`, these are the components of the windows' means over time, and of the windows minus their means.

    Raises:
        StganError: the codes span fewer directions than the prior's rank.
    """
    c = network.config
    mean = windows.double().mean((0, 1))
    h = windows - mean
    variances = []
    if c.scene_rank:
        means = h.mean(1, keepdim=True)
        h = h - means
        components, variance = _principal(means.squeeze(1), c.scene_rank)
        network.scene.data.copy_(components)
        variances.append(c.frames * variance)  # of the sum over time / sqrt(frames)
    components, variance = _principal(h.flatten(1), c.rank - c.scene_rank)
    network.basis.data.copy_(components)
    variance = torch.cat([*variances, variance])
    unit = variance.mean().sqrt()
    network.mean.copy_(mean)
    network.unit.copy_(unit)
    network.variance.copy_(variance / unit**2)


def _principal(rows: Float[Tensor, "n width"], rank: int) -> tuple[Float[Tensor, "rank width"], Float[Tensor, " rank"]]:
    """The first principal components of rows with mean 0, and their variances."""
    _, singular, components = torch.linalg.svd(rows, full_matrices=False)
    variance = singular.square() / len(rows)
    if rank and (len(variance) < rank or variance[rank - 1] < 1e-9 * variance[0]):
        raise StganError(
            f"windows of these clips' codes span fewer directions than the {rank} that the sequence prior needs; "
            "lower its rank or scene_rank"
        )
    return components[:rank], variance[:rank]


def train_sequence_prior(
    recipe: SequencePriorRecipe, encoder: Encoder, train: ClipData, validation: ClipData, workspace: Workspace
) -> tuple[SequencePrior, TrainingRun]:
    """The trained prior in eval mode, with averaged weights. State and logs are in the workspace's folder."""
    torch.manual_seed(recipe.seed)
    fabric = workspace.fabric
    check_batch(recipe.batch_size, fabric.world_size)
    encoder = encoder.to(fabric.device).eval()
    network = SequencePrior(recipe.network).to(fabric.device)
    with fabric.autocast():
        sequences, unseen = code_sequences(encoder, train, recipe), code_sequences(encoder, validation, recipe)
    if not workspace.probe:  # its few clips may not span a basis, which does not change the time of a step
        fit_basis(network, draw_windows(sequences, train, _BASIS_WINDOWS, StepRandomness(recipe.seed, 0))[0])
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, recipe.steps, pct_start=0.1)
    wrapped, optimizer = fabric.setup(network, optimizer)
    wrapped.mark_forward_method("denoise_coordinates")
    average = moving_average(network, recipe.ema)
    smooth: SequencePrior = average.module  # type: ignore[assignment]
    run = TrainingRun(
        workspace,
        {"network": network, "average": average, "optimizer": optimizer, "schedule": schedule},
        recipe.seed,
        identity(recipe, train.digest, weights_hash(encoder.state_dict())),
    )

    def draw(random: StepRandomness) -> Batch:
        conditional = random.rng.random(recipe.batch_size) >= recipe.unconditional
        codes, clips = draw_windows(sequences, train, recipe.batch_size, random)
        actions = [
            train.labels[clip] if known else network.any_action
            for clip, known in zip(clips, conditional[random.share(conditional)], strict=True)
        ]
        return codes, torch.tensor(actions)

    def loss(denoise: Callable[..., Tensor], clean: Tensor, actions: Tensor, random: StepRandomness) -> Tensor:
        sigma = torch.exp(recipe.noise_mean + recipe.noise_std * random.normal(len(clean), 1))
        return denoising_loss(
            lambda noisy, sigma: denoise(noisy, sigma, actions), clean, sigma, random.normal_like(clean)
        )

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        network.train()
        codes, actions = batch
        value = loss(wrapped.denoise_coordinates, network.coordinates(codes), actions, random)
        run.update(value, wrapped, optimizer, max_norm=1.0)
        schedule.step()
        average.update_parameters(network)
        return {"denoising": value}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        smooth.eval()
        random = StepRandomness(recipe.seed, 0, device=fabric.device)  # the same windows and noise each time
        codes, clips = draw_windows(unseen, validation, 1024, random)
        actions = torch.tensor([validation.labels[clip] for clip in clips], device=codes.device)
        return {"denoising": loss(smooth.denoise_coordinates, network.coordinates(codes), actions, random).item()}

    run.loop(recipe.steps, draw, step, description="sequence prior", validate=validate if validation.clips else None)
    network.load_state_dict(smooth.state_dict())
    return network.eval(), run
