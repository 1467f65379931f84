"""A web server that lies about what it sends, is slow, breaks off, redirects, and never ends."""

import json
import os
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from random import Random
from threading import Event

from mutations import damage_bytes
from web_server import Page, Server

from stgan.checkpoints import downloading
from stgan.checkpoints.fetching import fetch
from stgan.checkpoints.known_files import KnownFile
from stgan.errors import StganError
from stgan.files import remove

BODY = bytes(range(256)) * 80
_MOST = 1 << 20  # bytes of a file of unknown size
_MOST_SENT = 32 << 20  # bytes that a server gets rid of in a case, with what waits in buffers
_BAD_SERVER = {"_PAUSE": 0.0, "_TIMEOUT": 0.05, "_TRIES": 2, "_LONGEST": 2.0, "_PERIOD": 0.1}
_GOOD_SERVER = {"_PAUSE": 0.0, "_TIMEOUT": 10.0, "_TRIES": 5, "_LONGEST": 20.0, "_PERIOD": 20.0}

_STATUS = (200, 200, 206, 206, 301, 302, 303, 307, 308, 100, 204, 304, 404, 416, 500, 503, 999)
_LENGTHS = ("-1", "0", "1000000000000", str(1 << 64), "1e3", "0x50", "", "12, 12", "+5", "\xb2", "many")
_TAGS = ('"one"', '"one"', '"one"', '"two"', 'W/"one"', "", "\xff", '"' + "x" * 60_000 + '"')
_RANGES = ("bytes */9", "bytes 0-0/1", "bytes 9-3/9", "bytes -5-9/9", f"bytes 0-{10**17}/{10**18}", "items 0-9/9", "")
_ENCODINGS = ("gzip", "chunked, chunked", "identity", "Chunked ", "\xb2")
_SIZES = ("-5", "ffffffffffffffff", "0x10", "", " ", "1;" + "x" * 100, "zz", "+4", "1_0")  # of chunks
_PLACES = (
    *("/other", "", "//", "?a", "/\xe9", "http://127.0.0.1:1/", "http://127.0.0.1:99999/", "http://[::1", "http:///x"),
    *("file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "javascript:1", "http://127.0.0.1:x/", "/a b", "\x00"),
    *("HTTP://127.0.0.1:PORT/", "https://127.0.0.1:PORT/", "/" + "x" * 60_000),
)
_ENDLESS = (
    b"x" * 65_536,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    b"X: y\r\n" * 100,
    b"1\r\nx\r\n" * 100,
    b"\r\n" * 100,
)


class Downloads:
    """`fetch` from a bad server, and then from the same server, which has become good.

    Right is the published file. From the bad server a sentence is right, too, if nothing is under the file's name.
    """

    def __init__(self, folder: Path, model: str) -> None:
        os.environ["no_proxy"] = "127.0.0.1"
        downloading.MOST_BYTES = _MOST
        self.out, self.server, self.size = folder / "out", _BadServer(), None

    def damage(self, rng: Random) -> Path:
        remove(self.out)
        self.out.mkdir()
        self.size = rng.choice((None, len(BODY)))
        if rng.random() < 0.4:  # an earlier call got a part
            (self.out / "net.part").write_bytes(rng.choice((BODY, BODY, BODY[::-1]))[: rng.randrange(len(BODY) + 2)])
            total = rng.choice((len(BODY), len(BODY), 9, None))
            notes = {"url": self.server.address("/net"), "version": rng.choice(_TAGS), "tag": "", "total": total}
            (self.out / "net.part.json").write_text(json.dumps(notes))
        self.server.become_bad(rng)
        return self.out

    def attempt(self, path: Path) -> None:
        digest = f"sha256:{sha256(BODY).hexdigest()}"
        known = KnownFile("net", "", "net", "page", (self.server.address("/net"),), size=self.size, checksum=digest)
        try:
            self._fetch(known, _BAD_SERVER)
        except StganError:
            left = {file.name for file in path.iterdir()}
            assert left <= {"net.part", "net.part.json", ".net.lock"}, left
            self.server.become_good()
            with suppress(StganError):  # what a bad server left may cost a call
                self._fetch(known, _GOOD_SERVER)
            self._fetch(known, _GOOD_SERVER)
            raise
        finally:
            assert self.server.sent < _MOST_SENT, f"it took {self.server.sent} bytes"

    def _fetch(self, known: KnownFile, limits: dict[str, float]) -> None:
        for name, value in limits.items():
            setattr(downloading, name, value)
        assert fetch(known, self.out).path.read_bytes() == BODY
        assert {file.name for file in self.out.iterdir()} == {"net", "net.json", ".net.lock"}


class _BadServer(Server):
    """sent: bytes since it became bad, until it became good. Its answers follow from `seed` and their number."""

    def __init__(self) -> None:
        super().__init__()
        self.pages["/net"] = Page(BODY)
        self.bad, self.seed, self.sent, self.over = False, "", 0, Event()

    def become_bad(self, rng: Random) -> None:
        self.bad, self.seed, self.sent, self.over = True, str(rng.random()), 0, Event()
        self.requests.clear()

    def become_good(self) -> None:
        self.bad = False
        self.over.set()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if not self.bad:
            return super().answer(handler)
        rng, over = Random(f"{self.seed} {len(self.requests)}"), self.over
        start = int(handler.headers.get("Range", "bytes=0-")[len("bytes=") : -1])
        pieces = _answer(rng, start, self.http.server_port)
        pause = rng.choice((0.0, 0.0, 0.0, 0.0, 0.01, 0.2))
        if rng.random() < 0.1:
            del pieces[rng.randrange(len(pieces)) :]
        endless = rng.choice(_ENDLESS) if rng.random() < 0.1 else b""
        with suppress(OSError):  # the other side had enough
            for piece in pieces:
                handler.wfile.write(piece)
                self.sent += len(piece)
                if over.wait(pause):
                    return
            while endless and not over.is_set():
                handler.wfile.write(endless)
                self.sent += len(endless)


def _answer(rng: Random, start: int, port: int) -> list[bytes]:
    """A response in pieces. start: the first byte that was asked for."""
    status = rng.choice(_STATUS) if rng.random() < 0.4 else 206 if start else 200
    whole = rng.choice((*[BODY] * 5, BODY[::-1], BODY[:-1], BODY + b"x", b"<html></html>"))
    body = whole[start:] if status == 206 else whole
    length, stop = len(body) + rng.choice((0, 0, 0, 0, 1, -1)), len(whole) + rng.choice((0, 0, 0, 0, 1, -1))
    headers = [("ETag", rng.choice(_TAGS))] if rng.random() < 0.7 else []
    if rng.random() < 0.8:
        headers.append(("Content-Length", rng.choice(_LENGTHS) if rng.random() < 0.2 else str(length)))
    if rng.random() < 0.1:
        headers.append(("Content-Length", str(len(body))))
    if status == 206 and rng.random() < 0.9:
        first = start + rng.choice((0, 0, 0, 0, 1, -1))
        right = f"bytes {first}-{stop - 1}/{rng.choice((len(whole), len(whole), len(whole), 9, '*'))}"
        headers.append(("Content-Range", rng.choice(_RANGES) if rng.random() < 0.2 else right))
    if 300 < status < 400:
        headers.append(("Location", rng.choice(_PLACES).replace("PORT", str(port))))
    if rng.random() < 0.1:
        headers.append(rng.choice((("Content-Encoding", "gzip"), ("Content-Type", "text/html"), ("X", "y" * 70_000))))
    if rng.random() < 0.03:
        headers += [("X", "y")] * 200
    if rng.random() < 0.2:
        headers = [header for header in headers if header[0] != "Content-Length" or rng.random() < 0.1]
        headers.append(("Transfer-Encoding", rng.choice(_ENCODINGS) if rng.random() < 0.2 else "chunked"))
        body = _chunked(body, rng)
    lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in headers), "", ""]
    head = "\r\n".join(lines).encode("latin-1")
    head = damage_bytes(head, rng, ()) if rng.random() < 0.1 else head
    if rng.random() < 0.5:
        return [head, body]
    cuts = sorted(rng.randrange(len(head + body)) for _ in range(rng.choice((1, 3, 20))))
    return [(head + body)[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]


def _chunked(body: bytes, rng: Random) -> bytes:
    """A body in chunks, some of which lie about their size."""
    step = rng.choice((1000, 7000, 100_000))
    chunks = [body[at : at + step] for at in range(0, len(body), step)]
    honest = rng.random() < 0.5
    sizes = [f"{len(chunk):x}" if honest or rng.random() < 0.8 else rng.choice(_SIZES) for chunk in chunks]
    end = b"0\r\n\r\n" if rng.random() < 0.8 else rng.choice((b"", b"0\r\n", b"0\r\nX: y\r\n\r\n", b"-1\r\n"))
    return b"".join(size.encode() + b"\r\n" + chunk + b"\r\n" for size, chunk in zip(sizes, chunks, strict=True)) + end
