"""Files that appear whole or not at all, and folders that one process works in."""

import os
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest

from stgan import files
from stgan.errors import StganError
from stgan.files import flush, locked, replacing


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "a.txt").write_text(text)
    return path


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder(tmp_path / "set", "former")
    (tmp_path / "set" / "b.txt").write_text("former")
    with replacing(tmp_path / "set") as temporary:
        folder(temporary, "new")
    assert [(path.name, path.read_text()) for path in (tmp_path / "set").iterdir()] == [("a.txt", "new")]
    assert os.listdir(tmp_path) == ["set"]


@pytest.mark.parametrize("moves", [0, 1])
def test_whenever_it_is_interrupted_a_former_folder_is_whole(
    moves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path / "set", "former")
    replace, left = os.replace, iter(range(moves, -2, -1))

    def interrupted(source: Path, target: Path) -> None:
        if next(left) == 0:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "set") as temporary:
        folder(temporary, "new")
    assert (tmp_path / "set" / "a.txt").read_text() == "former" and os.listdir(tmp_path) == ["set"]


def test_interrupted_as_the_former_folder_goes_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path / "set", "former")

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "set") as temporary:
        folder(temporary, "new")
    assert (tmp_path / "set" / "a.txt").read_text() == "new"


def test_one_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    new, other, third = tmp_path / "new", tmp_path / "other", tmp_path / "third"
    with locked(new):
        with pytest.raises(StganError, match=r"another process works in .*new'; wait for it, or choose"), locked(new):
            pass
        with pytest.raises(StganError, match=r"process eats .*new'; wait for it, or eat something else"):
            ExitStack().enter_context(locked(third, new, doing="eats", remedy="eat something else"))
        with locked(third), locked(new, file=".another.lock"), locked():  # the first was freed with the second refused
            pass
    with locked(new, other), pytest.raises(StganError, match="other"), locked(other):
        pass


def test_the_next_one_waits(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with locked(tmp_path, wait=True):
            order.append("second")

    with locked(tmp_path):
        thread = Thread(target=second)
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o002])
def test_a_file_has_the_permissions_of_any_new_file(mask: int, tmp_path: Path) -> None:
    """safetensors writes files that only their owner reads."""
    former = os.umask(mask)
    try:
        for path in (tmp_path / "new", tmp_path / "new"):  # also where there is one already
            with replacing(path) as temporary:
                os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(former)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o666 & ~mask and os.listdir(tmp_path) == ["new"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="there is no /proc")
def test_a_folder_is_flushed_with_its_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path / "set", "text")
    flushed: list[str] = []
    monkeypatch.setattr(files.os, "fsync", lambda file: flushed.append(os.readlink(f"/proc/self/fd/{file}")))
    flush(tmp_path / "set")
    assert flushed == [str(tmp_path / "set" / "a.txt"), str(tmp_path / "set")]
