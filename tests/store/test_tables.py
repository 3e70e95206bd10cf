"""Tables come back as they were, or are called damaged."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cellprism.errors import DamagedError
from cellprism.store import tables
from cellprism.store.tables import read_table, write_table


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "feature": np.arange(41),
            "term": [f"term {i}" for i in range(41)],
            "padj": rng.random(41),
            "found": rng.random(41) > 0.5,
        }
    )


def test_a_table_comes_back_the_same_without_its_index(tmp_path, table):
    write_table(tmp_path / "x" / "t.parquet", table.set_index(np.arange(41)[::-1]))
    pd.testing.assert_frame_equal(read_table(tmp_path / "x" / "t.parquet"), table)
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["t.parquet"]


def test_an_empty_table_keeps_its_columns(tmp_path, table):
    write_table(tmp_path / "t.parquet", table[:0])
    assert list(read_table(tmp_path / "t.parquet").columns) == list(table.columns)


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, table):
    path = tmp_path / "t.parquet"
    write_table(path, table)
    with pytest.raises(pa.ArrowException):
        write_table(path, pd.DataFrame({"mixed": ["a word", 1]}))
    pd.testing.assert_frame_equal(read_table(path), table)
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_table_is_damaged_and_named(tmp_path, table, share):
    path = tmp_path / "enrichment.parquet"
    write_table(path, table)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DamagedError, match=r"enrichment.parquet is not a readable table .*rerun the step"):
        read_table(path)


def test_a_table_with_altered_bytes_in_its_footer_is_damaged(tmp_path, table):
    path = tmp_path / "t.parquet"
    write_table(path, table)
    content = bytearray(path.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little")
    content[-8 - footer : -8] = b"\xff" * footer
    path.write_bytes(bytes(content))
    with pytest.raises(DamagedError, match=r"t.parquet is not a readable table"):
        read_table(path)


def test_a_text_file_is_no_table(tmp_path):
    (tmp_path / "t.parquet").write_text("feature,term\n1,x\n")
    with pytest.raises(DamagedError):
        read_table(tmp_path / "t.parquet")


def test_a_table_that_is_not_there_is_not_called_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.parquet")


def hostile(kind: str) -> pa.Table:
    """Tables that no step writes."""
    feature = pa.array(range(7))
    if kind == "lists":
        return pa.table({"feature": feature, "genes": pa.array([["A", "B"]] * 7)})
    if kind == "objects":
        return pa.table({"feature": [{"number": i} for i in range(7)]})
    if kind == "two of one name":
        return pa.Table.from_arrays([feature, feature], names=["feature", "feature"])
    return pa.table({"feature": feature}).replace_schema_metadata({"pandas": "[1, {"})


@pytest.mark.parametrize(
    ("kind", "said"),
    [("lists", "'genes' holds lists or objects"), ("objects", "'feature' holds lists"), ("two of one name", "one name"),
     ("no metadata", "is not a readable table")],
)  # fmt: skip
def test_a_table_of_strangers_is_damaged_and_named(tmp_path, kind, said):
    pq.write_table(hostile(kind), tmp_path / "features.parquet")
    with pytest.raises(DamagedError, match=rf"features.parquet is not a readable table .*{said}|{said}"):
        read_table(tmp_path / "features.parquet")


def test_few_bytes_do_not_become_many_values(tmp_path, table, monkeypatch):
    monkeypatch.setattr(tables, "MOST", 100)
    write_table(tmp_path / "t.parquet", table)
    with pytest.raises(DamagedError, match="it holds 41 rows of 4 columns"):
        read_table(tmp_path / "t.parquet")


def test_many_row_groups_and_an_index_make_no_difference(tmp_path, table):
    table.set_index("feature").to_parquet(tmp_path / "t.parquet", row_group_size=1)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), table)
    table.set_index(np.arange(41)[::-1]).to_parquet(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), table)
