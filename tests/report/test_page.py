"""Numbers and pictures in pages, and the folders of their own."""

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stgan.errors import StganError
from stgan.report.page import drawing_beside, fixed, image_uri, picture_uri


@given(st.floats(-1e12, 1e12), st.integers(0, 6))
def test_negative_numbers_have_the_sign_of_minus(value: float, digits: int) -> None:
    text = fixed(value, digits)
    assert ("−" in text) == (float(text.replace("−", "-")) < 0) and "-" not in text.replace("e-", "e")
    assert float(text.replace("−", "-")) == pytest.approx(value, rel=0.01, abs=10**-digits)


def test_photographs_are_small_and_figures_exact() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 320, 3), dtype=np.uint8))
    plain = Image.new("RGB", (320, 256), "white")
    for picture, kind, encoded in (
        (noise, "photograph", "jpeg"),
        (plain, "photograph", "png"),
        (noise, "figure", "png"),
        (noise.resize((1600, 1280)), "figure", "jpeg"),
    ):
        head, _, data = image_uri(picture, kind).partition(";base64,")  # type: ignore[arg-type]
        assert head == f"data:image/{encoded}"
        with Image.open(io.BytesIO(base64.b64decode(data))) as found:
            assert found.size == picture.size
            exact = np.array_equal(np.asarray(found), np.asarray(picture))
            assert exact == (encoded == "png")


def draw(page: Path, *names: str, fail: bool = False) -> list[Path]:
    with drawing_beside(page) as drawing:
        for name in names:
            drawing.picture(name, lambda path: Image.new("RGB", (4, 4), "red").save(path))
        if fail:
            raise StganError("interrupted")
    return drawing.written


def test_each_page_has_its_own_figures_and_replaces_them_at_once(tmp_path: Path) -> None:
    def files() -> set[str]:
        return {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}

    pages = [tmp_path / name for name in ("a.html", "b.html", "a.htm")]
    assert [path for page in pages for path in draw(page, "x", "y") if not path.is_file()] == []
    assert len(files()) == 6 and "a_figures/x.png" in files()
    (tmp_path / "a_figures" / "x.png").write_bytes(b"former")
    with pytest.raises(StganError, match="interrupted"):
        draw(pages[0], "x", fail=True)
    assert len(files()) == 6 and (tmp_path / "a_figures" / "x.png").read_bytes() == b"former"
    draw(pages[0], "x")
    assert len(files()) == 5 and "a_figures/y.png" not in files() and "b_figures/y.png" in files()
    (tmp_path / "c_figures").symlink_to(tmp_path / "a_figures")
    with pytest.raises(StganError, match="c_figures' is a link to another folder; remove it"):
        draw(tmp_path / "c.html", "x")
    assert len(files()) == 5


def test_pictures_are_bounded_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Path] = []
    load = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: decoded.append(tmp_path) or load(self))
    Image.new("1", (1 << 13, (1 << 13) + 1)).save(tmp_path / "large.png")
    decoded.clear()
    assert picture_uri(tmp_path / "large.png") is None and not decoded
    assert (tmp_path / "large.png").stat().st_size < 100_000
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    assert str(picture_uri(tmp_path / "small.png")).startswith("data:image/png;base64,")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_pipes_and_links_are_no_pictures(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    assert picture_uri(tmp_path / "pipe.png") is None and picture_uri(tmp_path / "zero.png") is None
