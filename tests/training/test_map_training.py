"""Training of the map codec and of the map priors: what they learn from, that they learn, and that they resume."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from stgan.checkpoints.checkpoint import CheckpointError, save_checkpoint
from stgan.networks import AlexNet, Encoder, MapCodec, MapDiscriminator, MapPrior
from stgan.training.clip_data import ClipData, to_images
from stgan.training.map_codec_training import codec_error, cropped, train_map_codec
from stgan.training.map_prior_training import (
    MapPriorRecipe,
    MapSequences,
    fit_statistics,
    map_sequences,
    train_map_prior,
)
from stgan.training.recipes import Recipes, load_recipes
from stgan.training.run import TrainingRun, Workspace
from stgan.training.step_randomness import StepRandomness


@pytest.fixture(scope="module")
def every(recipes: Path) -> Recipes:
    return load_recipes(recipes, 3)


@pytest.fixture(scope="module")
def recipe(every: Recipes) -> MapPriorRecipe:
    return every.clip_prior


@pytest.fixture(scope="module")
def comparator(every: Recipes) -> Encoder:
    torch.manual_seed(0)
    return AlexNet(every.encoder.network).eval()


@pytest.fixture(scope="module")
def nothing(data: ClipData) -> ClipData:
    return data.select([False] * 9)


@pytest.fixture(scope="module")
def codec(every: Recipes, data: ClipData) -> MapCodec:
    """What maps are; untrained but for their linear part, which does for learning how they follow each other."""
    torch.manual_seed(0)
    codec = MapCodec(every.map_codec.network)
    codec.start_from_principal_components(images for images, _ in data.frame_batches(most=180))
    return codec.eval()


@torch.no_grad()
def maps_of(codec: MapCodec, frames: np.ndarray) -> Tensor:
    return codec.encoder(to_images(torch.from_numpy(frames.copy())))


def each(sequences: MapSequences) -> list[Tensor]:
    """The maps of the clips, one by one: versions, time, channels, grid, grid."""
    ends = [*sequences.first[1:], len(sequences.maps)]
    parts = [sequences.maps[first:end] for first, end in zip(sequences.first, ends, strict=True)]
    return [torch.from_numpy(part.astype(np.float32)).unflatten(0, (sequences.versions, -1)) for part in parts]


def test_crops() -> None:
    frames = torch.randint(0, 256, (3, 9, 12, 3), dtype=torch.uint8)
    corners = [(0, 0), (3, 5), (5, 8)]
    parts = cropped(frames, corners, 4)
    assert parts.shape == (3, 4, 4, 3)
    for part, frame, (top, left) in zip(parts, frames, corners, strict=True):
        assert torch.equal(part, frame[top : top + 4, left : left + 4])
    assert torch.equal(cropped(frames[..., 0], corners, 4), parts[..., 0])  # as what moves is
    assert cropped(frames, corners, 0) is frames


def test_the_codec_learns_to_draw_what_it_sees(
    every: Recipes, comparator: Encoder, data: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    recipe = replace(every.map_codec, steps=100, learning_rate=2e-3, ema=0.9)
    unseen = data.select([number % 3 == 2 for number in range(9)])
    seen = data.select([number % 3 != 2 for number in range(9)])
    codec, run = train_map_codec(recipe, comparator, seen, unseen, Workspace(fabric, tmp_path))
    assert run.step == 100 and not any(module.training for module in codec.modules())
    linear = MapCodec(recipe.network)
    linear.start_from_principal_components(images for images, _ in seen.frame_batches(most=512))
    before = codec_error(linear, unseen, most=60)
    after = codec_error(codec, unseen, most=60)
    assert after > before + 0.1
    validation = np.genfromtxt(tmp_path / "validation.csv", delimiter=",", names=True)
    assert validation["psnr"][-1] == pytest.approx(after, abs=0.1) and validation["psnr"][0] < after
    log = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    assert set(log.dtype.names) == {"step", "seconds", "img", "feat", "adv", "discr", "paused"}
    assert log["img"][-1] < log["img"][0] and log["paused"][0] == 1 and log["discr"][-1] > 0
    assert (tmp_path / "step_000100.png").is_file()

    frames = next(unseen.frame_batches(most=60))[0]
    with torch.no_grad():
        drawn, codes = codec(frames)
    mse = ((drawn.clamp(0, 1) - frames) ** 2).mean((1, 2, 3)).numpy()
    assert after == pytest.approx(np.mean(-10 * np.log10(mse)), abs=1e-3)
    assert codes.mean().abs() < 0.3 and 0.7 < codes.std() < 1.4


@pytest.mark.parametrize(("share", "calls"), [(0.0, 40), (0.5, 20), (1.0, 0)])
def test_crops_are_trained_on_and_the_discriminator_waits_for_its_turn(
    every: Recipes,
    comparator: Encoder,
    data: ClipData,
    nothing: ClipData,
    tmp_path: Path,
    fabric: Fabric,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
    calls: int,
) -> None:
    judged, drawn = [], set()
    log_probability, forward = MapDiscriminator.log_probability, MapCodec.forward

    def counted(self: MapDiscriminator, images: Tensor, codes: Tensor) -> Tensor:
        judged.append(codes.shape)
        return log_probability(self, images, codes)

    def spied(self: MapCodec, images: Tensor, *noise: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        drawn.add((self.training, *images.shape))
        return forward(self, images, *noise)

    monkeypatch.setattr(MapDiscriminator, "log_probability", counted)
    monkeypatch.setattr(MapCodec, "forward", spied)
    recipe = replace(every.map_codec, crop=8, adversarial_from=share)
    train_map_codec(recipe, comparator, data, nothing, Workspace(fabric, tmp_path))
    assert drawn == {(True, 12, 3, 8, 8), (False, 16, 3, 16, 16)}  # pictures are of whole frames
    assert len(judged) == calls and set(judged) <= {(12, 3, 2, 2), (24, 3, 2, 2)}


def test_versions_are_the_clip_its_shifts_and_mirror_images_of_both(
    recipe: MapPriorRecipe, codec: MapCodec, data: ClipData, tmp_path: Path
) -> None:
    some = data.select([number % 4 == 0 for number in range(9)])
    plain = each(map_sequences(codec, some, replace(recipe, copies=3, shift=2, mirror=False), tmp_path))
    both = each(map_sequences(codec, some, replace(recipe, copies=3, shift=2, mirror=True), tmp_path))
    for clip, versions, mirrored in zip(some.clips, plain, both, strict=True):
        assert versions.shape == (3, 20, 3, 4, 4) and mirrored.shape == (6, 20, 3, 4, 4)
        torch.testing.assert_close(versions[0], maps_of(codec, clip), atol=5e-3, rtol=2e-3)
        torch.testing.assert_close(mirrored[::2], versions)
        torch.testing.assert_close(mirrored[1], maps_of(codec, clip[:, :, ::-1]), atol=5e-3, rtol=2e-3)
        padded = np.pad(clip, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
        moves = [maps_of(codec, padded[:, y : y + 16, x : x + 16]) for y in range(5) for x in range(5)]
        for version in versions:
            assert min((version - moved).abs().max() for moved in moves) < 1e-2
    drawn = torch.stack([versions[1:] - versions[:1] for versions in plain])
    assert drawn.abs().flatten(2).amax(2).count_nonzero() > 3  # most versions are moved


def test_maps_are_encoded_once_into_a_file_in_half_precision(
    every: Recipes, codec: MapCodec, data: ClipData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = every.clip_prior, tmp_path / "maps"
    first = map_sequences(codec, data, recipe, folder)
    (file,) = folder.iterdir()
    assert np.load(file).dtype == np.float16 == first.maps.dtype and np.load(file).shape == (9 * 2 * 20, 3, 4, 4)
    in_memory = map_sequences(codec, data, recipe, None)
    assert np.array_equal(first.maps, in_memory.maps) and list(tmp_path.iterdir()) == [folder]
    forward = type(codec.encoder).forward
    monkeypatch.setattr(type(codec.encoder), "forward", lambda *arguments: pytest.fail("frames are encoded again"))
    of_frames = replace(data, length=1)  # the frame prior learns from the same maps
    for again in (map_sequences(codec, data, replace(recipe, steps=999, learning_rate=0.1), folder),
                  map_sequences(codec, of_frames, every.frame_prior, folder)):  # fmt: skip
        assert np.array_equal(first.maps, again.maps) and len(list(folder.iterdir())) == 1
    monkeypatch.setattr(type(codec.encoder), "forward", forward)
    other = MapCodec(codec.config).eval()
    for changed in (
        (codec, data, replace(recipe, shift=2)),
        (codec, data.select([True] * 8 + [False]), recipe),
        (other, data, recipe),
    ):
        before = len(list(folder.iterdir()))
        map_sequences(*changed, folder)
        assert len(list(folder.iterdir())) == before + 1


def test_windows_are_of_every_version_and_shared_out_among_processes(
    recipe: MapPriorRecipe, codec: MapCodec, data: ClipData, tmp_path: Path
) -> None:
    sequences = map_sequences(codec, data, recipe, None)
    windows, clips = sequences.windows(data, 24, StepRandomness(0, 1))
    assert windows.dtype == torch.float32
    maps, seen = each(sequences), set()
    for window, clip in zip(windows, clips, strict=True):
        places = [
            (version, start)
            for version in range(2)
            for start in range(5)
            if torch.equal(maps[clip][version, start : start + 16], window)
        ]
        assert places
        seen.update(places)
    assert len({version for version, _ in seen}) == 2 and len({start for _, start in seen}) > 2
    assert {data.labels[clip] for clip in clips} == {0, 1, 2}
    halves = [sequences.windows(data, 24, StepRandomness(0, 1, rank, 2)) for rank in (0, 1)]
    assert torch.equal(torch.cat([half[0] for half in halves]), windows)
    assert halves[0][1] + halves[1][1] == clips
    frames, _ = sequences.windows(replace(data, length=1), 6, StepRandomness(0, 1))
    assert frames.shape == (6, 1, 3, 4, 4)


@torch.no_grad()
def test_statistics_are_the_variances_of_coefficients(recipe: MapPriorRecipe) -> None:
    prior = MapPrior(recipe.network)
    random = torch.Generator().manual_seed(0)
    windows = 2 + torch.randn(50, 1, 3, 4, 4, generator=random) + torch.randn(50, 16, 3, 4, 4, generator=random) / 3
    fit_statistics(prior, windows, np.random.default_rng(5))
    h, times = windows.double().numpy(), np.random.default_rng(5).integers(16, size=50)
    np.testing.assert_allclose(prior.mean.numpy(), h.mean((0, 1)), rtol=1e-4)
    for number, center in enumerate((h.mean((0, 1)), h[np.arange(50), times][:, None])):
        coefficients = scipy.fft.dctn(h - center, axes=(1, 3, 4), norm="ortho")
        expected = np.maximum((coefficients**2).mean(0), 1e-6)
        np.testing.assert_allclose(prior.variance[number].numpy(), expected, rtol=1e-3, atol=1e-5)
    assert prior.variance[0, 0].mean() > 10 * prior.variance[1, 1:].mean()


@pytest.mark.parametrize("stage", ["frame_prior", "clip_prior"])
def test_a_prior_learns_more_than_wiener_knows(
    every: Recipes, codec: MapCodec, data: ClipData, tmp_path: Path, fabric: Fabric, stage: str
) -> None:
    """With which it starts, and which knows variances alone."""
    recipe = every.stages[stage]
    assert isinstance(recipe, MapPriorRecipe)
    recipe = replace(
        recipe, network=replace(recipe.network, widths=(16,), dropout=0.0), steps=150, learning_rate=0.005, ema=0.9
    )
    unseen = data.select([number % 3 == 2 for number in range(9)])
    seen = data.select([number % 3 != 2 for number in range(9)])
    prior, run = train_map_prior(recipe, codec, seen, unseen, Workspace(fabric, tmp_path))
    assert run.step == 150 and not any(module.training for module in prior.modules())
    validation = np.genfromtxt(tmp_path / "validation.csv", delimiter=",", names=True)
    given = {"given"} if stage == "clip_prior" else set()  # a single frame is not given to itself
    assert len(validation) == 10 and set(validation.dtype.names) == {"step", "denoising", "free", *given}
    assert np.isfinite(validation["denoising"]).all()
    assert validation["denoising"][-1] < 0.98 * validation["denoising"][0]

    fitted = MapPrior(recipe.network)
    windows = map_sequences(codec, seen, recipe, None).windows
    randomness = StepRandomness(recipe.seed, 0)
    with torch.no_grad():
        fit_statistics(
            fitted, windows(replace(seen, length=recipe.network.frames), 2048, randomness)[0], randomness.rng
        )
    assert torch.equal(prior.mean, fitted.mean) and torch.equal(prior.variance, fitted.variance)  # not learned


@pytest.mark.parametrize(
    ("change", "embedding", "untouched"),
    [
        ({"unconditional": 1.0}, "action", slice(0, 3)),
        ({"unconditional": 0.0}, "action", slice(3, 4)),
        ({"given": 0.0}, "since", slice(0, 31)),
        ({"given": 1.0}, "since", slice(31, 32)),
    ],
    ids=str,
)
def test_only_what_is_told_is_learned(
    recipe: MapPriorRecipe,
    codec: MapCodec,
    data: ClipData,
    nothing: ClipData,
    tmp_path: Path,
    fabric: Fabric,
    change: dict[str, float],
    embedding: str,
    untouched: slice,
) -> None:
    changed = replace(recipe, **change, steps=20, batch_size=48, weight_decay=0.0, learning_rate=0.01, ema=0.0)  # type: ignore[arg-type]
    prior, _ = train_map_prior(changed, codec, data, nothing, Workspace(fabric, tmp_path))
    torch.manual_seed(changed.seed)
    before, after = (getattr(each, embedding).weight for each in (MapPrior(changed.network), prior))
    moved = (after - before).abs().amax(1) > 1e-4
    assert torch.equal(after[untouched], before[untouched])
    rest = torch.ones(len(before), dtype=torch.bool)
    rest[untouched] = False
    assert moved[rest].all()


def train(
    stage: str, every: Recipes, comparator: Encoder, codec: MapCodec, data: ClipData, workspace: Workspace
) -> tuple[nn.Module, TrainingRun]:
    nothing = data.select([False] * len(data.clips))
    if stage == "map_codec":
        return train_map_codec(every.map_codec, comparator, data, nothing, workspace)
    return train_map_prior(every.clip_prior, codec, data, nothing, workspace)


@pytest.mark.parametrize("stage", ["map_codec", "clip_prior"])
def test_interrupted_training_equals_an_uninterrupted_one(
    every: Recipes,
    comparator: Encoder,
    codec: MapCodec,
    data: ClipData,
    tmp_path: Path,
    fabric: Fabric,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    whole, _ = train(stage, every, comparator, codec, data, Workspace(fabric, tmp_path / "whole"))
    take_step = TrainingRun._take_step

    def interrupted(self: TrainingRun, *rest: object) -> object:
        if self.step == 14:
            os.kill(os.getpid(), signal.SIGINT)
        return take_step(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingRun, "_take_step", interrupted)
    parts = Workspace(fabric, tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        train(stage, every, comparator, codec, data, parts)
    monkeypatch.undo()
    assert torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["step"] == 15
    resumed, run = train(stage, every, comparator, codec, data, parts)
    assert run.step == 20
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name

    before = (tmp_path / "parts" / "state.pt").read_bytes()
    torch.manual_seed(9)
    others = AlexNet(every.encoder.network).eval(), MapCodec(codec.config).eval()
    train(stage, every, *others, data, parts)  # of other codes: the state is set aside
    assert (tmp_path / "parts" / "state.previous.pt").read_bytes() == before


def test_starting_from_trained_weights(
    recipe: MapPriorRecipe, codec: MapCodec, data: ClipData, nothing: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    """Where they are, at a learning rate at which they cannot move; of another size, they are refused."""
    first, _ = train_map_prior(recipe, codec, data, nothing, Workspace(fabric, tmp_path / "first"))
    save_checkpoint(tmp_path / "prior", first, half=False)
    still = replace(recipe, initial=str(tmp_path / "prior"), learning_rate=1e-9)
    second, _ = train_map_prior(still, codec, data, nothing, Workspace(fabric, tmp_path / "second"))
    for mine, theirs in zip(second.parameters(), first.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
    wider = replace(still, network=replace(recipe.network, embedding=2 * recipe.network.embedding))
    with pytest.raises(CheckpointError, match="belong to another network"):
        train_map_prior(wider, codec, data, nothing, Workspace(fabric, tmp_path / "third"))
    save_checkpoint(tmp_path / "codec", codec)
    with pytest.raises(CheckpointError, match="holds MapCodec, which is no map prior"):
        train_map_prior(
            replace(still, initial=str(tmp_path / "codec")),
            codec,
            data,
            nothing,
            Workspace(fabric, tmp_path / "fourth"),
        )


def test_few_steps_are_timed(
    every: Recipes, comparator: Encoder, codec: MapCodec, data: ClipData, tmp_path: Path, fabric: Fabric
) -> None:
    for stage in ("map_codec", "clip_prior"):
        _, run = train(stage, every, comparator, codec, data, Workspace(fabric, tmp_path, probe=3))
        assert run.pace.seconds > 0 and run.pace.fed > 0 and not list(tmp_path.iterdir())
