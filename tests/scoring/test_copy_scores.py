"""Copies of training clips in a folder of generated clips, from the files on: found, counted and named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scenes import PIXELS, Scenes, blurred, scenes

from stgan.scoring import Clip, Evaluator, Real, Scores, evaluate, labelled_clips
from stgan.video import find_clips, read_video, write_video

ACTION = "left"
TRAINING, UNSEEN = 8, 100


def write(folder: Path, names: list[str], clips: Scenes) -> list[Clip]:
    folder.mkdir()
    for name, clip in zip(names, clips, strict=True):
        gray = (255 * clip).round().byte().numpy()
        write_video(folder / f"{name}.mp4", np.repeat(gray[..., None], 3, axis=3))
    return [Clip(folder / f"{name}.mp4", f"{ACTION}/{name}.mp4", ACTION) for name in names]


@pytest.fixture(scope="module")
def scored(evaluator: Evaluator, tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """Four copies, four other scenes, and one of those once more; beside eight training clips and 100 unseen ones."""
    root = tmp_path_factory.mktemp("copies")
    training, new = scenes(TRAINING, 0, frames=24), scenes(4, 3)
    copies = blurred(training[:4, 4:20], PIXELS / 64)
    copies[1] = copies[1].flip(2)
    copies[2] = 0.2 + 0.5 * copies[2]
    names = [f"copy{i}" for i in range(4)] + [f"new{i}" for i in range(4)] + ["twin"]
    generated = write(root / ACTION, names, torch.cat([copies, new, new[:1] * 0.99]))
    real = [
        *(replace(clip, split="train") for clip in write(root / "a", [f"train{i}" for i in range(TRAINING)], training)),
        *(
            replace(clip, split="test")
            for clip in write(root / "b", [f"{i}" for i in range(UNSEEN)], scenes(UNSEEN, 1))
        ),
    ]
    return evaluate(generated, evaluator, real=Real(real))


def test_copies_are_counted_and_named(scored: Scores) -> None:
    assert scored.copies and scored.beside_real
    for found, key in ((scored.copies.frames, "frame_distance"), (scored.copies.windows, "window_distance")):
        assert found.num == 4 and found.share == 4 / 9 and found.interval and found.interval[0] < 4 / 9
        beside = scored.beside_real.values[key]
        assert (beside.generated, beside.real) == (found.generated, found.real)
        assert found.threshold and found.real and found.real > found.threshold
    assert (scored.copies.training, scored.copies.num_training) == ("real, train split", TRAINING)
    assert (scored.copies.num_windows, scored.copies.num_videos) == (UNSEEN, UNSEEN)
    for clip in scored.clips:
        frame, window = clip.nearest_frame, clip.nearest_window
        assert frame and window and frame.copied is window.copied is clip.file.startswith(f"{ACTION}/copy")
        if frame.copied:
            assert frame.file == window.file == f"{ACTION}/train{clip.file[-5]}.mp4"
            # A shift by 4 % is that of four frames here.
            assert abs(window.frame - 4) <= 4 and abs(frame.frame - frame.own_frame - 4) <= 4


def test_near_duplicates_are_counted_and_named(scored: Scores) -> None:
    assert scored.near_duplicates and scored.near_duplicates.num == 2 and scored.near_duplicates.real == 0
    twins = {clip.file: clip.duplicate_of for clip in scored.clips if clip.duplicate_of}
    assert twins == {f"{ACTION}/new0.mp4": f"{ACTION}/twin.mp4", f"{ACTION}/twin.mp4": f"{ACTION}/new0.mp4"}


def test_few_real_clips_are_no_threshold(tiny_clips: Path, evaluator: Evaluator) -> None:
    real = labelled_clips(find_clips(tiny_clips))
    scores = evaluate(real, evaluator, real=Real(real))
    assert scores.copies and scores.copies.frames.threshold is scores.copies.frames.share is None
    assert any("9 windows of real clips are too few to say which clips are copies" in note for note in scores.notes)
    assert scores.copies.baseline == "real clips, each beside those of other files"
    for clip in scores.clips:
        assert clip.nearest_window and clip.nearest_window.copied is None
        assert clip.nearest_window.distance < 0.1  # itself; "left" and "right" are also each other's mirror images
    alone = evaluate(real, evaluator)
    assert alone.copies is alone.near_duplicates is alone.clips[0].nearest_frame is None


@pytest.mark.real
@pytest.mark.slow
def test_copies_of_people_before_one_background(real_data: Path, evaluator: Evaluator, tmp_path: Path) -> None:
    """Weizmann: all clips share the background. Blurred and mirrored windows of real clips are found nevertheless."""
    real = labelled_clips(find_clips(real_data / "weizmann"))
    made = []
    for number, clip in enumerate(real[::4]):
        frames = read_video(clip.path).frames[5:21]
        video = torch.from_numpy(frames).permute(3, 0, 1, 2) / 255
        copy = blurred(video.flip(3) if number % 2 else video, frames.shape[2] / 64).permute(1, 2, 3, 0)
        path = tmp_path / f"{number}.mp4"
        write_video(path, (255 * copy).round().byte().numpy())
        made.append(Clip(path, path.name))
    scores = evaluate(made, evaluator, real=Real(real))
    assert scores.copies and scores.copies.windows.share is not None and scores.copies.windows.share >= 0.9
    assert scores.copies.baseline == "real clips, each beside those of other groups" and scores.copies.num_windows > 150
    right = [clip.nearest_window and clip.nearest_window.file for clip in scores.clips]
    named = {clip.name: source.name for clip, source in zip(made, real[::4], strict=True)}
    assert np.mean([named[clip.file] == file for clip, file in zip(scores.clips, right, strict=True)]) >= 0.9
