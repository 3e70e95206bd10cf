"""The number that a claim names is found again, whatever keys, columns and genes are called."""

import anndata
import numpy as np
import pandas as pd
import pytest

from cellprism.errors import DamagedError
from cellprism.report.claims import Source
from cellprism.report.source import number_at
from cellprism.store.atomic import write_json
from cellprism.store.tables import write_table

TREE = {
    "rows": [{"rate": 0.25}, {"rate": 0.5, "by size": {"0.1": 7, "0.5": 3}}],
    "named": {"HLA.A": {"gap": 1.5}, "HLA": {"A": {"gap": -4.0}}, "a[b=c]": {"gap": 2.0}, "": {"gap": 9.0}},
    "scores": {"": 5, "x y.z": {"value": 6}},
    "flat": 3,
    "text": "many",
    "none": None,
}


@pytest.fixture
def folder(tmp_path):
    write_json(tmp_path / "tree.json", TREE)
    genes = ["CD4", "a[b=c]", "x=y]", "", "CD4 "]
    write_table(tmp_path / "table.parquet", pd.DataFrame({
        "gene": genes, "n": range(5), "share.of[all]": np.linspace(0, 1, 5), "twice": ["a", "a", "b", "c", "d"],
    }))  # fmt: skip
    data = anndata.AnnData(np.arange(6.0).reshape(2, 3))
    data.obs_names, data.var_names = ["cell.1", "cell[2]"], ["CD4", "HLA.A", "x]y"]
    data.obs["n.genes"], data.var["mean"] = [11, 13], [0.1, 0.2, 0.3]
    data.uns = {"a": {"b.c": 17.0}, "d": np.array([1.0, 2.0])}
    data.write_h5ad(tmp_path / "data.h5ad")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "field", "number"),
    [
        ("tree.json", "rows.0.rate", 0.25),
        ("tree.json", "rows.1.by size.0.1", 7),
        ("tree.json", "rows.1.by size.0.5", 3),
        ("tree.json", "named.HLA.A.gap", 1.5),
        ("tree.json", "named.a[b=c].gap", 2.0),
        ("tree.json", "scores.x y.z.value", 6),
        ("tree.json", "flat", 3),
        ("table.parquet", "n[gene=CD4]", 0),
        ("table.parquet", "n[gene=CD4 ]", 4),
        ("table.parquet", "n[gene=x=y]]", 2),
        ("table.parquet", "n[gene=a[b=c]]", 1),
        ("table.parquet", "n[gene=]", 3),
        ("table.parquet", "share.of[all][gene=CD4 ]", 1.0),
        ("table.parquet", "n[twice=c]", 3),
        ("table.parquet", "share.of[all][n=2]", 0.5),
        ("data.h5ad", "obs.n.genes[cell.1]", 11),
        ("data.h5ad", "obs.n.genes[cell[2]]", 13),
        ("data.h5ad", "var.mean[HLA.A]", 0.2),
        ("data.h5ad", "var.mean[x]y]", 0.3),
        ("data.h5ad", "uns.a.b.c", 17),
        ("data.h5ad", "X[cell.1,HLA.A]", 1),
        ("data.h5ad", "X[cell[2],x]y]", 5),
    ],
)
def test_a_number_is_found_at(folder, file, field, number):
    assert number_at(folder, Source(file, field)) == pytest.approx(number)


@pytest.mark.parametrize(
    ("file", "field"),
    [
        ("tree.json", "rows.2.rate"),
        ("tree.json", "rows.first.rate"),
        ("tree.json", "rows.0"),
        ("tree.json", "rows.0.rate.more"),
        ("tree.json", "nothing"),
        ("tree.json", "text"),
        ("tree.json", "none"),
        ("tree.json", ""),
        ("none.json", "flat"),
        ("table.parquet", "n[gene=CD8]"),
        ("table.parquet", "n[twice=a]"),
        ("table.parquet", "m[gene=CD4]"),
        ("table.parquet", "n[genes=CD4]"),
        ("table.parquet", "n"),
        ("none.parquet", "n[gene=CD4]"),
        ("data.h5ad", "obs.n.genes[cell.7]"),
        ("data.h5ad", "obsm.n[cell.1]"),
        ("data.h5ad", "uns.a"),
        ("data.h5ad", "uns.d"),
        ("data.h5ad", "X[CD4,cell.1]"),
        ("none.h5ad", "uns.a"),
        ("page.html", "title"),
    ],
)
def test_what_holds_no_number_is_said_with_file_and_field(folder, file, field):
    with pytest.raises(DamagedError) as raised:
        number_at(folder, Source(file, field))
    assert f"{file} holds no number at {field!r}" in str(raised.value)
