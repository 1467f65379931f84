"""Clips in every form that can be scored: the same frames have the same scores, and what is wrong is a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch.utils.data import DataLoader, TensorDataset

from stgan.errors import StganError
from stgan.records import as_plain
from stgan.report.films import Films
from stgan.scoring import Clip, Evaluator, Real, Rules, Scores, evaluate, folder_clips, given_clips, tensor_clips
from stgan.video import TensorClip, read_video, to_uint8, write_video

CLIPS, TIME, SIDE = 40, 18, 16


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 short films of moving squares."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("videos")
    for number in range(CLIPS):
        frames = np.full((TIME, SIDE, SIDE, 3), rng.integers(0, 200, 3), np.uint8)
        x, y, step, side = rng.integers(0, 6), rng.integers(0, 10), rng.uniform(0.2, 0.6), rng.integers(2, 6)
        for t in range(TIME):
            frames[t, y : y + side, x + int(step * t) :][:, :side] = 255 - frames[t, 0, 0]
        write_video(folder / f"{number:02d}.mp4", frames)
    return folder


@pytest.fixture(scope="module")
def frames(videos: Path) -> np.ndarray:
    """What the films show, which every other form has as it is: uint8 "n time height width 3"."""
    return np.stack([read_video(path).frames for path in sorted(videos.iterdir())])


@pytest.fixture(scope="module")
def expected(videos: Path, evaluator: Evaluator) -> Scores:
    return both(given_clips(videos), evaluator)


def both(clips: list[Clip], evaluator: Evaluator) -> Scores:
    """The scores of the first half beside the second half."""
    return evaluate(
        clips[: CLIPS // 2], evaluator, real=Real(clips[CLIPS // 2 :]), inception=True, rules=Rules(splits=2)
    )


def numbers(scores: Scores) -> dict[str, Any]:
    """All numbers of a record by their places."""
    found: dict[str, Any] = {}

    def collect(value: Any, place: str) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                collect(each, f"{place}.{name}")
        elif isinstance(value, list | tuple):
            for number, each in enumerate(value):
                collect(each, f"{place}.{number}")
        elif isinstance(value, int | float):
            found[place] = value

    collect(as_plain(scores), "")
    return found


def frame_folders(folder: Path, frames: np.ndarray) -> Path:
    for number, clip in enumerate(frames):
        (folder / f"clip{number:02d}").mkdir()
        for t, frame in enumerate(clip):
            Image.fromarray(frame).save(folder / f"clip{number:02d}" / f"{t}.png")
    return folder


def saved(name: str, save: Callable[[Path, np.ndarray], Any]) -> Callable[[Path, np.ndarray], Path]:
    def make(folder: Path, frames: np.ndarray) -> Path:
        save(folder / name, frames)
        return folder / name

    return make


def as_torch(frames: np.ndarray, layout: tuple[int, ...] = (0, 4, 1, 2, 3)) -> torch.Tensor:
    return torch.from_numpy(frames).permute(*layout).contiguous()


FORMS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "frame folders": frame_folders,
    "npy": saved("clips.npy", np.save),
    "npz": saved("clips.npz", lambda path, x: np.savez(path, **{f"{i:02d}": clip for i, clip in enumerate(x)})),
    "safetensors": saved("c.safetensors", lambda path, x: save_file({"x": x.transpose(0, 1, 4, 2, 3).copy()}, path)),
    "pt": saved("clips.pt", lambda path, x: torch.save(as_torch(x).float() / 255, path)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_frames_has_the_same_scores(
    form: str, frames: np.ndarray, expected: Scores, evaluator: Evaluator, tmp_path: Path
) -> None:
    wanted = numbers(expected)
    found = numbers(both(folder_clips(FORMS[form](tmp_path, frames)), evaluator))
    assert len(wanted) > 150 and found == pytest.approx(wanted, abs=1e-6, rel=1e-6)


def test_folders_of_files_of_tensors_are_actions(frames: np.ndarray, tmp_path: Path) -> None:
    """If no other clips are there. Labels in a file count more than its folder."""
    for action in ("walk", "run"):
        (tmp_path / action).mkdir()
        np.save(tmp_path / action / "one.npy", frames[0])
    np.savez(tmp_path / "run" / "two.npz", videos=frames[:2], labels=["jump", "run"])
    found = {clip.name: clip.action for clip in given_clips(tmp_path)}
    assert found == {
        "run/one.npy": "run", "run/two.npz/videos/000000": "jump", "run/two.npz/videos/000001": "run",
        "walk/one.npy": "walk",
    }  # fmt: skip
    assert [clip.action for clip in given_clips(tmp_path / "walk/one.npy")] == [None]
    (tmp_path / "Walk").mkdir()
    np.save(tmp_path / "Walk/one.npy", frames[0])
    with pytest.raises(StganError, match="differ only in case"):
        given_clips(tmp_path)
    np.save(tmp_path / "loose.npy", frames[0])
    assert [clip.name for clip in given_clips(tmp_path)] == ["loose.npy"]


def floats(frames: np.ndarray) -> torch.Tensor:
    return as_torch(frames).float() / 255


@pytest.mark.parametrize(
    "given",
    [
        floats,
        as_torch,
        lambda x: (part for part in floats(x).split(7)),
        lambda x: DataLoader(TensorDataset(floats(x)), 9),
    ],
    ids=["floats", "bytes", "generator", "loader"],
)
def test_tensors_of_a_program_have_the_same_scores(
    given: Callable[[np.ndarray], Any], frames: np.ndarray, expected: Scores, evaluator: Evaluator, tmp_path: Path
) -> None:
    found = numbers(both(tensor_clips(given(frames), folder=tmp_path), evaluator))
    assert found == pytest.approx(numbers(expected), abs=1e-6, rel=1e-6)


def test_actions_come_with_batches_or_beside_them(tmp_path: Path) -> None:
    videos = torch.rand(3, 3, 4, 8, 8)
    for number, (given, actions, classes) in enumerate(
        [
            (videos, ["run", "walk", "run"], ()),
            (videos, [1, 0, 1], ("walk", "run")),
            ([(videos[:2], torch.tensor([1, 0])), [videos[2:], [1]]], None, ("walk", "run")),
            ([(videos, np.array([1, 0, 1]))], None, ("walk", "run")),
            (videos, list(np.array([1, 0, 1])), ("walk", "run")),
            (videos, torch.tensor([1, 0, 1]), ("walk", "run")),
            ([(videos[:2], ["run", "walk"]), (videos[2:], ("run",))], None, ()),
        ]
    ):
        clips = tensor_clips(given, actions, classes=classes, folder=tmp_path / str(number))
        assert [clip.action for clip in clips] == ["run", "walk", "run"]
    (again,) = {clip.name: clip.source for clip in clips[:1]}.values()
    np.testing.assert_array_equal(read_video(again).frames, to_uint8(videos[0]))
    found = folder_clips(tmp_path / "0")
    assert [clip.source for clip in found] == [TensorClip(tmp_path / f"0/{i:06d}.npy") for i in range(3)]


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (torch.rand(1, 4, 3, 8, 8), {}, "'n 3 time height width', not 1x4x3x8x8; rearrange"),
        ([torch.rand(3, 4, 8, 8)], {}, "not 3x4x8x8"),
        ([{"video": 3}], {}, "not dict; rearrange"),
        (255 * torch.rand(1, 3, 4, 8, 8), {}, "values of videos are in"),
        (torch.rand(1, 3, 1, 8, 8), {}, "this one is a still"),
        (torch.rand(1, 3, 4, 8, 8), {"actions": ["a", "b"]}, "2 actions of 1 clips"),
        (torch.rand(1, 3, 4, 8, 8), {"actions": [2], "classes": ["a", "b"]}, "2 is no action"),
        ([(torch.rand(1, 3, 4, 8, 8), ["a", "b"])], {}, "one label for each video"),
        ([(torch.rand(1, 3, 4, 8, 8), 3)], {}, "one label for each video"),
        ([[torch.rand(1, 3, 4, 8, 8)] * 2], {}, "one label for each video"),
        (torch.rand(1, 3, 4, 8, 8), {"actions": [torch.rand(3, 4, 8, 8)]}, "is no action"),
        (torch.rand(1, 3, 4, 8, 8), {"actions": [-1]}, "-1 is no action"),
        (torch.rand(1, 3, 4, 8, 8), {"actions": [0.0]}, "0.0 is no action"),
        (torch.rand(1, 3, 4, 8, 8), {"actions": ["../x"]}, "'../x' is no name of an action"),
        ([(torch.rand(2, 3, 4, 8, 8), ["a", "a\n"])], {}, "is no name of an action"),
        ([torch.rand(1, 3, 4, 8, 8), 2 * torch.ones(1, 3, 4, 8, 8)], {}, "values of videos are in"),
        ([], {}, "no videos to score"),
    ],
)
def test_what_are_no_videos_is_one_sentence(
    given: Any, options: dict[str, Any], message: str, tmp_path: Path, unchecked: None
) -> None:
    with pytest.raises(StganError, match=message) as caught:
        tensor_clips(given, folder=tmp_path, **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert tensor_clips(torch.rand(1, 3, 4, 8, 8), folder=tmp_path)  # nothing was left there


def test_a_folder_of_other_files_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(StganError, match="is not empty"):
        tensor_clips(torch.rand(1, 3, 4, 8, 8), folder=tmp_path)


def small(path: Path, *, frames: int = 16, side: int = 16, fps: float = 25.0) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    pictures = np.random.default_rng(len(path.name)).integers(0, 256, (frames, side, side, 3), np.uint8)
    write_video(path, pictures, fps)


def test_a_folder_or_a_list_says_what_its_clips_are(tmp_path: Path) -> None:
    """A list before the clips that lie there; of loose clips and folders of actions, the larger part."""
    for name in ("a.mp4", "b.mp4", "walk/c.mp4"):
        small(tmp_path / name)
    notes: list[str] = []
    assert [(clip.name, clip.action) for clip in given_clips(tmp_path)] == [("a.mp4", None), ("b.mp4", None)]
    for name in ("walk/d.mp4", "run/e.mp4"):
        small(tmp_path / name)
    assert [clip.action for clip in given_clips(tmp_path, notes.append)] == ["run", "walk", "walk"]
    assert any("2 video file(s)" in note for note in notes)
    np.save(tmp_path / "features.npy", np.zeros((9, 4)))
    (tmp_path / "some.csv").write_text("path,label\na.mp4,jump\nwalk/c.mp4,walk\n")
    for path in (tmp_path, tmp_path / "some.csv"):
        assert [(clip.name, clip.action) for clip in given_clips(path)] == [("a.mp4", "jump"), ("walk/c.mp4", "walk")]
    with pytest.raises(StganError, match="is not a folder, a list or a file of tensors"):
        given_clips(tmp_path / "a.mp4")


def test_frames_of_loose_clips_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for clip in ("two", "one"):
        (tmp_path / clip).mkdir()
        for number in range(12):
            Image.new("RGB", (16, 16), (20 * number,) * 3).save(tmp_path / clip / f"{number}.jpg", quality=100)
    clips = given_clips(tmp_path)
    assert [(clip.name, clip.action) for clip in clips] == [("one", None), ("two", None)]
    levels = read_video(clips[0].source).frames.mean((1, 2, 3))
    assert np.abs(levels - 20 * np.arange(12)).max() < 4


def test_notes_say_how_the_sides_differ(evaluator: Evaluator, tmp_path: Path) -> None:
    for number in range(3):
        small(tmp_path / "made" / f"{'x' * number}x.mp4", frames=9 + number, fps=10.0)
        small(tmp_path / "real" / f"{'y' * number}y.mp4", frames=20, side=32, fps=30.0)
    made, real = given_clips(tmp_path / "made"), given_clips(tmp_path / "real")
    text = "\n".join(evaluate(made, evaluator, real=Real(real)).notes)
    assert "3 of 3 clips have fewer than the 16 frames of a window (the shortest 9) and are played back and" in text
    assert "real clips of 32x32 were scaled and cropped to 16x16" in text
    assert "the clips have 10 frames a second and the real ones 30" in text
    text = "\n".join(evaluate(made, evaluator, real=Real(real, fps=10.0)).notes)
    assert "frames a second" not in text and "3 of 3 real clips have fewer" in text
    np.save(tmp_path / "x.npy", np.stack([read_video(clip.source).frames for clip in real]))
    text = "\n".join(evaluate(given_clips(tmp_path / "x.npy"), evaluator, real=Real(real)).notes)
    assert not any(word in text for word in ("frames a second", "back and forth", "scaled"))


def test_real_clips_without_actions_are_a_reference(evaluator: Evaluator, tiny_clips: Path, videos: Path) -> None:
    scores = evaluate(folder_clips(tiny_clips), evaluator, real=Real(given_clips(videos)))
    assert scores.accuracy is not None and scores.frechet_video_distance is not None and scores.beside_real
    assert scores.beside_real.values["diversity"].real is None and not scores.beside_real.motion["motion"]


def test_a_tensor_has_a_film(frames: np.ndarray, videos: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "clips.npy", frames)
    films = [Films().get(clip) for clip in (*given_clips(tmp_path)[:2], *given_clips(videos)[:2])]
    assert films[0] == films[2] != films[1] == films[3]
