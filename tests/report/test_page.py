"""Pictures that others put into a folder."""

import os
from pathlib import Path

import pytest
from PIL import Image

from stgan.report.page import picture_uri


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
