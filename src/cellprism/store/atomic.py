"""Files that are either whole or not there: written beside their place, flushed, then moved into it.

A reader, a second run or a full disk never meets half a file. Everything that cellprism writes goes through here.
"""

import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

from cellprism.errors import DamagedError
from cellprism.store.disk import writing

SCRATCH = ".part"  # how the name of a scratch folder ends


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a scratch path in a hidden folder beside ``path``; on success it replaces ``path``, on any error it goes.

    Libraries may write through files of their own beside the scratch path: what a killed process leaves of them is in
    that folder too, and goes when ``path`` is next written or ``clear_scratch`` is called. The file gets the rights
    that the umask leaves.

    Raises:
        DiskError: the disk is full or read-only, or the path is none.
    """
    with writing(path), scratch_beside(path) as folder:
        scratch = folder / path.name
        yield scratch
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.chmod(_rights(folder))  # some libraries make files private; results are meant to be shared
        scratch.replace(path)


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """A hidden folder beside ``path``, held by this process and gone in the end; those that killed processes left of
    the same name go first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_beside(path)
    name = {"prefix": f".{path.name}.", "suffix": SCRATCH, "dir": path.parent}
    with tempfile.TemporaryDirectory(**name, ignore_cleanup_errors=True) as folder, _held(Path(folder)):
        yield Path(folder)


def clear_beside(path: Path) -> None:
    """Remove what killed writers of a path left beside it; what a living one is writing stays."""
    _clear(path.parent.glob(f".{escape(path.name)}.????????{SCRATCH}"))


def clear_scratch(folder: Path) -> None:
    """Remove what killed writers left in a folder, at any depth; what a living one is writing stays."""
    _clear(folder.rglob(f".*.????????{SCRATCH}"))


def discard(folder: Path) -> None:
    """Remove a folder, so that a killed process leaves it whole or not at all; what it left over is scratch."""
    with writing(folder):
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=SCRATCH, dir=folder.parent))
        folder.rename(scratch / folder.name)
        shutil.rmtree(scratch)


def _clear(folders: Iterable[Path]) -> None:
    for folder in list(folders):
        if not folder.is_dir() or folder.is_symlink():
            continue
        with suppress(OSError), _held(folder):  # gone, somebody's, or on a disk that cannot be written
            shutil.rmtree(folder)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a scratch folder for this process; the system gives it back when the process is killed.

    Raises:
        BlockingIOError: another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _rights(folder: Path) -> int:
    """The rights of a new file here; asking for the umask itself would change it for all threads."""
    probe = folder / ".rights"
    os.close(os.open(probe, os.O_CREAT | os.O_EXCL, 0o666))
    return stat.S_IMODE(probe.stat().st_mode)


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
