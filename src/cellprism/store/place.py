"""Where a name in a configuration leads: beside the configuration, so that both can be moved together."""

from pathlib import Path


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
    """A path as it is kept in a configuration in ``folder``: relative where it lies in it, else with ``~``.

    So a folder that is passed on names neither the machine's folders nor its user.
    """
    known = Path(path)
    if not known.is_absolute():
        return path
    if known.is_relative_to(folder.absolute()):
        return known.relative_to(folder.absolute()).as_posix()
    return f"~/{known.relative_to(Path.home()).as_posix()}" if known.is_relative_to(Path.home()) else path
