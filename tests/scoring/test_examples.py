"""Real clips as examples of actions."""

from dataclasses import replace
from pathlib import Path

import pytest

from stgan.checkpoints import find_model
from stgan.scoring import Clip, examples, find_evaluator, labelled_clips
from stgan.scoring.evaluators import Evaluator
from stgan.video import find_clips
from stgan.video.decoding import inspect_clip


@pytest.fixture(scope="module")
def evaluator(tiny_model: Path) -> Evaluator:
    return replace(find_evaluator("evaluator", find_model(tiny_model)), seen=frozenset())


@pytest.fixture
def clips(tiny_clips: Path) -> list[Clip]:
    return labelled_clips(find_clips(tiny_clips))


def test_an_unseen_clip_comes_before_a_seen_one(clips: list[Clip], evaluator: Evaluator) -> None:
    own = [clip for clip in clips if clip.action == "left"]
    hashes = [inspect_clip(clip.path).sha256[:16] for clip in own]
    for seen, chosen, known in (
        (hashes[:1], 1, False),
        (hashes[1:], 0, False),
        (hashes, 0, True),
        (["else"], 0, False),
    ):
        found = examples(clips, ["left", "nowhere"], replace(evaluator, seen=frozenset(seen)))
        assert {action: (each.clip, each.seen) for action, each in found.items()} == {"left": (own[chosen], known)}


def test_without_a_card_the_split_tells(clips: list[Clip], evaluator: Evaluator) -> None:
    own = [clip for clip in clips if clip.action == "left"]
    assert examples(own, ["left"], evaluator)["left"].seen is None
    split = [replace(clip, split="train" if clip == own[0] else "test") for clip in own]
    assert examples(split, ["left"], evaluator)["left"].clip == split[1]
    assert examples(split[:1], ["left"], evaluator)["left"].seen is True


def test_what_cannot_be_read_is_no_example(clips: list[Clip], evaluator: Evaluator, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no video" * 20)
    broken = Clip(tmp_path / "clip.mp4", "clip.mp4", "left")
    seen = replace(evaluator, seen=frozenset({"else"}))
    assert examples([broken, *clips], ["left"], seen)["left"].clip in clips and not examples([broken], ["left"], seen)
