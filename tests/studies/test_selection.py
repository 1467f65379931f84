"""Which generated clips are chosen to train on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stgan.checkpoints import find_model
from stgan.errors import StganError
from stgan.scoring import Clip, Steering, evaluate, find_evaluator, folder_clips
from stgan.studies.selection import contributions_of, draw_counts, select


def scored(values: list[tuple[str, float]]) -> tuple[list[Clip], dict[str, float]]:
    """Clips of actions, and what they contributed."""
    clips = [Clip(Path(f"{i}.mp4"), f"{i}.mp4", action) for i, (action, _) in enumerate(values)]
    return clips, {clip.name: value for clip, (_, value) in zip(clips, values, strict=True)}


VALUES = st.lists(st.tuples(st.sampled_from(["run", "walk", "bend"]), st.floats(0, 4)), min_size=1, max_size=30)


@given(values=VALUES, most=st.integers(1, 5))
def test_the_best_of_each_action_that_raise_the_score(values: list[tuple[str, float]], most: int) -> None:
    clips, scores = scored(values)
    chosen = select(clips, scores, most=most)
    of = {clip.name: value for clip, (_, value) in zip(clips, values, strict=True)}
    mean = chosen.least
    assert mean == pytest.approx(np.mean([value for _, value in values])) and chosen.candidates == len(values)
    assert chosen.contributions == tuple(of[clip.name] for clip in chosen.clips)
    assert all(count <= most for count in chosen.counts.values()) and sum(chosen.counts.values()) == len(chosen.clips)
    for action in {action for action, _ in values}:
        good = sorted((value for name, value in values if name == action and value >= mean), reverse=True)
        assert [of[clip.name] for clip in chosen.clips if clip.action == action] == good[:most]


@given(values=VALUES, seed=st.integers(0, 99))
def test_the_order_of_the_clips_does_not_matter(values: list[tuple[str, float]], seed: int) -> None:
    clips, scores = scored(values)
    shuffled = [clips[i] for i in np.random.default_rng(seed).permutation(len(clips))]
    assert select(shuffled, scores, most=2) == select(clips, scores, most=2)


def test_what_a_clip_has_to_contribute() -> None:
    clips, scores = scored([("run", 0.1), ("run", 3.0), ("walk", 0.2)])
    assert [clip.name for clip in select(clips, scores).clips] == ["1.mp4"]
    assert select(clips, scores, least=0.15).counts == {"run": 1, "walk": 1}
    assert select(clips[:1], scores, least=0.0).candidates == 1


def test_refusals() -> None:
    clips, scores = scored([("run", 1.0), ("walk", 1.0)])
    with pytest.raises(StganError, match=r"1\.mp4' was not scored"):
        select(clips, scored([("run", 1.0)])[1])
    with pytest.raises(StganError, match="none of 2 clips contributes 2 nats"):
        select(clips, scores, least=2.0)
    with pytest.raises(StganError, match="none of 0 clips"):
        select([], scored([])[1])
    with pytest.raises(StganError, match="at least one"):
        select(clips, scores, most=0)


def test_contributions_are_those_of_the_scores(tiny_model: Path, tiny_clips: Path) -> None:
    evaluator = find_evaluator("evaluator", find_model(tiny_model))
    clips = folder_clips(tiny_clips)
    contributions = contributions_of(evaluate(clips, evaluator))
    assert contributions.keys() == {clip.name for clip in clips}
    steered = [replace(clip, steering=Steering(("evaluator",), frozenset([evaluator.hash]))) for clip in clips]
    with pytest.raises(StganError, match="evaluator steered these clips"):
        contributions_of(evaluate(steered, evaluator, allow_fooled=True))


def test_the_figure(tmp_path: Path) -> None:
    path = tmp_path / "counts.png"
    draw_counts(path, {"run": 7, "walk": 9}, {"run": 3, "a_very_long_name_$_that_is_cut_somewhere": 1})
    small = Image.open(path).size
    draw_counts(path, {f"action{i}": 100 for i in range(101)}, {"action0": 100})
    assert Image.open(path).size[0] > 2 * small[0]
