"""A first configuration for some cells: what was found in them, and every key with its default and what it is.

The keys, their defaults and their help are those of the settings' own dataclasses.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

import tomli_w

from cellprism.cells.labels import UNLABELLED, cell_types, label_column, possible_columns
from cellprism.cells.raw import RawCells
from cellprism.cells.source import read_source
from cellprism.cells.values import are_counts
from cellprism.errors import CellsError
from cellprism.studies.help import field_help
from cellprism.studies.study import studies
from cellprism.workflow.config import defaults_of, run_config

TYPES = ("cell_type", "celltype", "cell type", "annotation", "label", "type", "louvain", "leiden", "cluster")
"""What columns with cell types are called, the likeliest first."""
WIDTH = 116
LISTED = 12  # cell types in a comment


def first_config(cells: str, model: str = "pbmc2") -> str:
    """The text of a configuration that runs as it stands, every key that need not be set behind a ``#``.

    Args:
        cells: a file, folder or name of cells.
        model: the model to look into.

    Raises:
        CellsError: the cells cannot be read, or no matrix of them holds raw counts.
    """
    raw = read_source(cells, None)
    found: dict[str, Any] = {"cells": cells, "model": model}
    notes = {"cells": f"{len(raw.obs):,} cells x {len(raw.var):,} genes"}
    if (counts := _counts(raw)) != "X":
        found["counts"] = counts
        notes["counts"] = "X holds no raw counts; these do"
    elif larger := raw.larger():
        notes["counts"] = larger
    likely = sorted(possible_columns(raw.obs), key=_likeness)
    column = label_column(raw.obs, raw.labels, None) or next(iter(likely), None)
    if column is not None:
        found["labels"] = column
        others = ", ".join(name for name in likely if name != column)
        notes["labels"] = f"{_types(raw, column)}" + (
            f". Other columns that could hold types: {others}" if others else ""
        )
    else:
        notes["labels"] = "no column of obs looks like cell types"
    return "\n".join(_lines(found, notes, model)) + "\n"


def _counts(raw: RawCells) -> str:
    """The matrix that holds raw counts.

    Raises:
        CellsError: none does.
    """
    if are_counts(raw.matrix):
        return raw.where
    if offers := raw.offers():
        return offers[0]
    raise CellsError(raw.source, ["no matrix holds raw counts; `cellprism data check` says what is wrong with each"])


def _likeness(name: str) -> tuple[int, str]:
    lower = name.lower()
    return next((place for place, word in enumerate(TYPES) if word in lower), len(TYPES)), name


def _types(raw: RawCells, column: str) -> str:
    counts = cell_types(raw.obs, column).value_counts()
    shown = [f"{name} {n:,}" for name, n in counts.items() if n and name != UNLABELLED]
    more = f" and {len(shown) - LISTED} more" if len(shown) > LISTED else ""
    return f"{len(shown)} types: {', '.join(shown[:LISTED])}{more}"


def _lines(found: dict[str, Any], notes: dict[str, str], model: str) -> Iterator[str]:
    yield "# A run of cellprism: cellprism run THIS-FILE --out RUN"
    yield "# Keys behind a # have the value shown when nothing is said. Take the # away to change one."
    yield ""
    kind, own = run_config(), defaults_of(model)
    every = {name for name, study in studies().items() if study.every_run}
    sections = []
    for item, text in _with_help(kind):
        if is_dataclass(item.type):
            sections.append(item)
            continue
        yield from _comment(text)
        if item.name in notes:
            yield from _comment(f"Found: {notes[item.name]}.")
        value = found.get(item.name, own.get(item.name, _default(item)))
        yield from _setting(item.name, value, open_=item.name not in found)
    for item in sections:
        if item.name in every or item.name not in studies():
            yield from _section(item.type, item.name, _default(item), own.get(item.name, {}))
    others = [name for name in studies() if name not in every]
    yield from _comment(
        f"Studies that are no part of a whole run, and have a section each where they are asked for with `cellprism "
        f"do`: {', '.join(others)}."
    )


def _section(kind: Any, name: str, instance: Any, own: dict[str, Any]) -> Iterator[str]:
    """A heading and every key of a section behind a ``#``, then the sections within it."""
    yield from _comment(" ".join((kind.__doc__ or "").split("\n\n")[0].split()))
    yield f"[{name}]"
    yield ""
    inner = []
    for item, text in _with_help(kind):
        value = own.get(item.name, getattr(instance, item.name) if instance is not None else _default(item))
        if is_dataclass(item.type):
            inner.append((item, own.get(item.name, {})))
            continue
        yield from _comment(text)
        yield from _setting(item.name, value, open_=True)
    for item, theirs in inner:
        yield from _section(item.type, f"{name}.{item.name}", getattr(instance, item.name), theirs)


def _with_help(kind: Any) -> Iterator[tuple[Field[Any], str]]:
    help_of = field_help(kind)
    for item in fields(kind):
        yield item, help_of.get(item.name, "").replace("``", "`")


def _default(item: Field[Any]) -> Any:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return None if item.default is MISSING else item.default


def _setting(name: str, value: Any, open_: bool) -> Iterator[str]:
    """A key with its value, behind a ``#`` where it may stay as it is."""
    if isinstance(value, dict):
        yield f"# [{name}]"
    elif value is None:
        yield f"# {name}: not set"
    else:
        written = tomli_w.dumps({name: list(value) if isinstance(value, tuple) else value}).strip()
        yield ("# " if open_ else "") + " ".join(written.split())
    yield ""


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, WIDTH)]


def written(cells: str, model: str, out: Path) -> None:
    """Write a first configuration where there is no file yet.

    Raises:
        CellsError: there is a file of that name, or the cells cannot be used.
    """
    from cellprism.store.atomic import clear_beside, write_text

    clear_beside(out)
    if out.exists():
        raise CellsError(str(out), ["it is there already; remove it, or choose another --out"])
    write_text(out, first_config(cells, model))
