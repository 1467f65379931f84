"""Real clips that play beside generated ones."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stgan.checkpoints import find_model
from stgan.report.beside_real import write_parts
from stgan.report.films import read_clip
from stgan.report.scores_page import Request, write_scores_page
from stgan.report.shown import by_action, shown_clips
from stgan.scoring import Clip, Example
from stgan.video import write_video

Films = Callable[..., Path]


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A real clip of each action that becomes brighter: of another size, length and rate than generated ones."""
    for action in ("left", "right", "grow"):
        (tmp_path / "real" / action).mkdir(parents=True)
        frames = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None, None] * 5, (40, 30, 50, 3))
        write_video(tmp_path / "real" / action / "clip.mp4", np.ascontiguousarray(frames), 50.0)
    return tmp_path / "real"


def examples(root: Path, seen: bool | None = False) -> dict[str, Example]:
    return {path.parent.name: Example(Clip(path, f"{path.parent.name}/clip.mp4"), seen) for path in root.glob("*/*")}


def test_they_have_the_size_the_length_and_the_rate_of_the_generated_ones(
    generated: Path, real: Path, tmp_path: Path
) -> None:
    actions = by_action(shown_clips(generated, None))
    (tmp_path / "parts").mkdir()
    parts = write_parts(examples(real), real, actions, tmp_path / "parts")
    assert set(parts) == set(actions) and parts["left"].words == "real, unseen by the evaluator"
    for action, part in parts.items():
        like, found = read_clip(actions[action][0].path), read_clip(part.clip.path)
        assert found.frames.shape == like.frames.shape and found.fps == like.fps
        assert abs(found.frames[0].mean() - 60) < 4  # of 40 frames, the middle 16 begin with number 12


def test_links_and_what_cannot_be_read_are_left_out(generated: Path, real: Path, tmp_path: Path) -> None:
    outside = (real / "left" / "clip.mp4").rename(tmp_path / "outside.mp4")
    os.symlink(outside, real / "left" / "clip.mp4")
    (real / "grow" / "clip.mp4").write_bytes(b"no video" * 20)
    (tmp_path / "parts").mkdir()
    parts = write_parts(examples(real), real, by_action(shown_clips(generated, None)), tmp_path / "parts")
    assert set(parts) == {"right"}


def test_the_page_shows_them(generated: Path, real: Path, tiny_model: Path, tmp_path: Path, page_of: Any) -> None:
    request = Request(generated, find_model(tiny_model), "tiny", real=real, examples=examples(real, seen=True))
    page = page_of(write_scores_page(request, tmp_path / "page.html")[0])
    films = [found["aria-label"] for tag, found in page.tags if tag == "video"]
    assert len(films) == 6 + 3 and "Real clip of left: left/clip.mp4" in films
    assert page.text.count("real, seen by the evaluator in training") == 3
