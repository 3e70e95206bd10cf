"""Some columns of a tall matrix at a time: of many cells x features no more is dense at once than is needed."""

from collections.abc import Iterator

MOST = 256  # columns at a time
ENTRIES = 1 << 22  # of a dense block: 32 MiB in double precision


def column_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Stretches that together are all columns, of at most ``MOST`` columns and about ``ENTRIES`` entries each."""
    width = min(MOST, max(1, ENTRIES // max(n_rows, 1)))
    for start in range(0, n_columns, width):
        yield slice(start, min(start + width, n_columns))
