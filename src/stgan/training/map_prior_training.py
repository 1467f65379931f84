"""Train a map prior on windows of map codes: of one frame (the frame prior) or of a clip's frames (the clip prior)."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval
from jaxtyping import Float, Float16
from torch import Tensor

from stgan.checkpoints.checkpoint import weights_hash
from stgan.checkpoints.pretrained import initial_hash, start_from
from stgan.files import replacing
from stgan.networks.layout import channels_last
from stgan.networks.map_codec import MapCodec
from stgan.networks.map_prior import Given, MapPrior, MapPriorConfig
from stgan.records import Fraction
from stgan.training.averaging import moving_average
from stgan.training.clip_data import ClipData, shifted, to_images
from stgan.training.muon import Muon
from stgan.training.ranges import (
    BatchSize,
    CodeNoise,
    LearningRate,
    NoiseMean,
    NoiseStd,
    Pixels,
    Seed,
    Steps,
    WeightDecay,
)
from stgan.training.run import Batch, TrainingRun, Workspace, identity
from stgan.training.step_randomness import StepRandomness, check_batch

_STATISTICS_WINDOWS = 2048


@dataclass(frozen=True)
class MapPriorRecipe:
    """All settings of a map prior's training."""

    network: MapPriorConfig
    steps: Steps = 8000
    batch_size: BatchSize = 32
    learning_rate: LearningRate = 5e-3
    weight_decay: WeightDecay = 0.02
    ema: Fraction = 0.999
    noise_mean: NoiseMean = -0.5
    noise_std: NoiseStd = 1.5
    """log sigma in training is N(noise_mean, noise_std^2), as in Karras et al. 2022."""
    unconditional: Fraction = 0.15
    """Share of each batch that is trained without its action, for unconditional denoising."""
    given: Fraction = 0.9
    """Share of each batch that is trained with one frame given; of windows of a single frame, none is."""
    middle: Fraction = 0.7
    """Share of the given frames that are the middle one, which the sampler gives; the others are any of the window."""
    given_noise: CodeNoise = 0.05
    """Standard deviation of noise on the given map, which may be a sampled one."""
    copies: Annotated[int, Interval(ge=1, le=1000)] = 4
    """Number of copies of each clip: the first unchanged, the others shifted by up to `shift` pixels."""
    shift: Pixels = 3
    mirror: bool = True
    """Whether to add mirror images. Not for actions that a mirror image changes, such as turning left."""
    initial: str = ""
    """The folder of a map prior of the same size whose weights to start from; empty: random ones."""
    seed: Seed = 0


@dataclass(frozen=True)
class MapSequences:
    """Maps of all versions (copies and mirror images) of all clips in one array in a file, mapped into memory.

    first: index of each clip's first map. times: number of frames of each clip.
    """

    maps: Float[np.ndarray, "n channels grid grid"]
    first: list[int]
    times: list[int]
    versions: int

    def windows(
        self, data: ClipData, count: int, random: StepRandomness
    ) -> tuple[Float[Tensor, "share frames channels grid grid"], list[int]]:
        """This process's share of `count` random windows, and their clip numbers. Actions are equally frequent."""
        versions = random.rng.integers(self.versions, size=count)
        windows = data.window_frames(count, random)
        wanted = [
            self.first[clip] + version * self.times[clip] + frames
            for (clip, frames), version in zip(windows, versions[random.share(versions)].tolist(), strict=True)
        ]
        return torch.from_numpy(self.maps[np.stack(wanted)]).float(), [clip for clip, _ in windows]


def map_sequences(codec: MapCodec, data: ClipData, recipe: MapPriorRecipe, folder: Path | None) -> MapSequences:
    """Encode all versions of all clips into a file in half precision, or take those of an earlier call from it.

    folder: of such files, one for each codec, clips and versions of them; None: the maps are kept in memory.
    """
    versions = recipe.copies * (1 + recipe.mirror)
    times = [len(clip) for clip in data.clips]
    first = np.cumsum([0, *(versions * time for time in times)]).tolist()
    grid = recipe.network.grid
    shape = (first[-1], recipe.network.channels, grid, grid)
    if folder is None:
        maps = np.empty(shape, np.float16)
        _encode(codec, data, recipe, maps)
        return MapSequences(maps, first[:-1], times, versions)
    of_versions = (recipe.copies, recipe.shift, recipe.mirror, recipe.seed)
    made_from = (*of_versions, data.hashes, weights_hash(codec.state_dict()))
    file = folder / f"{hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]}.npy"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            maps = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
            _encode(codec, data, recipe, maps)
            maps.flush()
    return MapSequences(np.lib.format.open_memmap(file, "r"), first[:-1], times, versions)


@torch.no_grad()
def _encode(
    codec: MapCodec, data: ClipData, recipe: MapPriorRecipe, maps: Float16[np.ndarray, "n channels grid grid"]
) -> None:
    """Fill in the maps of all versions of all clips: clip by clip, version by version, frame by frame."""
    rng, device, done = np.random.default_rng(recipe.seed), next(codec.parameters()).device, 0
    for clip in data.clips:
        shifts = rng.integers(-recipe.shift, recipe.shift + 1, (recipe.copies, 2))
        shifts[0] = 0
        for down, right in shifts.tolist():
            for mirror in [False, True][: 1 + recipe.mirror]:
                images = to_images(torch.from_numpy(shifted(clip, down, right, mirror)))
                for part in images.split(16):  # of more at a time, layers of 256x256 leave the processor's caches
                    codes = codec.encoder(part.to(device)).float().cpu().numpy()
                    maps[done : done + len(codes)] = codes
                    done += len(codes)


def fit_statistics(
    network: MapPrior, windows: Float[Tensor, "n frames channels grid grid"], rng: np.random.Generator
) -> None:
    """Set the mean map and the variances of coefficients, with nothing and with a random frame given."""
    network.mean.copy_(windows.mean((0, 1)))
    nothing = network.nothing_given(len(windows))
    times = torch.from_numpy(rng.integers(network.config.frames, size=len(windows))).to(windows.device)
    for number, given in enumerate((nothing, Given(windows[torch.arange(len(windows)), times], times))):
        coefficients = network.spectrum(network.coefficients(windows, given))
        network.variance[number].copy_(coefficients.square().mean(0).clamp(min=1e-6))


def train_map_prior(
    recipe: MapPriorRecipe, codec: MapCodec, train: ClipData, validation: ClipData, workspace: Workspace
) -> tuple[MapPrior, TrainingRun]:
    """The trained prior in eval mode, with averaged weights. State and logs are in the workspace's folder.

    The clips' maps are in the folder `maps` of the workspace's root, where priors of the same maps find them.
    """
    torch.manual_seed(recipe.seed)
    fabric = workspace.fabric
    check_batch(recipe.batch_size, fabric.world_size)
    codec = codec.to(fabric.device).eval()
    network = channels_last(MapPrior(recipe.network))
    train = replace(train, length=recipe.network.frames)
    validation = replace(validation, length=recipe.network.frames)
    folder = None if workspace.probe else (workspace.root or workspace.folder) / "maps"
    seen = replace(recipe, copies=1, mirror=False) if workspace.probe else recipe  # does not change the time of a step
    encode = workspace.in_precision(map_sequences)
    sequences = encode(codec, train, seen, folder)
    unseen = encode(codec, validation, replace(recipe, copies=1), folder) if validation.clips else None
    network = network.to(fabric.device)
    randomness = StepRandomness(recipe.seed, 0)
    if recipe.initial:
        start_from(network, recipe.initial)
    fit_statistics(
        network, sequences.windows(train, _STATISTICS_WINDOWS, randomness)[0].to(fabric.device), randomness.rng
    )
    optimizer = Muon(network, recipe.learning_rate, recipe.weight_decay)
    rise = max(0.03, 2 / recipe.steps)  # two steps at least: the scheduler divides by one less
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, recipe.steps, pct_start=rise, cycle_momentum=False
    )
    wrapped, optimizer, estimate = workspace.setup(network, optimizer, "estimate")
    average = moving_average(network, recipe.ema)
    smooth: MapPrior = average.module  # type: ignore[assignment]
    run = TrainingRun(
        workspace,
        {"network": network, "average": average, "optimizer": optimizer, "schedule": schedule},
        recipe.seed,
        identity(recipe, train.digest, weights_hash(codec.state_dict()), *initial_hash(recipe.initial).values()),
    )

    given_share = recipe.given if recipe.network.frames > 1 else 0.0

    def draw(random: StepRandomness) -> Batch:
        conditional = random.rng.random(recipe.batch_size) >= recipe.unconditional
        times = random.rng.integers(recipe.network.frames, size=recipe.batch_size)
        times[random.rng.random(recipe.batch_size) < recipe.middle] = recipe.network.frames // 2
        times[random.rng.random(recipe.batch_size) >= given_share] = -1
        maps, clips = sequences.windows(train, recipe.batch_size, random)
        actions = [
            train.labels[clip] if known and recipe.network.num_classes else network.any_action
            for clip, known in zip(clips, conditional[random.share(conditional)], strict=True)
        ]
        return maps, torch.tensor(actions), torch.from_numpy(times[random.share(times)])

    def losses(
        prior: MapPrior, estimate: Callable[..., tuple[Tensor, Tensor]], batch: Batch, random: StepRandomness
    ) -> dict[str, Tensor]:
        """The squared error of D in units of what Wiener's denoiser leaves, weighted by that (see `weighted`)."""
        maps, actions, times = batch
        rows, known = torch.arange(len(maps), device=maps.device), times >= 0
        given = prior.nothing_given(len(maps))
        noisy = maps[rows, times] + recipe.given_noise * random.normal_like(maps[:, 0])
        given = Given(torch.where(known[:, None, None, None], noisy, given.maps), times)
        clean = prior.coefficients(maps, given)
        sigma = torch.exp(recipe.noise_mean + recipe.noise_std * random.normal(len(maps)))
        noise = random.normal_like(clean)
        estimated, c_out = estimate(clean + sigma.view(-1, 1, 1, 1, 1) * noise, sigma, actions, given)
        error = ((estimated.float() - clean).square() / c_out / c_out.mean((1, 2), keepdim=True)).mean((1, 2, 3, 4))
        parts = {"free": error[~known].mean(), "given": error[known].mean()}
        return {"denoising": error.mean()} | {name: value for name, value in parts.items() if value.isfinite()}

    def step(random: StepRandomness, batch: Batch) -> dict[str, Tensor]:
        network.train()
        value = losses(network, estimate, batch, random)["denoising"]
        run.update(value, wrapped, optimizer, max_norm=1.0)
        schedule.step()
        average.update_parameters(network)
        return {"denoising": value}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        smooth.eval()
        assert unseen is not None
        random = StepRandomness(recipe.seed, 0, device=fabric.device)  # the same windows and noise each time
        total: dict[str, list[float]] = {}
        for _ in range(8):
            maps, clips = unseen.windows(validation, 64, random)
            times = random.rng.integers(recipe.network.frames, size=64)
            times[:: 2 if given_share else 1] = -1
            labels = [validation.labels[clip] if recipe.network.num_classes else network.any_action for clip in clips]
            batch = tuple(x.to(fabric.device) for x in (maps, torch.tensor(labels), torch.from_numpy(times)))
            for name, value in losses(smooth, workspace.in_precision(smooth.estimate), batch, random).items():
                total.setdefault(name, []).append(value.item())
        return {name: sum(values) / len(values) for name, values in total.items()}

    run.loop(recipe.steps, draw, step, description="map prior", validate=validate if unseen else None)
    network.load_state_dict(smooth.state_dict())
    return network.eval(), run
