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

from stgan.records import as_plain
from stgan.scoring import Clip, Evaluator, Real, Rules, Scores, evaluate, folder_clips, given_clips, tensor_clips
from stgan.video import read_video, write_video

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
    return evaluate(clips[: CLIPS // 2], evaluator, real=Real(clips[CLIPS // 2 :]), inception=True, rules=Rules(splits=2))


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
    "npz": saved(
        "clips.npz", lambda path, x: np.savez(path, **{f"{number:02d}": clip for number, clip in enumerate(x)})
    ),
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
