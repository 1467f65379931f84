"""Scores of folders of clips: against restatements, beside real clips; never by a network that steered in silence."""

import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stgan.checkpoints import CheckpointError, find_model
from stgan.checkpoints.checkpoint import save_checkpoint
from stgan.errors import StganError
from stgan.metrics.classification import inception_score, wilson_interval
from stgan.metrics.distances import kernel_distance
from stgan.metrics.neighbours import precision_recall_density_coverage
from stgan.networks.i3d import I3D, I3DConfig
from stgan.records import as_plain
from stgan.scoring import (
    QUOTED,
    Clip,
    Evaluator,
    Protocol,
    Real,
    Rules,
    Scores,
    SteeredBy,
    evaluate,
    evaluator_of,
    evenly,
    find_evaluator,
    folder_clips,
    labelled_clips,
    measure,
)
from stgan.scoring.scores import quoted_beside
from stgan.scoring.summaries import neighbourhood
from stgan.video import find_clips, read_video, write_gif, write_video
from stgan.video.decoding import inspect_clip
from stgan.video.ucf101_names import CLASSES


@pytest.fixture(scope="module")
def scores(tiny_clips: Path, evaluator: Evaluator) -> Scores:
    return evaluate(folder_clips(tiny_clips), evaluator, rules=Rules(splits=2))


def test_scores_are_those_of_a_restatement(scores: Scores, tiny_clips: Path, evaluator: Evaluator) -> None:
    """The definitions once more, in numpy and float64, from the same logits."""
    measured, _ = measure(folder_clips(tiny_clips), evaluator)
    p = np.exp(measured.log_probabilities.numpy())
    p /= p.sum(1, keepdims=True)
    parts = [p[:4], p[4:]]  # from i 9 // 2 to (i + 1) 9 // 2
    values = [math.exp(np.mean([np.sum(q * np.log(q / part.mean(0))) for q in part])) for part in parts]
    assert scores.inception_score.mean == pytest.approx(np.mean(values), rel=1e-9)
    assert scores.inception_score.std == pytest.approx(np.std(values), rel=1e-6)
    assert scores.inception_score.low <= scores.inception_score.mean <= scores.inception_score.high
    asked = [evaluator.actions.index(clip.action) for clip in measured.clips]
    named = p.argmax(1)
    assert scores.accuracy == np.mean(named == asked)
    assert sum(map(sum, scores.confusion)) == 9 and np.trace(scores.confusion) == round(9 * (scores.accuracy or 0))
    features, apart = measured.features.double().numpy(), []
    for action in range(3):
        own = features[np.array(asked) == action]
        apart.append(np.mean([np.linalg.norm(own[i] - own[j]) for i in range(3) for j in range(i)]))
    assert scores.diversity == pytest.approx(np.mean(apart), rel=1e-6)
    shares = {clip.file: clip.contribution for clip in scores.clips}
    assert math.exp(np.mean(list(shares.values()))) == pytest.approx(
        math.exp(np.mean(np.sum(p * np.log(p / p.mean(0)), 1))), rel=1e-9
    )
    assert scores.per_action_contribution["left"] == pytest.approx(
        np.mean([value for file, value in shares.items() if file.startswith("left/")])
    )


def test_scores_are_plain_json_and_name_every_choice(scores: Scores) -> None:
    values = as_plain(scores)
    assert values["evaluator"] == "evaluator" and values["evaluator_network"] == "r2plus1d"
    assert values["feature_network"] == "evaluator" and values["feature_size"] == 8 and values["splits"] == 2
    assert values["feature_hash"] == values["evaluator_hash"]
    assert "16 frames" in values["protocol"] and values["fooled"] is None and values["frechet_video_distance"] is None
    assert values["rows"][0]["name"] == "generated" and values["quoted"] == []
    assert {"mean", "std", "low", "high"} == set(values["inception_score"])


def test_published_scores_are_quoted_beside_their_own_protocol_only(evaluator: Evaluator) -> None:
    assert quoted_beside(evaluator) == quoted_beside(replace(evaluator, actions=CLASSES)) == ()
    assert quoted_beside(replace(evaluator, kind="c3d")) == ()
    assert quoted_beside(replace(evaluator, kind="c3d", actions=CLASSES)) == QUOTED and len(QUOTED) == 7


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any))
def test_the_score_of_a_sure_evaluator_is_that_of_its_sure_answers(scores: Scores, counts: list[int]) -> None:
    sure = replace(scores, actions=tuple(map(str, counts)), confusion=tuple(map(tuple, np.diag(counts).tolist())))
    answers = torch.eye(len(counts)).repeat_interleave(torch.tensor(counts), 0).log()
    assert sure.sure_inception_score == pytest.approx(float(inception_score(answers)[0]))
    nameless = replace(scores.clips[0], probability=None)
    assert replace(sure, clips=(nameless,)).sure_inception_score is None
    assert replace(sure, actions=(), confusion=()).sure_inception_score is None


def steered(clips: list[Clip], *hashes: str) -> list[Clip]:
    return [replace(clip, steering=SteeredBy(("c3d",), frozenset(hashes))) for clip in clips]


def test_a_network_that_steered_or_shares_an_ancestor_is_refused(tiny_clips: Path, evaluator: Evaluator) -> None:
    clips = folder_clips(tiny_clips)
    relative = replace(evaluator, ancestors=frozenset({"backbone"}))
    for judge, hashes in ((evaluator, (evaluator.hash,)), (relative, ("backbone", "else")), (evaluator, ("x", "y"))):
        fooled = "x" not in hashes
        if fooled:
            with pytest.raises(StganError, match="steered these clips"):
                evaluate(steered(clips, *hashes), judge)
        assert evaluate(steered(clips, *hashes), judge, allow_fooled=True).fooled is fooled
    # One clip is enough, and so is a feature network that steered.
    some = [*clips[1:], *steered(clips[:1], evaluator.hash)]
    with pytest.raises(StganError, match="steered these clips"):
        evaluate(some, evaluator)
    other = replace(evaluator, name="other", hash="other")
    with pytest.raises(StganError, match="evaluator steered these clips"):
        evaluate(steered(clips, evaluator.hash), other, features=evaluator)
    assert evaluate(steered(clips, evaluator.hash), other, features=evaluator, allow_fooled=True).fooled


@pytest.mark.parametrize(
    ("common", "hashes", "message"),
    [(100, (), "(100% of"), (90, (), "(90% of"), (90, ("backbone",), "(90% of"), (100, ("backbone",), "or shares an")],
)
def test_a_network_that_shares_weights_is_refused_with_its_share(
    tiny_clips: Path, evaluator: Evaluator, common: int, hashes: tuple[str, ...], message: str
) -> None:
    kept = f"{'a' * 10}:{common}" + f" {'b' * 10}:{100 - common}" * (common < 100)
    by = SteeredBy(("c3d",), frozenset(hashes), {"c3d": kept})
    clips = [replace(clip, steering=by) for clip in folder_clips(tiny_clips)]
    relative = replace(
        evaluator, ancestors=frozenset({"backbone"}), tensors={"a" * 10: common, "c" * 10: 100 - common, "d" * 10: 50}
    )
    with pytest.raises(StganError, match=re.escape(message)):
        evaluate(clips, relative)
    assert relative.relation([replace(clips[0], steering=None)]) is None
    stranger = replace(evaluator, tensors={"d" * 10: 50, "a" * 10: 5, "b" * 10: 4})
    assert stranger.relation(clips) == ""


def test_real_clips_are_told_apart_by_what_the_evaluator_was_trained_on(tiny_clips: Path, evaluator: Evaluator) -> None:
    real = labelled_clips(find_clips(tiny_clips))
    seen = frozenset(inspect_clip(clip.path).sha256[:16] for clip in real if "clip2" not in clip.name)
    scores = evaluate(folder_clips(tiny_clips), replace(evaluator, seen=seen), real=Real(real))
    assert [row.name for row in scores.rows] == ["generated", "real, seen in training", "real, unseen"]
    reference, unseen = scores.rows[1:]
    assert reference.frechet_video_distance is None and unseen.frechet_video_distance is not None
    assert scores.copies and scores.copies.training == "real, seen in training" and scores.copies.num_training == 6


def test_without_a_card_the_split_tells_and_without_one_nothing_does(tiny_clips: Path, evaluator: Evaluator) -> None:
    real = labelled_clips(find_clips(tiny_clips))
    split = [replace(clip, split="test" if "clip2" in clip.name else "train") for clip in real]
    scores = evaluate(folder_clips(tiny_clips), evaluator, real=Real(split))
    assert [row.name for row in scores.rows] == ["generated", "real, train split", "real, other splits"]
    assert scores.copies and scores.copies.training == "real, train split" and scores.copies.num_training == 6
    scores = evaluate(folder_clips(tiny_clips), evaluator, real=Real(real))
    assert [row.name for row in scores.rows] == ["generated", "real"]
    assert scores.copies and scores.copies.training == "real" and scores.copies.num_training == 9
    # How far real clips lie apart, half against half, is told once: beside the generated ones.
    assert scores.rows[1].frechet_video_distance is None and scores.beside_real
    assert scores.beside_real.values["frechet_video_distance"].real is not None
    # Two windows of each clip, and of these as many as were generated.
    assert scores.rows[1].num_windows == 9 and 5 <= scores.rows[1].num_videos < 9


def test_distances_to_the_clips_themselves_are_zero(tiny_clips: Path, evaluator: Evaluator) -> None:
    real = [replace(clip, split="train") for clip in labelled_clips(find_clips(tiny_clips))]
    scores = evaluate(folder_clips(tiny_clips), evaluator, real=Real(real))
    assert scores.frechet_video_distance == pytest.approx(0, abs=1e-9)
    assert scores.rows[1].num_videos == 9 and scores.coverage == scores.precision == scores.recall == 1
    assert not any("not more than" in note for note in scores.notes)  # 9 clips, 8 features
    worse = evaluate([clip for clip in folder_clips(tiny_clips) if clip.action == "grow"], evaluator, real=Real(real))
    assert worse.num_videos == 3 and worse.rows[1].num_videos == 3  # as many, and of the action that was generated


def test_real_clips_are_brought_to_the_size_of_the_generated_ones(
    tiny_clips: Path, evaluator: Evaluator, tmp_path: Path
) -> None:
    for clip in folder_clips(tiny_clips):
        frames = read_video(clip.path).frames.repeat(2, axis=1).repeat(3, axis=2)  # larger, and wider
        (tmp_path / clip.name).parent.mkdir(exist_ok=True)
        write_video(tmp_path / clip.name, frames)
    real = labelled_clips(find_clips(tmp_path))
    scores = evaluate(folder_clips(tiny_clips), evaluator, real=Real(real))
    assert scores.rows[1].motion < 2.5 * scores.motion  # a larger frame alone would not change it


def test_evenly() -> None:
    clips = [Clip(Path(f"{a}/{i}"), f"{a}/{i}", a) for a, n in (("a", 3), ("b", 1), ("c", 2)) for i in range(n)]
    assert [clip.name for clip in evenly(clips[::-1], 5)] == ["a/0", "b/0", "c/0", "a/1", "c/1"]
    assert len(evenly(clips, 100)) == 6


def test_unknown_actions_and_what_cannot_be_split(tiny_clips: Path, evaluator: Evaluator) -> None:
    clips = [replace(clip, action="fly") if clip.action == "grow" else clip for clip in folder_clips(tiny_clips)]
    with pytest.raises(StganError, match="does not know the action 'fly'"):
        evaluate(clips, evaluator)
    scores = evaluate(clips, evaluator, keep_going=True)
    assert scores.num_videos == 9 and sum(map(sum, scores.confusion)) == 6 and "fly" not in scores.per_action
    assert "fly" in scores.per_action_contribution and any("'fly'" in note for note in scores.notes)
    for splits in (0, 10):
        with pytest.raises(StganError, match="splits"):
            evaluate(folder_clips(tiny_clips), evaluator, rules=Rules(splits=splits))
    with pytest.raises(StganError, match="none of the generated actions"):
        real = [replace(clip, action="swim") for clip in labelled_clips(find_clips(tiny_clips))]
        evaluate(folder_clips(tiny_clips), evaluator, real=Real(real))


def test_clips_of_a_target_are_scored_by_what_can_be_scored(tiny_clips: Path, evaluator: Evaluator) -> None:
    clips = enumerate(folder_clips(tiny_clips))
    scores = evaluate([replace(clip, action=None, unit=("lstm:3", float(n))) for n, clip in clips], evaluator)
    assert scores.accuracy is None and scores.motion > 0 and scores.num_videos == 9
    (note,) = (note for note in scores.notes if "lstm:3" in note)
    assert note.endswith("its mean activation under the network that steered them is 4")


def test_loose_clips_have_scores_but_no_accuracy(tiny_clips: Path, evaluator: Evaluator, tmp_path: Path) -> None:
    for number, clip in enumerate(folder_clips(tiny_clips)):
        shutil.copyfile(clip.path, tmp_path / f"{number}.mp4")
    scores = evaluate(folder_clips(tmp_path), evaluator)
    assert scores.accuracy is None and scores.temporal_order is None and scores.confusion == ()
    assert scores.inception_score is None and scores.diversity is not None
    assert any("there is no Inception Score" in note for note in scores.notes)
    asked = evaluate(folder_clips(tmp_path), evaluator, inception=True)
    assert asked.inception_score and asked.inception_score.mean >= 1
    assert any("is no measure of their quality" in note for note in asked.notes)


def test_distances_on_the_logits_of_an_i3d_from_a_file(
    tiny_clips: Path, tiny_model: Path, evaluator: Evaluator, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = I3D(I3DConfig(num_classes=5)).eval()
    torch.save(network.state_dict(), tmp_path / "i3d.pt")
    space = find_evaluator(str(tmp_path / "i3d.pt"), find_model(tiny_model), frames=9)
    clips = [replace(clip, split="train") for clip in labelled_clips(find_clips(tiny_clips))]
    scores = evaluate(clips[:2], evaluator, features=space, real=Real(clips[1:3]))  # all of them grow
    assert scores.feature_network.endswith("i3d.pt") and scores.feature_size == 5
    assert scores.feature_hash == space.hash != scores.evaluator_hash
    assert scores.frechet_video_distance is not None and scores.accuracy is not None
    assert any("an FVD only if" in note for note in scores.notes)


def test_ones_own_classifier(tiny_clips: Path, tiny_model: Path, evaluator: Evaluator, tmp_path: Path) -> None:
    network: Any = evaluator.network
    save_checkpoint(tmp_path / "own", network, actions=("right", "left", "grow"))
    own = find_evaluator(str(tmp_path / "own"), find_model(tiny_model))
    ours, theirs = (evaluate(folder_clips(tiny_clips), judge) for judge in (own, evaluator))
    assert ours.inception_score.mean == pytest.approx(theirs.inception_score.mean, rel=1e-6)
    assert ours.actions == ("right", "left", "grow") and own.hash == evaluator.hash
    for wrong in (tiny_model / "encoder", tiny_model / "nothing", tmp_path / "own/config.json"):
        with pytest.raises(StganError):
            find_evaluator(str(wrong), find_model(tiny_model))


def test_a_folder_with_the_name_of_a_network_of_the_model(
    tiny_model: Path, evaluator: Evaluator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, own = find_model(tiny_model), ("up", "down", "still")
    monkeypatch.chdir(tmp_path)
    for name in ("c3d", "evaluator"):
        save_checkpoint(Path(name), evaluator.network, actions=own)
    for name in ("c3d", "evaluator"):
        with pytest.raises(StganError, match=f"'{name}' is a network of the model tiny, and there is .* './{name}'"):
            find_evaluator(name, model)
        for named in (Path(name), f"./{name}"):
            assert find_evaluator(named, model).actions == own
        meant = find_evaluator(str(tiny_model / name), model)  # as the message says
        assert evaluator_of(model, name).hash == meant.hash and evaluator_of(model, name).actions == model.actions
    assert find_evaluator(None, model).name == "evaluator" and find_evaluator(None, model).actions == model.actions
    monkeypatch.chdir(tiny_model)  # where both are one
    assert find_evaluator("c3d", model).name == "c3d"
    with pytest.raises(StganError, match="tiny has no network 'evaluator' that could score; name another"):
        find_evaluator(None, replace(model, evaluators={}))


def test_a_path_is_never_code(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text("def make():\n    raise SystemError('code was run')\n")
    with pytest.raises(StganError, match="code was run"):
        find_evaluator("own.py:make", find_model(tiny_model), run_code=True)
    with pytest.raises(StganError, match="would run code"):
        find_evaluator("own.py:make", find_model(tiny_model))
    with pytest.raises(CheckpointError, match="is this a checkpoint folder"):
        find_evaluator(Path("own.py:make"), find_model(tiny_model))


def test_a_window_of_another_length(tiny_clips: Path, tiny_model: Path) -> None:
    model = find_model(tiny_model)
    assert find_evaluator("evaluator", model, frames=8).frames == 8
    with pytest.raises(StganError, match="takes clips of 16 frames"):
        find_evaluator("c3d", model, frames=8)
    with pytest.raises(StganError, match="2 to 1024"):
        find_evaluator("lrcn", model, frames=1)


def test_values_beside_real_clips_are_those_of_a_restatement(tiny_clips: Path, evaluator: Evaluator) -> None:
    """Six generated clips of two actions beside nine real clips of three, in whatever order."""
    generated = [clip for clip in folder_clips(tiny_clips) if clip.action != "grow"]
    real = [replace(clip, group=clip.path.stem) for clip in labelled_clips(find_clips(tiny_clips))]
    scores = evaluate(generated, evaluator, real=Real(real))
    found = scores.beside_real
    assert found and found.num_videos == 6 and set(found.motion["motion"]) == {"left", "right"}
    assert found.splits == 3 and found.split_videos == 4  # one group against the other two; two windows a clip
    ours, _ = measure(generated, evaluator)
    theirs, _ = measure([clip for clip in real if clip.action != "grow"], evaluator, Protocol(size=(16, 16), windows=2))
    for name in ("motion", "visible_motion"):
        means = [
            np.mean([float(side.pixels[name][i]) for i, clip in enumerate(side.clips) if clip.action == "left"])
            for side in (ours, theirs)
        ]
        left = found.motion[name]["left"]
        assert (left.generated, left.real) == pytest.approx(means, rel=1e-9)
        assert left.ratio == pytest.approx(means[0] / means[1], rel=1e-9)
        ratios = [each.ratio for each in found.motion[name].values()]
        assert found.actions_within[name] == sum(ratio is not None and 0.7 <= ratio <= 1.3 for ratio in ratios)
    pairs = []
    for group in ("clip0", "clip1", "clip2"):
        first = [i for i, clip in enumerate(theirs.clips) if clip.group == group]
        second = [i for i, clip in enumerate(theirs.clips) if clip.group != group][: len(first)]
        second_half = theirs.features[second]
        pairs.append(
            [kernel_distance(side, second_half).item() for side in (ours.features[:4], theirs.features[first])]
        )
    kernel = found.values["kernel_video_distance"]
    assert (kernel.generated, kernel.real) == pytest.approx(tuple(np.mean(pairs, 0)), rel=1e-6)
    assert kernel.real_std == pytest.approx(np.std(pairs, axis=0, ddof=1)[1], rel=1e-6)
    assert found.values["diversity"].generated == scores.diversity
    assert evaluate(generated[::-1], evaluator, real=Real(real[::-1])).beside_real == found


def test_frozen_and_flickering_clips_are_named(tiny_clips: Path, evaluator: Evaluator, tmp_path: Path) -> None:
    frames = read_video(next(iter(sorted(tiny_clips.glob("left/*.mp4"))))).frames[:16]
    lights = 12 * (np.arange(16) % 2).reshape(-1, 1, 1, 1)
    clips = {"frozen": frames[[3] * 16], "flickering": (frames[[3] * 16].astype(int) + lights).clip(0, 255)}
    for name, video in clips.items():
        write_video(tmp_path / f"{name}.mp4", video.astype(np.uint8))
    shutil.copyfile(sorted(tiny_clips.glob("left/*.mp4"))[0], tmp_path / "moving.mp4")
    scores = evaluate(folder_clips(tmp_path), evaluator)
    assert scores.frozen_clips == ("frozen.mp4",) and scores.flickering_clips == ("flickering.mp4",)
    assert (scores.rows[0].num_frozen, scores.rows[0].num_flickering) == (1, 1)


def test_clips_of_two_folders_are_told_apart_by_their_paths(
    tiny_clips: Path, evaluator: Evaluator, tmp_path: Path
) -> None:
    write_video(tmp_path / "clip0.mp4", np.full((20, 16, 16, 3), 90, np.uint8))
    same = replace(labelled_clips(find_clips(tiny_clips))[0], path=tmp_path / "clip0.mp4")
    clips = [*folder_clips(tiny_clips), same]
    real = Real([*labelled_clips(find_clips(tiny_clips)), replace(same, split="test")])
    scores = evaluate(clips, evaluator, real=real)
    assert scores.num_videos == 10
    assert {clip.file for clip in scores.clips} == {
        (clip.path.as_posix() if clip.name == same.name else clip.name) for clip in clips
    }
    with pytest.raises(StganError, match="2 of the clips are called"):
        evaluate([*clips, same], evaluator)


def test_copies_are_told_of(scores: Scores, tiny_clips: Path, evaluator: Evaluator) -> None:
    clip = folder_clips(tiny_clips)[0]
    same = evaluate([clip, replace(clip, name="again.mp4"), replace(clip, name="once more.mp4")], evaluator)
    assert any(note.startswith("2 clips are copies of others") for note in same.notes)
    assert not any("copies of others" in note for note in scores.notes)


def test_several_windows_of_a_clip_are_one_video(scores: Scores, tiny_clips: Path, evaluator: Evaluator) -> None:
    clips = folder_clips(tiny_clips)
    real = Real([replace(clip, group=clip.path.stem, split=None) for clip in labelled_clips(find_clips(tiny_clips))])
    several = evaluate(clips, evaluator, protocol=Protocol(windows=3), real=real)
    row = several.rows[0]
    assert several.num_videos == row.num_videos == 9 and row.num_windows == 27
    assert several.beside_real and several.beside_real.num_videos == 9
    assert several.temporal_order and several.temporal_order.num_videos == 9
    assert several.temporal_order_real and several.temporal_order_real.num_videos == 9
    assert not any("copies of others" in note for note in several.notes)
    assert [clip.file for clip in several.clips] == sorted(clip.name for clip in clips)
    assert several.copies and several.copies.num_videos == 9 and (row.num_frozen or 0) <= 9
    assert "3 windows of 16 frames, evenly spread over a clip" in several.protocol

    # Restated from the windows: means of each clip; intervals of as many clips; one window a clip for diversity.
    measured, _ = measure(clips, evaluator, Protocol(windows=3))
    p = np.exp(measured.log_probabilities.numpy())
    for found in several.clips:
        own = [i for i, clip in enumerate(measured.clips) if clip.name == found.file]
        assert len(own) == 3 and found.named == evaluator.actions[p[own].mean(0).argmax()]
        asked = evaluator.actions.index(str(found.action))
        assert found.probability == pytest.approx(p[own, asked].mean(), rel=1e-9)
        assert found.motion == pytest.approx(float(measured.pixels["motion"][own].mean()), rel=1e-9)
    for action, share in several.per_action.items():
        assert several.per_action_interval[action] == pytest.approx(wilson_interval(3 * share, 3))
    first = {clip.name: i for i, clip in reversed(list(enumerate(measured.clips)))}
    apart = []
    for action in evaluator.actions:
        own = measured.features[[i for name, i in first.items() if name.startswith(action)]].double().numpy()
        apart.append(np.mean([np.linalg.norm(own[i] - own[j]) for i in range(3) for j in range(i)]))
    assert several.diversity == pytest.approx(np.mean(apart), rel=1e-6)


def test_windows_of_a_clip_are_no_neighbours_of_each_other(tiny_clips: Path, evaluator: Evaluator) -> None:
    measured, _ = measure(folder_clips(tiny_clips), evaluator)
    six = measured.select([i for i in range(len(measured)) for _ in range(6)])
    # The fifth neighbour among six equal windows of each other clip is a window of the nearest other clip.
    nearest = precision_recall_density_coverage(measured.features, measured.features, 1)
    assert nearest.density == 1 and neighbourhood(six, six, 5)["density"] == pytest.approx(6 * nearest.density / 5)
    names = {clip.name for clip in measured.clips[:2]}
    two = six.select([i for i, clip in enumerate(six.clips) if clip.name in names])
    assert set(neighbourhood(two, six, 5).values()) == {None}


def test_a_variable_rate_is_noted(tmp_path: Path, tiny_clips: Path, evaluator: Evaluator) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)
    write_gif(tmp_path / "clip.gif", np.concatenate([frames[:6], frames[6:].repeat(5, 0)]), 20.0)
    action = next(clip.action for clip in folder_clips(tiny_clips))
    real = [Clip(tmp_path / "clip.gif", "clip.gif", action)]
    notes = evaluate(folder_clips(tiny_clips), evaluator, real=Real(real, fps=10.0)).notes
    assert any("varies in 1 real clips" in note and "10 a second" in note for note in notes)
