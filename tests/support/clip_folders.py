"""Folders of clips, and what stgan says of them."""

from pathlib import Path

import pytest
from PIL import Image

from stgan.errors import StganError
from stgan.video import find_clips


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write_csv(root: Path, text: str, name: str = "clips.csv") -> None:
    (root / name).write_text(text, encoding="utf-8")


def write_frames(folder: Path, levels: list[int], name: str = "{}.png") -> None:
    folder.mkdir(parents=True)
    for number, level in enumerate(levels, start=1):
        Image.new("RGB", (24, 16), (level, level, level)).save(folder / name.format(number))


def refusal(root: Path, **options: object) -> str:
    """The sentence with which a folder is refused."""
    with pytest.raises(StganError) as caught:
        find_clips(root, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert text.isprintable() and len(text) < 1200
    return text
