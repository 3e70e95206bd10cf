"""Files that are either whole or not there: written beside their place, flushed, then moved into it.

A reader, a second run or a full disk never meets half a file. Everything that cellprism writes goes through here.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellprism.errors import DamagedError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a scratch path in a hidden folder beside ``path``; on success it replaces ``path``, on any error it goes.

    Libraries may write through files of their own beside the scratch path: what a killed process leaves of them is in
    that folder too, whose name begins with a dot and the name of ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent, ignore_cleanup_errors=True) as folder:
        scratch = Path(folder) / path.name
        yield scratch
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.chmod(0o644)  # some libraries make files private; results are meant to be shared
        scratch.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON that any reader understands: indented, keys in the given order, NaN and infinity refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a truncated or altered file raises ``DamagedError`` that names it."""
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()  # halves of a character, which no file could hold
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else error
        raise DamagedError(
            f"{path} is not readable JSON ({why}); restore it or rerun the step that wrote it"
        ) from error
    return value


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
