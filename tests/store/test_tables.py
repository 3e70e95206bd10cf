"""Tables come back as they were, or are called damaged."""

import numpy as np
import pandas as pd
import pyarrow
import pytest

from cellprism.errors import DamagedError
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
    with pytest.raises(pyarrow.ArrowException):
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
