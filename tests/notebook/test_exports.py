"""Results in the forms of other programs, read back by them."""

import json
from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

import cellprism as cp
from cellprism.cli.app import call
from cellprism.errors import ConfigError, InputError


@pytest.fixture(scope="module")
def opened(finished):
    return cp.open_run(finished)


def test_your_file_comes_back_whole_with_the_features(opened, tmp_path, capsys):
    yours = anndata.AnnData(opened.cells.X[::2].copy(), obs=opened.cells.obs.iloc[::2][["cell_type"]])
    yours.obsm["X_umap"] = np.arange(2.0 * yours.n_obs).reshape(-1, 2)
    yours.write_h5ad(tmp_path / "yours.h5ad")
    asked = ["--to", "anndata", "--into", str(tmp_path / "yours.h5ad"), "--out", str(tmp_path / "out.h5ad")]
    assert call(["export", str(opened.folder), *asked]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out.h5ad'}\n"
    back = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert np.array_equal(back.obsm["X_umap"], yours.obsm["X_umap"])
    assert (back.X != yours.X).nnz == 0
    assert (back.obsm["X_cellprism"] != opened.cell_features.X[::2]).nnz == 0
    assert back.uns["cellprism_features"].index.tolist() == [str(i) for i in range(41)]
    assert back.uns["cellprism_recipe"]["layer"] == 0


def test_zarr_and_mudata_are_read_by_their_packages(opened, tmp_path):
    mudata = pytest.importorskip("mudata")
    pytest.importorskip("zarr")
    cp.export(opened, "anndata", tmp_path / "out.zarr")
    back = anndata.read_zarr(tmp_path / "out.zarr")
    assert (back.obsm["X_cellprism"] != opened.cell_features.X).nnz == 0
    cp.export(opened, "anndata", tmp_path / "out.h5mu")
    with mudata.set_options(pull_on_update=False):
        both = mudata.read_h5mu(tmp_path / "out.h5mu")
    assert both["features"].shape == (37, 41)
    assert (both["rna"].X != opened.cells.X).nnz == 0
    with pytest.raises(InputError, match="out.zarr is there already"):
        cp.export(opened, "anndata", tmp_path / "out.zarr")


def test_programs_are_read_by_us_and_by_gseapy(opened, tmp_path):
    (path,) = cp.export(opened, "gmt", tmp_path / "programs.gmt")
    lists = opened.tables["programs/lists"].sort_values(["feature", "rank"])
    expected = {f"feature {f}": tuple(rows["gene"]) for f, rows in lists.groupby("feature")}
    assert {name: set(genes) for name, genes in cp.read_gmt(path).terms.items()} == {
        name: set(genes) for name, genes in expected.items()
    }
    gseapy = pytest.importorskip("gseapy")
    assert {name: tuple(genes) for name, genes in gseapy.parser.read_gmt(str(path)).items()} == expected


@pytest.mark.parametrize("of", ["cells", "features"])
def test_the_atlas_has_a_map_and_a_row_each(opened, tmp_path, of):
    (path,) = cp.export(opened, "parquet", tmp_path / "atlas.parquet", of=of)
    table = pd.read_parquet(path)
    assert len(table) == (37 if of == "cells" else 41)
    assert np.isfinite(table[["x", "y"]]).all(axis=None)
    assert table[["x", "y"]].std().gt(0).all()
    assert table.columns.is_unique


def test_neuronpedia_batches_hold_every_feature_once_with_its_cells(opened, tmp_path, monkeypatch):
    from cellprism.notebook.exports import neuronpedia

    monkeypatch.setattr(neuronpedia, "BATCH", 17)
    files = cp.export(opened, "neuronpedia", tmp_path / "np")
    batches = [json.loads(path.read_text()) for path in files]
    assert [len(batch["features"]) for batch in batches] == [17, 17, 7]
    assert [f["feature_index"] for batch in batches for f in batch["features"]] == list(range(41))
    activity = opened.cell_features
    for feature in batches[0]["features"]:
        values = activity.X[:, feature["feature_index"]].toarray().ravel()
        assert len(feature["activations"]) == min(5, int((values > 0).sum()))
        for shown in feature["activations"][:1]:
            assert shown["tokens"][0].startswith(str(activity.obs_names[int(values.argmax())]))
            assert shown["values"][0] == pytest.approx(values.max(), abs=1e-4)
            assert len(shown["tokens"]) == len(shown["values"])
        assert len(feature["pos_str"]) == len(feature["pos_values"])
        assert sum(feature["freq_hist_data_bar_heights"]) == (values > 0).sum()
        assert feature["feature_index"] not in feature["correlated_features_indices"]


def test_saelens_gets_an_exact_autoencoder_or_the_reason(opened, tmp_path):
    assert len(opened.sae.centre) > 1
    with pytest.raises(InputError, match=r"mean vector of each of 60 genes first, which SAELens cannot do.*--centred"):
        cp.export(opened, "saelens", tmp_path / "sae")
    assert not (tmp_path / "sae").exists()
    cp.export(opened, "saelens", tmp_path / "sae", centred=True)
    back, x, gene = cp.load_sae(tmp_path / "sae"), torch.randn(29, 16), torch.arange(29)
    assert back.centre is None
    assert torch.equal(back.encode(opened.sae.centred(x, gene)).dense(), opened.sae.encode(x, gene).dense())
    config = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    assert "minus the mean vector" in config["metadata"]["reads"]
    assert config["normalize_activations"] == "none"
    assert (tmp_path / "sae" / "centre.safetensors").is_file()


def test_what_saelens_cannot_compute_is_refused_even_without_means(opened, tmp_path):
    signed = cp.open_run(opened.folder)
    signed.__dict__["sae"] = replace(opened.sae, relu=False)
    with pytest.raises(InputError, match="SAELens has no top-k without ReLU"):
        cp.export(signed, "saelens", tmp_path / "sae", centred=True)


def test_other_forms_and_options_are_refused(opened, tmp_path):
    with pytest.raises(ConfigError, match="no form 'csv' to export: expected one of anndata, gmt"):
        cp.export(opened, "csv", tmp_path / "x")
    with pytest.raises(ConfigError, match="gmt has no option of; it has none"):
        cp.export(opened, "gmt", tmp_path / "x", of="cells")
    with pytest.raises(InputError, match="ends in .loom; expected one of .h5ad, .zarr, .h5mu"):
        cp.export(opened, "anndata", tmp_path / "x.loom")
    with pytest.raises(InputError, match=r"there is no file .*nothing.h5ad to write the features into"):
        cp.export(opened, "anndata", tmp_path / "x.h5ad", into=tmp_path / "nothing.h5ad")
