"""Fetching from a web server of this machine that breaks off, lies, redirects and never ends."""

import hashlib
import io
import json
import os
import re
import time
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web_server import BODY, Page, Server

from stgan.checkpoints import downloading
from stgan.checkpoints.downloading import FetchError, check_space
from stgan.checkpoints.fetching import default_folder, fetch, find_fetched
from stgan.checkpoints.known_files import KNOWN_FILES, KnownFile, known_file
from stgan.errors import StganError

OTHER = BODY[::-1]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloading, "_PAUSE", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        yield server


def known(server: Server, *paths: str, **values: Any) -> KnownFile:
    urls = tuple(server.address(path) for path in paths)
    return KnownFile(**{"name": "net", "purpose": "", "file": "net.bin", "page": "the page", "urls": urls, **values})


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_a_file_is_fetched_once_and_what_is_known_of_it_lies_beside_it(server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page()
    seen: list[tuple[int, int | None]] = []
    net = known(server, "/net", checksum=f"sha1:{hashlib.sha1(BODY).hexdigest()}", size=len(BODY), licence="free")
    fetched = fetch(net, tmp_path / "new", progress=lambda done, total: seen.append((done, total)))
    assert fetched.path.read_bytes() == BODY and fetched.new and fetched.verified
    assert seen[0] == (0, len(BODY)) and seen[-1] == (len(BODY), len(BODY)) and seen == sorted(seen)
    record = json.loads((tmp_path / "new" / "net.json").read_text())
    assert record["url"] == server.address("/net") and record["size"] == len(BODY) and record["licence"] == "free"
    assert record["sha256"] == hashlib.sha256(BODY).hexdigest() == fetched.sha256
    assert left(tmp_path / "new") == {"net.bin", "net.json"}
    again = fetch(net, tmp_path / "new")
    assert not again.new and again == replace(fetched, new=False) and len(server.requests) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page(cuts=[300_000, 100_000])
    fetch(known(server, "/net"), tmp_path)
    assert (tmp_path / "net.bin").read_bytes() == BODY
    assert [asked for _, asked in server.requests] == [None, "bytes=300000-", "bytes=400000-"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, 5000), max_size=4),
    etag=st.sampled_from(['"one"', 'W/"one"', ""]),
    ranges=st.booleans(),
)
def test_wherever_it_breaks_off_the_same_file_comes(server: Server, cuts: list[int], etag: str, ranges: bool) -> None:
    server.pages["/net"] = Page(BODY[:5000], cuts=list(cuts), etag=etag, ranges=ranges)
    with TemporaryDirectory() as folder:
        assert fetch(known(server, "/net"), Path(folder)).path.read_bytes() == BODY[:5000]


def test_an_interrupted_call_is_gone_on_with_by_the_next(server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page()

    def interrupt(done: int, total: int | None) -> None:
        if done > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(known(server, "/net"), tmp_path, progress=interrupt)
    assert left(tmp_path) == {"net.bin.part", "net.bin.part.json"}
    kept = (tmp_path / "net.bin.part").stat().st_size
    assert 300_000 < kept < len(BODY)
    assert fetch(known(server, "/net"), tmp_path).path.read_bytes() == BODY
    assert server.requests[-1] == ("/net", f"bytes={kept}-") and left(tmp_path) == {"net.bin", "net.json"}


def test_what_was_downloaded_whole_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page()

    def interrupt(done: int, total: int | None) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(known(server, "/net"), tmp_path, progress=interrupt)
    fetched = fetch(known(server, "/net"), tmp_path)
    assert fetched.path.read_bytes() == BODY and len(server.requests) == 1
    assert not fetched.verified  # no checksum is published


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page(cuts=[300_000, 0, 0, 0, 0, 0])
    with pytest.raises(FetchError, match=r"stopped after 300000 of .* 0.3 MB are kept, the same command goes on"):
        fetch(known(server, "/net"), tmp_path)
    server.pages["/net"] = Page(OTHER, etag='"two"')
    assert fetch(known(server, "/net"), tmp_path).path.read_bytes() == OTHER


@pytest.mark.parametrize("etags", [('"one"', '"two"'), ('W/"one"', 'W/"two"'), ('"one"', 'W/"two"')])
def test_a_server_that_continues_another_version_is_asked_anew(
    etags: tuple[str, str], server: Server, tmp_path: Path
) -> None:
    server.pages["/net"] = Page(cuts=[300_000, 0, 0, 0, 0, 0], etag=etags[0])
    with pytest.raises(FetchError):
        fetch(known(server, "/net"), tmp_path)
    server.pages["/net"] = Page(OTHER, etag=etags[1], careless=True)
    assert fetch(known(server, "/net"), tmp_path).path.read_bytes() == OTHER
    assert [asked for _, asked in server.requests[-2:]] == ["bytes=300000-", None]


@pytest.mark.parametrize(
    "content_range",
    [
        "bytes 300000-1048575/2000000", "bytes 299999-1048575/1048576", "bytes 300000-299999/1048576",
        "bytes 300000-1048576/1048576", "bytes 300000-1048575/*", "bytes */1048576", "300000-1048575", "",
    ],
)  # fmt: skip
def test_a_part_that_cannot_be_the_rest_is_not_joined(content_range: str, server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page(cuts=[300_000, 0, 0, 0, 0, 0])
    with pytest.raises(FetchError):
        fetch(known(server, "/net"), tmp_path)
    server.pages["/net"] = Page(OTHER[300_000:], status=206, headers={"Content-Range": content_range})
    with pytest.raises(FetchError, match=r"changed in the meantime|contradict each other"):
        fetch(known(server, "/net"), tmp_path)
    server.pages["/net"] = Page()
    assert fetch(known(server, "/net"), tmp_path).path.read_bytes() == BODY


def test_without_etags_a_changed_file_is_known_by_its_length(server: Server, tmp_path: Path) -> None:
    for length in (100_000, 2_000_000):
        tmp_path = tmp_path / str(length)
        server.pages["/net"] = Page(cuts=[300_000, 0, 0, 0, 0, 0], etag="")
        with pytest.raises(FetchError):
            fetch(known(server, "/net"), tmp_path)
        server.pages["/net"] = Page((OTHER + OTHER)[:length], etag="")
        assert fetch(known(server, "/net"), tmp_path).path.read_bytes() == (OTHER + OTHER)[:length]


def test_damaged_notes_on_a_beginning_are_not_believed(server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page()
    for notes in ("", "[1]", "{}", "[" * 10_000, '{"url": "%s", "version": [1], "total": "x"}'):
        (tmp_path / "net.bin.part").write_bytes(OTHER[:1000])
        (tmp_path / "net.bin.part.json").write_text(notes.replace("%s", server.address("/net")))
        fetched = fetch(known(server, "/net"), tmp_path).path
        assert fetched.read_bytes() == BODY and server.requests.pop() == ("/net", None) and not server.requests
        fetched.unlink()


def test_more_than_there_is_now_is_no_beginning_of_it(server: Server, tmp_path: Path) -> None:
    def interrupt(done: int, total: int | None) -> None:
        if done > len(BODY):
            raise KeyboardInterrupt

    server.pages["/net"] = Page(endless=True)
    with pytest.raises(KeyboardInterrupt):
        fetch(known(server, "/net"), tmp_path, progress=interrupt)
    server.pages["/net"] = Page()
    assert fetch(known(server, "/net"), tmp_path).path.read_bytes() == BODY


def test_a_beginning_from_one_address_is_not_continued_from_another(server: Server, tmp_path: Path) -> None:
    server.pages |= {"/one": Page(cuts=[300_000, 0, 0, 0, 0, 0]), "/two": Page(OTHER)}
    assert fetch(known(server, "/one", "/two"), tmp_path).path.read_bytes() == OTHER
    assert server.requests[-1] == ("/two", None)


def test_a_wrong_checksum_leaves_nothing_and_the_next_address_is_tried(server: Server, tmp_path: Path) -> None:
    server.pages |= {"/bad": Page(OTHER), "/good": Page()}
    checksum = f"sha256:{hashlib.sha256(BODY).hexdigest()[:8]}"
    with pytest.raises(FetchError, match=r"does not have the published sha256 and was removed"):
        fetch(known(server, "/bad", checksum=checksum), tmp_path)
    assert left(tmp_path) == set()
    fetched = fetch(known(server, "/bad", "/good", checksum=checksum), tmp_path)
    assert fetched.path.read_bytes() == BODY and fetched.url == server.address("/good")


def test_dead_addresses(server: Server, tmp_path: Path) -> None:
    server.pages["/good"] = Page()
    assert fetch(known(server, "/missing", "/good"), tmp_path / "a").path.read_bytes() == BODY
    server.close()
    with pytest.raises(FetchError, match=r"cannot be reached .*cannot be reached .*its page is the page") as caught:
        fetch(known(server, "/missing", "/good"), tmp_path / "b")
    assert "\n" not in str(caught.value) and left(tmp_path / "b") == set()


def test_bad_answers(server: Server, tmp_path: Path) -> None:
    for page, message in (
        (Page(b"", status=404), "404 Not Found"),
        (Page(b"", status=503), "503 Service Unavailable"),
        (Page(b""), "empty file"),
        (Page(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}), "a web page came"),
        (Page(headers={"Content-Encoding": "gzip"}), "another encoding"),
        (Page(length=5 << 30), "more than any known file"),
        (Page(length="-1"), "do not say one length"),
        (Page(length="1e6"), "do not say one length"),
        (Page(length="1_048_576"), "do not say one length"),
        (Page(length="1048576, 1048576"), "do not say one length"),
        (Page(headers={"Content-Length": "7"}), "do not say one length"),
        (Page(headers={"Transfer-Encoding": "chunked"}), "do not say one length"),
        (Page(endless=True, headers={"Transfer-Encoding": "gzip"}), "another encoding"),
        (Page(length=len(BODY) + 1), "stopped after 1048576 of 1048577|contradict each other"),
        (Page(b"", status=302, headers={"Location": "file:///etc/passwd"}), "redirects"),
        (Page(b"", status=302, headers={"Location": "ftp://127.0.0.1/x"}), "redirects from http to ftp"),
        (Page(b"", status=302, headers={"Location": "/net"}), "redirects are not followed"),
    ):
        (tmp_path / "net.bin.part").unlink(missing_ok=True)
        server.pages["/net"] = page
        with pytest.raises(FetchError, match=message):
            fetch(known(server, "/net"), tmp_path)
        assert not (tmp_path / "net.bin").exists() and not (tmp_path / "net.json").exists()


def test_a_redirect_to_another_address_is_followed(server: Server, tmp_path: Path) -> None:
    server.pages |= {"/net": Page(b"", status=302, headers={"Location": server.address("/there")}), "/there": Page()}
    assert fetch(known(server, "/net"), tmp_path).path.read_bytes() == BODY


def test_a_length_that_is_not_the_published_one_is_refused_before_it_is_read(server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page()
    with pytest.raises(FetchError, match="it has 1048576 bytes, but the published file has 7"):
        fetch(known(server, "/net", size=7), tmp_path)
    assert left(tmp_path) == set()


def test_a_body_without_end_is_cut_off(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (None, 2_000_000):
        monkeypatch.setattr(downloading, "MOST_BYTES", 3_000_000)
        server.pages["/net"] = Page(endless=True)
        with pytest.raises(FetchError, match=f"it sends more than {size or 3_000_000} bytes"):
            fetch(known(server, "/net", size=size), tmp_path)
        assert left(tmp_path) == set()


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: /net\r\n\r\n", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    ],
    ids=["redirect", "after the body", "before the headers"],
)
def test_what_is_without_end_around_the_file_is_not_read(
    head: bytes, endless: bytes, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(downloading, "_MOST_AROUND", 1 << 20)
    sent = [0]

    def answer(handler: Any) -> None:
        with suppress(OSError):  # the other side had enough
            handler.wfile.write(head)
            while sent[0] < 200 << 20:
                handler.wfile.write(endless)
                sent[0] += len(endless)

    monkeypatch.setattr(server, "answer", answer)
    with pytest.raises(FetchError, match=r"sends more than 1048576 bytes|redirects are not followed"):
        fetch(known(server, "/net"), tmp_path)
    assert sent[0] < 100 << 20 and not (tmp_path / "net.bin").exists()


def test_a_server_that_falls_silent(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "_TIMEOUT", 0.05)
    monkeypatch.setattr(downloading, "_TRIES", 1)
    monkeypatch.setattr(server, "answer", lambda handler: handler.rfile.read(1))
    with pytest.raises(FetchError, match=r"timed out"):
        fetch(known(server, "/net"), tmp_path)


@pytest.mark.parametrize(
    "sent",
    [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0"],
    ids=["headers", "body", "chunk"],
)
@pytest.mark.parametrize("limits", [{"_LONGEST": 0.3}, {"_PERIOD": 0.2}], ids=str)
def test_a_server_that_sends_byte_by_byte(
    limits: dict[str, float], sent: bytes, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(downloading, name, value)

    def answer(handler: Any) -> None:
        handler.wfile.write(sent)
        with suppress(OSError):  # the other side had enough
            for _ in range(1000):
                handler.wfile.write(b"0")
                time.sleep(0.02)

    monkeypatch.setattr(server, "answer", answer)
    began = time.monotonic()
    with pytest.raises(FetchError, match=r"takes longer than 0.3 s|sends less than 1000 bytes a second"):
        fetch(known(server, "/net"), tmp_path)
    assert time.monotonic() - began < 10 and len(server.requests) == 1 and not (tmp_path / "net.bin").exists()


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, body in members.items():
            opened.writestr(name.replace("__", "/"), body)
    return file.getvalue()


def test_only_the_wanted_member_is_taken_from_an_archive(server: Server, tmp_path: Path) -> None:
    files = {"release__fc6__net": BODY, "release__fc7__net": OTHER, "..__..__escaped": b"x"}
    server.pages["/zip"] = Page(archive(**files))
    fetched = fetch(known(server, "/zip", member="fc6/net", size=len(BODY)), tmp_path / "in")
    assert fetched.path.read_bytes() == BODY and fetched.sha256 == hashlib.sha256(BODY).hexdigest()
    assert left(tmp_path / "in") == {"net.bin", "net.json"} and left(tmp_path) == {"in"}


def _lying_archive() -> bytes:
    """Its table of contents says that the member has ten bytes."""
    body = archive(fc6__net=BODY)
    return body.replace(len(BODY).to_bytes(4, "little"), (10).to_bytes(4, "little"))


def _damaged_archive() -> bytes:
    body = bytearray(archive(fc6__net=BODY))
    body[200] ^= 1
    return bytes(body)


def test_bad_archives(server: Server, tmp_path: Path) -> None:
    for body, message in (
        (archive(fc7__net=BODY), "holds no files 'fc6/net'"),
        (archive(a__fc6__net=BODY, b__fc6__net=BODY), "holds 2 files"),
        (archive(fc6__net=BODY * 2), "too large"),
        (archive(fc6__net=OTHER[:9]), "instead of the published file's"),
        (archive(fc6__net=BODY)[:-30], "not a readable archive"),
        (_damaged_archive(), "not a readable archive"),
        (_lying_archive(), "not a readable archive|instead of the published"),
        (BODY, "not a readable archive"),
    ):
        server.pages["/zip"] = Page(body)
        with pytest.raises(FetchError, match=message):
            fetch(known(server, "/zip", member="fc6/net", size=len(BODY)), tmp_path)
        assert left(tmp_path) == set()


def test_files_that_are_there_are_not_replaced(server: Server, tmp_path: Path) -> None:
    server.pages["/net"] = Page()
    (tmp_path / "net.bin").write_bytes(OTHER)
    with pytest.raises(FetchError, match="may not be net; move it"):
        fetch(known(server, "/net"), tmp_path)
    assert (tmp_path / "net.bin").read_bytes() == OTHER and not server.requests
    other = known(server, checksum=f"sha256:{hashlib.sha256(OTHER).hexdigest()}", size=len(OTHER))
    with pytest.raises(FetchError, match="may not be net"):
        fetch(replace(other, size=len(OTHER) + 1), tmp_path)
    adopted = fetch(other, tmp_path)
    assert adopted.verified and adopted.url == "" and find_fetched(known(server), tmp_path) is not None
    (tmp_path / "net.bin").write_bytes(BODY)
    assert find_fetched(known(server), tmp_path) is None


def test_what_needs_a_browser_is_said_and_another_address_may_be_named(server: Server, tmp_path: Path) -> None:
    server.pages["/mirror"] = Page()
    with pytest.raises(FetchError, match=r"with a browser: get net.bin from the page, or name .* --url"):
        fetch(known(server), tmp_path)
    assert fetch(known(server), tmp_path, urls=[server.address("/mirror")]).path.read_bytes() == BODY


def test_addresses_that_are_none(tmp_path: Path) -> None:
    for url in ("", "file:///etc/passwd", "ftp://a/b", "net.bin", "http://", "https://a/ b", "http://["):
        with pytest.raises(FetchError, match="is no address of a file"):
            fetch(known_file("caffenet"), tmp_path, urls=[url])
        assert left(tmp_path) == set()


def test_one_process_at_a_time(server: Server, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".net.lock"), pytest.raises(StganError, match="another process fetches net to"):
        fetch(known(server, "/net"), tmp_path)


def test_a_full_disk_is_noticed_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="has no room: 1000000000 MB are needed"):
        check_space(tmp_path, 10**15)


def test_files_lie_among_the_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path))
    assert default_folder() == tmp_path / "stgan" / "weights"


def test_the_list_of_known_files() -> None:
    for known in KNOWN_FILES:
        assert [other.name for other in KNOWN_FILES].count(known.name) == 1
        assert [other.file for other in KNOWN_FILES].count(known.file) == 1
        assert all(url.startswith(("https://", "http://")) for url in (known.page, *known.urls, *known.evidence))
        assert known.evidence and known.purpose and known.licence
        if known.checksum:
            kind, digits = known.checksum.split(":")
            assert re.fullmatch(r"[0-9a-f]{8,}", digits) and len(digits) <= 2 * hashlib.new(kind).digest_size
        if known.becomes:
            assert known.name in known.needs and all(known_file(name) for name in known.needs)
            assert known.file in known.import_command()
            assert "/here/it.x" in known.import_command({known.name: "/here/it.x"})
    with pytest.raises(StganError, match="no known file 'nothing'"):
        known_file("nothing")
