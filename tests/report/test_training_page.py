"""The page about a trained model."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from stgan.errors import StganError
from stgan.records import write_record
from stgan.report.curves import draw_curves, read_curves
from stgan.report.training_page import write_training_page
from stgan.video import find_clips, survey_clips

HOSTILE = "<script>alert(1)</script>&\"'{{ 7*7 }}"
PageOf = Callable[[Path], Any]
SVG = "{http://www.w3.org/2000/svg}"


def write_log(path: Path, header: str = "loss,accuracy", rows: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = header.count(",") + 1
    lines = [f"{20 * i},{i / 2}," + ",".join(f"{1 / (i + 1):.4g}" for _ in range(columns)) for i in range(1, rows)]
    path.write_text(f"step,seconds,{header}\n" + "\n".join(lines) + "\n")


def write_picture(path: Path, size: tuple[int, int] = (64, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 30)).save(path)


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def set_provenance(model: Path, part: str, provenance: object) -> None:
    file = model / part / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "provenance": provenance}))


def test_everything_is_on_the_page(page_of: PageOf, model: Path, tmp_path: Path, tiny_clips: Path) -> None:
    work = tmp_path / "work"
    for part in ("encoder", "generator", "lrcn"):
        write_log(work / part / "log.csv")
    write_log(work / "lrcn" / "fold_0" / "log.csv")
    (work / "lrcn" / "validation.csv").write_text("step,loss,accuracy\n100,0.5,0.4\n200,0.3,0.6\n")
    for step in (999_999, 1_000_000):
        write_picture(work / "generator" / f"step_{step:06d}.png", (64, step // 50_000))
    write_picture(model / "samples" / "contact_sheet.png", (5000, 50))
    write_record(work / "survey.json", survey_clips(find_clips(tiny_clips)).summary())
    accuracy = {"accuracy": 0.75, "interval": [0.5, 0.875], "correct": 6, "clips": 8}
    figures = {"training_clips": {**accuracy, "accuracy": 1.0}, "unseen_groups": accuracy}
    set_provenance(model, "evaluator", {"figures": figures, "steps": 1234, "seconds": 600, "device": "cpu"})
    set_provenance(model, "generator", {"figures": {"psnr_training_frames": 28.04}, "seconds": 5400})

    path = write_training_page(model, work)
    assert path == model / "report.html" and not list(model.glob("*.tmp"))
    page = page_of(path)
    for word in (
        "tiny", "grow, left, right", "3 actions", "ImageGenerator", "R2Plus1D", "1,234", "28.0 dB", "100.0 minutes",
        "unseen groups: 0.750 (0.500–0.875, n = 8)", "fewer than 5 clips to train on show grow (3)", "20-20 (20)",
        "step 1000000", "stgan generate --model", "10.0 minutes (cpu)",
    ):  # fmt: skip
        assert word in page.text, word
    assert [kind for kind, _ in page.pictures] == [
        "data:image/png", "data:image/svg+xml", "data:image/svg+xml", "data:image/png", "data:image/svg+xml",
    ]  # fmt: skip
    sheet = model / "sheet.png"
    sheet.write_bytes(page.pictures[0][1])
    assert Image.open(sheet).size == (1600, 16)
    again = path.read_bytes()
    assert write_training_page(model, work).read_bytes() == again


def test_an_empty_folder_has_a_page(page_of: PageOf, tmp_path: Path) -> None:
    page = page_of(write_training_page(tmp_path, tmp_path / "nowhere", title="new"))
    assert "No network has been trained yet" in page.text and "not complete yet" in page.text
    assert page.pictures == []
    with pytest.raises(StganError, match="is not a folder"):
        write_training_page(tmp_path / "nowhere", tmp_path)


def test_hostile_names_stay_text(page_of: PageOf, model: Path, tmp_path: Path, tiny_clips: Path) -> None:
    description = json.loads((model / "model.json").read_text())
    action = "<img src=x onerror=alert(1)>"
    description["actions"] = [action, "walk"]
    (model / "model.json").write_text(json.dumps(description))
    set_provenance(model, "evaluator", {"figures": {HOSTILE: 0.5}, "device": HOSTILE, "data": {"held_out": [HOSTILE]}})
    work = tmp_path / "work"
    write_log(work / "lrcn" / "log.csv", "</text><script>alert(1)</script>,$\\frac{$,_hidden,\x07bell")
    survey = survey_clips(find_clips(tiny_clips)).summary()
    actions = {HOSTILE: survey.actions["left"]}
    write_record(work / "survey.json", replace(survey, warnings=(HOSTILE,), splits={HOSTILE: 1}, actions=actions))
    page = page_of(write_training_page(model, work, title=HOSTILE + "\ud800"))
    allowed = {
        "html", "head", "meta", "title", "style", "body", "main", "header", "section", "div", "h1", "h2", "h3", "p",
        "b", "span", "table", "tr", "th", "td", "code", "pre", "img", "br",
    }  # fmt: skip
    for tag, attributes in page.tags:
        assert tag in allowed
        assert not [name for name in attributes if name.startswith("on") or name == "href"]
        assert (attributes.get("src") or "data:").startswith("data:")
    assert page.text.count(HOSTILE) >= 6 and action in page.text
    assert "stgan generate '<img src=x onerror=alert(1)>' --model" in page.text
    for _, svg in page.pictures:
        tree = ElementTree.fromstring(svg)
        assert not tree.findall(f".//{SVG}script") and b"http://evil" not in svg
        words = ["".join(element.itertext()) for element in tree.iter(f"{SVG}text")]
        assert {"</text><script>alert(1)</script>", "$\\frac{$", "_hidden", "'\\x07bell'"} <= set(words)


@pytest.mark.parametrize(
    "provenance",
    [
        {"figures": [1], "steps": "many", "seconds": "long", "data": {"size": "big", "clips": []}},
        {"figures": {"unseen_groups": {"accuracy": 10**400}, "psnr_x": True, "y": None}, "seconds": 10**400},
        {"figures": {"unseen_groups": {"accuracy": 0.5, "interval": ["low", 1]}}, "ancestors": 3, "data": 4},
    ],
)
def test_provenance_of_wrong_types_is_left_out(
    page_of: PageOf, model: Path, tmp_path: Path, provenance: object
) -> None:
    for part in ("encoder", "evaluator"):
        set_provenance(model, part, provenance)
    page = page_of(write_training_page(model, tmp_path))
    assert "R2Plus1D" in page.text and not re.search(r"\bnan\b|many|e\+400|low", page.text)


def test_damaged_pieces_are_left_out(page_of: PageOf, model: Path, tmp_path: Path) -> None:
    (model / "c3d" / "model.safetensors").write_bytes(b"junk")
    (model / "samples").mkdir()
    work = tmp_path / "work"
    write_picture(model / "samples" / "contact_sheet.png")
    write_picture(work / "encoder" / "step_000001.png")
    for picture in (model / "samples" / "contact_sheet.png", work / "encoder" / "step_000001.png"):
        picture.write_bytes(picture.read_bytes()[:40])
    (work / "encoder" / "log.csv").write_bytes(b"step,loss\n1,\x00\xff\n\x01\n")
    (work / "survey.json").write_text('{"actions": [], "splits": 3, "warnings": "x"}')
    page = page_of(write_training_page(model, work))
    assert "c3d/model.safetensors" in page.text and "not complete yet" in page.text and page.pictures == []


def test_logs(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,seconds,loss,other\n20,1,0.5,x\n40,2,nan,1\n60,3,0.25\nx,4,1,1\n80,5,0.125,2\n")
    curves = read_curves(log)
    assert curves is not None and curves.steps.tolist() == [20, 40, 80]
    np.testing.assert_array_equal(curves.columns["loss"], [0.5, np.nan, 0.125])
    assert set(curves.columns) == {"loss", "other"}
    write_log(log, rows=5000)
    curves = read_curves(log)
    assert curves is not None and len(curves.steps) == 400 and curves.steps[[0, -1]].tolist() == [20, 20 * 4999]
    for text in ("", "step,loss\n", "time,loss\n1,2\n", 'step,"loss\n'):
        log.write_text(text)
        assert read_curves(log) is None
    assert read_curves(tmp_path / "none.csv") is None and draw_curves(None) is None
    log.write_text("step,seconds,loss,code,once\n20,1,0.5,0,nan\n40,2,0.25,0,1\n")
    svg = draw_curves(read_curves(log))
    assert svg and ">loss<" in svg and ">code<" not in svg and ">once<" not in svg
