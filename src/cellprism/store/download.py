"""One file over HTTP: whole and with the checksum it must have, or not there.

- What has come is kept in a hidden file beside its place until it is whole; a transfer that breaks off goes on from
  there, at once and at the next try. It moves into its place only when its checksum is right.
- Of redirects the checksum is the judge, not the name of the server. requests sends a token to the first server alone.
- A server that goes on sending after the stated size is cut off, or where none is stated after ``LARGEST`` bytes.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from cellprism.errors import CellprismError, DamagedError
from cellprism.store.atomic import sha256
from cellprism.store.disk import writing
from cellprism.store.web_page import SEEN, is_web_page

Progress = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that have come, and the bytes there are."""

ATTEMPTS = 3
PIECE = 1 << 16  # what is lost of a transfer that breaks off is less than this
SECONDS = (10, 60)
LARGEST = 1 << 31  # bytes of a file whose size nobody stated
BEYOND_ITS_END = 416  # answer to a request that begins where the file ends


def cache_folder() -> Path:
    """The user's cache folder of cellprism, where this platform keeps such folders."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "cellprism"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cellprism"


@dataclass(frozen=True)
class RemoteFile:
    """What a file must be."""

    size: int
    """Bytes; 0 where only the checksum is known."""
    digest: str
    """``sha256:`` and its SHA-256, or ``git:`` and the object id that git gives a file of these contents."""

    @property
    def most(self) -> int:
        """Bytes after which no more are taken."""
        return self.size or LARGEST

    def __str__(self) -> str:
        size = f"{self.size:,} bytes, " if self.size else ""
        return f"{size}{self.digest}"

    def matches(self, path: Path) -> bool:
        """Whether the file at ``path`` is this one, by its contents."""
        if not path.is_file() or (self.size and path.stat().st_size != self.size):
            return False
        found = f"sha256:{sha256(path)}" if self.digest.startswith("sha256:") else f"git:{git_object_id(path)}"
        return found == self.digest


def git_object_id(path: Path) -> str:
    """git's id of a file: SHA-1 of the word blob, its size, a zero byte and its contents."""
    found = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(PIECE):
            found.update(chunk)
    return found.hexdigest()


class _Bearer(AuthBase):
    """The token as a header; given as ``auth`` so that no entry of a .netrc file replaces it."""

    def __init__(self, token: str):
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def get(url: str, token: str = "", start: int = 0) -> requests.Response:
    """Ask for ``url``, from byte ``start`` on; whatever the server answers is returned, its body yet to be read.

    Raises:
        CellprismError: the server cannot be reached.
    """
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        return requests.get(url, headers=headers, auth=_Bearer(token), stream=True, timeout=SECONDS)
    except requests.RequestException as error:
        raise CellprismError(
            f"{urlsplit(url).netloc} cannot be reached ({type(error).__name__}); check the network and the address and "
            "try again, or work offline with what is in the cache"
        ) from error


def download(
    url: str,
    file: RemoteFile,
    target: Path,
    refused: Callable[[requests.Response], Exception],
    token: str = "",
    progress: Progress | None = None,
) -> None:
    """Fetch ``url`` to ``target``, going on from what an earlier try has left beside it.

    Args:
        url: where it is.
        file: the size and checksum it must have.
        target: where it comes to lie; its folder is made.
        refused: the error to raise for an answer that is no success.
        token: sent to the host of ``url`` alone.
        progress: told after each piece.

    Raises:
        DamagedError: what came has another size or checksum; nothing of it is kept.
        CellprismError: the server cannot be reached, or broke off several times; what came is kept.
        DiskError: the disk is full or cannot be written.
    """
    part = target.with_name(f".{target.name}.part")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        try:
            _fetch(url, file, part, refused, token, progress and partial(progress, target.name))
            part.replace(target)
        finally:
            if part.exists() and not part.stat().st_size:
                part.unlink()  # nothing came of it


def _fetch(
    url: str,
    file: RemoteFile,
    part: Path,
    refused: Callable[[requests.Response], Exception],
    token: str,
    told: Callable[[int, int], None] | None,
) -> None:
    """Fetch the whole of ``file`` to ``part``, in several attempts."""
    for attempt in range(ATTEMPTS):
        try:
            _go_on(url, file, part, refused, token, lambda done: told and told(done, file.size))
            break
        except requests.RequestException as error:  # the answer began and broke off
            if attempt == ATTEMPTS - 1:
                of = f" of {file.size:,}" if file.size else ""
                raise CellprismError(
                    f"{url} broke off after {part.stat().st_size:,}{of} bytes ({type(error).__name__}); "
                    "what has come is kept: try again, and it goes on from there"
                ) from error
    if not file.matches(part):
        found = _description(part)
        part.unlink()
        raise DamagedError(
            f"{url} sent {found} instead of the file that was asked for ({file}); nothing "
            "was kept. Try again; if it stays so, a proxy or mirror gives out something else"
        )


def _go_on(
    url: str,
    file: RemoteFile,
    part: Path,
    refused: Callable[[requests.Response], Exception],
    token: str,
    told: Callable[[int], object],
) -> None:
    """Append what is missing of ``file`` to ``part``, or write it anew where the server does not resume."""
    done = part.stat().st_size
    if done >= file.most:
        return
    with get(url, token, start=done) as answer:
        if done and answer.status_code == BEYOND_ITS_END:
            return
        if answer.status_code not in (200, 206):
            raise refused(answer)
        done = done if answer.status_code == 206 else 0
        with part.open("ab" if done else "wb") as stream:
            for chunk in answer.iter_content(PIECE):
                stream.write(chunk)
                done += len(chunk)
                told(done)
                if done > file.most:
                    break
            stream.flush()
            os.fsync(stream.fileno())


def _description(path: Path) -> str:
    """What came, in a few words."""
    with path.open("rb") as stream:
        kind = "a web page of " if is_web_page(stream.read(SEEN)) else ""
    return f"{kind}{path.stat().st_size:,} bytes (SHA-256 {sha256(path)})"
