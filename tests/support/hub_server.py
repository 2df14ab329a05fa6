"""A model hub on this machine: the few answers of its interface that a download asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One repository at one commit.

    Attributes:
        repo: owner/name.
        folder: its files.
        token: who does not send it is refused, as by a gated repository; None lets all in.
        expired: a token that was good once.
        lies: files for which another digest is promised than the true one.
        says: the commit it names in place of the true one.
        seen: the requests that came, with the token that each sent.
    """

    repo: str
    folder: Path
    token: str | None = None
    expired: str | None = None
    lies: frozenset[str] = frozenset()
    says: str = REVISION
    endpoint: str = ""
    seen: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a repository until the block ends; `endpoint` is its address."""

    class Handler(_Handler):
        served = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output clean."""

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Answer with a body."""
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        hub = self.served
        path = self.path.split("?")[0]
        sent = self.headers.get("Authorization")
        hub.seen.append((path, sent))
        api, files = f"/api/models/{hub.repo}/", f"/{hub.repo}/resolve/"
        if not path.startswith((api, files)):
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)
        elif hub.expired is not None and sent == f"Bearer {hub.expired}":
            words = "Invalid credentials in Authorization header"
            self._send(401, b"{}", {"X-Error-Message": words}, body=body)
        elif hub.token is not None and sent != f"Bearer {hub.token}":
            self._send(
                401 if sent is None else 403, b"{}", {"X-Error-Code": "GatedRepo"}, body=body
            )
        elif path.startswith(api):
            self._facts(path.removeprefix(api), body=body)
        else:
            revision, _, name = path.removeprefix(files).partition("/")
            self._file(revision, name, body=body)

    def _facts(self, asked: str, *, body: bool) -> None:
        kind, _, revision = asked.partition("/")
        if revision != REVISION:
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
            return
        files = [self._facts_of(path) for path in sorted(self.served.folder.iterdir())]
        facts: object = {
            "_id": "1", "id": self.served.repo, "modelId": self.served.repo, "private": False,
            "tags": [], "downloads": 0, "likes": 0, "sha": self.served.says, "siblings": files,
        }  # fmt: skip
        if kind == "tree":
            facts = [
                {"type": "file", "path": each["rfilename"], "size": each["size"], "oid": "0" * 40}
                for each in files
            ]
        self._send(200, json.dumps(facts).encode(), {"Content-Type": "application/json"}, body=body)

    def _facts_of(self, path: Path) -> dict[str, object]:
        content = path.read_bytes()
        promised = b"something else" if path.name in self.served.lies else content
        stored = {"sha256": hashlib.sha256(promised).hexdigest(), "size": len(content),
                  "pointerSize": 1}  # fmt: skip
        return {"rfilename": path.name, "size": len(content), "blobId": "0" * 40, "lfs": stored}

    def _file(self, revision: str, name: str, *, body: bool) -> None:
        path = self.served.folder / name
        if revision != REVISION or not path.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body=body)
            return
        content = path.read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": REVISION, "ETag": f'"{etag}"'}
        self._send(200, content, headers, body=body)

    def _send(self, status: int, content: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)
