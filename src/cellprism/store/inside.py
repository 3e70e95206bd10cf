"""What may be touched of a folder that came from elsewhere: plain files and folders that lie inside it, nothing else.

- ``check_plain`` is the door. A link may lead outside, reading a pipe or a device may never end; a folder that holds
  one, at any depth, is refused before anything in it is read or written. So is a folder in the place of a file.
- Behind the door, files are replaced as a whole (``store.atomic``), which leaves other names of the same file alone.
  Only ``appending`` writes into a file that is there, and only into one that has no other name.
- ``remove`` takes away what a record names, where the name leads to a plain file inside.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TextIO

from cellprism.errors import RunError

STUDIES = (
    "assess", "blocks", "fit", "programs", "naming", "state", "map", "stability", "adds", "ladder", "lens", "compare",
    "steer", "screen", "contrast", "pareto", "regulation",
)  # fmt: skip
"""The folders of the built-in studies, in the order of a page."""
FOLDERS = ("sae", "residuals", "site", *STUDIES)
FILES = (".json", ".jsonl", ".toml", ".h5ad", ".parquet", ".safetensors", ".html", ".tsv", ".lock")
NO_LINK = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe without a writer answers at once instead of waiting
LONGEST = 1_000  # characters of a name in a record


def check_plain(folder: Path) -> None:
    """Refuse a folder that holds anything but plain files and folders, each where the other is not expected.

    The folder itself may be reached by a link, and it need not be there.

    Raises:
        RunError: names the first thing that is not plain, and what to do.
    """
    try:
        for entry in _entries(folder):
            if problem := _problem(folder, entry):
                raise RunError(f"{entry.path} is {problem}")
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise RunError(
            f"{folder} is a file, or lies under one, where a folder is needed: choose another, or move that file away"
        ) from None
    except ValueError as error:
        raise RunError(f"{str(folder)!r} is no path ({error}); name another folder") from error
    except OSError as error:
        raise RunError(
            f"{folder} cannot be looked through ({error.strerror}: {error.filename}); it must be a folder "
            "that you may read, with no deeper folders than a run has"
        ) from error


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything in a folder at any depth, a folder before what is in it; links are not followed."""
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _problem(folder: Path, entry: os.DirEntry[str]) -> str:
    """What is wrong with an entry, and the remedy; empty where nothing is."""
    if entry.is_symlink():
        return (
            f"a link to {Path(entry.path).readlink()}; nothing outside a run folder is written or removed, so it must "
            "hold its files itself: put a copy in the link's place, or remove the link"
        )
    if entry.is_dir(follow_symlinks=False):
        named_file = entry.name.endswith(FILES)
        return "a folder where a file is expected; move it away" if named_file else ""
    if not entry.is_file(follow_symlinks=False):
        kind = _kind(entry.stat(follow_symlinks=False).st_mode)
        return f"a {kind}; a run folder holds plain files and folders alone: remove it"
    first, *rest = Path(entry.path).relative_to(folder).parts
    named_folder = first in FOLDERS and "." not in entry.name and len(rest) < 2
    return "a file where a folder is expected; move it away" if named_folder else ""


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFBLK: "device", stat.S_IFCHR: "device"}
    return kinds.get(stat.S_IFMT(mode), "special file")


def is_inside(name: str) -> bool:
    """Whether a name in a record is a plain relative path, which cannot lead out of the folder unless by a link."""
    if not name or len(name) > LONGEST or "\0" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path != PurePosixPath() and str(path) == name


def remove(folder: Path, names: Iterable[str]) -> None:
    """Remove the plain files of these names inside a folder, and folders that are empty then; leave everything else.

    A name that leads outside, to a link, or through one, is left alone.
    """
    for name in names:
        path = folder / name
        if not is_inside(name) or not is_plain(folder, path):
            continue
        path.unlink()
        for parent in path.parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()


def is_plain(folder: Path, path: Path) -> bool:
    """Whether a path leads to a regular file through real folders alone, all the way from ``folder``."""
    try:
        parents = [parent for parent in path.parents if parent.is_relative_to(folder) and parent != folder]
        real = all(stat.S_ISDIR(parent.lstat().st_mode) for parent in parents)
        return real and stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def open_plain(path: Path, flags: int) -> int:
    """A descriptor of a regular file that is not a link, made where it is not there; nothing of it is cut off.

    Raises:
        RunError: there is a link, a folder, a pipe or a device in its place.
    """
    try:
        opened = os.open(path, flags | os.O_CREAT | NO_LINK, 0o666)
    except OSError as error:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise RunError(f"{path} is no plain file: remove it") from error
        raise
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise RunError(f"{path} is no plain file: remove it")
    return opened


def appending(path: Path) -> TextIO:
    """Open a text file to add lines to its end; one that also has another name, elsewhere, is refused.

    Raises:
        RunError: it is no plain file, or has another name.
    """
    opened = open_plain(path, os.O_WRONLY | os.O_APPEND)
    if os.fstat(opened).st_nlink > 1:
        os.close(opened)
        raise RunError(f"{path} has another name elsewhere (a hard link), which would change with it: remove it")
    return os.fdopen(opened, "a", encoding="utf-8")
