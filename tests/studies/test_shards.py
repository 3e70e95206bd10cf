"""What a long study keeps until it is done."""

import shutil
from dataclasses import replace

import numpy as np

from cellprism.store.run import Run
from cellprism.studies.shards import Shards, shards_of
from studies.elsewhere import bench_of


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


def test_shards_of_a_study_are_others_where_a_step_a_setting_or_a_file_is(finished, tmp_path):
    run, judge = Run(shutil.copytree(finished, tmp_path / "run")), tmp_path / "judge.parquet"
    bench, seen = bench_of(run), []

    def asked(study="screen", needs=("cells", "train"), settings=("a", 1), **more) -> str:
        return str(shards_of(bench, study, needs, settings, ["", str(judge)], **more).folder)

    seen += [asked(), asked("pareto"), asked(needs=("cells",)), asked(settings=("a", 2)), asked(found_by="number")]
    judge.write_bytes(b"one")
    seen.append(asked())
    judge.write_bytes(b"other")
    seen.append(asked())
    bench.config = replace(bench.config, seed=1)
    seen.append(asked())
    state = run.state["steps"]
    run.update(steps={**state, "train": {**state["train"], "identity": "another autoencoder"}})
    seen.append(asked())
    assert len(set(seen)) == len(seen)
    assert asked() == seen[-1]
