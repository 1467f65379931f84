"""Measurements of clips: the same however they are read, and never made twice."""

import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

from stgan.checkpoints.own_classifier import own_checkpoint
from stgan.errors import StganError
from stgan.files import sha256
from stgan.metrics.motion import motion
from stgan.networks import adapt
from stgan.scoring import Evaluator, Measurements, Protocol, ScoreCache, as_evaluator, folder_clips, measure
from stgan.video import center_window, read_video, to_float, write_video


@pytest.fixture(scope="module")
def measured(tiny_clips: Path, evaluator: Evaluator) -> Measurements:
    return measure(folder_clips(tiny_clips), evaluator)[0]


def test_a_clip_is_what_the_network_says_of_its_middle_window(measured: Measurements, evaluator: Evaluator) -> None:
    for i, clip in enumerate(measured.clips):
        frames = read_video(clip.path).frames
        video = to_float(frames[center_window(len(frames), 16)]).unsqueeze(0)
        torch.testing.assert_close(measured.features[i : i + 1], evaluator.network.features(video))
        torch.testing.assert_close(
            measured.log_probabilities[i : i + 1].float(), evaluator.network.log_probabilities(video)
        )
        torch.testing.assert_close(measured.pixels["motion"][i : i + 1].float(), motion(video))
    assert sorted(clip.name for clip in measured.clips)[0] == "grow/clip0.mp4" and len(measured) == 9


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 5, "workers": 3}, {"workers": 1}])
def test_batches_threads_and_order_do_not_matter(
    options: dict, measured: Measurements, tiny_clips: Path, evaluator: Evaluator
) -> None:
    again, _ = measure(folder_clips(tiny_clips)[::-1], evaluator, **options)
    assert again.contents == measured.contents and again.clips == measured.clips
    torch.testing.assert_close(again.log_probabilities, measured.log_probabilities, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(again.features, measured.features, rtol=1e-6, atol=1e-6)


def test_names_of_files_do_not_matter(
    measured: Measurements, tiny_clips: Path, evaluator: Evaluator, tmp_path: Path
) -> None:
    for number, path in enumerate(sorted(tiny_clips.glob("*/*.mp4"), reverse=True)):
        shutil.copyfile(path, tmp_path / f"{number}.mp4")
    loose, _ = measure(folder_clips(tmp_path), evaluator)
    assert loose.contents == measured.contents and loose.clips[0].action is None
    torch.testing.assert_close(loose.log_probabilities, measured.log_probabilities, rtol=1e-6, atol=1e-6)


class Counting(torch.nn.Module):
    """A network that counts the videos it is asked about, and may break."""

    def __init__(self, network: Any, breaks_after: int = 10**9) -> None:
        super().__init__()
        self.network, self.config, self.count, self.breaks_after = network, network.config, 0, breaks_after

    def features_and_log_probabilities(self, videos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.count >= self.breaks_after:
            raise KeyboardInterrupt
        self.count += len(videos)
        return self.network.features_and_log_probabilities(videos)


def test_an_interrupted_run_goes_on_and_nothing_is_computed_twice(
    measured: Measurements, tiny_clips: Path, evaluator: Evaluator, tmp_path: Path
) -> None:
    cache, clips = ScoreCache(tmp_path), folder_clips(tiny_clips)
    broken = Counting(evaluator.network, breaks_after=4)
    with pytest.raises(KeyboardInterrupt):
        measure(clips, replace(evaluator, network=broken), cache=cache, batch_size=2, workers=1)
    rest = Counting(evaluator.network)
    again, _ = measure(clips, replace(evaluator, network=rest), cache=cache, batch_size=2)
    assert broken.count == 4 and rest.count == 5
    torch.testing.assert_close(again.features, measured.features, rtol=1e-6, atol=1e-6)
    none = Counting(evaluator.network)
    measure(clips, replace(evaluator, network=none), cache=ScoreCache(tmp_path))
    assert none.count == 0


@pytest.mark.parametrize("protocol", [Protocol(shuffled=1.0), Protocol(size=(12, 12)), Protocol(windows=2)])
def test_other_rules_and_other_weights_are_other_results(
    protocol: Protocol, tiny_clips: Path, evaluator: Evaluator, tmp_path: Path
) -> None:
    cache, clips, counting = ScoreCache(tmp_path), folder_clips(tiny_clips), Counting(evaluator.network)
    judge = replace(evaluator, network=counting)
    measure(clips, judge, cache=cache)
    measure(clips, judge, protocol, cache=cache)
    assert counting.count == 9 * (2 + (protocol.windows == 2 or protocol.shuffled == 1))
    before = counting.count
    measure(clips, replace(judge, hash="of other weights"), cache=cache)
    measure(clips, replace(judge, file="with other code around the same weights"), cache=cache)
    assert counting.count == before + 18


def test_a_network_whose_answers_are_not_finite_is_refused(tiny_clips: Path, evaluator: Evaluator) -> None:
    broken: Any = deepcopy(evaluator.network)
    broken.fc.bias[0] = torch.inf
    with pytest.raises(StganError, match="are not finite"):
        measure(folder_clips(tiny_clips), replace(evaluator, network=broken))


def test_a_changed_file_is_judged_again(tiny_clips: Path, evaluator: Evaluator, tmp_path: Path) -> None:
    shutil.copytree(tiny_clips, tmp_path / "clips")
    cache, counting = ScoreCache(tmp_path), Counting(evaluator.network)
    judge = replace(evaluator, network=counting)
    before, _ = measure(folder_clips(tmp_path / "clips"), judge, cache=cache)
    write_video(tmp_path / "clips/left/clip0.mp4", np.full((20, 16, 16, 3), 200, np.uint8))
    after, _ = measure(folder_clips(tmp_path / "clips"), judge, cache=cache)
    assert counting.count == 10 and len(set(before.contents) & set(after.contents)) == 8


def test_a_damaged_entry_of_the_cache_is_computed_again(tiny_clips: Path, evaluator: Evaluator, tmp_path: Path) -> None:
    cache, counting = ScoreCache(tmp_path), Counting(evaluator.network)
    judge = replace(evaluator, network=counting)
    measure(folder_clips(tiny_clips), judge, cache=cache)
    with cache._database:
        cache._database.execute("UPDATE results SET arrays = x'00ff' WHERE rowid % 2 = 0")
    measure(folder_clips(tiny_clips), judge, cache=cache)
    assert counting.count == 9 + 4
    [(entry,)] = cache._database.execute("SELECT arrays FROM results WHERE rowid = 1")
    with cache._database:  # a single bit of a number, which could be read all the same
        cache._database.execute("UPDATE results SET arrays = ? WHERE rowid = 1", (entry[:-1] + bytes([entry[-1] ^ 1]),))
    measure(folder_clips(tiny_clips), judge, cache=cache)
    assert counting.count == 9 + 4 + 1


def test_a_file_that_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "scores.sqlite").write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(StganError, match="--no-cache"):
        ScoreCache(tmp_path)


def test_shuffling_is_the_same_each_time_and_changes_the_verdict(
    measured: Measurements, tiny_clips: Path, evaluator: Evaluator
) -> None:
    first, _ = measure(folder_clips(tiny_clips), evaluator, Protocol(shuffled=1.0))
    second, _ = measure(folder_clips(tiny_clips)[::-1], evaluator, Protocol(shuffled=1.0), batch_size=2)
    assert first.clips == measured.clips and measured.shuffled.isnan().all()
    torch.testing.assert_close(first.log_probabilities, measured.log_probabilities, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(first.shuffled, second.shuffled, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(first.shuffled, measured.log_probabilities, atol=1e-4)


def test_a_share_of_the_clips_is_shuffled(tiny_clips: Path, evaluator: Evaluator) -> None:
    every, _ = measure(folder_clips(tiny_clips), evaluator, Protocol(shuffled=1.0))
    some, _ = measure(folder_clips(tiny_clips), evaluator, Protocol(shuffled=0.5))
    chosen = ~some.shuffled.isnan().any(1)
    by_hash = [int(sha256(clip.path)[:8], 16) < 0.5 * 16**8 for clip in some.clips]
    assert chosen.tolist() == by_hash and 0 < sum(by_hash) < 9
    torch.testing.assert_close(some.shuffled[chosen], every.shuffled[chosen], rtol=1e-6, atol=1e-6)


def test_size_rate_and_windows(tiny_clips: Path, evaluator: Evaluator) -> None:
    clips = folder_clips(tiny_clips)
    assert set(measure(clips, evaluator, Protocol(size=(12, 10)))[0].sizes) == {(12, 10)}
    several, _ = measure(clips, evaluator, Protocol(windows=3))
    assert len(several) == 27 and len(set(several.clips)) == 9
    # At half the rate of 25 frames a second, 20 frames are 10, played back and forth.
    slow, _ = measure(clips, evaluator, Protocol(fps=12.5, windows=3))
    assert len(slow) == 9
    frames = read_video(slow.clips[0].path).frames[::2]
    video = to_float(frames[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 4, 3]]).unsqueeze(0)
    torch.testing.assert_close(slow.features[:1], evaluator.network.features(video))
    with pytest.raises(StganError, match="a single frame at 1 frames a second; give videos or a higher rate"):
        measure(clips, evaluator, Protocol(fps=1.0))


@pytest.mark.parametrize(
    "wrong",
    [{"windows": 0}, {"windows": 2.5}, {"size": (0, 8)}, {"size": 8}, {"fps": 0.0}, {"fps": float("nan")}],
    ids=str,
)
def test_a_protocol_of_nonsense(wrong: dict[str, Any], tiny_clips: Path, evaluator: Evaluator) -> None:
    jaxtyping.config.update("jaxtyping_disable", True)  # the checks of types at run time, which users do not have
    try:
        with pytest.raises(StganError, match=f"the protocol: {next(iter(wrong))}"):
            measure(folder_clips(tiny_clips), evaluator, Protocol(**wrong))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_clips_of_one_name_are_not_taken_for_windows_of_one_clip(tiny_clips: Path, evaluator: Evaluator) -> None:
    clips = folder_clips(tiny_clips)
    with pytest.raises(StganError, match=r"2 of the clips are called 'grow/clip0\.mp4'; give each clip once"):
        measure([*clips, clips[0]], evaluator)


def test_clips_that_cannot_be_read(tiny_clips: Path, evaluator: Evaluator, tmp_path: Path) -> None:
    shutil.copytree(tiny_clips, tmp_path / "clips")
    clips = folder_clips(tmp_path / "clips")
    (tmp_path / "clips/left/clip0.mp4").write_bytes(b"no video")
    (tmp_path / "clips/left/clip1.mp4").unlink()
    write_video(tmp_path / "clips/left/clip2.mp4", np.zeros((1, 16, 16, 3), np.uint8))
    for workers in (1, 3):
        with pytest.raises(StganError, match="clip0"):
            measure(clips, evaluator, workers=workers)
    kept, skipped = measure(clips, evaluator, keep_going=True)
    assert len(kept) == 6 and [each.file for each in skipped] == [f"left/clip{i}.mp4" for i in range(3)]
    assert "missing" in skipped[1].reason and "single frame" in skipped[2].reason
    with pytest.raises(StganError, match="none of the 3 clips"):
        measure([clip for clip in clips if clip.action == "left"], evaluator, keep_going=True)


def test_a_clip_that_the_network_cannot_judge_is_left_out(tiny_clips: Path, evaluator: Evaluator) -> None:
    class Picky(Counting):
        def features_and_log_probabilities(self, videos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            if videos.mean((1, 2, 3, 4)).gt(bound).any():
                raise ValueError("the crop does not fit")
            return super().features_and_log_probabilities(videos)

    clips = folder_clips(tiny_clips)
    means = [float(to_float(read_video(clip.path).frames[center_window(20, 16)]).mean()) for clip in clips]
    bound = sorted(means)[-2] + 1e-6
    judge = replace(evaluator, network=Picky(evaluator.network))
    with pytest.raises(StganError, match="cannot score"):
        measure(clips, judge)
    kept, skipped = measure(clips, judge, keep_going=True, batch_size=9)
    brightest = clips[means.index(max(means))]
    assert len(kept) == 8 and [each.file for each in skipped] == [brightest.name] and "crop" in skipped[0].reason


def test_a_batch_too_large_for_the_memory_is_scored_clip_by_clip(
    measured: Measurements, tiny_clips: Path, evaluator: Evaluator
) -> None:
    class Greedy(Counting):
        def features_and_log_probabilities(self, videos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            if len(videos) > most:
                raise RuntimeError("could not create a primitive")
            return super().features_and_log_probabilities(videos)

    judge, most = replace(evaluator, network=Greedy(evaluator.network)), 1
    kept, _ = measure(folder_clips(tiny_clips), judge, batch_size=4)
    torch.testing.assert_close(kept.features, measured.features)
    most = 0
    with pytest.raises(StganError, match=r"not enough memory; use fewer"):
        measure(folder_clips(tiny_clips), judge, batch_size=4)


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (torch.rand(1, 3, 1, 16, 16), "still"),
        (torch.rand(1, 3, 4, 16, 16) * 255, "in \\[0, 1\\]"),
        (torch.rand(1, 3, 4, 16, 16) * 2 - 1, "in \\[0, 1\\]"),
        (torch.full((1, 3, 4, 16, 16), float("nan")), "not finite"),
    ],
)
def test_tensors_that_are_no_videos(video: torch.Tensor, message: str, evaluator: Evaluator) -> None:
    with pytest.raises(StganError, match=message):
        evaluator(video)


def test_large_clips_are_judged_a_few_at_a_time(
    measured: Measurements, tiny_clips: Path, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, judged = evaluator.network, []

    class Watched(Counting):
        def features_and_log_probabilities(self, videos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            judged.append(len(videos))
            return super().features_and_log_probabilities(videos)

    monkeypatch.setattr("stgan.scoring.measurements._MOST_VALUES", 2 * 16 * 16 * 16 * 3)  # two of these clips
    again, _ = measure(folder_clips(tiny_clips), replace(evaluator, network=Watched(network)), batch_size=9)
    assert sum(judged) == 9 and max(judged) == 2 and again.clips == measured.clips
    torch.testing.assert_close(again.features, measured.features, rtol=1e-6, atol=1e-6)


def test_a_network_of_single_frames_scores_all_frames_of_windows_that_move(tiny_clips: Path) -> None:
    class Colours(torch.nn.Module):
        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            return 20 * clips.mean((2, 3, 4))

    network = adapt(Colours(), ["red", "green", "blue"], size=16, frames=1, mean=0.0, std=1.0)
    judge = as_evaluator(own_checkpoint(network), "colours")
    measured, _ = measure(folder_clips(tiny_clips), judge)
    for i, clip in enumerate(measured.clips):
        frames = read_video(clip.path).frames
        video = to_float(frames[center_window(len(frames), 16)])
        each = network.log_probabilities(video.transpose(0, 1).unsqueeze(2)).exp()
        torch.testing.assert_close(measured.log_probabilities[i].exp().float(), each.mean(0))
        torch.testing.assert_close(measured.pixels["motion"][i].float(), motion(video[None])[0])
    assert measured.pixels["motion"].min() > 0
    assert "one frame at a time" in judge.describe(Protocol())
