"""A web server on this machine that breaks off, lies, redirects and never ends, as it is told."""

import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

BODY = bytes(range(256)) * 4096  # 1 MB, in several blocks


@dataclass
class Page:
    """What the server says at one path.

    cuts:   bytes after which it hangs up, for the first answers.
    pause:  it waits for this in the middle of the body.
    careless: it continues another version than asked for.
    """

    body: bytes = BODY
    status: int = 200
    ranges: bool = True
    etag: str = '"one"'
    length: int | str | None = None
    cuts: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    endless: bool = False
    careless: bool = False
    pause: Event | None = None


class Server:
    """Pages by path, and the Range of every request that came."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, self.headers.get("Range")))
                outer.answer(self)

            def log_message(self, *arguments: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(handler.path, Page(b"", status=404))
        body, status = page.body, page.status
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        fresh = page.careless or handler.headers.get("If-Range", page.etag) == page.etag
        content_range = ""
        if asked and page.ranges and fresh and status == 200:
            start = int(asked[1])
            status, content_range = 206, f"bytes {start}-{len(body) - 1}/{len(body)}"
            body = body[start:]
        handler.send_response(status)
        if page.etag:
            handler.send_header("ETag", page.etag)
        if content_range:
            handler.send_header("Content-Range", content_range)
        if not page.endless:
            handler.send_header("Content-Length", str(len(body) if page.length is None else page.length))
        for name, value in page.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        try:
            if page.cuts:
                body = body[: page.cuts.pop(0)]
            half = len(body) // 2 if page.pause else 0
            handler.wfile.write(body[:half])
            if page.pause:
                page.pause.wait(60)
            handler.wfile.write(body[half:])
            while page.endless:
                handler.wfile.write(body)
        except OSError:  # the other side had enough
            pass
