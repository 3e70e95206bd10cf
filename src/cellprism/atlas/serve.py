"""An atlas on a port of this machine alone, and a model that steers for it where the page cannot.

A page from elsewhere can send requests here, so a question must show that it comes from our own page: it is sent to
this machine's own name, from its own origin, with the token that only a page served here can read. Questions are
answered one at a time.
"""

import functools
import hmac
import json
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from cellprism.errors import CellprismError, ConfigError

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost")
ASK, TOKEN = "/steer", "X-Cellprism-Token"
LONGEST = 1 << 16
"""Bytes of a question."""


class Steers(Protocol):
    """What answers questions of the page."""

    token: str

    def asked(self, question: Any) -> dict[str, Any]:
        """The answer to a question, both as JSON values."""
        ...


class AtlasServer(ThreadingHTTPServer):
    """A server of a site; with ``steering``, of a model too."""

    steering: Steers | None = None

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.turn = Lock()

    def answered(self, question: Any) -> tuple[int, dict[str, Any]]:
        """Status and answer, after those who asked before."""
        assert self.steering is not None, "asked only where there is one"
        with self.turn:
            try:
                return 200, self.steering.asked(question)
            except CellprismError as error:
                return 400, {"error": str(error)}
            except RuntimeError as error:  # torch has no memory left, or cannot compute this model
                return 500, {"error": f"the model failed: {error}"}


class Files(SimpleHTTPRequestHandler):
    """Files of one folder, to be read, and questions to a model; nothing is logged."""

    extensions_map: dict[str, str] = {  # noqa: RUF012
        "": "application/octet-stream", ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8", ".json": "application/json; charset=utf-8",
    }  # fmt: skip
    server: AtlasServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def send_head(self) -> Any:
        """A file that was asked for by this machine's own name."""
        if not self._meant_for_here():
            self.send_error(403, "this server answers to its own name alone")
            return None
        return super().send_head()

    def do_POST(self) -> None:
        """A question of our own page."""
        if not self._from_our_page():
            return self._say(403, {"error": "this server answers its own page alone; load it again from here"})
        if self.path != ASK or self.server.steering is None:
            return self._say(404, {"error": "nothing is steered here"})
        size = self.headers.get("Content-Length") or ""
        if not size.isdigit() or int(size) > LONGEST:
            return self._say(413, {"error": f"a question has at most {LONGEST:,} bytes"})
        try:
            question = json.loads(self.rfile.read(int(size)))
        except ValueError:
            return self._say(400, {"error": "a question is JSON"})
        return self._say(*self.server.answered(question))

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        data = json.dumps(answer, allow_nan=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def list_directory(self, path: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Folders are not listed."""
        self.send_error(404)

    def end_headers(self) -> None:
        """No file is kept or guessed at by the browser."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def _meant_for_here(self) -> bool:
        """Whether a request names this machine: another name may be led here by a page from elsewhere."""
        return (self.headers.get("Host") or "").rpartition(":")[0] in NAMES

    def _from_our_page(self) -> bool:
        """Whether a question comes from a page that this server gave out."""
        origin, host = self.headers.get("Origin"), self.headers.get("Host")
        token = self.server.steering.token if self.server.steering else ""
        known = hmac.compare_digest((self.headers.get(TOKEN) or "").encode(), token.encode())
        return self._meant_for_here() and origin in (None, f"http://{host}") and bool(token) and known


def server_of(site: Path, port: int = 0) -> AtlasServer:
    """A server of a site on the loopback address; ``port`` 0 takes a free one.

    Raises:
        ConfigError: the port is none, or is taken.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"there is no port {port}; expected 1 to 65535, or leave it out for a free one")
    try:
        return AtlasServer((LOOPBACK, port), functools.partial(Files, directory=str(site)))
    except OSError as error:
        raise ConfigError(f"port {port} cannot be had ({error.strerror}); leave --port out for a free one") from error
