"""Tables of scores on a terminal of the usual width."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from stgan.checkpoints import find_model
from stgan.cli.score_tables import show_scores
from stgan.scoring import QUOTED, Copied, Real, Rules, Scores, evaluate, find_evaluator, folder_clips, labelled_clips
from stgan.video import find_clips


@pytest.fixture(scope="module")
def scores(tiny_clips: Path, tiny_model: Path) -> Scores:
    evaluator = find_evaluator("evaluator", find_model(tiny_model))
    return evaluate(
        folder_clips(tiny_clips), evaluator, real=Real(labelled_clips(find_clips(tiny_clips))), rules=Rules(splits=2)
    )


def shown(scores: Scores) -> list[str]:
    console = Console(markup=False, highlight=False, width=80, file=io.StringIO())
    show_scores(console, scores)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_no_line_of_a_table_is_broken_at_80_columns(scores: Scores) -> None:
    generated, real = scores.rows
    lines = shown(replace(scores, rows=(generated, replace(real, name="real, seen in training"))))
    (line,) = (line for line in lines if re.search(r"real, seen in training .*\[", line))
    assert re.search(r"\d\.\d\d \[\d.\d\d \d.\d\d\] │ +\d\.\d\d ± \d\.\d\d \[\d\.\d\d \d\.\d\d\] │$", line)
    assert all(len(line) <= 80 for line in lines if line[:1] in set("┏┡│├└"))
    (head,) = (line for line in lines if "Fréchet" in line and "┃" in line)
    assert head.replace("┃", " ").split() == ["Fréchet", "kernel", "feature", "diversity"]


def test_what_was_not_measured_has_no_column(scores: Scores) -> None:
    alone = replace(scores.rows[0], frechet_video_distance=None, kernel_video_distance=None, diversity=None)
    lines = shown(replace(scores, rows=(alone,), copies=None, beside_real=None, notes=()))
    assert not any("diversity" in line or "Fréchet" in line for line in lines) and any(
        "flicker" in line for line in lines
    )


def test_copies_are_of_what_they_say(scores: Scores) -> None:
    frames, windows = (line for line in shown(scores) if line.startswith("copies, by "))
    # Nothing says that these clips were trained on, and they are too few for a threshold.
    assert "to the nearest frame of 'real'" in frames and "to the nearest window of 'real'" in windows
    assert "nearer to a" not in frames + windows and "training" not in frames + windows
    assert scores.copies
    known = Copied(
        threshold=0.25, num=2, share=0.5, interval=(0.15, 0.85), generated=scores.copies.frames.generated, real=0.5
    )
    frames, windows = (
        line
        for line in shown(replace(scores, copies=replace(scores.copies, frames=known)))
        if line.startswith("copies, by ")
    )
    assert "2 clips (0.50, [0.15 0.85]) are nearer to a frame than 0.250, as 1 % of the real ones are" in frames
    (line,) = (line for line in shown(scores) if line.startswith("near-duplicates"))
    assert "nearly equal another one of their action; of real clips" in line


def test_published_scores_and_the_score_of_a_sure_evaluator(scores: Scores) -> None:
    lines = shown(scores)
    assert "Inception Score: 3.00 if every clip were surely recognised" in lines
    assert not any("quoted" in line or "MoCoGAN" in line for line in lines)
    assert any("│   MoCoGAN " in line for line in shown(replace(scores, quoted=QUOTED)))
    unknown = replace(scores, actions=(), confusion=(), per_action={})
    assert not any("surely" in line for line in shown(unknown))


def test_values_beside_real_clips(scores: Scores) -> None:
    lines = shown(scores)
    (head,) = (line for line in lines if "visible" in line and "┃" in line)
    assert head.replace("┃", " ").split() == ["action", "motion", "real", "ratio", "visible", "real", "ratio"]
    assert scores.beside_real
    kernel = scores.beside_real.values["kernel_video_distance"]
    (line,) = (line for line in lines if "│ kernel" in line)
    assert f"{kernel.real:.4f} ± {kernel.real_std:.4f}" in line
    assert kernel.deviations is not None and f"│ {kernel.deviations:+10.1f} │" in line
    names = tuple(f"left/clip{i}.mp4" for i in range(8))
    (line,) = (line for line in shown(replace(scores, frozen_clips=names)) if line.startswith("frozen:"))
    assert line == f"frozen: 8 of 9 clips: {', '.join(names[:6])}, ..."
    assert "flickering: 0 of 9 clips" in lines
