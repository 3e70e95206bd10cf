"""What a long study keeps until it is done."""

import numpy as np

from cellprism.studies.shards import Shards


def test_what_is_there_is_not_made_again_unless_it_is_damaged_or_something_else_is_asked(tmp_path):
    made = []

    def make() -> dict[str, np.ndarray]:
        made.append(1)
        return {"x": np.arange(3.0)}

    for _ in range(2):
        assert Shards(tmp_path, {"a": 1}).kept("one", make)["x"].tolist() == [0, 1, 2]
    assert len(made) == 1
    shards = Shards(tmp_path, {"a": 1})
    (shards.folder / "one.safetensors").write_bytes(b"half a file")
    assert shards.kept("one", make)["x"].tolist() == [0, 1, 2]
    assert len(made) == 2
    other = Shards(tmp_path, {"a": 2})
    assert not shards.folder.exists(), "what was kept under another identity is removed"
    other.kept("one", make)
    assert len(made) == 3
    other.clear()
    assert list(tmp_path.iterdir()) == []


def test_rows_come_back_as_they_were(tmp_path):
    rows = [{"name": "a", "value": 1.5, "missing": None}, {"name": "b", "value": float("inf"), "missing": None}]
    shards = Shards(tmp_path, "x")
    assert shards.rows("some", lambda: rows) == rows == shards.rows("some", list)
