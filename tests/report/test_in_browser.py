"""The pages in a real browser, at the width of a phone and of a desk."""

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from augmentation_records import experiment
from browsing import WIDTHS, listen, shows_text, until, visit
from generator_comparisons import comparison
from generator_folders import make_generator
from playwright.sync_api import Browser

from stgan.checkpoints import find_model
from stgan.manifest import Entry, Manifest
from stgan.records import as_record
from stgan.report.augmentation_page import write_augmentation_page
from stgan.report.compare_page import write_compare_page
from stgan.report.scores_page import Request, write_scores_page
from stgan.report.training_page import write_training_page
from stgan.scoring import Scores
from stgan.studies.actors import STUDY
from stgan.studies.fooling import RECORD, read_fooling
from stgan.video import write_video

LONG = "a" * 90 + " & <b>"

# What is wrong with a page that has been scrolled through: nothing, if all is well.
PROBLEMS = """async () => {
    const wrong = []
    for (const image of document.images)
        if (!image.complete || !image.naturalWidth) wrong.push('an image: ' + image.alt)
    for (const video of document.querySelectorAll('video')) {
        video.scrollIntoView()
        for (let i = 0; i < 100 && video.readyState < 2 && !video.error; i++)
            await new Promise(resolve => setTimeout(resolve, 20))
        if (video.readyState < 2 || video.error || !video.videoWidth) wrong.push('a video: ' + video.ariaLabel)
    }
    if (document.documentElement.scrollWidth > innerWidth) wrong.push('wide: ' + document.documentElement.scrollWidth)
    return wrong
}"""


def test_pages_are_whole_in_a_browser(
    generated: Path, record: dict[str, Any], tiny_model: Path, tmp_path: Path, browser: Browser
) -> None:
    clips, study = Path(shutil.copytree(generated, tmp_path / "clips")), tmp_path / "study"
    record = deepcopy(record) | {"fooled": True, "notes": [LONG], "protocol": LONG, "evaluator": LONG}
    for steered in ("lrcn", "c3d"):
        shutil.copytree(clips, study / steered)
    row = {"clips": "c3d", "evaluator": LONG, "fooled": True, "scores": {**record, "clips": []}}
    values = {"model": "tiny", "preset": "paper", "seed": 0, "num": 2, "version": "1", "rows": [row]}
    (study / RECORD).write_text(json.dumps({"format": 1, "steered_by": ["lrcn", "c3d"], **values}))
    scores, beside = as_record(Scores, record, "scores"), (study, read_fooling(study))
    request = Request(clips, find_model(tiny_model), str(tiny_model), scores, beside, ("stgan",))
    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    pages = [write_scores_page(request)[0], write_training_page(model, tmp_path / "work")]
    sources = {"real": [str(path) for path in generated.glob("*/*.mp4")]}
    result = experiment([(0.25, 0.5, 0.75)] * 2, actions=[LONG], counts={"real": {LONG: 1}}, sources=sources)
    settings = [{"name": LONG, "actors": i, "primary": i == 2, "result": result} for i in (1, 2)]
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / STUDY).write_text(json.dumps({"format": 1, "version": "1", "settings": settings}))
    pages.append(write_augmentation_page(tmp_path / "settings")[0])

    folders = {name: make_generator(tmp_path / name, num=2) for name in ("ours", "theirs")}
    named = {f"{name} {LONG}": folder for name, folder in folders.items()}
    shown = tuple(f"{action}/{action}_{number}.mp4" for number in range(2) for action in ("grow", "left", "right"))
    found = comparison(list(named), shown, fooled=True)
    pages.append(write_compare_page(found, named, tmp_path / "compare.html", command=LONG)[0])

    page = browser.new_context(offline=True, reduced_motion="reduce").new_page()
    said = listen(page)
    for path, videos in zip(pages, (21, 0, 0, 12), strict=True):
        for width in WIDTHS:
            assert visit(page, path, width) == [], (path.name, width)
            assert shows_text(page, "h1")
        assert page.locator("video").count() >= videos
    assert len(set(page.locator(".beside video").evaluate_all("films => films.map(film => film.clientWidth)"))) == 1
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(pages[0].as_uri())
    verdict = page.locator(".verdict b")
    assert verdict.inner_text() == "FOOLED" and verdict.is_visible()
    size = verdict.evaluate("element => [parseFloat(getComputedStyle(element).fontSize), element.offsetTop]")
    assert size[0] >= 30 and size[1] < 844  # large, and seen without scrolling
    assert said == []


PLAYING = "[...document.querySelectorAll('video')].filter(video => video.readyState >= 2 && !video.paused).length"
SHOWN = "[...document.querySelectorAll('.card')].filter(card => card.offsetParent).map(card => card.dataset.name)"


def test_an_atlas_plays_what_is_seen(tiny_model: Path, tmp_path: Path, browser: Browser) -> None:
    """Its films are files beside the page, which the page's policy must allow, and it loads few of them."""
    entries = []
    for number in range(60):
        name = f"class {number:02}/0.mp4"
        (tmp_path / name).parent.mkdir()
        write_video(tmp_path / name, np.full((8, 64, 64, 3), 4 * number, np.uint8))
        details = {"probability": number / 60, "hashes": {"condition": {"own": "a" * 64}}}
        entries.append(Entry(name, f"class {number:02}", 0, details))
    Manifest(tmp_path).write(entries)
    path = write_scores_page(Request(tmp_path, find_model(tiny_model), "tiny"))[0]

    page = browser.new_context(offline=True).new_page()
    said = listen(page)
    for width in WIDTHS:
        assert visit(page, path, width) == [] and shows_text(page, ".card h3")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path.as_uri())
    page.locator(".card").nth(0).scroll_into_view_if_needed()
    until(page, f"{PLAYING} >= 2")
    assert page.locator("video").count() < 30
    page.locator(".card").nth(59).scroll_into_view_if_needed()
    until(page, f"document.querySelectorAll('.card')[59].querySelector('video') && {PLAYING} >= 2")
    assert page.locator(".card").nth(0).locator("video").count() == 0

    page.locator("#below").scroll_into_view_if_needed()
    page.get_by_label("Search classes").focus()
    page.keyboard.type("CLASS 5")
    assert page.evaluate(SHOWN) == [f"class {number:02}" for number in range(60) if "5" in str(number)]
    page.keyboard.press("Tab")
    page.keyboard.type("steered: highest")
    assert page.evaluate(SHOWN)[:2] == ["class 59", "class 58"]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.querySelector('img').alt") == "class 59/0.mp4"
    assert said == []

    slow = browser.new_context(reduced_motion="reduce").new_page()
    slow.goto(path.as_uri())
    slow.locator(".card").nth(0).scroll_into_view_if_needed()
    assert slow.locator(".card img").nth(0).is_visible() and slow.locator("video").count() == 0

    still = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844}).new_page()
    still.goto(path.as_uri())
    assert still.locator(".card").count() == 60 and not still.locator("#tools").is_visible()
    assert still.locator(".card img").nth(0).is_visible()
