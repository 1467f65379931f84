"""Atomic writes, locks, hashes, and standard folders."""

import errno
import hashlib
import os
import re
import secrets
import shutil
import time
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
_PATIENCE = 60.0  # seconds
_WITHOUT_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)  # how file systems without hard links refuse one


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`. It replaces `path` if the block succeeds and is removed if it does not.

    The block makes a file or a folder there. A killed process leaves it behind; `remove_leftovers` removes it.
    A file gets the permissions of any new file in that folder; some libraries write files for their owner alone.
    """
    temporary, former = _temporary(path), _temporary(path, ".former")
    try:
        yield temporary
        if temporary.is_file():
            temporary.chmod(_usual_mode(_temporary(path, ".mode")))
        if temporary.is_dir() and os.path.lexists(path):
            os.replace(path, former)  # no system call replaces a folder that is not empty
        os.replace(temporary, path)
    finally:
        if os.path.lexists(former) and not os.path.lexists(path):
            os.replace(former, path)
        remove(temporary)
        remove(former)


def create(path: Path, content: bytes) -> bool:
    """Write a file, flushed to the disk, only if there is none of this name. Returns whether it was written.

    It appears whole or not at all. Of several processes that try, also on machines that share the folder, one succeeds.
    Where the file system has no hard links, this only holds for processes that do not try at the same moment.
    """
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _WITHOUT_LINKS:
                raise
            if os.path.lexists(path):
                return False
            os.replace(temporary, path)
        flush_names(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return True


@contextmanager
def locked(
    *folders: Path,
    doing: str = "works in",
    remedy: str = "choose another folder",
    file: str = LOCK,
    wait: bool = False,
) -> Iterator[None]:
    """Make these folders and lock them, so that only one process at a time runs such a block for a folder.

    The system frees the lock of a killed process. The lock file stays: if it were removed, two processes could each
    lock a different file.

    Args:
        doing: what the other process does, for the message: "another process works in 'clips'; ...".
        remedy: what the user can do instead of waiting, for the message.
        file: name of the lock file in each folder.
        wait: wait for the other process instead of raising an error.

    Raises:
        StganError: another process holds the lock of one of the folders.
        OSError: a folder cannot be made or written.
    """
    with ExitStack() as locks:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                locks.enter_context(FileLock(folder / file, timeout=-1 if wait else 0))
            except Timeout:
                raise StganError(f"another process {doing} {quoted(folder)}; wait for it, or {remedy}") from None
        yield


@contextmanager
def shared(folder: Path) -> Iterator[None]:
    """Make a folder and hold its lock together with other processes; meanwhile `locked` refuses the folder.

    Systems other than Unix have no such locks: there, one process at a time runs such a block.

    Raises:
        StganError: a process has the lock for itself, and keeps it for longer than starting a folder anew takes.
        OSError: the folder cannot be made or written, or its file system has no locks.
    """
    try:
        from fcntl import LOCK_NB, LOCK_SH, flock
    except ImportError:
        with locked(folder):
            yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    latest = time.monotonic() + _PATIENCE
    try:
        while True:
            try:
                flock(descriptor, LOCK_SH | LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > latest:
                    raise StganError(
                        f"another process has {quoted(folder)} for itself; wait for it, or choose another folder"
                    ) from None
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def named(path: str | Path) -> Path:
    """A path that a user gave. StganError for any other type, and for an empty text: it would be the current folder."""
    if not isinstance(path, str | os.PathLike):
        raise StganError(f"a file or folder is named by a text or a path, not by {path!r}"[:300])
    if path == "":
        raise StganError("the name of a file or folder is empty; give one")
    return Path(path)


def typed(text: str) -> str | Path:
    """An argument that may be a path or a name: a `Path` if it exists and has a separator, else the text itself."""
    return Path(text) if "/" in text and os.path.exists(text) else text


def default_cache() -> Path:
    """The folder for caches: `$XDG_CACHE_HOME/stgan`, or `~/.cache/stgan`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "stgan"


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remove(path: Path) -> None:
    """Remove a file, a link, or a folder with its contents, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Flush a file, or a folder with its contents, to the disk, so that it survives a loss of power."""
    for inner in path.iterdir() if path.is_dir() else ():
        flush(inner)
    flush_names(path)


def flush_names(path: Path) -> None:
    """Flush what a folder lists to the disk, but not the contents of its files. A file is flushed as a whole."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove unfinished files of killed processes. This is only safe while no process writes there."""
    for path in folder.iterdir():
        if _LEFTOVER.fullmatch(path.name):
            remove(path)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    return file_hash(path, "sha256")


def file_hash(path: Path, kind: str) -> str:
    """The hash of a file, hexadecimal. kind: a name that `hashlib.new` knows."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _temporary(path: Path, kind: str = "") -> Path:
    """A name for an unfinished file that no other process uses, also not on another machine with the same folder."""
    return path.with_name(f".{path.name}{kind}.{secrets.randbelow(10**12)}.part")


def _usual_mode(probe: Path) -> int:
    """The permissions of a new file at this path. They depend on the umask, which threads can only read by setting."""
    try:
        probe.touch()
        return probe.stat().st_mode & 0o777
    finally:
        probe.unlink(missing_ok=True)
