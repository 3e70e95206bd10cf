"""Several files as one data set: a CSV table with a row a file, whose other columns become columns of ``obs``."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellprism.cells.raw import suggestion
from cellprism.errors import CellsError

FILE = "file"
LARGEST = 1 << 26  # bytes


@dataclass(frozen=True)
class Listed:
    """One file of a data set."""

    path: Path
    columns: dict[str, str]
    """What the manifest says of all its cells, such as ``donor``."""


def read_manifest(path: Path) -> list[Listed]:
    """Read a manifest: a column ``file``, with paths from the manifest's own folder, and any others.

    Raises:
        CellsError: no such table, no column ``file``, no rows, a file that is listed twice or is not there.
    """
    source = str(path)
    if path.stat().st_size > LARGEST:
        raise CellsError(source, [f"it has {path.stat().st_size / 1e6:,.0f} MB; a manifest has a row a file of cells"])
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise CellsError(source, [f"it is no CSV table ({error}); a manifest has a row a file of cells"]) from error
    if FILE not in table:
        hint = suggestion(FILE, list(map(str, table.columns)))
        raise CellsError(
            source, [f"it has no column {FILE!r}; {hint}; a manifest lists files of cells, and what is known of each"]
        )
    listed = [
        Listed((path.parent / Path(row[FILE]).expanduser()), {str(k): v for k, v in row.items() if k != FILE})
        for row in table.to_dict("records")
    ]
    names = [str(one.path) for one in listed]
    problems = [f"{name} is listed {names.count(name)} times" for name in dict.fromkeys(names) if names.count(name) > 1]
    problems += [
        f"{one.path} is not there; paths lead from the manifest's folder" for one in listed if not one.path.exists()
    ]
    if problems or not listed:
        raise CellsError(source, problems or ["it lists no file; expected a row a file"])
    return listed
