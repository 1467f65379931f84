"""Download of one file by HTTP, limited in size and time, and resumable.

It uses the standard library's urllib, because the HTTP client that huggingface_hub installs depends on its version.
"""

import http.client
import io
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stgan.checkpoints.description import CheckpointError
from stgan.errors import StganError
from stgan.names import duration, one_line, quoted
from stgan.records import Count, read_record, write_record
from stgan.version import __version__

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes so far and in all, or None if the total is unknown."""

MOST_BYTES = 4 << 30  # of a file whose size is unknown
_MOST_AROUND = 16 << 20  # bytes around the file: headers, and the sizes of chunks
_LONGEST_NOTES = 1 << 16  # bytes
_SPARE = 64 << 20  # bytes of the disk that stay free
_BLOCK = 1 << 18  # bytes read at a time
_TIMEOUT = 30.0  # seconds without a byte
_TRIES = 5  # in a row without a new byte
_PAUSE = 1.0  # seconds between two tries
_LONGEST = 24 * 3600.0  # seconds of a download
_SLOWEST = 1000.0  # bytes a second, as the mean of a period
_PERIOD = 60.0  # seconds


class FetchError(CheckpointError):
    """A file that could not be fetched."""


class AddressError(Exception):
    """An address did not deliver the file. again: whether another try may succeed."""

    def __init__(self, reason: str, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


@dataclass(frozen=True)
class _Notes:
    """Beside an unfinished file.

    version: the server's name of this version, for If-Range.
    tag:     the ETag, also a weak one, which cannot be a version.
    total:   bytes of the whole file.
    """

    url: str
    version: str = ""
    tag: str = ""
    total: Count | None = None


def check_address(url: str) -> None:
    """FetchError unless it is an http or https address."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii() and url.isprintable()
    except ValueError:
        good = False
    if not good or " " in url:
        raise FetchError(f"{quoted(url)} is no address of a file; give one that begins with https:// or http://")


def download(url: str, part: Path, *, size: int | None = None, progress: Progress) -> None:
    """Download `url` to the file `part`, continuing what an earlier call left there.

    size: the number of bytes the file must have, if that is known.

    Raises:
        AddressError: the address did not deliver the file; what arrived is kept, unless it cannot be the file.
        FetchError:   the disk has no room for it.
    """
    tries, most = 0, _length(part)
    end = time.monotonic() + _LONGEST
    while True:
        try:
            return _attempt(url, part, size, progress, end)
        except AddressError as error:
            tries = 0 if _length(part) > most else tries + 1
            most = max(most, _length(part))
            if not error.again or tries >= _TRIES:
                raise
        time.sleep(_PAUSE)


def forget(part: Path) -> None:
    """Remove an unfinished file and its notes."""
    part.unlink(missing_ok=True)
    _notes_path(part).unlink(missing_ok=True)


def check_space(folder: Path, size: int) -> None:
    """FetchError if the disk of a folder has no room for `size` bytes."""
    free = shutil.disk_usage(folder).free
    if size + _SPARE > free:
        raise FetchError(
            f"{quoted(folder)} has no room: {size / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free; "
            f"make room there or name another folder"
        )


def _attempt(url: str, part: Path, size: int | None, progress: Progress, end: float) -> None:
    """Send one request and read its body to the end. end: when to stop, in time.monotonic's seconds."""
    notes, done = _resume_point(url, part)
    if notes.total is not None and done == notes.total:
        return
    headers = {"User-Agent": f"stgan/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
        if notes.version:
            headers["If-Range"] = notes.version
    with _open(url, headers, part, end) as response:
        continues = response.status == http.client.PARTIAL_CONTENT
        length = _announced(response)
        if continues:
            start, stop, total = _range(response)
            if length not in (None, stop - start):
                forget(part)
                raise AddressError("the lengths in its headers contradict each other")
            if start != done or notes.total not in (None, total) or _is_another(notes, response):
                forget(part)
                raise AddressError("the file there changed in the meantime", again=True)
        else:
            done, total, notes = 0, length, _Notes(url)
            stop = total if total is not None else size or MOST_BYTES
        _check_announced(response, total, size)
        check_space(part.parent, (total or 0) - done)
        write_record(
            _notes_path(part), _Notes(url, _version(response) or notes.version, _tag(response) or notes.tag, total)
        )
        with part.open("ab" if continues else "wb") as file:
            progress(done, total)
            while block := _read(response):
                done += len(block)
                if done > stop:
                    forget(part)
                    raise AddressError(f"it sends more than {stop} bytes")
                file.write(block)
                progress(done, total)
    if total is not None and done < total:
        raise AddressError(f"it stopped after {done} of {total} bytes", again=True)


def _resume_point(url: str, part: Path) -> tuple[_Notes, int]:
    """The notes of an unfinished file, and how many bytes of it are usable: 0 if it came from another address."""
    try:
        notes = read_record(_notes_path(part), _Notes, most=_LONGEST_NOTES)
        done = part.stat().st_size
    except (OSError, StganError):
        return _Notes(url), 0
    # Without a version or a total size, a change of the file at the server would go unnoticed.
    if notes.url != url or not (notes.version or notes.total) or done > (notes.total or MOST_BYTES):
        return _Notes(url), 0
    return notes, done


def _notes_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _length(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only (urllib would follow ftp), and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme == "http"):
            raise AddressError(f"it redirects from {req.type} to {scheme or 'nowhere'}, which is not followed")
        fp.close()  # or urllib would read the body of the redirect, however long
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Timed(io.RawIOBase):
    """The bytes of a connection, headers and all. AddressError if there are too many, or they come too slowly.

    A timeout of the socket is no limit by itself: it starts anew with each byte. Headers may be without end, too.
    """

    def __init__(self, raw: io.RawIOBase, end: float) -> None:
        self._raw, self._end = raw, end
        self._since, self._bytes, self._left = time.monotonic(), 0, MOST_BYTES + _MOST_AROUND

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._bytes += (count := self._raw.readinto(buffer) or 0)
        self._left -= count
        if self._left < 0:
            raise AddressError(f"it sends more than {MOST_BYTES} bytes")
        now = time.monotonic()
        if now > self._end:
            raise AddressError(f"it takes longer than {duration(_LONGEST)}")
        if now > self._since + _PERIOD:
            if self._bytes < _SLOWEST * (now - self._since):
                raise AddressError(f"it sends less than {_SLOWEST:.0f} bytes a second")
            self._since, self._bytes = now, 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, end: float, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), end))


class _TimedHandler(urllib.request.AbstractHTTPHandler):
    """Opens connections whose bytes must have come by `end`, and not too slowly."""

    end: float

    def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
        def connection(*args: Any, **values: Any) -> Any:
            made = http_class(*args, **values)
            made.response_class = partial(_Response, self.end)
            return made

        return super().do_open(connection, req, **options)


class _HTTPHandler(_TimedHandler, urllib.request.HTTPHandler): ...


class _HTTPSHandler(_TimedHandler, urllib.request.HTTPSHandler): ...


def _opener(end: float) -> urllib.request.OpenerDirector:
    """An opener for http and https alone; urllib's default one also opens local files."""
    plain, secure = _HTTPHandler(), _HTTPSHandler()
    plain.end = secure.end = end
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        plain,
        secure,
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _open(url: str, headers: dict[str, str], part: Path, end: float) -> Any:
    """The response of a server that has the file."""
    try:
        return _opener(end).open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(error.code, part) from error
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or " ".join(str(error.reason).split())
        raise AddressError(f"it cannot be reached ({reason})") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AddressError(f"it does not answer as a web server ({one_line(error)})") from error


def _refusal(code: int, part: Path) -> AddressError:
    if code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:  # the unfinished file is not part of that file
        forget(part)
        return AddressError("the file there changed in the meantime", again=True)
    if 300 <= code < 400:
        return AddressError("its redirects are not followed: they lead in a circle or out of the web")
    name = http.client.responses.get(code, "unknown status")
    return AddressError(f"{code} {name}", again=code >= 500 or code == http.client.TOO_MANY_REQUESTS)


def _read(response: Any) -> bytes:
    try:
        return bytes(response.read1(_BLOCK))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AddressError(f"the connection broke ({one_line(error)})", again=True) from error


def _check_announced(response: Any, total: int | None, size: int | None) -> None:
    """AddressError for a response that cannot be the file, before its body is read."""
    if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise AddressError("a web page came instead of the file")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise AddressError("it sends the file in another encoding than asked for")
    if total is not None and size is not None and total != size:
        raise AddressError(f"it has {total} bytes, but the published file has {size}")
    if total is not None and total > MOST_BYTES:
        raise AddressError(f"it has {total} bytes, more than any known file of weights")


def _announced(response: Any) -> int | None:
    """The number of bytes in the body; None if it is sent in chunks, or until the connection closes."""
    lengths = response.headers.get_all("Content-Length", [])
    encodings = [value.strip().lower() for value in response.headers.get_all("Transfer-Encoding", [])]
    if encodings not in ([], ["chunked"]):
        raise AddressError("it sends the file in another encoding than asked for")
    if not lengths:
        return None
    if len(lengths) > 1 or encodings or not re.fullmatch(r"[0-9]{1,18}", lengths[0].strip()):
        raise AddressError("its headers do not say one length of the file")
    return int(lengths[0])


def _range(response: Any) -> tuple[int, int, int | None]:
    """Where a partial response starts and stops, and the size of the whole file, or None.

    (-1, -1, None) if the server says nothing that is possible.
    """
    found = re.fullmatch(
        r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", response.headers.get("Content-Range", "").strip()
    )
    if not found:
        return -1, -1, None
    start, stop, total = int(found[1]), int(found[2]) + 1, None if found[3] == "*" else int(found[3])
    possible = start < stop and (total is None or stop <= total)
    return (start, stop, total) if possible else (-1, -1, None)


def _is_another(notes: _Notes, response: Any) -> bool:
    """Whether a partial response names another version than the one that was begun."""
    pairs = ((notes.tag, _tag(response)), (notes.version, _version(response)))
    return any(former and now and former != now for former, now in pairs)


def _version(response: Any) -> str:
    """A value for If-Range: a strong ETag, or else the date of the last change."""
    tag = _tag(response)
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _tag(response: Any) -> str:
    return str(response.headers.get("ETag", ""))
