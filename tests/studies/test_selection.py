"""Which generated clips are chosen to train on."""

from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from clip_scores import clip_scores
from hypothesis import given
from hypothesis import strategies as st

from stgan.checkpoints import find_model
from stgan.errors import StganError
from stgan.scoring import Clip, ClipScores, ScoreCache, SteeredBy, evaluate, find_evaluator, folder_clips
from stgan.studies.selection import Criterion, Selection, farthest_first, features_of, scores_by_clip, select

ACTIONS = ["run", "walk", "bend"]
JUDGED = st.tuples(st.sampled_from(ACTIONS), st.sampled_from(ACTIONS), st.floats(0, 4), st.floats(0, 1))
VALUES = st.lists(JUDGED, min_size=1, max_size=30)
BY = st.sampled_from(list(Criterion))


def scored(values: list[tuple[str, str, float, float]]) -> tuple[list[Clip], dict[str, ClipScores]]:
    """Clips of (action, named, contribution, probability)."""
    clips = [Clip(Path(f"{i}.mp4"), f"{i}.mp4", action) for i, (action, *_) in enumerate(values)]
    return clips, {clip.name: clip_scores(clip, *rest) for clip, (_, *rest) in zip(clips, values, strict=True)}


def features(clips: list[Clip]) -> dict[str, np.ndarray]:
    return {clip.name: np.random.default_rng(int(clip.path.stem)).normal(size=3) for clip in clips}


def try_to_select(*arguments: object, **options: object) -> Selection | None:
    try:
        return select(*arguments, **options)  # type: ignore[arg-type]
    except StganError:
        return None


def right(action: str, contribution: float, probability: float = 0.9) -> tuple[str, str, float, float]:
    return action, action, contribution, probability


@given(values=VALUES, most=st.integers(1, 5))
def test_the_papers_rule(values: list, most: int) -> None:
    clips, scores = scored(values)
    chosen = select(clips, scores, most=most, any_verdict=True)
    mean = chosen.least
    assert mean == pytest.approx(np.mean([value for *_, value, _ in values]))
    for action in ACTIONS:
        good = sorted((value for of, _, value, _ in values if of == action and value >= mean), reverse=True)
        assert [scores[c.name].contribution for c in chosen.clips if c.action == action] == good[:most]


@given(values=VALUES, most=st.integers(1, 4), by=BY, least=st.none() | st.floats(0, 1), any_verdict=st.booleans())
def test_every_rule(values: list, most: int, by: Criterion, least: float | None, any_verdict: bool) -> None:
    clips, scores = scored(values)
    settings = {"by": by, "most": most, "least": least, "any_verdict": any_verdict, "features": features(clips)}
    chosen = try_to_select(clips, scores, **settings)
    if chosen is None:
        return
    names = [clip.name for clip in chosen.clips]
    assert {*names} | {*chosen.left_out} == {*scores} and len(names) + len(chosen.left_out) == len(clips)
    assert all(chosen.left_out.values())
    of = {name: chosen.scores[name] for name in names}
    assert any_verdict or all(of[clip.name].named == clip.action for clip in chosen.clips)
    assert by is not Criterion.INCEPTION or all(each.contribution >= chosen.least for each in of.values())
    assert by is not Criterion.CONFIDENCE or all(each.probability >= chosen.least for each in of.values())
    counts = chosen.classes
    assert {*counts} == {clip.action for clip in clips} and all(found.chosen <= most for found in counts.values())
    assert sum(found.chosen for found in counts.values()) == len(names)
    assert {*chosen.thin} | {*chosen.without} == {name for name, found in counts.items() if found.chosen < most}


@given(values=VALUES, by=BY, seed=st.integers(0, 99))
def test_the_order_of_the_clips_does_not_matter(values: list, by: Criterion, seed: int) -> None:
    clips, scores = scored(values)
    settings = {"by": by, "most": 2, "any_verdict": True, "features": features(clips)}
    shuffled = [clips[i] for i in np.random.default_rng(seed).permutation(len(clips))]
    one, other = try_to_select(clips, scores, **settings), try_to_select(shuffled, scores, **settings)
    assert (one and (one.clips, one.left_out)) == (other and (other.clips, other.left_out))


def spread(rows: np.ndarray) -> float:
    """The smallest distance between two."""
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(rows, 2))


@given(seed=st.integers(0, 10_000), n=st.integers(3, 8), most=st.integers(2, 4))
def test_chosen_rows_lie_half_as_far_apart_as_any_could(seed: int, n: int, most: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(n, 2))
    most = min(most, n)
    best = max(spread(rows[list(some)]) for some in combinations(range(n), most))
    found = farthest_first(rows, most)
    assert len({*found}) == most and found[0] == 0 and spread(rows[found]) >= best / 2 - 1e-9
    assert farthest_first(rows, most - 1) == found[:-1]


def test_the_farthest_differ_more_than_random_ones() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = rng.normal(size=(60, 8))
        chances = [spread(rows[rng.choice(60, 10, replace=False)]) for _ in range(50)]
        assert spread(rows[farthest_first(rows, 10)]) > max(chances)


def test_of_equal_clips_there_is_one() -> None:
    clips, scores = scored([right("run", 1.0), right("run", 2.0), right("run", 1.5)])
    rows = {"0.mp4": np.array([0.0, 1.0]), "1.mp4": np.array([0.0, 1.0]), "2.mp4": np.array([3.0, 1.0])}
    chosen = select(clips, scores, by=Criterion.DIVERSITY, features=rows)
    assert [clip.name for clip in chosen.clips] == ["1.mp4", "2.mp4"]
    assert chosen.left_out == {"0.mp4": "no farther than 0 from a chosen clip"}
    near = select(clips, scores, by=Criterion.DIVERSITY, features=rows, least=3.0)
    assert [clip.name for clip in near.clips] == ["1.mp4"]


def test_why_clips_are_left_out_and_what_is_left_of_a_class() -> None:
    values = [right("run", 3.0), right("run", 2.0), ("run", "walk", 3.5, 0.1), right("walk", 0.5)]
    clips, scores = scored(values)
    chosen = select(clips, scores, most=1)
    assert [clip.name for clip in chosen.clips] == ["0.mp4"] and chosen.without == ["walk"] and chosen.thin == []
    assert chosen.left_out == {
        "1.mp4": "contributes less than 2.25 nats", "2.mp4": "named walk", "3.mp4": "contributes less than 2.25 nats",
    }  # fmt: skip
    run = chosen.classes["run"]
    assert (run.candidates, run.recognised, run.chosen) == (3, 2, 1)
    assert (run.contribution, run.contribution_of_chosen) == (pytest.approx(8.5 / 3), 3.0)
    assert select(clips, scores, most=1, least=1.0).left_out["1.mp4"] == "others come first"
    assert select(clips, scores, least=0.0).thin == ["run", "walk"]
    sure = select(clips, scores, by=Criterion.CONFIDENCE, any_verdict=True)
    assert sure.least == 0.5 and sure.left_out == {"2.mp4": "probability below 0.5"}


def test_refusals() -> None:
    clips, scores = scored([right("run", 1.0), right("walk", 1.0)])
    with pytest.raises(StganError, match=r"1\.mp4' was not scored"):
        select(clips, scored([right("run", 1.0)])[1])
    with pytest.raises(StganError, match="none of 2 clips contributes 2 nats"):
        select(clips, scores, least=2.0)
    with pytest.raises(StganError, match=r"none of 2 clips has a probability of 0\.95"):
        select(clips, scores, by=Criterion.CONFIDENCE, least=0.95)
    for by, least in product(Criterion, (float("nan"), float("inf"), -1.0)):
        with pytest.raises(StganError, match="must be a number that is not negative"):
            select(clips, scores, by=by, least=least, features=features(clips))
    with pytest.raises(StganError, match="none of 0 clips"):
        select([], {})
    with pytest.raises(StganError, match="at least one"):
        select(clips, scores, most=0)
    with pytest.raises(StganError, match="give the features of every clip"):
        select(clips, scores, by=Criterion.DIVERSITY, features={"0.mp4": np.zeros(2)})
    wrong = scored([("run", "walk", 1.0, 0.2), ("walk", "run", 1.0, 0.2)])
    with pytest.raises(StganError, match="recognises none of 2 clips"):
        select(*wrong)
    assert len(select(*wrong, any_verdict=True).clips) == 2


def test_clip_scores_and_features_are_those_of_the_scores(tiny_model: Path, tiny_clips: Path, tmp_path: Path) -> None:
    evaluator = find_evaluator("evaluator", find_model(tiny_model))
    clips = folder_clips(tiny_clips)
    cache = ScoreCache(tmp_path)
    scores = evaluate(clips, evaluator, cache=cache)
    by_clip = scores_by_clip(scores)
    assert by_clip.keys() == {clip.name for clip in clips}
    assert {name: each.contribution for name, each in by_clip.items()} == {
        clip.file: clip.contribution for clip in scores.clips
    }
    kept = {key: cache.get(key) for (key,) in cache._database.execute("SELECT key FROM results")}
    found = features_of(clips, evaluator, cache=cache)
    assert len(kept) == len(clips) == cache._database.execute("SELECT COUNT(*) FROM results").fetchone()[0]
    assert {row.tobytes() for row in found.values()} == {
        each["features"][0].tobytes() for each in kept.values() if each
    }
    steered = [replace(clip, steering=SteeredBy(("evaluator",), frozenset([evaluator.hash]))) for clip in clips]
    with pytest.raises(StganError, match="evaluator steered these clips"):
        scores_by_clip(evaluate(steered, evaluator, allow_fooled=True))
