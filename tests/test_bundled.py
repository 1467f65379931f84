"""The model that ships: complete, small, honest about who steers, and able to do what it is for."""

from itertools import product
from pathlib import Path
from statistics import median

import pytest
import torch

from stgan import STGAN
from stgan.checkpoints import bundled_models, find_model
from stgan.metrics.motion import motion
from stgan.scoring import Real, evaluate, find_evaluator, folder_clips, labelled_clips
from stgan.training import classifier_training
from stgan.training.clip_data import ClipData
from stgan.video import ClipCache, find_clips, to_uint8, write_video

ACTIONS = ("bend", "jack", "jump", "pjump", "run", "side", "walk", "wave1", "wave2")


def test_weizmann_ships_complete_and_small() -> None:
    assert "weizmann" in bundled_models()
    folder = find_model("weizmann")
    assert folder.actions == ACTIONS and set(folder.condition) == {"lrcn", "c3d"}
    assert sum(path.stat().st_size for path in folder.path.rglob("*")) < 30e6
    for part in folder.parts:
        card = (folder.path / part / "README.md").read_text()
        assert "Weizmann" in card and "| steps, seed |" in card


def test_jhmdb_ships_complete_and_small() -> None:
    folder = find_model("jhmdb")
    assert len(folder.actions) == 21 and set(folder.condition) == {"lrcn", "c3d"} and folder.clip_size == 227
    assert sum(path.stat().st_size for path in folder.path.rglob("*")) < 70e6
    for part in folder.parts:
        card = (folder.path / part / "README.md").read_text()
        assert "CC BY 4.0" in card and "548 to train on, 77 to validate, 178 to test" in card
        ancestors = folder.load(part).ancestors
        assert ("Apache-2.0" in card) == any("efficientnet" in name for name in ancestors)


def test_the_evaluator_of_jhmdb_has_no_backbone_in_common_with_what_steers_or_draws() -> None:
    folder = find_model("jhmdb")
    judge = folder.load(folder.evaluators["evaluator"])
    for part in (folder.encoder, folder.generator, *folder.priors.values(), *folder.condition.values()):
        other = folder.load(part)
        assert judge.hash != other.hash and type(judge.network) is not type(other.network)
        assert not {*judge.ancestors.values()} & {other.hash, *other.ancestors.values()}


def test_evaluators_share_nothing_with_condition_networks_or_each_other() -> None:
    folder = find_model("weizmann")
    assert set(folder.evaluators) == {"evaluator", "temporal_stream"}
    evaluators = [folder.load(part) for part in folder.evaluators.values()]
    steering = [folder.load(part) for part in folder.condition.values()]
    for one, other in [*product(evaluators, steering), evaluators]:
        assert one.hash != other.hash and type(one.network) is not type(other.network)
        assert one.provenance["recipe"]["seed"] != other.provenance["recipe"]["seed"]
        assert one.provenance["recipe"]["augmentation"] != other.provenance["recipe"]["augmentation"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_most_generated_clips_are_recognised_by_the_evaluator(tmp_path: Path) -> None:
    model = STGAN.from_pretrained("weizmann", device="cpu")
    motions = []
    for action in ACTIONS:
        video = model.generate(action, seed=123)
        assert video.shape == (1, 3, 16, 64, 64)
        motions.append(float(motion(video)[0]))
        (tmp_path / action).mkdir()
        write_video(tmp_path / action / "clip.mp4", to_uint8(video[0]))
    assert 1 < median(motions) < 10 and max(motions) < 20
    scores = evaluate(folder_clips(tmp_path), find_evaluator("evaluator", model.folder))
    assert scores.accuracy is not None and scores.accuracy >= 7 / 9, scores.per_action


@pytest.mark.real
def test_the_cards_list_the_clips_that_were_trained_on(real_data: Path) -> None:
    folder = find_model("weizmann")
    clips = labelled_clips(find_clips(real_data / "weizmann"))
    scores = evaluate(clips, find_evaluator("evaluator", folder), real=Real(clips))
    assert [row.name for row in scores.rows[:2]] == ["generated", "real, seen in training"]
    assert scores.accuracy == 1 and scores.rows[1].num_windows == 65
    assert len({tuple(folder.load(part).provenance["seen"]) for part in folder.parts}) == 1


@pytest.mark.real
def test_classifiers_recognise_real_clips(real_data: Path, tmp_path: Path) -> None:
    folder = find_model("weizmann")
    data = ClipData.load(find_clips(real_data / "weizmann"), ClipCache(tmp_path, 64))
    assert data.actions == ACTIONS
    for part in (*folder.condition.values(), *folder.evaluators.values()):
        checkpoint = folder.load(part)
        with torch.no_grad():
            summary = classifier_training.test_classifier(checkpoint.network, data).summary()
        assert summary["accuracy"] >= 0.9, part
        assert checkpoint.provenance["figures"]["unseen_groups"]["clips"] == 65
