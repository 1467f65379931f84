"""What is measured without an evaluator."""

from dataclasses import replace
from pathlib import Path

import pytest

from stgan.checkpoints import find_model
from stgan.errors import StganError
from stgan.scoring import Clip, Real, evaluate, find_evaluator, folder_clips, score_pixels
from stgan.scoring.evaluators import Evaluator


@pytest.fixture(scope="module")
def evaluator(tiny_model: Path) -> Evaluator:
    return find_evaluator("evaluator", find_model(tiny_model))


def test_pixels_are_measured_as_by_an_evaluator(tiny_clips: Path, evaluator: Evaluator) -> None:
    clips = folder_clips(tiny_clips)
    judged = evaluate(clips, evaluator, real=Real(clips))
    found = score_pixels(clips, evaluator, real=clips, notes=("why",))
    assert judged.beside_real and found.notes == ("why",) and found.num_videos == 9
    for key in ("motion", "flicker", "held", "frozen_clips"):
        assert found.values[key].generated == pytest.approx(judged.beside_real.values[key].generated)
        assert found.values[key].real == found.values[key].generated
    assert found.clips == {
        clip.file: {key: pytest.approx(getattr(clip, key)) for key in found.high} for clip in judged.clips
    }
    assert (found.frozen_clips, found.flickering_clips) == (judged.frozen_clips, judged.flickering_clips)
    assert set(found.high) == set(judged.beside_real.high) and len(found.high) == 8


def test_real_clips_are_those_of_the_same_actions(tiny_clips: Path, evaluator: Evaluator, tmp_path: Path) -> None:
    clips = folder_clips(tiny_clips)
    real = [replace(clip, action="swim") for clip in clips]
    alone = score_pixels(clips, evaluator, real=real)
    assert alone.values["motion"].real is None and alone.high == {}
    nameless = [replace(clip, action=None) for clip in clips]
    assert score_pixels(nameless, evaluator, real=real).values["motion"].real is not None
    (tmp_path / "clip.mp4").write_bytes(b"no video" * 20)
    broken = Clip(tmp_path / "clip.mp4", "clip.mp4")
    assert [each.file for each in score_pixels([*clips, broken], evaluator).skipped] == ["clip.mp4"]
    with pytest.raises(StganError, match="none of the 1 clips can be scored"):
        score_pixels([broken], evaluator)
