"""The picture of a clip over the iterations."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from manifest_lines import read_lines, write_lines
from PIL import Image

from stgan.checkpoints import find_model
from stgan.report.films import read_clip
from stgan.report.iterations import Drawn, Trace, draw_iterations, maximised
from stgan.report.shown import Shown, shown_clips
from stgan.video import write_video


@pytest.fixture
def clips(generated: Path, tmp_path: Path) -> list[Shown]:
    return shown_clips(Path(shutil.copytree(generated, tmp_path / "clips")), None)


def rows(path: Path, frames: int = 8, side: int = 16, title: int = 0) -> np.ndarray:
    """The frames of each row of a picture of strips."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))[:, 96 : 96 + frames * side].astype(int)
    strips = [pixels[top : top + side] for top in range(title, len(pixels), side + 4)]
    return np.stack([np.stack(np.split(strip, frames, axis=1)) for strip in strips])


def test_a_clip_is_sampled_again_to_the_same_end(clips: list[Shown], tiny_model: Path, tmp_path: Path) -> None:
    drawn = draw_iterations(tmp_path / "i.png", clips, find_model(tiny_model))
    assert isinstance(drawn, Drawn) and drawn.clip == clips[0] and "sampled again" in drawn.source
    strips = rows(tmp_path / "i.png", title=24)
    assert len(strips) == 3  # iterations
    clip = read_clip(clips[0].path).frames.astype(int)
    last = clip[np.linspace(0, 15, 8).round().astype(int)]
    errors = np.abs(strips - last).mean((1, 2, 3, 4))
    assert errors[-1] < 3 < errors[:-1].min()


def test_a_trace_says_whose_value_it_shows(
    clips: list[Shown], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is of the networks that steered, and a negative one has the sign of minus, not a hyphen."""
    saved: dict[str, object] = {}
    monkeypatch.setattr(
        "stgan.report.iterations.save_strips", lambda path, strips, **given: saved.update(given, strips=strips)
    )
    drawn = draw_iterations(tmp_path / "i.png", clips, find_model(tiny_model))
    words = "log p of the action under lrcn and c3d, which steered"
    assert isinstance(drawn, Drawn) and words in drawn.source and saved["title"] == f"iteration: {words}"
    trace = Trace(3, maximised(["c3d"], "motion", None))
    for iteration, value in enumerate((math.nan, -0.714, -0.001)):
        trace.record(iteration, torch.tensor([value]), lambda: torch.zeros(1, 3, 2, 16, 16))
    assert [strip.label for strip in trace.strips[0]] == ["1", "2:  −0.71", "3:  0.00"]
    assert maximised(["own"], "spectral", None).startswith("logit of the action, minus the mean logit")
    assert maximised(["own"], "spectral", "fc:17") == "fc:17 under own, which steered"


def test_what_lies_beside_a_clip_comes_first(clips: list[Shown], tiny_model: Path, tmp_path: Path) -> None:
    stages = clips[1].path.with_suffix(".iterations")
    stages.mkdir()
    for number in (10, 20):
        write_video(stages / f"{number:04d}.mp4", np.full((8, 16, 16, 3), 5 * number, np.uint8))
    drawn = draw_iterations(tmp_path / "i.png", clips, find_model(tiny_model))
    assert isinstance(drawn, Drawn) and drawn.clip == clips[1]
    assert np.abs(rows(tmp_path / "i.png").mean((1, 2, 3, 4)) - [50, 100]).max() < 2

    Image.new("RGB", (40, 30), (200, 30, 30)).save(clips[2].path.with_suffix(".trace.png"))
    drawn = draw_iterations(tmp_path / "i.png", clips, find_model(tiny_model))
    assert isinstance(drawn, Drawn) and drawn.clip == clips[2]
    with Image.open(tmp_path / "i.png") as picture:
        assert picture.size == (40, 30)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"init": {"source": "a.mp4"}}, "start from a video"),
        ({"settings": 5}, "does not say how"),
        ({"settings": {"iterations": 3}}, "does not say how"),
        ({"frames": "16"}, "does not say how"),
        ({"frames": 10**9}, "too long"),
        ({"hashes": {"generator": "0" * 64}}, "did not make the clips"),
        ({"seed": None}, "does not say how"),
    ],
)
def test_why_there_is_no_picture(
    clips: list[Shown], tiny_model: Path, tmp_path: Path, change: dict[str, object], word: str
) -> None:
    folder = clips[0].path.parents[1]
    write_lines(folder, [{**entry, **change} for entry in read_lines(folder)])
    found = [replace(clip, entry={**clip.entry, **change}) for clip in clips]
    assert word in str(draw_iterations(tmp_path / "i.png", found, find_model(tiny_model)))
    assert not (tmp_path / "i.png").exists()


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")], ids=repr)
def test_too_little_memory_is_the_reason(
    clips: list[Shown], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def short(*_: object, **__: object) -> None:
        raise error

    for where in ("stgan.networks.generator.ImageGenerator.forward", "stgan.pipeline.STGAN.steering"):
        with monkeypatch.context() as patch:
            patch.setattr(where, short)
            assert "not enough memory" in str(draw_iterations(tmp_path / "i.png", clips[:1], find_model(tiny_model)))
    assert not (tmp_path / "i.png").exists()


def test_another_model_is_not_asked(clips: list[Shown], tiny_model: Path, tmp_path: Path) -> None:
    other, gone = find_model("weizmann"), replace(find_model(tiny_model), path=tmp_path)
    assert "did not make the clips" in str(draw_iterations(tmp_path / "i.png", clips[:1], other))
    assert "not available" in str(draw_iterations(tmp_path / "i.png", clips[:1], gone))
