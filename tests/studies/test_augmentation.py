"""The augmentation experiment on made clips: three arms alike but for their clips, nothing that judges trained on."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric
from PIL import Image

from stgan.checkpoints import Checkpoint, load_checkpoint
from stgan.checkpoints.checkpoint import weights_hash
from stgan.errors import StganError
from stgan.networks import C3D, C3DConfig, Preprocessing
from stgan.scoring import Clip
from stgan.studies import augmentation
from stgan.studies.augmentation import ARMS, AugmentationResult, hold_out, run_augmentation
from stgan.training.finetuning import FinetuningClips, FinetuningRecipe
from stgan.training.run import TrainingRun
from stgan.video import ClipFile, write_video
from stgan.video.decoding import inspect_clip

COLOURS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 60, 40)}
RECIPE = FinetuningRecipe(
    iterations=30, every=15, batch_size=4, learning_rate=5e-3, head_learning_rate=1e-2, validation_share=0.3, seed=1
)


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("augmentation")


def write_clip(path: Path, label: str, rng: np.random.Generator, size: tuple[int, int], spread: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, (np.array(COLOURS[label]) + rng.integers(-spread, spread + 1, (10, *size, 3))).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def real(root: Path) -> list[ClipFile]:
    """Of each colour three groups of two clips to train on, and one to test on."""
    rng = np.random.default_rng(0)
    return [
        ClipFile(
            write_clip(root / "real" / label / f"g{group}_c{number}.mp4", label, rng, (24, 32), 35),
            label, f"{label}_g{group}", "test" if group == 0 else "train",
        )
        for label in COLOURS for group in range(4) for number in range(2)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def generated(root: Path) -> list[Clip]:
    rng = np.random.default_rng(1)
    return [
        Clip(write_clip(root / "generated" / name, label, rng, (20, 20), 20), name, label)
        for label in COLOURS for number in range(2) for name in [f"{label}/{number}.mp4"]
    ]  # fmt: skip


@pytest.fixture(scope="module")
def initial() -> Checkpoint:
    torch.manual_seed(0)
    config = C3DConfig(
        num_classes=7, stages=((6,), (12,)), hidden_sizes=(16,), frames=8, dropout=0.2, pad_last_pool=False,
        preprocessing=Preprocessing(size=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
    )  # fmt: skip
    network = C3D(config).eval().requires_grad_(False)
    return Checkpoint(network, hash=weights_hash(network.state_dict()))


@pytest.fixture(scope="module")
def result(
    initial: Checkpoint, real: list[ClipFile], generated: list[Clip], root: Path, fabric: Fabric
) -> AugmentationResult:
    return run_augmentation(initial, real, generated, RECIPE, root / "out", fabric)


def test_the_arms_differ_in_their_clips_alone(result: AugmentationResult) -> None:
    assert [arm.name for arm in result.arms] == list(ARMS)
    assert len({arm.start for arm in result.arms}) == 1
    assert {arm.name: arm.clips for arm in result.arms} == {"generated": 6, "real": 12, "both": 18}
    assert result.validation_clips == 6 and result.test_clips == 6
    for arm in result.arms:
        assert [point.iteration for point in arm.curve] == [15, 30]
        assert arm.chosen in arm.curve and arm.best_on_test.test == max(point.test for point in arm.curve)
        low, high = arm.interval
        assert low <= arm.chosen.test <= high
    assert result.gain == result.arm("both").chosen.test - result.arm("real").chosen.test


def test_every_arm_learns_what_can_be_told_apart(result: AugmentationResult) -> None:
    assert all(arm.best_on_test.test >= 5 / 6 for arm in result.arms)


def test_what_is_written(result: AugmentationResult, root: Path) -> None:
    record = json.loads((root / "out" / "augmentation.json").read_text())
    assert record == json.loads(json.dumps(result.to_json()))
    assert record["counts"] == {"real": dict.fromkeys(COLOURS, 4), "generated": dict.fromkeys(COLOURS, 2)}
    assert record["arms"][1]["name"] == "real" and set(record["arms"][1]["curve"][0]) == {
        "iteration", "test", "validation",
    }  # fmt: skip
    Image.open(root / "out" / "counts.png").verify()
    kept = load_checkpoint(Path(result.arm("both").checkpoint))
    assert kept.actions == tuple(COLOURS) and kept.provenance["data"]["train_clips"] == 18


def test_nothing_that_judges_was_trained_on(
    initial: Checkpoint, real: list[ClipFile], generated: list[Clip], tmp_path: Path, fabric: Fabric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    seen: list[FinetuningClips] = []
    finetune = augmentation.finetune
    monkeypatch.setattr(
        augmentation, "finetune", lambda i, clips, *rest: seen.append(clips) or finetune(i, clips, *rest)
    )
    quick = replace(RECIPE, iterations=1, every=1)
    for recipe in (quick, replace(quick, stop_on="test")):
        run_augmentation(initial, real, generated, recipe, tmp_path / recipe.stop_on, fabric)
    contents = {clip.path: inspect_clip(clip.path).sha256 for clip in (*real, *generated)}
    assert len(set(contents.values())) == len(contents)
    for clips in seen:
        trained = {contents[clip.path] for clip in clips.train}
        assert not trained & {contents[clip.path] for clip in (*clips.validation, *clips.test)}
        groups = [{clip.group for clip in some if clip.group} for some in (clips.train, clips.validation, clips.test)]
        assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert [len(clips.validation) for clips in seen] == [6] * 3 + [0] * 3
    assert [len(clips.train) for clips in seen] == [6, 12, 18, 6, 18, 24]
    assert len({clips.validation for clips in seen[:3]}) == len({clips.test for clips in seen}) == 1


def test_clips_set_apart_choose_where_there_are_such(
    initial: Checkpoint, real: list[ClipFile], generated: list[Clip], tmp_path: Path, fabric: Fabric
) -> None:
    apart = [replace(clip, split="val") if str(clip.group).endswith("g3") else clip for clip in real]
    found = run_augmentation(initial, apart, generated, replace(RECIPE, iterations=1, every=1), tmp_path, fabric)
    assert found.validation_clips == 6 and found.arm("real").clips == 12


def test_an_interrupted_study_goes_on(
    initial: Checkpoint, real: list[ClipFile], generated: list[Clip], tmp_path: Path, fabric: Fabric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    recipe = replace(RECIPE, iterations=6, every=3)
    whole = run_augmentation(initial, real, generated, recipe, tmp_path / "whole", fabric)
    steps = 0
    take_step = TrainingRun._take_step

    def counted(self: TrainingRun, *arguments: object) -> object:
        nonlocal steps
        steps += 1
        if steps == 8:  # in the second arm
            self.save()
            raise KeyboardInterrupt
        return take_step(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingRun, "_take_step", counted)
    with pytest.raises(KeyboardInterrupt):
        run_augmentation(initial, real, generated, recipe, tmp_path / "resumed", fabric)
    assert not (tmp_path / "resumed" / "augmentation.json").exists()
    resumed = run_augmentation(initial, real, generated, recipe, tmp_path / "resumed", fabric)
    assert steps == 3 * 6 + 1
    for one, other in zip(whole.arms, resumed.arms, strict=True):
        assert replace(one, checkpoint=other.checkpoint) == other
        assert load_checkpoint(Path(one.checkpoint)).hash == load_checkpoint(Path(other.checkpoint)).hash


def test_clips_that_cannot_be_used(
    initial: Checkpoint, real: list[ClipFile], generated: list[Clip], tmp_path: Path, fabric: Fabric
) -> None:
    def refusal(real: list[ClipFile], generated: list[Clip], **changes: object) -> str:
        with pytest.raises(StganError) as caught:
            run_augmentation(initial, real, generated, replace(RECIPE, **changes), tmp_path, fabric)  # type: ignore[arg-type]
        assert not list(tmp_path.iterdir())
        return str(caught.value)

    test = next(clip for clip in real if clip.split == "test")
    assert "no generated clip" in refusal(real, [])
    assert "nothing says which action" in refusal(real, [replace(generated[0], action=None)])
    assert "'dance', which is not one of the classes" in refusal(real, [replace(generated[0], action="dance")])
    assert "missing" in refusal(real, [replace(generated[0], path=tmp_path / "gone.mp4")])
    assert "changed or damaged" in refusal(real, [replace(generated[0], sha256="0" * 64)])
    assert "missing" in refusal([*real, replace(real[2], path=tmp_path / "gone.mp4")], generated)
    assert "clips and of test clips" in refusal([*real, replace(real[2], group=test.group)], generated)
    assert "is to be trained on and is the test clip" in refusal(real, [replace(generated[0], path=test.path)])
    assert "to test on" in refusal([clip for clip in real if clip.split == "train"], generated)
    assert "to train on" in refusal([test], generated)
    single = [replace(clip, group=clip.label if clip.split == "train" else "other") for clip in real]
    assert "only one group" in refusal(single, generated)


@given(
    groups=st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(0, 2), min_size=1, max_size=6)), max_size=12),
    share=st.floats(0.05, 0.9),
    seed=st.integers(0, 9),
)
def test_held_out_groups(groups: list[tuple[int, list[int]]], share: float, seed: int) -> None:
    clips = [
        ClipFile(Path(f"{number}_{i}.mp4"), f"action{label}", f"group{number}" if kind else None)
        for number, (kind, labels) in enumerate(groups)
        for i, label in enumerate(labels)
    ]
    rest, held = hold_out(clips, share, seed)
    assert sorted((*rest, *held), key=str) == sorted(clips, key=str)
    assert not {clip.group for clip in rest} & {clip.group for clip in held} - {None}
    assert {clip.label for clip in rest} == {clip.label for clip in clips}
    assert hold_out(clips[::-1], share, seed)[1] == held[::-1]
    total, most = Counter(clip.label for clip in clips), Counter(clip.label for clip in held)
    assert all(most[label] < share * total[label] + max(len(labels) for _, labels in groups) for label in most)


def test_about_the_share_is_held_out_of_every_action() -> None:
    clips = [
        ClipFile(Path(f"{label}{group}_{i}.mp4"), f"a{label}", f"a{label}_g{group}")
        for label in range(20) for group in range(18) for i in range(4 + group % 4)
    ]  # fmt: skip
    held = Counter(clip.label for clip in hold_out(clips, 0.1, 0)[1])
    total = Counter(clip.label for clip in clips)
    assert held.keys() == total.keys() and all(0.1 <= held[label] / total[label] < 0.2 for label in total)
