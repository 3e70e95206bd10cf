"""Text of files from elsewhere, plain or gzipped, or one message that says what they are instead."""

from collections.abc import Iterable
from pathlib import Path

from cellprism.cells.unpack import UNREADABLE, TooLarge, read_bytes
from cellprism.errors import ConfigError, DamagedError
from cellprism.store.web_page import SEEN, is_web_page

LISTED = 8
"""Problems of a file that a message lists."""


def unpacked(path: Path) -> bytes:
    """All bytes of a file, unpacked if it is gzipped.

    Raises:
        ConfigError: it may not be read by this user.
        DamagedError: it is a damaged gzip file, or becomes too large.
    """
    try:
        return read_bytes(path)
    except TooLarge as error:
        raise DamagedError(f"{path}: {error}") from error
    except PermissionError as error:
        raise ConfigError(f"{path} may not be read by this user (permission denied); ask its owner") from error
    except UNREADABLE as error:
        raise DamagedError(f"{path} is a damaged gzip file ({error}); fetch it again") from error


def decoded(content: bytes, place: str) -> str:
    """UTF-8 text with line ends as ``\\n``; ``place`` names it in messages.

    Raises:
        DamagedError: it is no text.
    """
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DamagedError(f"{place}, line {line}: not UTF-8 text ({error.reason}); fetch it again") from error


def text_of(path: Path, kind: str) -> str:
    """The text of a file that should be of some kind, such as "an OBO file".

    Raises:
        ConfigError, DamagedError: as ``unpacked`` and ``decoded``; or it is a web page or XML.
    """
    content = unpacked(path)
    text = decoded(content, str(path))
    if is_web_page(content[:SEEN]):
        raise DamagedError(
            f"{path} is a web page (HTML), not {kind}: the page that links to the file was saved in its place; save "
            "the file itself, or fetch it with cellprism data fetch"
        )
    start = text[:SEEN].lstrip().lower()
    if start.startswith(("<?xml", "<rdf", "{")):
        found = "JSON" if start.startswith("{") else "XML (OWL)"
        raise DamagedError(f"{path} is {found}, not {kind}; the same release has it as {kind}: fetch that")
    return text


def listed(problems: list[str]) -> str:
    """The first problems, a line each, and how many more there are."""
    more = [f"and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
    return "\n".join(f"  - {problem}" for problem in problems[:LISTED] + more)


def some(names: Iterable[str], count: int = 5) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - count:,} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
