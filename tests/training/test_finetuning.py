"""Fine-tuning on clips in files: what is drawn, the first step, learning rates, learning, stopping, resuming."""

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import Tensor, nn

from stgan.checkpoints.checkpoint import Checkpoint, load_checkpoint, weights_hash
from stgan.errors import StganError
from stgan.networks import C3D, LRCN, AlexNet, AlexNetConfig, C3DConfig, LRCNConfig, Preprocessing
from stgan.networks.preprocessing import Fit
from stgan.records import as_plain, checked
from stgan.training.clip_data import to_videos
from stgan.training.finetuning import (
    CHECKPOINT,
    ORDINARY,
    CurvePoint,
    Finetuned,
    FinetuningClips,
    FinetuningRecipe,
    _drawn,
    _for_fitted_clips,
    finetune,
    read_curve,
    with_classes,
    with_new_head,
)
from stgan.training.logs import Log
from stgan.training.reading import WindowReader, fitted, in_epochs
from stgan.training.run import TrainingRun, Workspace
from stgan.training.step_randomness import StepRandomness
from stgan.video import ClipFile

KINDS = ("real", "generated")
PIXELS = Preprocessing(size=16, fit="c3d-tensorflow", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
RECIPE = FinetuningRecipe(
    iterations=45, every=15, batch_size=4, learning_rate=5e-3, head_learning_rate=1e-2, weight_decay=1e-4,
    schedule="one_cycle", windows=2, seed=3,
)  # fmt: skip


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
def shop(tmp_path: Path, fabric: Fabric) -> Workspace:
    return Workspace(fabric, tmp_path / "work")


def test_fitted_clips_are_what_the_network_would_see(initial: Checkpoint) -> None:
    for mean in ("volume", (0.4, 0.5, 0.6)):
        for fit in get_args(Fit):
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
    frame = AlexNetConfig(
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
    with pytest.raises(StganError, match="AlexNet is no classifier"):
        with_classes(Checkpoint(AlexNet(frame)), 5)
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


def test_the_first_step_is_that_of_adam(initial: Checkpoint, clips: FinetuningClips, shop: Workspace) -> None:
    still = Checkpoint(C3D(replace(initial.network.config, dropout=0.0)).eval(), hash=initial.hash)
    recipe = replace(RECIPE, schedule="constant", iterations=1, every=1, weight_decay=0.3)
    finetune(still, clips, recipe, shop)
    after = torch.load(shop.folder / "state.pt", weights_only=True)["state"]["network"]

    network = with_new_head(still, with_classes(still, 3), recipe.seed)
    random = StepRandomness(recipe.seed, 0)
    seeds = random.rng.integers(2**63, size=4)
    chosen = [clips.train[i] for i in in_epochs(9, 0, 4, recipe.seed)]
    windows = [
        torch.from_numpy(WindowReader(8).window(clip.path, np.random.default_rng(int(seed)), crop=8 / 7))
        for clip, seed in zip(chosen, seeds, strict=True)
    ]
    videos = ORDINARY(fitted(windows, PIXELS), random)
    labels = torch.tensor([list(clips.actions).index(clip.label) for clip in chosen])
    kernels = [value for value in network.parameters() if value.ndim > 1]
    decay = sum(0.15 * kernel.square().sum() for kernel in kernels)
    (F.cross_entropy(network(videos), labels) + decay).backward()
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
    return folder, finetune(initial, clips, RECIPE, Workspace(fabric, folder))


def test_it_learns_and_keeps_what_it_chose(
    finished: tuple[Path, Finetuned], initial: Checkpoint, clips: FinetuningClips
) -> None:
    folder, found = finished
    assert [point.iteration for point in found.curve] == [15, 30, 45]
    assert found.best_on_test.test >= 5 / 6
    kept = load_checkpoint(folder / CHECKPOINT)
    assert kept.actions == clips.actions and kept.network.config.preprocessing == PIXELS
    assert kept.ancestors == {"older": "0" * 64, "fine-tuned from": initial.hash}
    assert kept.provenance["figures"]["iteration"] == found.chosen.iteration
    for some, figure in ((clips.test, found.chosen.test), (clips.validation, found.chosen.validation)):
        right = [
            clips.actions[kept.network.log_probabilities(to_videos(torch.from_numpy(window)[None])).argmax()]
            == clip.label
            for clip in some
            for number in range(2)
            for window in [WindowReader(8).fixed_window(clip, RECIPE.seed, number)]
        ]
        assert sum(right) / len(right) == figure
    assert {"loss", "accuracy"} <= set((folder / "log.csv").read_text().splitlines()[0].split(","))


def test_an_interrupted_run_equals_an_uninterrupted_one(
    finished: tuple[Path, Finetuned], initial: Checkpoint, clips: FinetuningClips, shop: Workspace,
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


def test_of_equals_the_last_is_chosen() -> None:
    curve = (CurvePoint(1, 0.5, 0.25), CurvePoint(2, 0.25, 0.75), CurvePoint(3, 0.75, 0.75), CurvePoint(4, 0.75, 0.5))
    found = Finetuned("", curve, "validation", 4)
    assert found.chosen.iteration == 3 and found.best_on_test.iteration == 3
    assert replace(found, stop_on="test").chosen.iteration == 4
    low, high = found.interval(found.chosen)
    assert 0 < low < 0.75 < high < 1


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_learning_rates(
    schedule: str, initial: Checkpoint, clips: FinetuningClips, shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[set[float]] = []
    update = TrainingRun.update

    def noted(
        self: TrainingRun, loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer, max_norm: float
    ) -> None:
        rates.append({group["lr"] for group in optimizer.param_groups})
        assert max_norm == 2.5
        update(self, loss, network, optimizer, max_norm)

    monkeypatch.setattr(TrainingRun, "update", noted)
    finetune(initial, clips, replace(RECIPE, iterations=20, every=20, windows=1, schedule=schedule, max_norm=2.5), shop)
    # A fifth of the steps from 1/25 to 1, the others down to 1/250,000, both along half a cosine: step 3 is the top.
    rise = [1 / 25 + (1 - 1 / 25) * np.sin(np.pi * step / 6) ** 2 for step in range(4)]
    fall = [4e-6 + (1 - 4e-6) * np.cos(np.pi * step / 32) ** 2 for step in range(1, 17)]
    parts = rise + fall if schedule == "one_cycle" else [1] * 20
    for part, found in zip(parts, rates, strict=True):
        assert sorted(found) == pytest.approx([5e-3 * part, 1e-2 * part], rel=1e-9)


def named(kind: str, count: int) -> tuple[ClipFile, ...]:
    return tuple(ClipFile(Path(f"{kind}{i}.mp4"), "a") for i in range(count))


@given(
    real=st.integers(1, 9), generated=st.integers(1, 9), batch=st.integers(2, 10), share=st.floats(0, 0.99),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_real_and_generated_clips_share_each_batch(
    real: int, generated: int, batch: int, share: float, seed: int
) -> None:
    assume(share == 0 or 0 < round(share * batch) < batch)
    recipe = FinetuningRecipe(batch_size=batch, real_share=share, seed=seed)
    both = FinetuningClips(("a",), named("real", real), named("made", generated), (), ())
    steps = [[both.train[clip] for clip in _drawn(both, step, recipe)] for step in range(20)]
    assert {len(taken) for taken in steps} == {batch}
    of = {kind: [[clip for clip in taken if clip in getattr(both, kind)] for taken in steps] for kind in KINDS}
    if share:
        assert {len(taken) for taken in of["real"]} == {round(share * batch)}
        for kind in KINDS:  # each kind has epochs of its own
            every = [clip for taken in of[kind] for clip in taken]
            count = len(getattr(both, kind))
            assert all(len({*every[i : i + count]}) == count for i in range(0, len(every) - count + 1, count))
    for kind in KINDS:  # of one kind alone, the share says nothing
        alone = replace(both, **{other: () for other in KINDS if other != kind})
        assert _drawn(alone, 3, recipe) == in_epochs(len(alone.train), 3, batch, seed)
    if not share:
        assert _drawn(both, 3, recipe) == in_epochs(real + generated, 3, batch, seed)


@settings(max_examples=25)
@given(st.integers(1, 4000), st.integers(1, 9), st.data())
def test_accuracies_are_exact_again_when_they_are_read(count: int, windows: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, count * windows))
    some = named("test", 1) * count
    clips = FinetuningClips(("a",), some[:1], (), some[:3], some)
    with TemporaryDirectory() as folder:
        with Log(Path(folder), 0) as log:
            log.validation(7, {"test": right / (count * windows), "validation": 1 / 3})
        (point,) = read_curve(Path(folder), replace(clips, validation=named("val", 3)), windows)
    assert point == CurvePoint(7, right / (count * windows), 1 / 3)


def test_another_configuration_of_the_same_weights_is_another_training(
    finished: tuple[Path, Finetuned], initial: Checkpoint, clips: FinetuningClips, shop: Workspace,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(finished[0], shop.folder)
    pixels = replace(PIXELS, std=(0.5, 0.5, 0.5))
    network = C3D(replace(initial.network.config, preprocessing=pixels)).eval()
    network.load_state_dict(initial.network.state_dict())
    other = replace(initial, network=network)
    assert finetune(other, clips, RECIPE, shop).curve[-1].iteration == 45
    assert "starts again" in capsys.readouterr().out


def test_clips_that_are_lacking(initial: Checkpoint, clips: FinetuningClips, shop: Workspace) -> None:
    for lacking in ({"real": ()}, {"test": ()}, {"validation": ()}):
        with pytest.raises(StganError, match="needs clips"):
            finetune(initial, replace(clips, **lacking), RECIPE, shop)


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": 500}, {"every": 0}, {"batch_size": 0}, {"crop": 0.5}, {"crop": float("nan")}, {"crop": 1e9},
        {"validation_share": 0.0}, {"stop_on": "training"}, {"schedule": "linear"}, {"windows": 0},
        {"real_share": 1.0}, {"real_share": 0.01}, {"real_share": 0.96}, {"real_share": float("nan")},
        {"learning_rate": 0.0}, {"head_learning_rate": -1.0},
    ],
)  # fmt: skip
def test_recipes_that_are_wrong(wrong: dict[str, object]) -> None:
    assert checked(FinetuningRecipe, as_plain(FinetuningRecipe())) == FinetuningRecipe()
    with pytest.raises(ValueError):
        checked(FinetuningRecipe, as_plain(FinetuningRecipe()) | wrong)
