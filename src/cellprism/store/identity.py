"""What files decide: hashes of contents, with names relative to their folder; never of places, dates or neighbours.

A file is hashed once per process as long as nobody touches it: size, times and inode say whether somebody did.
"""

import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from cellprism.store.atomic import sha256

SETTLED = 2_000_000_000  # ns after which a change could not have left a file's times as they were
TALK = ("readme", "license", "licence", "notice", "model_card")  # words of people, which no loader reads
_known: dict[str, tuple[tuple[int, ...], str]] = {}


def hash_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, computed once per process unless the file changes."""
    name = str(path.absolute())
    seen = path.stat()
    state = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    if name in _known and _known[name][0] == state:
        return _known[name][1]
    found = sha256(path)
    if time.time_ns() - max(seen.st_mtime_ns, seen.st_ctime_ns) > SETTLED:
        _known[name] = (state, found)
    return found


def identity_of_files(files: Iterable[Path], folder: Path) -> str:
    """Hash of some files' contents and of their names within a folder."""
    lines = sorted(f"{hash_of(path)} {path.relative_to(folder).as_posix()}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def identity_of_path(path: Path) -> str:
    """Hash of a file's content, or of all that a loader could read of a folder; empty where there is neither.

    Of a folder all plain files at any depth count, except hidden ones and words for people (a README, a licence).
    """
    if path.is_file():
        return hash_of(path)
    return identity_of_files(_read_by_loaders(path), path) if path.is_dir() else ""


def _read_by_loaders(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in names if not name.startswith(".") and not _is_talk(name)]
    return [path for path in found if path.is_file()]  # a pipe or a device is no file


def _is_talk(name: str) -> bool:
    return name.lower().startswith(TALK) and not name.lower().endswith((".json", ".tsv"))
