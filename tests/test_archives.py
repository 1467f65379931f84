"""Zip archives: those of PyTorch, NumPy and zipfile are read; those that programs may read differently are not."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from stgan import archives
from stgan.archives import open_archive

MOST = 1 << 20


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.comment = comment
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def streamed(members: dict[str, bytes]) -> bytes:
    """As a server writes it that does not know the sizes: they follow each member."""

    class Pipe(io.BytesIO):
        def tell(self) -> int:
            raise OSError

    file = Pipe()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


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


def _parts(content: bytes) -> tuple[bytes, bytes, bytes]:
    """The members, the directory, and its end."""
    length, begin = struct.unpack_from("<2L", content, len(content) - 10)
    return content[:begin], content[begin : begin + length], content[begin + length :]


def _with_begin(end: bytes, begin: int) -> bytes:
    return end[:16] + struct.pack("<L", begin) + end[20:]


def two_directories() -> bytes:
    """zipfile reads the directory before the end, PyTorch the one at the offset that the end gives."""
    members, directory, end = _parts(zipped(EVIL))
    return members + directory + zipped(GOOD)[: -len(end)] + _with_begin(end, len(members))


def overlapping() -> bytes:
    members, directory, end = _parts(zipped({"a": b"12345678", "b": b"12345678"}))
    first = directory.index(b"PK\1\2", 4)
    entry = bytearray(directory[first:])
    entry[42:46] = bytes(4)  # b's header is a's
    return members + directory[:first] + bytes(entry) + end


def renamed() -> bytes:
    content = zipped(GOOD)
    return content[:30] + b"A" + content[31:]


def between() -> bytes:
    members, directory, end = _parts(zipped(GOOD))
    return members + b"hidden" + directory + _with_begin(end, len(members) + 6)


def hidden_member() -> bytes:
    members, directory, end = _parts(zipped(GOOD))
    last = directory.index(b"PK\1\2", 4)
    counts = struct.pack("<2H2L", 1, 1, last, len(members))
    return members + directory[:last] + end[:8] + counts + end[20:]


def two_ends() -> bytes:
    """A 64-bit end that leads to another directory than the 32-bit end."""
    members, directory, end = _parts(zipped(EVIL))
    count, begin = len(GOOD), len(members)
    second = len(members) + len(directory)
    other, listed, _ = _parts(zipped(GOOD))
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(listed), second + len(other))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, second + len(other) + len(listed), 1)
    return members + directory + other + listed + record + locator + _with_begin(end, begin)


@pytest.mark.parametrize(
    "make",
    [
        two_directories,
        overlapping,
        renamed,
        between,
        hidden_member,
        two_ends,
        lambda: b"before" + zipped(GOOD),
        lambda: zipped(GOOD) + b"after",
        lambda: zipped(EVIL, comment=zipped(GOOD)),
        lambda: zipped(EVIL) + zipped(GOOD),
        lambda: zipped({"a": b"1", "A": b"2"}),
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
