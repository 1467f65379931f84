"""Each screen of the page in a real browser, at the width of a phone and of a desk."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from browsing import WIDTHS, listen, problems, shows_text
from playwright.sync_api import Browser, Page, expect

from stgan.app.desk import Desk

# Runs of a tiny model take a second; the page and the machine need the rest.
pytestmark = pytest.mark.slow
PATIENCE = 200_000  # milliseconds, on a busy machine
expect.set_options(timeout=PATIENCE)


def open_page(
    browser: Browser, address: str, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> tuple[Page, list[str]]:
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    said = listen(page, only=("error",))
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.get_by_role("button", name="Make", exact=True).wait_for()
    return page, said


def screen(page: Page, name: str) -> None:
    """Open a tab. Those that do not fit on a phone are in a menu."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.is_visible():
        page.locator(".overflow-menu > button").click()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.click()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).locator("visible=true").click()


@pytest.mark.parametrize(("width", "scheme"), zip(WIDTHS, ("dark", "light"), strict=True))
def test_each_screen(
    desk: Desk, address: str, tiny_clips: Path, browser: Browser, width: int, scheme: Literal["light", "dark"]
) -> None:
    page, said = open_page(browser, address, width, scheme)
    assert shows_text(page, "h1") and page.locator("#made video").count() == 3  # the examples
    assert problems(page, (scheme,)) == []

    for number in (1, 2):
        press(page, "Make")
        expect(page.locator("#command")).to_contain_text(f"runs/tiny-grow-seed0_{number}_again")
        expect(page.locator("#made")).to_contain_text("lrcn (steered)")
    with page.expect_download() as fetched:
        page.get_by_text("Download the folder (zip)").locator("visible=true").click()
    assert fetched.value.suggested_filename == "tiny-grow-seed0_2.zip"
    assert problems(page, (scheme,)) == []

    screen(page, "Runs")
    expect(page.locator("#runs tr")).to_have_count(3)
    press(page, "Report")
    page.frame_locator("#shown iframe").get_by_role("heading", name="tiny-grow-seed0_2").wait_for()
    press(page, "Show")
    page.locator("#shown video").wait_for()
    assert problems(page, (scheme,)) == []

    screen(page, "Explain")
    clip = tiny_clips / "left" / "clip0.mp4"
    page.get_by_role("tabpanel").locator("visible=true").locator("input[type=file]").set_input_files(clip)
    page.locator("video").locator("visible=true").wait_for()
    press(page, "Explain")
    page.locator("#explained article").wait_for()
    assert "counterfactual" in page.locator("#explained").inner_text()

    screen(page, "Judge")
    page.locator("#clips input[type=file]").set_input_files([clip, tiny_clips / "grow" / "clip1.mp4"])
    page.get_by_text("clip1").wait_for()
    press(page, "Judge")
    expect(page.locator("#judged video")).to_have_count(2)

    screen(page, "Look inside")
    press(page, "Activate")
    page.locator("#activated video").wait_for()
    page.locator("#activated .trace img").wait_for()
    assert problems(page, (scheme,)) == []
    assert said == []
    assert len(list(desk.folder.glob("*/manifest.jsonl"))) == 3


def test_folders_are_compared_and_a_run_is_deleted(desk: Desk, address: str, browser: Browser, tmp_path: Path) -> None:
    page, said = open_page(browser, address)
    page.get_by_label("Clips of each").fill("2")
    for seed in ("1", "2"):
        page.get_by_label("Seed").first.fill(seed)
        press(page, "Make")
        page.locator(f"#made video[aria-label='grow/grow_seed{seed}_0000.mp4']").wait_for()
    screen(page, "Judge")
    for name in ("tiny-grow-seed1_1", "tiny-grow-seed2_1"):
        page.locator("#folders input").fill(name)
        page.get_by_role("option", name=name).click()
    press(page, "Judge")
    expect(page.locator("#judged iframe, #judged .problem")).to_have_count(1)
    assert page.locator("#judged .problem").all_inner_texts() == []
    frame = page.frame_locator("#judged iframe")
    frame.get_by_role("heading", name="Generators compared").wait_for()
    assert frame.locator("video").count() == 4

    screen(page, "Runs")
    expect(page.locator("#runs tr")).to_have_count(3)
    press(page, "Delete")
    press(page, "Delete the run and all its clips")
    expect(page.locator("#runs tr")).to_have_count(2)
    assert len(desk.runs()) == 1 and said == []


def test_a_job_is_cancelled_and_found_again_by_a_page_that_is_loaded_again(
    desk: Desk, address: str, browser: Browser, slow: Callable[[float], None]
) -> None:
    slow(0.3)
    page, said = open_page(browser, address)
    page.locator("#actions").get_by_label("Clear").or_(page.locator("#actions .remove-all")).first.click()
    press(page, "Make")
    page.locator("#made .live img").wait_for()
    other, heard = open_page(browser, address)
    press(other, "Make")
    other.get_by_text("Waiting: 1 job is before it.").wait_for()
    assert said == []
    page.reload()
    page.locator("#made .live img").wait_for()
    said.clear()  # Gradio's script complains that the reload ended its stream
    press(page, "Cancel")
    page.get_by_role("alert").filter(has_text="it was cancelled; finished clips are kept").wait_for()
    screen(page, "Runs")
    slow(0.0)
    page.locator("#run input").fill("tiny-clips-seed0_1")
    page.get_by_role("option", name="tiny-clips-seed0_1").click()
    press(page, "Resume")
    expect(page.locator("#shown video")).to_have_count(3)  # after the job of the other browser
    assert said == heard == []


def test_errors_are_sentences_in_the_page(address: str, browser: Browser, tmp_path: Path) -> None:
    page, _ = open_page(browser, address)
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    screen(page, "Judge")
    press(page, "Judge")
    page.get_by_text("there is nothing to judge").wait_for()
    page.locator("#clips input[type=file]").set_input_files(tmp_path / "clip.mp4")
    page.get_by_text("clip", exact=True).or_(page.get_by_text(".mp4")).first.wait_for()
    press(page, "Judge")
    page.locator("#judged [role=alert]").wait_for()
    assert "clip.mp4" in page.locator("#judged").inner_text() and "Traceback" not in page.content()
