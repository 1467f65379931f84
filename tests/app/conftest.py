"""The page of `stgan app` on this machine, with a tiny model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stgan.app.desk import Desk

pytest.importorskip("gradio", reason="needs pip install 'stgan[app]'")


@pytest.fixture
def desk(tiny_model: Path, tiny_clips: Path, tmp_path: Path) -> "Desk":
    from stgan.app.desk import Desk

    for name in ("runs", "temporary"):
        (tmp_path / name).mkdir()
    return Desk(tmp_path / "runs", tmp_path / "temporary", {"tiny": tiny_model}, readable={"real": tiny_clips})


@pytest.fixture
def address(desk: "Desk", unchecked: None) -> Iterator[str]:
    """Of the page, which is served while a test runs."""
    from stgan.app.page import serving

    with serving(desk) as found:
        yield found.rstrip("/")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Makes every iteration take so many seconds more, so that a test can meet a job while it runs."""
    import time

    from stgan.app import making

    usual, pause = making.Seen.iteration, [0.0]

    def iteration(*arguments: object) -> None:
        time.sleep(pause[0])
        usual(*arguments)

    monkeypatch.setattr(making.Seen, "iteration", iteration)
    return lambda seconds: pause.__setitem__(0, seconds)
