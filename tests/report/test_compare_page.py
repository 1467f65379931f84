"""The page of a comparison of generators: its clips side by side, and what it must not show."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from generator_comparisons import comparison
from generator_folders import make_generator

from stgan.report.compare_page import write_compare_page
from stgan.scoring import Clip, labelled_clips
from stgan.video import find_clips

CLIPS = tuple(f"{action}/{action}_{number}.mp4" for number in range(2) for action in ("grow", "left", "right"))
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def small_films(monkeypatch: pytest.MonkeyPatch) -> None:
    """For speed; tests/report/test_films.py is about films of full size."""
    monkeypatch.setattr("stgan.report.films._SIDE", 32)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    return {name: make_generator(tmp_path / str(i), num=2) for i, name in enumerate(("ours", HOSTILE))}


def test_clips_of_one_action_and_number_are_side_by_side(
    folders: dict[str, Path], tiny_clips: Path, tmp_path: Path, page_of: Callable[[Path], Any]
) -> None:
    real = (tiny_clips, labelled_clips(find_clips(tiny_clips)))
    out = tmp_path / "page" / "index.html"
    found = comparison(list(folders), CLIPS, fooled=True)
    assert write_compare_page(found, folders, out, real=real, command="stgan compare") == (out, None)
    page = page_of(out)
    films = [attributes["aria-label"] for tag, attributes in page.tags if tag == "video"]
    assert films == [
        f"{action} {number}, {column}"
        for number in (1, 2)
        for action in ("grow", "left", "right")
        for column in ("ours", f"{HOSTILE} (fooled)", "real")
    ]
    assert "0.88" in page.text and "1 of 1 differences are clear" in page.text and HOSTILE in page.text
    assert "FOOLED" in page.text and "stgan compare" in page.text and HOSTILE not in out.read_text()
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")]
    sources = [attributes["src"] or "" for tag, attributes in page.tags if tag == "source"]
    assert len(sources) == 36 and all(source.startswith("data:") for source in sources)
    assert list(out.parent.iterdir()) == [out]


def test_links_are_not_shown_and_the_number_of_films_is_bounded(
    folders: dict[str, Path], tmp_path: Path, page_of: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, real = folders["ours"], tmp_path / "real"
    outside = shutil.copy(ours / CLIPS[0], tmp_path / "outside.mp4")
    (ours / CLIPS[0]).unlink()
    (ours / CLIPS[0]).symlink_to(outside)
    real.mkdir()
    (real / "link.mp4").symlink_to(outside)
    found, out = comparison(list(folders), CLIPS), tmp_path / "index.html"
    monkeypatch.setattr("stgan.report.compare_page._MOST_FILMS", 6)
    write_compare_page(found, folders, out, real=(real, [Clip(real / "link.mp4", "link.mp4", "grow")]))
    page = page_of(out)
    films = [attributes["aria-label"] for tag, attributes in page.tags if tag == "video"]
    assert films == [f"grow 1, {HOSTILE}", "left 1, ours", f"left 1, {HOSTILE}"] and "2 of 6 positions" in page.text
