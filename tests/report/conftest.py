"""Pages as their tags and text, and a small folder of generated clips."""

import base64
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest


class Page(HTMLParser):
    """The tags, their attributes, and the text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "wbr", "source", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += "" if {"style", "script"} & set(self.open) else data

    @property
    def pictures(self) -> list[tuple[str, bytes]]:
        found = []
        for tag, attributes in self.tags:
            if tag == "img":
                kind, _, data = (attributes["src"] or "").partition(";base64,")
                found.append((kind, base64.b64decode(data)))
        return found


@pytest.fixture(scope="session")
def page_of() -> Callable[[Path], Page]:
    return Page


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """Two clips of each of three actions, as `stgan generate` writes them; not to be changed."""
    from stgan.generation import GenerationJob
    from stgan.pipeline import STGAN

    model = STGAN.from_pretrained(tiny_model, "cpu")
    preset = replace(model.preset("robust"), iterations=3)
    job = GenerationJob(model, model.steering(), preset, num=2, batch=1)
    with job.open(tmp_path_factory.mktemp("generated") / "clips", resume=False) as run:
        list(run.make_all())
    return run.folder.path


@pytest.fixture(scope="session")
def record(generated: Path, tiny_model: Path) -> dict[str, Any]:
    """What `stgan evaluate` would write about them; not to be changed."""
    from stgan.checkpoints import find_model
    from stgan.records import as_plain
    from stgan.scoring import evaluate, find_evaluator, folder_clips

    written: dict[str, Any] = as_plain(
        evaluate(folder_clips(generated), find_evaluator("evaluator", find_model(tiny_model)))
    )
    return written
