"""Where a name in a configuration leads: beside the configuration, so that both can be moved together."""

import os
from pathlib import Path
from typing import Any

from cellprism.errors import InputError


def folder_of(name: Any, what: str, error: type[InputError] = InputError) -> Path:
    """The folder that a caller names; ``~`` is the home folder.

    Raises:
        InputError: it is no name but a number, a list or nothing; ``error`` is a kind of it.
    """
    if not isinstance(name, str | os.PathLike):
        raise error(f"{what} is read by the name of its folder, got {name!r}")
    return Path(name).expanduser()


def beside(name: str, folder: Path) -> str:
    """The file or folder that a name in a configuration in ``folder`` stands for; the name itself where it is no path.

    ``~`` is the home folder. A relative name is taken from the configuration's own folder, and from the working
    directory only where nothing is there. What neither finds may be the name of something known, and stays as it is.
    """
    if not name:
        return name
    path = Path(name).expanduser()
    if path.is_absolute():
        return str(path)
    found = folder / path
    return str(found) if found.exists() else name


def as_given(path: str, folder: Path) -> str:
    """A path as it is kept in a configuration in ``folder``: what was given as relative leads from there.

    An absolute path was asked for and stays, but for the folder itself and the home folder, which becomes ``~``. So a
    folder that is passed on names neither the machine's folders nor its user.
    """
    known, home = Path(path), Path.home()
    if known.is_absolute():
        if known.is_relative_to(folder.absolute()):
            return known.relative_to(folder.absolute()).as_posix()
        return f"~/{known.relative_to(home).as_posix()}" if known.is_relative_to(home) else path
    if not path or not known.exists():
        return path
    start, target = folder.resolve(), known.parent.resolve() / known.name  # the file's own name may be that of a link
    if target.is_relative_to(home.resolve()) and not start.is_relative_to(home.resolve()):
        return f"~/{target.relative_to(home.resolve()).as_posix()}"
    return Path(os.path.relpath(target, start)).as_posix()
