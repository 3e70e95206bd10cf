"""Tables whose columns are of another kind than their step writes: a page, a card and an atlas, or one message."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workflow.tiny import bar

import cellprism as cp
from cellprism.atlas.make import make_atlas
from cellprism.errors import CellprismError, DamagedError
from cellprism.report.context import read_context
from cellprism.store.run import Run
from cellprism.studies import files
from cellprism.studies.files import read_columns
from cellprism.studies.study import studies
from cellprism.workflow.publish import gathered, write_report

Break = Callable[[pd.Series], pd.Series]


def whole(value: object) -> Break:
    """A column that holds one value alone."""
    return lambda column: pd.Series([value] * len(column), index=column.index)


BREAKS: dict[str, Break] = {
    "text": lambda column: column.astype(str) + "x",
    "counted": lambda column: pd.Series(np.arange(len(column)), index=column.index),
    "nothing": whole(None),
    "one missing": lambda column: column.astype(object).where(column.index > 0, None),
    "infinite": whole(np.inf),
    "true": whole(True),
    "dates": whole(pd.Timestamp("2026-12-01")),
    "groups": lambda column: column.astype("category"),
    "negative": whole(-7),
    "large": whole(1e300),
}


@pytest.fixture
def tables(run_folder, monkeypatch) -> dict[Path, pd.DataFrame]:
    """The tables of a run by file, which are read from here instead; whoever changes a file can change its checksum."""
    held = {path: pd.read_parquet(path) for path in sorted(run_folder.rglob("*.parquet"))}
    monkeypatch.setattr(files, "read_table", lambda path: held[path].copy())
    monkeypatch.setattr(Run, "altered", lambda run, step: [])
    return held


def broken(folder: Path, tables: dict[Path, pd.DataFrame], path: Path, breaks: Sequence[Break]) -> int:
    """Break each column of a table by itself, in one of the ways in turn, and read its study; then leave the table with
    all those broken that it was read with. Returns how many columns were refused."""
    study, table = path.relative_to(folder).parts[0], tables[path]
    if study not in studies():
        return 0
    passed = {}
    for number, name in enumerate(table.columns):
        changed = breaks[number % len(breaks)](table[name])
        tables[path] = table.assign(**{name: changed})
        try:
            studies()[study].read(folder / study)
        except DamagedError:
            continue
        passed[name] = changed
    tables[path] = table.assign(**passed)
    return len(table.columns) - len(passed)


def looked_at(folder: Path) -> None:
    """Look at a run in every way; each gives something, or one message."""
    for look in (
        lambda: gathered(Run(folder), read_context(folder)),
        lambda: cp.open_run(folder).card(12),
        lambda: cp.get.features(folder, term="B"),
        lambda: cp.get.terms(folder, 12),
    ):
        with suppress(CellprismError):
            look()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numbers that are too large
def test_no_column_of_another_kind_ends_in_a_traceback(run_folder, tables):
    breaks = list(BREAKS.values())
    refused = 0
    for number, path in enumerate(tables):
        turn = number % len(breaks)
        refused += broken(run_folder, tables, path, breaks[turn:] + breaks[:turn])
    assert refused > 3 * len(tables)
    looked_at(run_folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*BREAKS, "no rows"])
def test_page_and_card_with_the_tables_of_a_study_broken_and_an_atlas_with_all(run_folder, tables, name):
    sound, spoiled = dict(tables), {}
    for study in studies():
        tables.update(sound)
        for path in (path for path in tables if path.parent.is_relative_to(run_folder / study)):
            if name == "no rows":
                tables[path] = tables[path].head(0)
            else:
                broken(run_folder, tables, path, [BREAKS[name]])
            spoiled[path] = tables[path]
        looked_at(run_folder)
    tables.update(spoiled)
    with suppress(CellprismError):
        make_atlas(run_folder, run_folder / "site", bar, live=False)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (["1", "2"], "whole numbers, found 1"),
        ([1.5, 2.0], r"whole numbers, found 1\.5"),
        ([1, None], "whole numbers, found missing values"),
        ([True, False], "whole numbers, found True"),
    ],
)
def test_the_message_names_file_column_and_both_kinds(tmp_path, column, words):
    pd.DataFrame({"feature": column}).to_parquet(tmp_path / "t.parquet")
    said = rf"t\.parquet: column 'feature' should hold {words}; rerun the step that wrote it"
    with pytest.raises(DamagedError, match=said):
        read_columns(tmp_path / "t.parquet", {"feature": int})


def test_numbers_may_be_missing_but_not_infinite_and_an_empty_table_has_no_kinds(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [None, None], "b": [1.0, None], "c": [2, 3]}).to_parquet(path)
    table = read_columns(path, {"a": float, "b": float}, others=float)
    assert table["a"].dtype == table["b"].dtype == float
    pd.DataFrame({"a": [1.0, -np.inf]}).to_parquet(path)
    with pytest.raises(DamagedError, match="should hold numbers, found infinite ones"):
        read_columns(path, {"a": float})
    pd.DataFrame({"a": []}, dtype=object).to_parquet(path)
    assert len(read_columns(path, {"a": str})) == 0


def test_rows_that_do_not_go_together_are_one_message_that_says_what_to_do(run_folder, monkeypatch):
    monkeypatch.setattr(Run, "altered", lambda run, step: [])
    path = run_folder / "steer" / "programs" / "doses.parquet"
    pd.read_parquet(path).head(1).to_parquet(path)
    with pytest.raises(DamagedError, match="what steer has written does not fit together .*: cellprism do steer RUN"):
        write_report(run_folder)
