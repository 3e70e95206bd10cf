"""A first configuration for some cells, and the methods paragraph of what came of it."""

import re
import tomllib

import anndata
import numpy as np
import pytest
from anndata import AnnData

from cellprism.cli.app import call
from cellprism.errors import CellsError
from cellprism.studies.study import studies
from cellprism.workflow.config import make_config, read_config
from cellprism.workflow.first_config import first_config
from workflow.tiny import some_cells


@pytest.fixture
def mine(tmp_path):
    """Logarithms in X, counts in a layer, several columns that could hold types."""
    cells = some_cells()
    mine = AnnData(np.log1p(cells.X.toarray()), layers={"umi": cells.X}, var=cells.var[[]])
    mine.obs_names = cells.obs_names
    mine.obs["batch"] = ["a", "b"] * 18 + ["a"]
    mine.obs["Cell.Type.Final"] = cells.obs["cell_type"].astype(str).to_numpy()
    mine.obs["celltype_fine"] = cells.obs["cell_type"].astype(str).to_numpy()
    mine.write_h5ad(tmp_path / "mine.h5ad")
    return tmp_path / "mine.h5ad"


def test_counts_and_labels_are_found_and_the_file_can_be_run_as_it_is(mine, tmp_path, capsys):
    assert call(["config", "init", str(mine), "--out", str(tmp_path / "config.toml")]) == 0
    config = read_config(tmp_path / "config.toml")
    assert (config.counts, config.labels) == ("layers/umi", "celltype_fine")
    assert config == make_config({"cells": str(mine), "counts": "layers/umi", "labels": "celltype_fine"})
    text = (tmp_path / "config.toml").read_text()
    assert "2 types: " in text
    assert "Other columns that could hold types: Cell.Type.Final, batch" in text.replace("\n# ", " ")
    assert max(map(len, text.splitlines())) < 400
    assert call(["config", "init", str(mine), "--out", str(tmp_path / "config.toml")]) == 2
    assert "is there already" in capsys.readouterr().err


def test_every_key_may_be_taken_from_behind_its_mark(mine):
    text = first_config(str(mine))
    opened = re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE)
    assert len(tomllib.loads(opened)["train"]) > 20
    assert make_config(tomllib.loads(opened)) == make_config(tomllib.loads(text))
    lines = first_config("bundled:pbmc68k", "obsm:X_pca").splitlines()
    assert 'labels = "bulk_labels"' in lines
    assert "# layer = 0" in lines


def test_cells_without_counts_are_refused(mine):
    cells = anndata.read_h5ad(mine)
    del cells.layers["umi"]
    cells.write_h5ad(mine)
    with pytest.raises(CellsError, match="no matrix holds raw counts; `cellprism data check`"):
        first_config(str(mine))


def test_the_methods_say_what_the_run_holds_and_nothing_else(finished, capsys):
    assert call(["methods", str(finished)]) == 0
    text = capsys.readouterr().out
    for said in (
        "We analysed 37 cells, of 2 types",
        "to the 60 genes of the model tiny (seed 3; 2 blocks of 16 dimensions)",
        "A TopK sparse autoencoder of 41 features, 5 of which fire", "after block 0, the 1st of 2 for 1 epoch in",
        "Each gene's mean vector was subtracted first.", "Each feature became a list of genes, which was tested",
        "(`programs`: collection", "replicates 3", "doses.judged_at 2",
        "Licences: model none; cells as their source states (not recorded)",
        "torch ",
        "Gao L et al. (2024)", "Benjamini Y, Yekutieli D (2001)",
    ):  # fmt: skip
        assert said in text, said
    assert all(study.method.endswith(".") for study in studies().values())
    assert "Geneformer" not in text
    assert "JumpReLU" not in text


def test_a_run_without_an_autoencoder_has_no_methods(tmp_path, capsys):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "run.toml").write_text('cells = "bundled:pbmc68k"\n')
    assert call(["methods", str(tmp_path)]) == 2
    assert "no trained autoencoder yet" in capsys.readouterr().err
