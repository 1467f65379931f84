"""Known public files: downloaded, verified, and stored atomically."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit

from stgan.archives import open_archive
from stgan.checkpoints.description import read_file
from stgan.checkpoints.downloading import (
    MOST_BYTES,
    AddressError,
    FetchError,
    Progress,
    check_address,
    check_space,
    download,
    forget,
)
from stgan.checkpoints.known_files import KnownFile
from stgan.files import default_cache, file_hash, locked, replacing, sha256
from stgan.names import one_line, quoted
from stgan.records import write_record


@dataclass(frozen=True)
class Fetched:
    """A known file on this machine.

    url:      its source; empty if a person put it there.
    size:     bytes.
    date:     when it was fetched, ISO 8601, UTC.
    sha256:   of the file, hexadecimal.
    verified: whether it has the published checksum; False where none is known.
    new:      whether this call fetched it.
    """

    path: Path
    url: str
    size: int
    date: str
    sha256: str
    verified: bool
    new: bool = False


@dataclass(frozen=True)
class _Notes:
    """The JSON file beside a fetched file; for its values see `KnownFile` and `Fetched`."""

    name: str
    file: str
    url: str
    size: int
    date: str
    sha256: str
    verified: bool
    licence: str


def default_folder() -> Path:
    """The default folder of fetched files: `weights` in the folder of stgan's caches."""
    return default_cache() / "weights"


def find_fetched(known: KnownFile, folder: Path | None = None) -> Fetched | None:
    """A file that was fetched to `folder` (default: `default_folder()`) and has not changed since, or None."""
    folder = folder or default_folder()
    path, record = folder / known.file, folder / f"{known.name}.json"
    if not (os.path.isfile(path) and os.path.isfile(record)):
        return None
    notes = read_file(record, _Notes)
    if notes.sha256 != sha256(path):
        return None
    return Fetched(path, notes.url, path.stat().st_size, notes.date, notes.sha256, is_published(known, path))


def fetch(
    known: KnownFile, folder: Path | None = None, *, urls: Sequence[str] = (), progress: Progress | None = None
) -> Fetched:
    """Fetch a known file, unless it is there already, and write its source, date, size and SHA-256 to `NAME.json`.

    An interrupted download stays as `FILE.part`; the next call continues it if the server allows.

    folder: where to store it; default: `default_folder()`.
    urls:   addresses to use in place of the known ones.

    Raises:
        FetchError: no address delivered the file, or another file of its name may be there already.
        StganError: another process fetches it.
    """
    folder = folder or default_folder()
    for url in urls:
        check_address(url)
    with locked(folder, doing=f"fetches {known.name} to", file=f".{known.name}.lock"):
        if there := find_fetched(known, folder):
            return there
        path = folder / known.file
        if os.path.lexists(path):
            return _adopt(known, path)
        shipped = installed(known)
        if shipped and not urls and is_published(known, shipped):
            with replacing(path) as temporary:
                shutil.copyfile(shipped, temporary)
            return _record(known, path, path, "")
        addresses = tuple(urls) or known.urls
        if not addresses and known.package:
            raise FetchError(f"{known.name} comes with a Python package: pip install {known.package}")
        if not addresses:
            raise FetchError(
                f"{known.name} has to be fetched with a browser: get {known.file} from {known.page}, "
                "or name another address with --url"
            )
        return _from_addresses(known, addresses, path, progress or (lambda done, total: None))


def installed(known: KnownFile) -> Path | None:
    """The path of a known file in the Python package that contains it; None if that is not installed."""
    try:
        files = distribution(known.package).files or ()
    except (PackageNotFoundError, ValueError):  # ValueError: an empty name
        return None
    return next((Path(str(file.locate())) for file in files if file.name == known.file), None)


def is_published(known: KnownFile, path: Path) -> bool:
    """Whether a file has the published checksum and size; False where no checksum is known."""
    kind, _, digits = known.checksum.partition(":")
    if not digits or known.size not in (None, path.stat().st_size):
        return False
    return file_hash(path, kind).startswith(digits)


def _adopt(known: KnownFile, path: Path) -> Fetched:
    """Accept a file that a person put there. FetchError unless its checksum is the published one."""
    if path.is_file() and is_published(known, path):
        return _record(known, path, path, "")
    raise FetchError(f"{quoted(path)} is there, but may not be {known.name}; move it elsewhere")


def _from_addresses(known: KnownFile, urls: Sequence[str], path: Path, progress: Progress) -> Fetched:
    part = path.with_name(f"{path.name}.part")
    reasons = []
    for url in urls:
        try:
            download(url, part, size=None if known.member else known.size, progress=progress)
            return _place(known, part, path, url)
        except AddressError as error:
            reasons.append(f"{urlsplit(url).hostname}: {error}")
    kept = part.stat().st_size if part.is_file() else 0
    resumable = f"; {kept / 1e6:.1f} MB are kept, the same command goes on" if kept else ""
    raise FetchError(f"cannot fetch {known.name} ({'; '.join(reasons)}){resumable}; its page is {known.page}")


def _place(known: KnownFile, part: Path, path: Path, url: str) -> Fetched:
    """Check a download and move it to its place. Its temporary files are removed in any case.

    The notes are written before the file: without them the file's source would be unknown.
    """
    try:
        if known.member:
            with replacing(path) as temporary:
                _unpack(known, part, temporary)
                _check(known, temporary)
                fetched = _record(known, temporary, path, url)
        else:
            _check(known, part)
            fetched = _record(known, part, path, url)
            os.replace(part, path)
    except AddressError:
        forget(part)
        raise
    forget(part)
    return fetched


def _check(known: KnownFile, path: Path) -> None:
    size = path.stat().st_size
    if known.size is not None and size != known.size:
        raise AddressError(f"it sent {size} bytes instead of the published file's {known.size}, which were removed")
    if known.checksum and not is_published(known, path):
        raise AddressError(f"what it sent does not have the published {known.checksum.split(':')[0]} and was removed")
    if not size:
        raise AddressError("it sent an empty file")


def _unpack(known: KnownFile, archive: Path, target: Path) -> None:
    """Extract the wanted member of an archive and nothing else."""
    most = known.size or MOST_BYTES
    try:
        with open_archive(archive, MOST_BYTES) as opened:
            members = [info for info in opened.infolist() if f"/{info.filename}".endswith(f"/{known.member}")]
            if len(members) != 1:
                raise AddressError(f"its archive holds {len(members) or 'no'} files {quoted(known.member)}")
            (member,) = members
            if member.file_size > most:
                raise AddressError(f"its archive holds a {quoted(known.member)} that is too large")
            check_space(target.parent, member.file_size)
            with opened.open(member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)  # reads at most member.file_size bytes
    except ValueError as error:
        raise AddressError(f"what it sent is not a readable archive ({one_line(error)}) and was removed") from error


def _record(known: KnownFile, source: Path, path: Path, url: str) -> Fetched:
    """Write the notes of the file `source`, which is or will be at `path`."""
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    fetched = Fetched(path, url, source.stat().st_size, date, sha256(source), is_published(known, source), new=True)
    notes = _Notes(known.name, known.file, url, fetched.size, date, fetched.sha256, fetched.verified, known.licence)
    write_record(path.with_name(f"{known.name}.json"), notes)
    return fetched
