"""The augmentation experiment on made clips: arms alike but for their clips, nothing that judges trained on."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric
from PIL import Image
from scipy import stats

from stgan.checkpoints.checkpoint import Checkpoint, load_checkpoint, weights_hash
from stgan.errors import StganError
from stgan.files import locked
from stgan.networks import C3D, C3DConfig, Preprocessing
from stgan.records import as_plain
from stgan.scoring import Clip
from stgan.studies import augmentation
from stgan.studies.augmentation import ARMS, AugmentationResult, NetworkBehind, Run, Summary, run_augmentation
from stgan.studies.provenance import Network
from stgan.training.finetuning import CurvePoint, FinetuningClips, FinetuningRecipe
from stgan.training.run import TrainingRun
from stgan.video import ClipFile, write_video
from stgan.video.decoding import inspect_clip

COLOURS = {"blue": (40, 60, 200), "green": (40, 200, 60), "red": (200, 60, 40)}
RECIPE = FinetuningRecipe(
    iterations=30, every=15, batch_size=4, learning_rate=5e-3, head_learning_rate=1e-2, validation_share=0.3, seed=1,
    real_share=0.5,
)  # fmt: skip
QUICK = replace(RECIPE, iterations=2, every=1)
UNKNOWN = {"allow_unknown": True}  # nothing is said of what made the clips


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
def seen(real: list[ClipFile]) -> dict[str, list[str]]:
    """By the groups' last letters: the short content hashes of their clips."""
    found: dict[str, list[str]] = {}
    for clip in real:
        found.setdefault(str(clip.group)[-2:], []).append(inspect_clip(clip.path).sha256[:16])
    return found


@pytest.fixture(scope="module")
def result(
    initial: Checkpoint, real: list[ClipFile], generated: list[Clip], root: Path, fabric: Fabric
) -> AugmentationResult:
    return run_augmentation(initial, real, generated, RECIPE, root / "out", fabric, seeds=(4, 1), **UNKNOWN)


def test_the_arms_differ_in_their_clips_alone(result: AugmentationResult, root: Path) -> None:
    assert [run.seed for run in result.runs] == [4, 1]
    assert result.clips == {"train": 12, "validation": 6, "test": 6}
    for run in result.runs:
        assert [arm.name for arm in run.arms] == list(ARMS)
        assert {arm.name: arm.clips for arm in run.arms} == {"generated": 6, "real": 12, "both": 18}
        assert len({arm.start for arm in run.arms}) == 1
        for arm in run.arms:
            assert [point.iteration for point in arm.curve] == [15, 30]
            assert arm.chosen in arm.curve and arm.best_on_test.test == max(point.test for point in arm.curve)
            low, high = arm.interval
            assert low <= arm.chosen.test <= high
            kept = load_checkpoint(root / "out" / arm.checkpoint)
            assert kept.provenance["recipe"] == json.loads(json.dumps(asdict(replace(RECIPE, seed=run.seed))))
            assert kept.actions == tuple(COLOURS) and kept.provenance["data"]["train_clips"] == arm.clips
    starts, kept = [
        {get(arm) for run in result.runs for arm in run.arms}
        for get in (lambda arm: arm.start, lambda arm: load_checkpoint(root / "out" / arm.checkpoint).hash)
    ]
    assert len(starts) == 2 and len(kept) == 6


def test_every_arm_learns_what_can_be_told_apart(result: AugmentationResult) -> None:
    assert all(arm.best_on_test.test >= 5 / 6 for run in result.runs for arm in run.arms)


def test_what_is_written(result: AugmentationResult, root: Path) -> None:
    record = json.loads((root / "out" / "augmentation.json").read_text())
    assert record == as_plain(result)
    assert record["counts"] == {"real": dict.fromkeys(COLOURS, 4), "generated": dict.fromkeys(COLOURS, 2)}
    assert record["runs"][0]["arms"][1]["name"] == "real" and record["seeds"] == [4, 1]
    assert record["groups"]["test"] == [f"{label}_g0" for label in COLOURS]
    assert sum(map(len, record["groups"].values())) == 12 and record["networks"] == [] and not record["proven"]
    for kind in ("real", "generated"):
        paths = [(root / "out" / path).resolve() for path in record["sources"][kind]]
        assert len(paths) == 6 and all(path.is_file() and (root / kind).resolve() in path.parents for path in paths)
    Image.open(root / "out" / "counts.png").verify()
    assert not list((root / "out").rglob("state*.pt"))  # what a finished arm could be resumed from is gone


accuracies = st.lists(st.tuples(*[st.integers(0, 12)] * 6), min_size=1, max_size=6)


@given(accuracies)
def test_the_summary_is_that_of_other_libraries(result: AugmentationResult, found: list[tuple[int, ...]]) -> None:
    """found: of each seed the right answers of 12, where each arm stopped, and at its best on the test clips."""
    table = np.array(found) / 12
    runs = tuple(
        Run(seed, tuple(
            replace(arm, chosen=CurvePoint(1, row[i], None), best_on_test=CurvePoint(2, row[3 + i], None))
            for i, arm in enumerate(result.runs[0].arms)
        ))
        for seed, row in enumerate(table.tolist())
    )  # fmt: skip
    summary = as_plain(Summary.of(runs))
    columns = {name: (summary[name], table[:, i]) for i, name in enumerate(ARMS)}
    columns |= {f"best {name}": (summary["best_on_test"][name], table[:, 3 + i]) for i, name in enumerate(ARMS)}
    columns["gain"] = (summary["gain"], table[:, 2] - table[:, 1])
    for mine, values in columns.values():
        assert mine["mean"] == pytest.approx(values.mean(), abs=1e-12)
        assert mine["values"] == pytest.approx(values, abs=1e-12)
        if len(values) == 1:
            assert mine["std"] is mine["low"] is mine["high"] is None
        elif np.ptp(values) > 1e-9:
            assert mine["std"] == pytest.approx(values.std(ddof=1))
            assert (mine["low"], mine["high"]) == pytest.approx(stats.ttest_1samp(values, 0).confidence_interval(0.95))
    if np.ptp(table[:, 2] - table[:, 1]) > 1e-9:  # seed by seed, not arm against arm
        paired = stats.ttest_rel(table[:, 2], table[:, 1]).confidence_interval(0.95)
        assert (summary["gain"]["low"], summary["gain"]["high"]) == pytest.approx(paired)
    real = table[:, 1].mean()
    assert summary["share"] == (pytest.approx(table[:, 0].mean() / real) if real else None)


def test_nothing_that_judges_was_trained_on(
    initial: Checkpoint, real: list[ClipFile], generated: list[Clip], tmp_path: Path, fabric: Fabric,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    seen: list[FinetuningClips] = []
    finetune = augmentation.finetune
    monkeypatch.setattr(
        augmentation, "finetune", lambda i, clips, *rest: seen.append(clips) or finetune(i, clips, *rest)
    )
    for recipe in (QUICK, replace(QUICK, stop_on="test")):
        run_augmentation(initial, real, generated, recipe, tmp_path / recipe.stop_on, fabric, **UNKNOWN)
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
    found = run_augmentation(initial, apart, generated, QUICK, tmp_path, fabric, **UNKNOWN)
    assert found.clips == {"train": 12, "validation": 6, "test": 6}
    assert found.groups["validation"] == tuple(f"{label}_g3" for label in COLOURS)
    assert [run.seed for run in found.runs] == [1]  # the recipe's


Experiment = Callable[..., AugmentationResult]


@pytest.fixture
def experiment(initial: Checkpoint, real: list[ClipFile], generated: list[Clip], fabric: Fabric) -> Experiment:
    """`run_augmentation` on these clips in a folder, with two seeds; any argument may be another."""

    def run(folder: Path, **changes: Any) -> AugmentationResult:
        arguments = {"initial": initial, "real": real, "generated": generated, "recipe": QUICK, "seeds": (0, 1)}
        return run_augmentation(**{**arguments, **UNKNOWN, "folder": folder, "fabric": fabric, **changes})

    return run


def test_an_interrupted_experiment_goes_on(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, iterations=6, every=3)
    whole = experiment(tmp_path / "whole", recipe=recipe)
    steps = 0
    take_step = TrainingRun._take_step

    def counted(self: TrainingRun, *arguments: object) -> object:
        nonlocal steps
        steps += 1
        if steps in (8, 27):  # in the second arm, and in the fifth
            self.save()
            raise KeyboardInterrupt
        return take_step(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingRun, "_take_step", counted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            experiment(tmp_path / "resumed", recipe=recipe)
        assert not (tmp_path / "resumed" / "augmentation.json").exists()
        assert len(list((tmp_path / "resumed").rglob("state.pt"))) == 1
    resumed = experiment(tmp_path / "resumed", recipe=recipe)
    assert steps == 6 * 6 + 2  # the two steps that were not taken
    assert resumed == whole
    for run in whole.runs:
        for arm in run.arms:
            kept = [load_checkpoint(tmp_path / name / arm.checkpoint).hash for name in ("whole", "resumed")]
            assert kept[0] == kept[1]
    records = [(tmp_path / name / "augmentation.json").read_bytes() for name in ("whole", "resumed")]
    assert records[0] == records[1] and not list(tmp_path.rglob("state.pt"))
    assert experiment(tmp_path / "resumed", recipe=recipe) == whole and steps == 6 * 6 + 2


def test_an_arm_is_trained_by_one_process(experiment: Experiment, tmp_path: Path) -> None:
    with locked(tmp_path / "seed_1" / "real"), pytest.raises(StganError, match="another process works in"):
        experiment(tmp_path)
    assert not (tmp_path / "augmentation.json").exists()
    (tmp_path / "seed_0" / "both" / "arm.json").write_text("[" * 100_000)  # damaged: trained anew
    assert experiment(tmp_path) == experiment(tmp_path)


def test_what_has_changed_is_trained_anew(
    experiment: Experiment, initial: Checkpoint, generated: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    finetune = augmentation.finetune

    def noted(initial: Checkpoint, clips: FinetuningClips, recipe: FinetuningRecipe, *rest: Any) -> Any:
        kind = "both" if clips.real and clips.generated else "real" if clips.real else "generated"
        trained.append(f"{kind} {recipe.seed}")
        return finetune(initial, clips, recipe, *rest)

    monkeypatch.setattr(augmentation, "finetune", noted)
    monkeypatch.setattr(augmentation, "draw_counts", lambda *arguments: None)  # which takes longer than a training

    def again(**changes: Any) -> list[str]:
        trained.clear()
        experiment(tmp_path, **{"seeds": (0,), **changes})
        return list(trained)

    first = [f"{name} 0" for name in ARMS]
    assert again() == first and again() == []
    assert again(seeds=(0, 2)) == [f"{name} 2" for name in ARMS]
    arm = tmp_path / "seed_0" / "real" / "arm.json"
    for damaged in ("null", arm.read_text()[:-20], arm.read_text().replace('"curve"', '"curves"')):
        arm.write_text(damaged)
        assert again() == ["real 0"]
    assert again(generated=generated[:-1]) == ["generated 0", "both 0"]
    assert again(recipe=replace(QUICK, windows=2), generated=generated[:-1]) == first
    assert again(recipe=replace(QUICK, precision="bf16-mixed"), generated=generated[:-1]) == first
    other = C3D(replace(initial.network.config, dropout=0.5)).eval()
    other.load_state_dict(initial.network.state_dict())
    changes = {"recipe": replace(QUICK, windows=2), "generated": generated[:-1]}
    assert again(initial=replace(initial, network=other), **changes) == first


def network(role: str, seen: list[str], ancestors: tuple[str, ...] = ()) -> Network:
    """A network whose hash is its role's first letter, 64 times."""
    return Network(role, role[0] * 64, {name: name[0] * 64 for name in ancestors}, tuple(seen))


def test_networks_that_saw_clips_to_train_on_alone(
    experiment: Experiment, real: list[ClipFile], seen: dict[str, list[str]], tmp_path: Path
) -> None:
    apart = [replace(clip, split="val") if str(clip.group).endswith("g3") else clip for clip in real]
    networks = [network("decoder", seen["g1"] + seen["g2"], ("eye",)), network("eye", seen["g2"])]
    common = {"allow_unknown": False, "real": apart, "seeds": (0,)}
    found = experiment(tmp_path / "known", networks=networks, **common)
    assert found.proven and found.networks == (
        NetworkBehind("decoder", "d" * 64, 12), NetworkBehind("eye", "e" * 64, 6),
    )  # fmt: skip

    def refusal(*networks: Network, **changes: Any) -> str:
        with pytest.raises(StganError) as caught:
            experiment(tmp_path / "refused", **{**common, "networks": networks, **changes})
        assert not (tmp_path / "refused").exists() and "\n" not in str(caught.value)
        return str(caught.value)

    for group, clip in (("g0", real[0]), ("g3", real[6])):
        for allow in (False, True):
            said = refusal(
                networks[1], network("judge", [*seen["g1"], seen[group][0]]), real=apart, allow_unknown=allow
            )
            assert f"the judge behind the generated clips was trained on '{clip.path}', which is held out" in said
    strange = refusal(network("eye", [*seen["g1"], "0" * 16]), allow_unknown=True)
    assert "the eye" in strange and "trained on clips that are not among the training clips (1 of them)" in strange
    for unknown, named in (
        ([], "all of them"),
        ([networks[1], network("generator", [])], "generator"),
        ([networks[0]], "decoder"),  # of the network that it was made from nothing is known
        ([network("prior", seen["g1"], ("eye",)), network("eye", [])], "prior, eye"),
    ):
        assert f"test clips may be among them: {named};" in refusal(*unknown)
    allowed = experiment(tmp_path / "allowed", **{**common, "allow_unknown": True}, networks=[network("eye", [])])
    assert not allowed.proven and allowed.networks[0].seen == 0


def test_clips_that_no_network_has_seen_choose_where_to_stop(
    experiment: Experiment, seen: dict[str, list[str]], tmp_path: Path
) -> None:
    for left_out in ("g1", "g3"):
        eye = network("eye", [each for group in ("g1", "g2", "g3") if group != left_out for each in seen[group]])
        found = experiment(tmp_path / left_out, networks=[eye], allow_unknown=False, seeds=(0,))
        assert found.proven and found.groups["validation"] == tuple(f"{label}_{left_out}" for label in COLOURS)


def test_weights_to_start_from_have_seen_no_clip_that_judges(
    experiment: Experiment, initial: Checkpoint, real: list[ClipFile], tmp_path: Path
) -> None:
    test = next(clip for clip in real if clip.split == "test")
    known = replace(initial, provenance={"seen": [inspect_clip(test.path).sha256[:16]]})
    with pytest.raises(StganError) as caught:
        experiment(tmp_path / "out", initial=known)
    assert f"the weights to start from were trained on '{test.path}', which is held out" in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert experiment(tmp_path / "out", initial=replace(initial, provenance={"seen": ["0" * 16]}), seeds=(0,)).runs


def test_a_clip_that_is_held_out_to_choose_where_to_stop_judges_too(
    experiment: Experiment, seen: dict[str, list[str]], tmp_path: Path
) -> None:
    everything = network("decoder", [each for group in ("g1", "g2", "g3") for each in seen[group]])
    with pytest.raises(StganError, match="which is held out"):
        experiment(tmp_path, networks=[everything], allow_unknown=False)
    found = experiment(
        tmp_path, networks=[everything], allow_unknown=False, recipe=replace(QUICK, stop_on="test"), seeds=(0,)
    )
    assert found.proven and found.clips["validation"] == 0


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
    assert "is unknown, so it cannot be trained on" in refusal(real, [replace(generated[0], action=None)])
    assert "'dance', which is not one of the classes" in refusal(real, [replace(generated[0], action="dance")])
    assert "missing" in refusal(real, [replace(generated[0], path=tmp_path / "gone.mp4")])
    assert "changed or damaged" in refusal(real, [replace(generated[0], sha256="0" * 64)])
    assert "missing" in refusal([*real, replace(real[2], path=tmp_path / "gone.mp4")], generated)
    assert "clips and of test clips" in refusal([*real, replace(real[2], group=test.group)], generated)
    assert "is also the test clip" in refusal(real, [replace(generated[0], path=test.path)])
    apart = [replace(clip, split="val") if str(clip.group).endswith("g3") else clip for clip in real]
    assert "is also the validation clip" in refusal(apart, [replace(generated[0], path=apart[6].path)])
    assert "of train clips and of validation clips" in refusal([*apart, replace(real[6], path=real[7].path)], generated)
    assert "to test on" in refusal([clip for clip in real if clip.split == "train"], generated)
    assert "to train on" in refusal([test], generated)
    single = [replace(clip, group=clip.label if clip.split == "train" else "other") for clip in real]
    assert "only one group" in refusal(single, generated)
