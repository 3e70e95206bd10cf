"""Text files, plain or gzipped, of unknown origin: nothing but files is opened, and nothing is unpacked without end."""

import gzip
import io
import stat
from pathlib import Path
from zlib import error as ZlibError

from cellprism.errors import CellsError

SMALL = 1 << 26
"""Bytes that a gzipped file may become, whatever its size."""
PACKED = 100
"""Bytes that one gzipped byte may stand for; tables of genes and counts reach 20."""
KINDS = (
    (stat.S_ISFIFO, "a FIFO (named pipe)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


class TooLarge(ValueError):
    """A gzipped file becomes larger than anything of its kind."""


def what_it_is(path: Path) -> str:
    """'a FIFO (named pipe)', 'a socket', 'a device' or 'a folder' in place of a file; '' for a file."""
    mode = path.stat().st_mode
    return next((name for test, name in KINDS if test(mode)), "")


def refuse_no_file(path: Path, source: str) -> None:
    """Stop where a path leads to something that is no file, before it is opened.

    Raises:
        CellsError: what it is.
    """
    if kind := what_it_is(path):
        raise CellsError(source, [f"{path.name} is {kind}, not a file; expected a file with the data in it"])


def is_gzip(path: Path) -> bool:
    """Whether a file begins as gzipped files do."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def most_bytes(path: Path) -> int:
    """Bytes that a file may become when it is unpacked."""
    size = path.stat().st_size
    return max(SMALL, PACKED * size) if is_gzip(path) else size


class Unpacked(io.RawIOBase):
    """A file's bytes, unpacked if it is gzipped, up to the most that such a file may become."""

    def __init__(self, path: Path):
        self._most = most_bytes(path)
        self._name = path.name
        self._stream = gzip.open(path) if is_gzip(path) else path.open("rb")  # noqa: SIM115 (closed by close)
        self._read = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer) -> int:
        """Fill ``buffer``; ``TooLarge`` beyond the limit."""
        piece = self._stream.read(len(buffer))
        self._read += len(piece)
        if self._read > self._most:
            raise TooLarge(
                f"{self._name} is gzipped and becomes more than {self._most / 1e6:,.0f} MB, over {PACKED} times its "
                "size: no table of genes or cells does, so it is damaged or made to fill the memory"
            )
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._stream.close()
        super().close()


def read_bytes(path: Path) -> bytes:
    """All bytes of a file, unpacked if it is gzipped.

    Raises:
        TooLarge: beyond the most that such a file may become.
        OSError, EOFError, ZlibError: it cannot be read to its end.
    """
    with io.BufferedReader(Unpacked(path), 1 << 20) as stream:
        return stream.read()


UNREADABLE = (OSError, EOFError, ZlibError, TooLarge)
