"""The page about what `stgan explain` wrote."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stgan.checkpoints import find_model
from stgan.errors import StganError
from stgan.explain import FILM, RECORD, CounterfactualSettings, Explanation, Looks
from stgan.explain.explanation import Change, OverTime, Probability, SecondOpinion
from stgan.records import write_record
from stgan.report.explained import draw_over_time, find_explained, shares_over_time
from stgan.report.explanations_page import write_explanations_page
from stgan.report.scores_page import Request, write_scores_page
from stgan.video import write_video

PageOf = Callable[[Path], Any]
HOSTILE = "<script>alert(1)</script>&\"'{{ 7*7 }}$x^2$"
CUBES = (((1.0, -3.0),), ((0.0, 3.0),))

FOUND = Explanation(
    clip="swing.mp4", clip_sha256="a" * 64, frames=16, side=16, condition="lrcn", condition_hash="b" * 64, seed=0,
    top=(Probability("golf", 0.75), Probability("wave", 0.2)),
    over_time=OverTime((0, 4, 8), 8, {"golf": (0.5, 0.75, 1.0), "wave": (0.5, 0.25, 0.0)}),
    looks=Looks((0.125, 0.5, 0.375), 1.5, CUBES, CUBES, -0.125),
    change=Change(
        to="wave", flipped=True, steps=7, share=0.5, mean_change=2.125, over_time=(1 / 16,) * 16,
        before=(Probability("golf", 0.75), Probability("wave", 0.2)),
        after=(Probability("golf", 0.375), Probability("wave", 0.5)),
        settings=CounterfactualSettings(),
    ),
    evaluator=SecondOpinion("c3d", "c" * 64, Probability("golf", 0.875), Probability("pour", 0.625), 0.0625, 0.25),
    machine={},
)  # fmt: skip


@pytest.fixture(autouse=True)
def small_films(monkeypatch: pytest.MonkeyPatch) -> None:
    """For speed; tests/report/test_films.py is about films of full size."""
    monkeypatch.setattr("stgan.report.films._WIDE", 64)
    monkeypatch.setattr("stgan.report.films._SIDE", 32)


def explain(folder: Path, found: Explanation = FOUND) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder / RECORD, found)
    write_video(folder / FILM, np.full((2, 16, 64, 3), 90, np.uint8))
    return folder


def tags(page: Any, tag: str) -> list[Mapping[str, str | None]]:
    return [found for name, found in page.tags if name == tag]


def test_everything_that_was_explained_is_on_the_page(tmp_path: Path, page_of: PageOf) -> None:
    path, films = write_explanations_page(explain(tmp_path / "swing"), command="stgan report swing")
    page = page_of(path)
    text = " ".join(page.text.split())
    for words in (
        "1 explained clip", "swing.mp4", "lrcn says", "golf 75.0 %", "wave 20.0 %", "−0.12 (rank correlation)",
        "12.5 % of the time, 37.5 % from the left, 50.0 % from the top; covering that costs 1.50 log odds",
        "wave: 20.0 % before, 50.0 % after; golf: 75.0 % before, 37.5 % after",
        "mean absolute change 2.12 of 255, after 7 steps", "c3d, a second network, says",
        "golf 87.5 % of the clip, pour 62.5 % of the counterfactual; wave: 6.2 % before, 25.0 % after",
        "probability", "where it looks: share", "change: share of each frame", "stgan report swing",
    ):  # fmt: skip
        assert words in text, words
    assert "not reached" not in text and films is None
    assert len(tags(page, "video")) == 1 and len(tags(page, "svg")) == 1 and not tags(page, "script")
    assert path == tmp_path / "swing" / "report.html" and path.read_bytes() == write_explanations_page(
        tmp_path / "swing", command="stgan report swing"
    )[0].read_bytes()  # fmt: skip


def test_without_attribution_and_second_network(tmp_path: Path, page_of: PageOf) -> None:
    found = replace(FOUND, looks=None, evaluator=None, change=replace(FOUND.change, flipped=False))
    page = page_of(write_explanations_page(explain(tmp_path / "swing", found))[0])
    assert "not reached" in page.text and "looks most at" not in page.text and "second network" not in page.text
    assert "where it looks: share" not in page.text and "change: share of each frame" in page.text


def test_very_many_explanations_have_their_films_beside_the_page(
    tmp_path: Path, page_of: PageOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stgan.report.explanations_page._MOST_INSIDE", 2)  # for speed: not 12
    for number in range(3):
        explain(tmp_path / f"clip{number:02}", replace(FOUND, clip=f"{number}.mp4", seed=number))
    path, films = write_explanations_page(tmp_path)
    page = page_of(path)
    assert films == tmp_path / "report_files/films" and len(tags(page, "article")) == 3 and not tags(page, "video")
    assert len(tags(page, "script")) == 1 and all((tmp_path / str(each["href"])).is_file() for each in tags(page, "a"))
    assert "seed" not in page.text.partition("How this was made")[2] and "lrcn" in page.text


def test_a_page_of_clips_has_the_explanations_in_its_folder(
    generated: Path, tiny_model: Path, tmp_path: Path, page_of: PageOf
) -> None:
    clips = Path(shutil.copytree(generated, tmp_path / "clips"))
    explain(clips / "explanation" / "swing")
    request = Request(clips, find_model(tiny_model), "tiny")
    page = page_of(write_scores_page(request)[0])
    assert "6 clips of 3 actions" in page.text and "Explanations" in page.text and "lrcn says" in page.text
    assert len(tags(page, "article")) == 1 and len(tags(page, "video")) == 6 + 1


def test_hostile_names_stay_text(tmp_path: Path, page_of: PageOf) -> None:
    hostile = Probability(HOSTILE, 0.5)
    found = replace(
        FOUND, clip=HOSTILE, condition=HOSTILE, top=(hostile,), version=HOSTILE,
        over_time=replace(FOUND.over_time, probabilities={HOSTILE: (0.1, 0.2, 0.3)}),
        change=replace(FOUND.change, to=HOSTILE, before=(hostile, hostile)),
        evaluator=SecondOpinion(HOSTILE, "", hostile, hostile, None, None),
    )  # fmt: skip
    page = page_of(write_explanations_page(explain(tmp_path / "<b onclick=x>", found))[0])
    assert page.text.count(HOSTILE) > 6 and not tags(page, "script") and not tags(page, "b")
    assert "<script>alert(1)<" in page.text  # in the curves' legend, where it is cut


@pytest.mark.parametrize("linked", [RECORD, FILM, ""])
def test_no_link_is_followed(tmp_path: Path, linked: str) -> None:
    secret, folder = explain(tmp_path / "secret"), tmp_path / "out"
    explain(folder / "own", replace(FOUND, clip="own.mp4"))
    explain(folder / "linked")
    if linked:
        (folder / "linked" / linked).unlink()
    else:
        for path in (folder / "linked").iterdir():
            path.unlink()
        (folder / "linked").rmdir()
    (folder / "linked" / linked).symlink_to(secret / linked)
    found, _ = find_explained(folder)
    assert [each.found.clip for each in found] == ["own.mp4"]


def test_what_is_no_explanation_is_told(tmp_path: Path, page_of: PageOf) -> None:
    for name, change in (
        ("b", {"frames": -1}),
        ("c", {"over_time": {"starts": [0, 1], "frames": 8, "probabilities": {"golf": [0.5]}}}),
        ("d", {"clip": "x" * 30_000}),
    ):
        values = json.loads((explain(tmp_path / name) / RECORD).read_text())
        (tmp_path / name / RECORD).write_text(json.dumps(values | change))
    explain(tmp_path / "e")
    (tmp_path / "e" / RECORD).write_text(" " * (1 << 20) + "{}")
    explain(tmp_path / "f")
    (tmp_path / "f" / FILM).unlink()
    with pytest.raises(StganError, match="frames: must be at least 0"):
        write_explanations_page(tmp_path)
    explain(tmp_path / "a")
    text = page_of(write_explanations_page(tmp_path)[0]).text
    assert "every window needs one probability of each action" in text and "is too large" in text
    assert "explanation.mp4' is missing, or a link; run stgan explain again" in text and "1 explained clip" in text
    (tmp_path / "empty").mkdir()
    with pytest.raises(StganError, match="has no explanations; run stgan explain"):
        write_explanations_page(tmp_path / "empty")


@pytest.mark.parametrize("looks", [FOUND.looks, None, Looks((0.0, 0.0, 0.0), 0.0, (), ((),), None, cover=0)])
def test_the_curves_are_drawn_of_any_record(looks: Looks | None) -> None:
    windows = OverTime((), 0, {})
    for found in (replace(FOUND, looks=looks), replace(FOUND, looks=looks, over_time=windows, frames=0)):
        text = re.sub("<!DOCTYPE.*?>", "", draw_over_time(found), flags=re.DOTALL)
        assert ElementTree.fromstring(text).tag.endswith("svg") and draw_over_time(found) == draw_over_time(found)


@given(st.lists(st.lists(st.lists(st.floats(-1e11, 1e11), max_size=3), max_size=3), max_size=5))
def test_shares_over_time_sum_to_one(cubes: list[list[list[float]]]) -> None:
    shares = shares_over_time(cubes)
    assert len(shares) == len(cubes) and all(0 <= share <= 1 for share in shares)
    positive = any(value > 1e-290 for rows in cubes for row in rows for value in row)
    assert sum(shares) == pytest.approx(1) if positive else sum(shares) <= 1 + 1e-9
