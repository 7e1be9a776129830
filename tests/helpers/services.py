"""A local server that plays the crate index, the advisory service and GitHub's issues."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "owner/project"
Trouble = Callable[["Handler"], None]


def entry(version: str, **more: Any) -> dict[str, Any]:
    """One line of an index entry of PyO3."""
    return {"name": "pyo3", "vers": version, "deps": [], "features": {}, "yanked": False, **more}


class Services:
    """What the server knows and has seen.

    ``troubles`` maps ``index``, ``advisories`` or ``github`` to what happens to the next requests.
    """

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = [entry("0.28.3"), entry("0.29.0")]
        self.vulns: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.page_size = 100
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.troubles: dict[str, list[Trouble]] = {}
        self.url = ""

    @property
    def index_text(self) -> bytes:
        return "".join(json.dumps(item) + "\n" for item in self.entries).encode()

    def asked(self, part: str) -> list[str]:
        """The methods of the requests whose path has this part."""
        return [method for method, path, _ in self.seen if part in path]

    def arguments(self) -> list[str]:
        """The options that point ``leakgrid watch`` here."""
        return ["--index", self.url + "/index/", "--advisories", self.url, "--github-api", self.url]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    services: Services

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        self._any()

    def do_POST(self) -> None:
        self._any()

    def do_PATCH(self) -> None:
        self._any()

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.sent = json.loads(self.rfile.read(length) or b"null")
        self.services.seen.append((self.command, self.path, dict(self.headers)))
        part = {"index": "index", "v1": "advisories", "repos": "github"}
        service = part.get(self.path.split("/")[1], "")
        queue = self.services.troubles.get(service, [])
        if queue:
            queue.pop(0)(self)
        else:
            self.normal()

    def normal(self) -> None:
        """What the service does when all is well."""
        path = urlsplit(self.path).path
        if path == "/index/py/o3/pyo3":
            self._index()
        elif path == "/v1/query":
            self.reply(200, json.dumps({"vulns": self.services.vulns}).encode())
        elif path.startswith(f"/repos/{REPOSITORY}/issues"):
            self._issues(path)
        else:
            self.reply(404, b"{}")

    def _index(self) -> None:
        text = self.services.index_text
        etag = f'"{hashlib.sha256(text).hexdigest()[:12]}"'
        if self.headers.get("If-None-Match") == etag:
            self.reply(304, ETag=etag)
        else:
            self.reply(200, text, ETag=etag)

    def _issues(self, path: str) -> None:
        issues = self.services.issues
        if self.headers.get("Authorization") != "Bearer s3cret":
            self.reply(401, b'{"message": "Bad credentials"}')
        elif self.command == "GET":
            query = parse_qs(urlsplit(self.path).query)
            page, size = int(query["page"][0]), self.services.page_size
            more = (
                {"Link": f'<{self.services.url}>; rel="next"'} if page * size < len(issues) else {}
            )
            self.reply(200, json.dumps(issues[(page - 1) * size : page * size]).encode(), **more)
        elif self.command == "POST":
            issues.append({"number": len(issues) + 1, "state": "open", **self.sent})
            self.reply(201, json.dumps(issues[-1]).encode())
        else:
            issue = next(item for item in issues if item["number"] == int(path.split("/")[-1]))
            issue.update(self.sent)
            self.reply(200, json.dumps(issue).encode())


def status(code: int, body: bytes = b"{}", **headers: str) -> Trouble:
    """The service answers with this status."""
    return lambda handler: handler.reply(code, body, **headers)


def cut_off(handler: Handler) -> None:
    """Half of the answer, and the connection is gone."""
    text = handler.services.index_text
    handler.reply(200, text[: len(text) // 2], Content_Length=str(len(text)))
    handler.close_connection = True


def oversized(handler: Handler) -> None:
    """An answer without an end."""
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b" " * 65536)


def silent(handler: Handler) -> None:
    """Nothing, for longer than the client waits."""
    time.sleep(3.0)
    handler.close_connection = True


def dripping(handler: Handler) -> None:
    """A byte now and then."""
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(100):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)


def hung_up(handler: Handler) -> None:
    """No answer at all."""
    handler.close_connection = True


@contextlib.contextmanager
def running() -> Iterator[Services]:
    """A server on a free port of this machine."""
    services = Services()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Bound", (Handler,), {"services": services})
    )
    server.daemon_threads = True
    services.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield services
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
