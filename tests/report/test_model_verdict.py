"""The verdict on a trained model: each rule with made-up figures, and the figures that are read from a model."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stgan.checkpoints import find_model
from stgan.records import write_record
from stgan.report.model_verdict import Measured, judge, verdict_on
from stgan.report.training_page import write_training_page
from stgan.scoring import SCORES, Compared, Real, evaluate, find_evaluator, folder_clips, labelled_clips
from stgan.training.plan import SAMPLES
from stgan.video import find_clips

AGAIN = "stgan train all --data four --out own"
CHECK = "stgan data check four"


def beside(generated: float, real: float) -> Compared:
    return Compared(generated, real, generated / real if real else None)


GOOD = Measured(
    actions=4,
    named=0.8,
    named_real=(0.9, 0.7, 0.97),
    decibels=27.0,
    motion=beside(2.0, 2.5),
    frozen=beside(0.1, 0.0),
    flickering=beside(0.0, 0.0),
    steps={"map_codec": 3000, "frame_prior": 2000, "clip_prior": 6000},
)
LONGER = f"{AGAIN} --set clip_prior.steps=12000"


@pytest.mark.parametrize(
    ("change", "words", "command"),
    [
        ({}, "Good enough", "stgan generate --model ./own --num 8 --gif --out clips"),
        ({"decibels": None}, "Good enough", "stgan generate --model ./own --num 8 --gif --out clips"),
        ({"motion": Compared(0.0, 0.0, None)}, "Good enough", "stgan generate --model ./own --num 8 --gif --out clips"),
        ({"named_real": None}, "no real clips were held out", CHECK),
        ({"named_real": (0.37, 0.3, 0.5)}, "names 0.37 of the real clips that it has not seen, and 0.25", CHECK),
        ({"named_real": (0.6, 0.25, 0.9)}, "not usable", CHECK),  # so few clips that it may be chance
        ({"actions": 2, "named_real": (0.74, 0.6, 0.9)}, "not usable", CHECK),
        ({"decibels": 23.9}, "23.9 dB, which is less than 24", f"{AGAIN} --set map_codec.steps=6000"),
        (
            {"named": 0.57},
            "names 0.57 of the samples as asked, and 0.90 of unseen real clips",
            f"{AGAIN} --set frame_prior.steps=4000 --set clip_prior.steps=12000",
        ),
        ({"actions": 2, "named": 0.69}, "names 0.69 of the samples", None),  # half of 0.9 would be less than chance
        ({"motion": beside(1.0, 2.5)}, "move 0.40 times as much", LONGER),
        ({"frozen": beside(0.5, 0.2)}, "50% of the samples are frozen, and 20%", LONGER),
        ({"flickering": beside(0.3, 0.0)}, "30% of the samples flicker", LONGER),
        ({"frozen": beside(0.6, 0.4)}, "Good enough", None),  # real clips stand still, too
    ],
)
def test_rules(change: dict[str, Any], words: str, command: str | None) -> None:
    found = judge(replace(GOOD, **change), "./own", "four", AGAIN)
    assert words in found.words and found.good == (words == "Good enough")
    assert command in (None, found.command)


def test_the_first_rule_that_applies_decides() -> None:
    bad: dict[str, Any] = {
        "named_real": None, "decibels": 20.0, "named": 0.0, "motion": beside(0.0, 2.0), "frozen": beside(1.0, 0.0)
    }  # fmt: skip
    words = []
    while bad:
        words.append(judge(replace(GOOD, **bad), "./own", "four", AGAIN).words)
        bad.pop(next(iter(bad)))
    for text, part in zip(words, ("held out", "map codec", "as asked", "move", "frozen"), strict=True):
        assert part in text


@pytest.fixture
def model(tiny_model: Path, tiny_clips: Path, generated: Path, tmp_path: Path) -> Path:
    """A model whose samples were scored beside real clips, and whose networks' figures are made up."""
    model = Path(shutil.copytree(tiny_model, tmp_path / "a model"))
    accuracy = {"accuracy": 0.75, "interval": [0.5, 0.875], "correct": 6, "clips": 8}
    set_provenance(model, "evaluator", {"figures": {"training_clips": {"accuracy": 1.0}, "validation_clips": accuracy}})
    set_provenance(model, "map_codec", {"figures": {"psnr_validation_frames": 22.04}, "steps": 300})
    scores = evaluate(
        folder_clips(generated),
        find_evaluator("evaluator", find_model(model)),
        real=Real(labelled_clips(find_clips(tiny_clips))),
    )
    (model / SAMPLES).mkdir()
    write_record(model / SAMPLES / SCORES, scores)
    return model


def set_provenance(model: Path, part: str, provenance: object) -> None:
    file = model / part / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "provenance": provenance}))


def test_the_page_begins_with_the_verdict(page_of: Callable[[Path], Any], model: Path, tmp_path: Path) -> None:
    verdict = verdict_on(model, "my_clips", AGAIN)
    assert verdict and not verdict.good and "22.0 dB" in verdict.words
    page = page_of(write_training_page(model, tmp_path / "work", verdict=verdict))
    text = " ".join(page.text.split())
    for words in (
        verdict.words, f"{AGAIN} --set map_codec.steps=600", "unseen real clips 0.75 (0.50–0.88), chance 0.33",
        "22.0 dB", "motion (0-255)", "share of frozen clips", "share of flickering clips",
    ):  # fmt: skip
        assert words in text, words
    assert text.index(verdict.words) < text.index("Data")
    assert "Verdict" not in page_of(write_training_page(model, tmp_path / "work")).text

    set_provenance(model, "map_codec", {"figures": {"psnr_validation_frames": "high"}, "steps": [1]})
    verdict = verdict_on(model, "my_clips", AGAIN)
    assert verdict and "dB" not in verdict.words  # what is damaged was not measured
    set_provenance(model, "evaluator", {"figures": {"validation_clips": {"accuracy": 0.9, "interval": ["low", 1]}}})
    verdict = verdict_on(model, "my_clips", AGAIN)
    assert verdict and "held out" in verdict.words


def test_without_scores_by_the_present_evaluator_there_is_no_verdict(model: Path) -> None:
    file = model / SAMPLES / SCORES
    scores = json.loads(file.read_text())
    for change in ({"evaluator_hash": "0" * 64}, {"beside_real": None}, {"accuracy": None}):
        file.write_text(json.dumps({**scores, **change}))
        assert verdict_on(model, "my_clips", AGAIN) is None
    file.unlink()
    assert verdict_on(model, "my_clips", AGAIN) is None
