"""Zip archives: those of PyTorch, NumPy and zipfile are read; those that programs may read differently are not."""

import struct
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from odd_archives import AMBIGUOUS, streamed, zipped

from stgan import archives
from stgan.archives import open_archive

MOST = 1 << 20


def read(path: Path) -> dict[str, bytes]:
    with open_archive(path, MOST) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


GOOD, EVIL = {"a.py": b"pass", "b": b"x" * 1000}, {"a.py": b"evil", "b": b"x" * 1000}


def test_usual_archives_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (
        zipped(GOOD),
        zipped(GOOD, zipfile.ZIP_DEFLATED),
        zipped(GOOD, comment=b"a commit"),
        streamed(GOOD),
    ):
        path.write_bytes(content)
        assert read(path) == GOOD
    for many in (1, 300):
        torch.save({f"layer{i}": torch.zeros(i) for i in range(many)}, path)
        assert len(read(path)) > many
    for save in (np.savez, np.savez_compressed):
        with path.open("wb") as file:
            save(file, a=np.zeros(3), b=np.ones((2, 2)))
        assert set(read(path)) == {"a.npy", "b.npy"}


def _with_header(offset: int, value: int) -> bytes:
    """With another number in the header before the first member, but not in the directory."""
    content = bytearray(zipped(GOOD))
    struct.pack_into("<L", content, offset, value)
    return bytes(content)


def _with_a_folder_that_is_a_file() -> bytes:
    """The directory says that the first member is a folder, for which PyTorch returns memory that nobody wrote."""
    content = bytearray(zipped(GOOD))
    content[content.index(b"PK\1\2") + 38] |= 1 << 4
    return bytes(content)


@pytest.mark.parametrize(
    "make",
    [
        _with_a_folder_that_is_a_file,
        *(partial(make, GOOD, EVIL) for make in AMBIGUOUS),
        *(partial(_with_header, offset, 3) for offset in (14, 18, 22)),  # CRC, packed size, size
        lambda: zipped({**GOOD, "folder/": b"content"}),
        lambda: zipped({"a": bytes(MOST), "b": bytes(1)}, zipfile.ZIP_DEFLATED),
        lambda: zipped(GOOD, zipfile.ZIP_BZIP2),
        lambda: zipped(GOOD)[:-5],
        lambda: b"PK\3\4",
        lambda: b"",
    ],
)
def test_other_archives_are_refused(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "x").write_bytes(make())
    with pytest.raises(ValueError, match="archive"):
        read(tmp_path / "x")


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 1)
    (tmp_path / "x").write_bytes(zipped(GOOD))
    with pytest.raises(ValueError, match="more than 1 members"):
        read(tmp_path / "x")


def test_a_member_that_unpacks_to_more_than_it_says(tmp_path: Path) -> None:
    content = zipped({"a": bytes(1000)}, zipfile.ZIP_DEFLATED)
    (tmp_path / "x").write_bytes(content.replace(struct.pack("<L", 1000), struct.pack("<L", 10)))
    with pytest.raises(ValueError, match="damaged"):
        read(tmp_path / "x")
