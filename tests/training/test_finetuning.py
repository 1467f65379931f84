"""Windows read from files, and fine-tuning on them: what is drawn, the first step, learning, stopping, resuming."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric

from stgan.checkpoints import Checkpoint, load_checkpoint
from stgan.checkpoints.checkpoint import weights_hash
from stgan.errors import StganError
from stgan.networks import C3D, LRCN, C3DConfig, Encoder, EncoderConfig, LRCNConfig, Preprocessing
from stgan.networks.preprocessing import Fit
from stgan.training import reading
from stgan.training.data import to_videos
from stgan.training.finetuning import (
    CHECKPOINT,
    Finetuned,
    FinetuningClips,
    FinetuningRecipe,
    Point,
    _for_fitted_clips,
    finetune,
    with_classes,
    with_new_head,
)
from stgan.training.randomness import StepRandomness
from stgan.training.reading import WindowReader, fitted, in_epochs
from stgan.training.run import TrainingRun, Workshop
from stgan.video import ClipFile, VideoError, read_video, write_video

COLOURS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 60, 40)}
PIXELS = Preprocessing(size=16, fit="c3d-tensorflow", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
RECIPE = FinetuningRecipe(
    iterations=45, every=15, batch_size=4, learning_rate=5e-3, head_learning_rate=1e-2, weight_decay=1e-4, seed=3
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> FinetuningClips:
    """Noisy clips of one colour each, of two sizes, 12 frames: 3 to train on, 1 to validate, 2 to test a class."""
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    found: dict[str, list[ClipFile]] = {"train": [], "val": [], "test": []}
    for label, colour in COLOURS.items():
        (root / label).mkdir()
        for number, split in enumerate(["train"] * 3 + ["val"] + ["test"] * 2):
            height, width = (18, 24) if number % 2 else (20, 20)
            noise = rng.integers(-30, 31, (12, height, width, 3))
            path = root / label / f"clip{number}.mp4"
            write_video(path, (np.array(colour) + noise).astype(np.uint8))
            found[split].append(ClipFile(path, label, f"{label}{number}", split))
    return FinetuningClips(tuple(COLOURS), *(tuple(found[split]) for split in ("train", "val", "test")))


@pytest.fixture(scope="module")
def initial() -> Checkpoint:
    """A tiny C3D of 7 other classes."""
    torch.manual_seed(0)
    config = C3DConfig(
        num_classes=7, stages=((6,), (12,)), hidden_sizes=(16,), frames=8, dropout=0.2, pad_last_pool=False,
        preprocessing=PIXELS,
    )  # fmt: skip
    network = C3D(config).eval().requires_grad_(False)
    return Checkpoint(network, tuple("abcdefg"), {"ancestors": {"older": "0" * 64}}, weights_hash(network.state_dict()))


@pytest.fixture
def shop(tmp_path: Path, fabric: Fabric) -> Workshop:
    return Workshop(fabric, tmp_path / "work")


def test_a_fixed_window_follows_from_the_seed_and_the_name(clips: FinetuningClips, tmp_path: Path) -> None:
    clip = clips.test[0]
    frames = read_video(clip.path).frames
    windows = {seed: WindowReader(8).fixed_window(clip, seed) for seed in range(12)}
    starts = {seed: [(frames[t : t + 8] == window).all() for t in range(5)] for seed, window in windows.items()}
    assert all(sum(found) == 1 for found in starts.values())
    assert len({found.index(True) for found in starts.values()}) > 2
    moved = ClipFile(tmp_path / clip.path.name, clip.label)
    shutil.copy(clip.path, moved.path)
    np.testing.assert_array_equal(WindowReader(8).fixed_window(moved, 5), windows[5])
    together = list(WindowReader(8).fixed_windows((clips.test[3], clip), 5))
    np.testing.assert_array_equal(together[1], windows[5])


def test_a_window_to_train_on_is_a_part_of_the_frames(clips: FinetuningClips) -> None:
    path = clips.train[1].path
    frames = read_video(path).frames
    parts = [WindowReader(8).window(path, np.random.default_rng(i), zoom=1.5, mirror=0.5) for i in range(12)]
    assert {part.shape for part in parts} == {(8, 12, 16, 3)}
    windows = np.lib.stride_tricks.sliding_window_view(frames, (8, 12, 16, 3))[..., 0, :, :, :, :]
    found = {
        (flipped, *map(int, place))
        for part in parts
        for flipped in (False, True)
        for place in np.argwhere((windows == (part[:, :, ::-1] if flipped else part)).all((-1, -2, -3, -4)))
    }
    assert len(found) > 6 and {flipped for flipped, *_ in found} == {False, True}
    assert all(len({place[axis] for place in found}) > 1 for axis in (1, 2, 3))
    assert WindowReader(8).window(path, np.random.default_rng(0), zoom=1.5, least=17).shape == (8, 17, 17, 3)
    np.testing.assert_array_equal(
        parts[3], WindowReader(8).window(path, np.random.default_rng(3), zoom=1.5, mirror=0.5)
    )


@pytest.mark.parametrize("length", [1, 5, 8, 12, 20])
def test_a_clip_that_is_known_is_read_in_part(
    clips: FinetuningClips, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[range | None] = []
    read = reading.read_video
    monkeypatch.setattr(reading, "read_video", lambda path, part=None: parts.append(part) or read(path, part=part))
    reader, path = WindowReader(length), clips.train[0].path
    for seed in range(4):
        known = reader.window(path, np.random.default_rng(seed), zoom=1.2)
        anew = WindowReader(length).window(path, np.random.default_rng(seed), zoom=1.2)
        assert len(known) == length
        np.testing.assert_array_equal(known, anew)
    assert parts[0] is None and all(part is not None and len(part) <= min(length, 12) for part in parts[2::2])


def test_a_clip_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("no clip")
    with pytest.raises(VideoError, match=r"clip\.mp4"):
        WindowReader(8).window(tmp_path / "clip.mp4", np.random.default_rng(0))


@given(count=st.integers(1, 9), batch=st.integers(1, 7), seed=st.integers(0, 99))
def test_an_epoch_takes_every_clip_once(count: int, batch: int, seed: int) -> None:
    steps = [in_epochs(count, step, batch, seed) for step in range(4 * count)]
    taken = [clip for step in steps for clip in step]
    for start in range(0, len(taken) - count + 1, count):
        assert sorted(taken[start : start + count]) == list(range(count))


def test_another_epoch_has_another_order() -> None:
    orders = {tuple(in_epochs(20, epoch, 20, seed)) for epoch in range(3) for seed in (0, 1)}
    assert len(orders) == 6


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("mean", ["volume", (0.4, 0.5, 0.6)])
def test_fitted_clips_are_what_the_network_would_see(initial: Checkpoint, fit: Fit, mean: object) -> None:
    config = replace(initial.network.config, preprocessing=replace(PIXELS, fit=fit, mean=mean))
    network = C3D(config).eval()
    if network.mean_volume is not None:
        network.mean_volume.uniform_(0, 1)
    fitting = C3D(_for_fitted_clips(config)).eval()
    fitting.load_state_dict(network.state_dict())
    windows = [
        torch.randint(0, 256, (8, height, width, 3), dtype=torch.uint8)
        for height, width in ((18, 24), (16, 16), (40, 17))
    ]
    with torch.no_grad():
        alone = torch.cat([network.log_probabilities(to_videos(window[None])) for window in windows])
        together = fitting.log_probabilities(fitted(windows, config.preprocessing))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_an_lrcn_is_fitted_in_its_frame_network() -> None:
    frame = EncoderConfig(
        channels=(4,) * 5, kernels=(3,) * 5, strides=(1,) * 5, paddings=(1,) * 5, groups=(1,) * 5, code_size=8,
        response_norm=False, preprocessing=replace(PIXELS, fit="stretch"),
    )  # fmt: skip
    network = LRCN(LRCNConfig(num_classes=5, frame=frame, lstm_size=6)).eval()
    config = with_classes(Checkpoint(network), 5)
    fitting = with_new_head(Checkpoint(network), config, 0).eval()
    fitting.load_state_dict(network.state_dict())
    window = torch.randint(0, 256, (4, 20, 30, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = network.log_probabilities(to_videos(window[None]))
        torch.testing.assert_close(fitting.log_probabilities(fitted([window], frame.preprocessing)), expected)
    with pytest.raises(StganError, match="Encoder is no classifier"):
        with_classes(Checkpoint(Encoder(frame)), 5)
    frame = replace(frame, preprocessing=replace(PIXELS, size=None))
    free = LRCNConfig(num_classes=5, frame=replace(frame, preprocessing=PIXELS), lstm_size=6)
    free_network = LRCN(free)
    free_network.config = replace(free, frame=frame)
    with pytest.raises(StganError, match="no fixed input size"):
        with_classes(Checkpoint(free_network), 5)


def test_only_the_last_layer_is_new(initial: Checkpoint) -> None:
    config = with_classes(initial, 3)
    first, same, other = (with_new_head(initial, config, seed).state_dict() for seed in (0, 0, 1))
    old = initial.network.state_dict()
    for name, value in first.items():
        assert torch.equal(value, same[name])
        assert name.startswith("fc8.") or (torch.equal(value, old[name]) and torch.equal(value, other[name]))
    assert first["fc8.weight"].shape == (3, 16) and not torch.equal(first["fc8.weight"], other["fc8.weight"])
    assert first["fc8.weight"].abs().max() <= (6 / 19) ** 0.5 and not first["fc8.bias"].any()


def test_the_first_step_is_that_of_adam(initial: Checkpoint, clips: FinetuningClips, shop: Workshop) -> None:
    still = Checkpoint(C3D(replace(initial.network.config, dropout=0.0)).eval(), hash=initial.hash)
    recipe = replace(RECIPE, iterations=1, every=1, weight_decay=0.3)
    finetune(still, clips, recipe, shop)
    after = torch.load(shop.folder / "state.pt", weights_only=True)["state"]["network"]

    network = with_new_head(still, with_classes(still, 3), recipe.seed)
    random = StepRandomness(recipe.seed, 0)
    seeds = random.rng.integers(2**63, size=4)
    chosen = [clips.train[i] for i in in_epochs(9, 0, 4, recipe.seed)]
    windows = [
        torch.from_numpy(
            WindowReader(8).window(clip.path, np.random.default_rng(int(seed)), zoom=recipe.zoom, mirror=recipe.mirror)
        )
        for clip, seed in zip(chosen, seeds, strict=True)
    ]
    labels = torch.tensor([list(COLOURS).index(clip.label) for clip in chosen])
    kernels = [value for value in network.parameters() if value.ndim > 1]
    decay = sum(0.15 * kernel.square().sum() for kernel in kernels)
    (F.cross_entropy(network(fitted(windows, PIXELS)), labels) + decay).backward()
    for name, value in network.named_parameters():
        gradient = value.grad
        assert gradient is not None
        rate = 1e-2 if name.startswith("fc8.") else 5e-3
        expected = value.detach() - rate * gradient / (gradient.abs() + 1e-8)  # both moments are corrected to these
        unclear = gradient.abs() < 1e-6  # their sign is a matter of rounding
        torch.testing.assert_close(after[name][~unclear], expected[~unclear], atol=1e-5, rtol=0)
        assert unclear.float().mean() < 0.5 or not name.startswith("fc8")


@pytest.fixture(scope="module")
def finished(
    initial: Checkpoint, clips: FinetuningClips, fabric: Fabric, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Finetuned]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, finetune(initial, clips, RECIPE, Workshop(fabric, folder))


def test_it_learns_and_keeps_what_it_chose(
    finished: tuple[Path, Finetuned], initial: Checkpoint, clips: FinetuningClips
) -> None:
    folder, found = finished
    assert [point.iteration for point in found.curve] == [15, 30, 45]
    assert found.best_on_test.test >= 5 / 6
    kept = load_checkpoint(folder / CHECKPOINT)
    assert kept.actions == tuple(COLOURS) and kept.network.config.preprocessing == PIXELS
    assert kept.ancestors == {"older": "0" * 64, "fine-tuned from": initial.hash}
    assert kept.provenance["figures"]["iteration"] == found.chosen.iteration
    right = 0
    for clip in clips.test:
        window = torch.from_numpy(WindowReader(8).fixed_window(clip, RECIPE.seed))
        right += kept.network.log_probabilities(to_videos(window[None])).argmax().item() == list(COLOURS).index(
            clip.label
        )
    assert right / 6 == found.chosen.test
    assert {"loss", "accuracy"} <= set((folder / "log.csv").read_text().splitlines()[0].split(","))


def test_an_interrupted_run_equals_an_uninterrupted_one(
    finished: tuple[Path, Finetuned], initial: Checkpoint, clips: FinetuningClips, shop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder, found = finished
    take_step = TrainingRun._take_step

    def killed(self: TrainingRun, *arguments: object) -> object:
        if self.step == 20:
            self.save()
        if self.step == 35:  # after an evaluation that the saved state knows nothing of
            raise RuntimeError("killed")
        return take_step(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingRun, "_take_step", killed)
    with pytest.raises(RuntimeError, match="killed"):
        finetune(initial, clips, RECIPE, shop)
    monkeypatch.undo()
    assert finetune(initial, clips, RECIPE, shop) == found
    assert finetune(initial, clips, RECIPE, shop) == found  # nothing is left to do
    states = [torch.load(each / "state.pt", weights_only=True)["state"]["network"] for each in (folder, shop.folder)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    names = ("model.safetensors", "config.json", "README.md")
    for name in names:
        assert (folder / CHECKPOINT / name).read_bytes() == (shop.folder / CHECKPOINT / name).read_bytes()
    assert (folder / "validation.csv").read_text() == (shop.folder / "validation.csv").read_text()


def test_the_first_of_the_best_is_chosen() -> None:
    curve = (Point(1, 0.5, 0.25), Point(2, 0.25, 0.75), Point(3, 0.75, 0.75), Point(4, 0.75, 0.5))
    found = Finetuned("", curve, "validation", 4)
    assert found.chosen.iteration == 2 and found.best_on_test.iteration == 3
    assert replace(found, stop_on="test").chosen.iteration == 3
    low, high = found.interval(found.chosen)
    assert 0 < low < 0.25 < high < 1


def test_clips_that_are_lacking(initial: Checkpoint, clips: FinetuningClips, shop: Workshop) -> None:
    for lacking in ({"train": ()}, {"test": ()}, {"validation": ()}):
        with pytest.raises(StganError, match="needs clips"):
            finetune(initial, replace(clips, **lacking), RECIPE, shop)


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": 500}, {"every": 0}, {"batch_size": 0}, {"zoom": 0.5}, {"zoom": float("nan")}, {"mirror": 2.0},
        {"validation_share": 0.0}, {"stop_on": "training"},
    ],
)  # fmt: skip
def test_recipes_that_are_wrong(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(FinetuningRecipe(), **wrong)  # type: ignore[arg-type]


def test_batches_of_several_sizes_are_shared_out(clips: FinetuningClips) -> None:
    sizes = Counter(read_video(clip.path).frames.shape[1:3] for clip in clips.train)
    assert set(sizes) == {(20, 20), (18, 24)}
