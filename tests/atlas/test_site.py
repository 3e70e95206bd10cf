"""What is written: every feature, gene and term, with the run's own numbers; and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workflow.tiny import bar

import cellprism as cp
from atlas.reading import shard, unpacked
from cellprism.atlas import make
from cellprism.atlas.activity import Labels, activity, steps_of
from cellprism.atlas.make import make_atlas
from cellprism.atlas.shards import packed, plain
from cellprism.cli.app import call
from cellprism.errors import RunError
from cellprism.store.atomic import sha256
from cellprism.store.run import Run
from cellprism.studies.files import read_h5ad
from cellprism.workflow.publish import write_report


def test_arrays_and_numbers_come_back():
    rng = np.random.default_rng(0)
    for dtype in ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4"):
        values = (100 * rng.random((7, 11))).astype(dtype)
        assert np.array_equal(unpacked(packed(values)), values.ravel())
    assert plain({"a": np.float32(1 / 3), "b": [np.nan, np.int64(3)], "c": (True, None)}) == {
        "a": 0.333333, "b": [None, 3], "c": [True, None],
    }  # fmt: skip


def test_every_feature_is_there_with_what_its_card_says(tiny, finished):
    site, made = tiny
    count = unpacked(shard(site, "index")["columns"][2]["values"]).size
    assert len(list((site / "features").glob("*.json"))) == count == 41
    assert made.without_live == ""
    for feature in (0, 17, 40):
        page, card = json.loads((site / f"features/{feature}.json").read_text()), cp.feature_card(finished, feature)
        assert list(page["card"]["facts"]) == list(card.facts)
        assert page["card"]["facts"]["state"][0]["value"] == plain(card.facts["state"][0].value)
        assert {**page, **shard(site, f"features/{feature}")} == shard(site, f"features/{feature}")


def test_numbers_are_those_of_the_files(tiny, finished):
    site, _ = tiny
    index = shard(site, "index")
    table = pd.read_parquet(finished / "programs" / "features.parquet")
    columns = {column["key"]: column for column in index["columns"]}
    assert np.allclose(unpacked(columns["fires"]["values"]), table["firing_rate"], rtol=1e-6)
    assert columns["again"]["file"] == "stability/features.parquet"
    assert "by chance" in columns["again"]["control"]
    cells = read_h5ad(finished / "programs" / "cells.h5ad")
    dense = np.asarray(cells.X.todense())
    for feature in (3, 25):
        found = shard(site, f"features/{feature}")["cells"]
        value = unpacked(found["values"]) * found["largest"] / found["steps"]
        assert np.abs(value - dense[:, feature]).max() <= found["largest"] / found["steps"] + 1e-9
    genes = read_h5ad(finished / "programs" / "genes.h5ad")
    first = shard(site, "genes/0")[5]
    assert first["gene"] == genes.var_names[5]
    for feature, mean, *_ in first["fires"]:
        assert mean == pytest.approx(float(genes.X[feature, 5]), rel=1e-5)
    assert unpacked(index["genes"]) == list(genes.var_names)
    assert unpacked(shard(site, "cell-names")) == list(cells.obs_names)
    sketch = shard(site, "sketch")
    values = unpacked(sketch["values"]).reshape(-1, 41)
    assert (
        np.abs(values / 255 * unpacked(sketch["largest"]) - dense[unpacked(sketch["rows"])]).max() < 0.01 * dense.max()
    )


def test_terms_lead_to_their_features(tiny, finished):
    site, _ = tiny
    table = pd.read_parquet(finished / "programs" / "enrichment.parquet")
    for term in shard(site, "terms/0")[:3]:
        rows = table[table["term"] == term["term"]]
        assert term["tested"] == len(rows)
        at = term["columns"].index("padj")
        assert term["features"][0][at] == pytest.approx(float(rows["padj"].min()), rel=1e-5)


def test_a_term_names_its_genes_and_which_of_them_each_list_holds(tiny):
    terms = shard(tiny[0], "terms/0")
    assert all(len(term["genes"]) == term["size"] for term in terms)
    for term in terms:
        overlap = term["columns"].index("overlap")
        assert [len(some) for some in term["shared"]] == [row[overlap] for row in term["features"]]


def test_beside_the_run_the_report_and_the_atlas_lead_to_each_other(finished, tmp_path):
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    assert "<code>cellprism atlas run</code> makes an atlas" in write_report(run).read_text()
    assert call(["atlas", str(run), "--no-live"]) == 0
    report, copy = (run / "report.html").read_text(), (run / "site" / "report.html").read_text()
    assert '<a href="site/index.html">Open the atlas</a>' in report
    assert '<a href="site/index.html#/feature/12">12</a>' in report
    assert copy == report.replace('"site/index.html', '"index.html')
    assert not any(name.startswith("site") for name in cp.open_run(run).tables)


def test_a_run_is_not_changed_and_an_old_atlas_is_replaced(finished, tiny, tmp_path):
    before = {path: sha256(path) for path in finished.rglob("*") if path.is_file()}
    out = Path(shutil.copytree(tiny[0], tmp_path / "site"))
    (out / "features" / "999.json").write_text("{}")
    assert call(["atlas", str(finished), "--out", str(out), "--no-live"]) == 0
    assert not (out / "features" / "999.json").exists()
    assert shard(out, "index")["live"] == make.NOT_ASKED
    assert {path: sha256(path) for path in finished.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_what_is_no_atlas_is_not_replaced(finished, tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert call(["atlas", str(finished), "--out", str(tmp_path / "mine")]) == 2
    assert "holds other things than an atlas" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="is no folder"):
        make_atlas(finished, tmp_path / "mine" / "thesis.tex", bar)


def test_a_run_without_programs_is_refused_and_nothing_is_left(whole_run, tmp_path):
    run = Path(shutil.copytree(whole_run, tmp_path / "run"))
    Run(run).forget("programs")
    with pytest.raises(RunError, match="cellprism do programs"):
        make_atlas(run, tmp_path / "site", bar)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_without_its_model_is_browsed_all_the_same(whole):
    site, made = whole
    assert made.without_live.startswith("No live steering here: ")
    assert shard(site, "index")["live"] == made.without_live
    assert made.files > 200


def test_names_from_the_data_are_no_markup(hostile):
    site, _ = hostile
    assert "<script>alert" not in (site / "index.html").read_text()
    assert "<script>" in shard(site, "features/12")["genes"][0]["gene"]


def test_activity_is_described_by_quantile_beside_all_cells():
    rng = np.random.default_rng(1)
    kinds = pd.Series(np.repeat(["a", "b"], [150, 50]))
    value = np.where(kinds == "b", 1 + rng.random(200), 0) + np.where(np.arange(200) < 30, 0.1, 0)
    found = activity(value, Labels.of(kinds))
    assert found.histogram["silent"] == 120
    assert sum(found.histogram["counts"]) == 80
    assert sum(row["cells"] for row in found.quantiles) == 200
    assert found.quantiles[0]["types"] == [["b", 1.0, 0.25]]
    assert found.quantiles[-1]["name"] == "silent"
    assert found.types[0][:3] == ["b", 50, 1.0]
    assert found.top[0][2] == value.max()
    steps = steps_of(value)
    assert ((unpacked(steps["values"]) > 0) == (value > 0)).all()


def test_many_cells_take_fewer_steps_and_stay_small():
    found = steps_of(np.random.default_rng(2).random(100_000))
    assert found["steps"] == 15
    assert len(found["values"]["z"]) < 90_000
