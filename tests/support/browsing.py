"""Pages in a real browser: an installed Chromium, what it complains about, and what is wrong with a page."""

import io
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, sync_playwright

WIDTHS = (390, 1280)  # of a phone and of a desk
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_PATIENCE = 200_000  # milliseconds, on a busy machine

# What is wrong with a page that has been scrolled through: nothing, if all is well.
_PROBLEMS = """async () => {
    const wrong = []
    for (const image of document.images) {
        image.loading = 'eager'
        await image.decode().catch(() => wrong.push('an image: ' + image.alt))
    }
    for (const video of document.querySelectorAll('video')) {
        video.scrollIntoView()
        for (let i = 0; i < 100 && video.readyState < 2 && !video.error; i++)
            await new Promise(resolve => setTimeout(resolve, 20))
        if (video.readyState < 2 || video.error || !video.videoWidth) wrong.push('a video: ' + video.ariaLabel)
    }
    if (document.documentElement.scrollWidth > innerWidth) wrong.push('wide: ' + document.documentElement.scrollWidth)
    const unnamed = e => !(e.textContent.trim() || e.ariaLabel || e.alt || e.labels?.length || e.ariaHidden == 'true'
        || e.querySelector('[alt], [aria-label]'))
    for (const element of document.querySelectorAll('a[href], button, input, select, textarea, img, video'))
        if (element.getClientRects().length && unnamed(element)) wrong.push('no name: ' + element.outerHTML)
    return wrong
}"""

# The text with less contrast than 4.5, the least of the web's guidelines (WCAG 2, 1.4.3) for text of any size.
_FAINT = """() => {
    const parts = colour => {
        const found = colour.match(/[\\d.]+/g).map(Number)
        const rgb = colour.startsWith('color(') ? found.slice(0, 3).map(v => 255 * v) : found.slice(0, 3)
        return [rgb, found[3] ?? 1]
    }
    const light = rgb => rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
    const faint = []
    for (const element of document.querySelectorAll('body *')) {
        const style = getComputedStyle(element), own = [...element.childNodes]
        if (!own.some(node => node.nodeType == 3 && node.data.trim()) || !element.checkVisibility()) continue
        const layers = []
        for (let behind = element; behind; behind = behind.parentElement)
            layers.push(parts(getComputedStyle(behind).backgroundColor))
        const back = layers.reverse().reduce((under, [rgb, a]) => under.map((v, i) => a * rgb[i] + (1 - a) * v),
            [255, 255, 255])
        const [ink] = parts(element instanceof SVGElement ? style.fill : style.color)
        const [dark, bright] = [light(ink), light(back)].sort((a, b) => a - b)
        const contrast = (bright + 0.05) / (dark + 0.05)
        if (contrast < 4.5) faint.push(contrast.toFixed(1) + ': ' + element.textContent.trim().slice(0, 60))
    }
    return faint
}"""


@contextmanager
def installed_browser() -> Iterator[Browser]:
    """An installed Chromium, or one that playwright has; none is downloaded. Without one the test is skipped."""
    with sync_playwright() as playwright:
        known = playwright.chromium.executable_path
        path = next(filter(None, map(shutil.which, _NAMES)), known if os.path.exists(known) else None)
        if path is None:
            pytest.skip("needs a Chromium or Chrome: install one, or run playwright install chromium")
        chromium = playwright.chromium.launch(executable_path=path, args=list(_QUIET))
        yield chromium
        chromium.close()


def listen(page: Page, only: Collection[str] = ()) -> list[str]:
    """Messages of the console, errors, and requests that failed or went to another host, as they come.

    only: the types of messages that count; default: all.
    """
    said: list[str] = []
    page.set_default_timeout(_PATIENCE)
    page.on("console", lambda message: (only and message.type not in only) or said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: _was_ended(request) or said.append(f"failed: {request.url[:100]}"))
    page.on("request", lambda request: _is_near(request.url) or said.append(f"elsewhere: {request.url[:100]}"))
    return said


def _was_ended(request: Request) -> bool:
    """By the page itself, such as a stream of what a job shows."""
    return request.failure == "net::ERR_ABORTED"


def _is_near(address: str) -> bool:
    return address.startswith(("file:", "data:", "blob:", "http://127.0.0.1", "ws://127.0.0.1"))


def until(page: Page, condition: str) -> None:
    """Wait until this JavaScript is true. Playwright's own way needs `eval`, which the pages' policy forbids."""
    wait = f"""async () => {{
        for (let i = 0; i < {_PATIENCE // 20} && !({condition}); i++)
            await new Promise(resolve => setTimeout(resolve, 20))
        return Boolean({condition})
    }}"""
    assert page.evaluate(wait), condition


def problems(page: Page, schemes: Sequence[Literal["light", "dark"]] = ("light", "dark")) -> list[str]:
    """Pictures and videos that do not load, what is wider than the page or has no name, and text that is not read
    easily in these colour schemes.
    """
    found: list[str] = page.evaluate(_PROBLEMS)
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        found += [f"{scheme}, {faint}" for faint in page.evaluate(_FAINT)]
    return found


def shows_text(page: Page, what: str) -> bool:
    """Whether the browser draws the element, which it does not do without fonts."""
    with Image.open(io.BytesIO(page.locator(what).first.screenshot())) as picture:
        dark, bright = picture.convert("L").getextrema()
    return bright - dark > 100


def visit(page: Page, path: Path, width: int) -> list[str]:
    """Open a page at this width. Returns its problems."""
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(path.as_uri())
    return problems(page)
