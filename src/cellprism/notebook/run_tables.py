"""Every table and record of a run folder by its name, read when it is first asked for."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from cellprism.display import Shown
from cellprism.errors import DamagedError, RunError
from cellprism.store.atomic import read_json
from cellprism.store.tables import read_table
from cellprism.studies.files import read_h5ad

ENDINGS = (".parquet", ".h5ad", ".jsonl", ".json")
"""Kinds of files, the most table-like first: where names are the same but for their ending, it has the plain name."""
OTHERS = ("run.json", "site/")
"""Not results: the record, and the atlas."""
LISTED = 12  # names in one line


class NoTable(RunError, KeyError):
    """A run has no table of a name, or several."""

    def __str__(self) -> str:
        return str(self.args[0])


class RunTables(Mapping[str, Any], Shown):
    """The tables of a run folder, or of one of its folders.

    ``tables["programs/features"]``, ``tables["enrichment"]`` where one folder alone has such a table, and
    ``tables.programs.features`` are the same thing: a data frame of a parquet file, an AnnData of an h5ad file, lists
    and objects of JSON. A record beside a table of the same name keeps its ending: ``tables["programs/types.json"]``.
    """

    def __init__(self, folder: Path, inside: str = "", read: dict[str, Any] | None = None):
        self._folder, self._inside = folder, inside
        self._read = {} if read is None else read

    @cached_property
    def _files(self) -> dict[str, Path]:
        """By name, as seen from here."""
        top = self._folder / self._inside
        files = [f for f in sorted(top.rglob("*")) if f.suffix in ENDINGS and f.is_file() and ".part" not in str(f)]
        found: dict[str, Path] = {}
        for path in sorted(files, key=lambda f: ENDINGS.index(f.suffix)):
            name = path.relative_to(top).as_posix()
            if name.startswith(OTHERS):
                continue
            plain = name.removesuffix(path.suffix)
            found[name if plain in found else plain] = path
        return dict(sorted(found.items()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, name: str) -> Any:
        path = self._files[self._whole(name)]
        key = str(path)
        if key not in self._read:
            self._read[key] = _read(path)
        return self._read[key]

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._files:
            return self[name]
        if any(other.startswith(f"{name}/") for other in self._files):
            return RunTables(self._folder, f"{self._inside}/{name}".lstrip("/"), self._read)
        raise AttributeError(f"{self._where()} has no table or folder {name!r}; it has {', '.join(self._parts())}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(part for part in self._parts() if part.isidentifier())})

    def shown(self) -> Mapping[str, Any]:
        """Tables by folder."""
        said: dict[str, str] = {}
        for part in self._parts():
            inner = [n.removeprefix(f"{part}/") for n in self._files if n.startswith(f"{part}/")]
            more = f" and {len(inner) - LISTED} more" if len(inner) > LISTED else ""
            said[part] = ", ".join(inner[:LISTED]) + more if inner else "here"
        return said

    def __repr__(self) -> str:
        lines = [f"  {name}: {inner}" for name, inner in self.shown().items()]
        return "\n".join([f"{len(self)} tables of {self._where()}", *lines])

    def _parts(self) -> list[str]:
        return list(dict.fromkeys(name.partition("/")[0] for name in self._files))

    def _where(self) -> str:
        return f"{self._folder.name}/{self._inside}".rstrip("/")

    def _whole(self, name: str) -> str:
        """The whole name of a table of which the last part may be enough.

        Raises:
            NoTable: there is none, or several.
        """
        if name in self._files:
            return name
        ends = [other for other in self._files if other.endswith(f"/{name}")]
        if len(ends) == 1:
            return ends[0]
        if ends:
            raise NoTable(f"{self._where()} has several tables called {name!r}: {', '.join(ends)}; say which")
        raise NoTable(f"{self._where()} has no table {name!r}; it has {', '.join(self._files)}")


def _read(path: Path) -> Any:
    if path.suffix == ".parquet":
        return read_table(path)
    if path.suffix == ".h5ad":
        return read_h5ad(path)
    if path.suffix == ".json":
        return read_json(path)
    try:
        return pd.DataFrame([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line])
    except ValueError as error:
        raise DamagedError(f"{path} is no list of JSON lines ({error}); make the run again") from error
