"""Files that appear whole or not at all, whatever stops the process that writes them."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from stgan.errors import StganError
from stgan.names import quoted

LOCK = ".lock"
BUNDLED = Path(__file__).parent / "bundled"
"""The models that ship with the package, each in a folder of its name."""
DEFAULT_MODEL = BUNDLED / "weizmann"
_LEFTOVER = re.compile(r"\..+\.\d+\.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it if the block succeeds and removed if it does not.

    The block makes a file or a folder there. Only a process that is killed leaves it behind: `remove_leftovers` takes
    it away.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    former = path.with_name(f".{path.name}.former.{os.getpid()}.part")
    try:
        yield temporary
        if temporary.is_dir() and os.path.lexists(path):
            os.replace(path, former)  # no system call moves a folder onto one that is not empty
        os.replace(temporary, path)
    finally:
        if os.path.lexists(former) and not os.path.lexists(path):
            os.replace(former, path)
        remove(temporary)
        remove(former)


@contextmanager
def locked(
    *folders: Path,
    doing: str = "works in",
    remedy: str = "choose another folder",
    file: str = LOCK,
    wait: bool = False,
) -> Iterator[None]:
    """Make these folders, and let no other process into the same block for one of them.

    The system frees the lock of a process that was killed. The lock file stays: to remove it could let two processes
    each lock a file of their own.

    Args:
        doing: what the other process does to the folder, for the message: "another process works in 'clips'; ...".
        remedy: what the user can do besides waiting, for the message.
        file: name of the lock file in each folder.
        wait: wait for the other process, instead of refusing.

    Raises:
        StganError: another process holds the lock of one of the folders.
        OSError: a folder cannot be made or written to.
    """
    with ExitStack() as locks:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                locks.enter_context(FileLock(folder / file, timeout=-1 if wait else 0))
            except Timeout:
                raise StganError(f"another process {doing} {quoted(folder)}; wait for it, or {remedy}") from None
        yield


def typed(text: str) -> str | Path:
    """What a user typed where a path or a name is meant: the path, if it is one with a separator; else the text."""
    return Path(text) if "/" in text and os.path.exists(text) else text


def default_cache() -> Path:
    """The folder of caches that users expect: `$XDG_CACHE_HOME/stgan`, or `~/.cache/stgan`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "stgan"


def write_text(path: Path, text: str) -> None:
    """A file with this text."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it; a link itself. Nothing if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left of files that were never finished; only safe while nobody writes there."""
    for path in folder.iterdir():
        if _LEFTOVER.fullmatch(path.name):
            remove(path)


def sha256(path: Path) -> str:
    """Of the bytes of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
