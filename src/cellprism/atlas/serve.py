"""An atlas on a port of this machine alone."""

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cellprism.errors import ConfigError

LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost")


class Files(SimpleHTTPRequestHandler):
    """Files of one folder, to be read; nothing is logged."""

    extensions_map: dict[str, str] = {  # noqa: RUF012
        "": "application/octet-stream", ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8", ".json": "application/json; charset=utf-8",
    }  # fmt: skip

    def send_head(self) -> Any:
        """A file that was asked for by this machine's own name."""
        if not self._meant_for_here():
            self.send_error(403, "this server answers to its own name alone")
            return None
        return super().send_head()

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


def server_of(site: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of a site on the loopback address; ``port`` 0 takes a free one.

    Raises:
        ConfigError: the port is none, or is taken.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"there is no port {port}; expected 1 to 65535, or leave it out for a free one")
    try:
        return ThreadingHTTPServer((LOOPBACK, port), functools.partial(Files, directory=str(site)))
    except OSError as error:
        raise ConfigError(f"port {port} cannot be had ({error.strerror}); leave --port out for a free one") from error
