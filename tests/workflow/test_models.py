"""Runs on other models than the usual one, and how a model is loaded and run."""

import re

import anndata
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from cellprism.cli.app import call
from cellprism.errors import ConfigError, ModelError
from cellprism.models.aido.files import save
from cellprism.models.aido.model import AidoCell
from cellprism.models.hub import CACHE
from cellprism.sae.files import load_sae
from cellprism.store.atomic import read_json
from cellprism.store.run import Run
from cellprism.studies.workbench import Workbench, device_of
from cellprism.workflow.pipeline import start_run, steps
from cellprism.workflow.steps import identity_of
from workflow.tiny import bar, config_of

D_MODEL, STEPS = 5, steps()


@pytest.fixture
def embedded(asked, tmp_path) -> str:
    """The tiny run's cells with their principal components."""
    cells = anndata.read_h5ad(asked["cells"])
    cells.obsm["X_pca"] = PCA(D_MODEL, random_state=0).fit_transform(np.log1p(cells.X.toarray()))
    cells.obsm["X_umap"] = cells.obsm["X_pca"][:, :2]
    cells.write_h5ad(tmp_path / "embedded.h5ad")
    return str(tmp_path / "embedded.h5ad")


def train(cells: str, folder, model: str, *changes: str) -> int:
    settings = ["train.n_features=41", "train.k=3", "train.centring=global", "train.epochs=2", *changes]
    wanted = [f"--set={change}" for change in settings]
    return call(["train", cells, "--out", str(folder), "--model", model, "--layer", "0", *wanted])


def test_an_embedding_of_the_cells_is_a_model(embedded, tmp_path):
    run = tmp_path / "run"
    assert train(embedded, run, "obsm:X_pca+ridge") == 0
    kept = anndata.read_h5ad(run / "cells.h5ad")
    given = anndata.read_h5ad(embedded)
    assert list(kept.obsm) == ["X_pca"]
    np.testing.assert_array_equal(kept.obsm["X_pca"], given.obsm["X_pca"])
    facts = read_json(run / "model.json")
    assert (facts["name"], facts["d_model"], facts["n_genes"]) == ("obsm:X_pca+ridge", D_MODEL, given.n_vars)
    sae = load_sae(run / "sae" / "L0")
    assert (sae.d_model, sae.n_features) == (D_MODEL, 41)
    assert sae.metadata["tokens"]["per_epoch"] == given.n_obs
    assert train(embedded, run, "obsm:X_pca+ridge") == 0, "the model is fitted again from the run's own cells"


def test_an_embedding_that_the_cells_do_not_have_is_named(embedded, tmp_path, capsys):
    assert train(embedded, tmp_path / "run", "obsm:X_pc") == 2
    assert "there is no embedding 'X_pc' in obsm; did you mean 'X_pca'" in capsys.readouterr().err


def test_options_reach_the_model_and_decide_the_cells(asked, tmp_path):
    folder = tmp_path / "model"
    genes = list(anndata.read_h5ad(asked["cells"]).var_names)
    whole = AidoCell.random([*genes, "ABSENT"], hidden=16, layers=2, heads=2, intermediate=24, gene_subset=False)
    save(whole, folder, {"name": "whole", "revision": "seed 0", "licence": "none"})
    plain = config_of({**asked, "model": str(folder)})
    subset = config_of({**asked, "model": str(folder)}, "model_options.gene_subset=true")
    start_run(subset, tmp_path / "run", bar, lambda text: None, ["cells"])
    (limit,) = read_json(tmp_path / "run" / "model.json")["card"]["limits"]
    assert limit.startswith("Genes that the data do not have were left out")
    same = identity_of(STEPS["train"], plain, STEPS) == identity_of(STEPS["train"], subset, STEPS)
    assert not same


def test_a_gene_list_is_known_by_its_bytes(asked, tmp_path):
    config = config_of(asked, f"model_options.genes='{tmp_path / 'genes.tsv'}'")
    found = []
    for text in ("symbol\nCD3D\n", "symbol\nCD3E\n"):
        (tmp_path / "genes.tsv").write_text(text)
        found.append(identity_of(STEPS["cells"], config, STEPS))
    assert found[0] != found[1]


def test_an_option_that_the_family_does_not_know_is_named(embedded, tmp_path):
    config = config_of({"cells": embedded, "model": "obsm:X_pca", "layer": 0}, "model_options.gene_subset=true")
    with pytest.raises(ModelError, match=r"family 'obsm' do not take these options \(gene_subset\)"):
        start_run(config, tmp_path / "run", bar, lambda text: None, ["cells"])


def test_a_model_of_the_hub_is_not_fetched_offline(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    model = f"hf://nobody/nothing@{'0' * 40}"
    assert call(["train", asked["cells"], "--out", str(tmp_path / "run"), "--model", model, "--offline"]) == 2
    assert "is not in the cache" in capsys.readouterr().err


def test_a_run_plans_its_passes_once_and_says_so(asked, tmp_path):
    said: list[str] = []
    folder = tmp_path / "run"
    start_run(config_of(asked), folder, bar, said.append, ["cells", "train"], device="cpu")
    (line,) = [text for text in said if "tokens a pass" in text]
    record = read_json(folder / "run.json")
    assert record["steps"]["train"]["device"] == "cpu"
    plan = record["passes"]["L0"]
    assert plan["plan"] == line
    assert line.startswith(f"{plan['cells']} cells of 62 tokens a pass")
    bench = Workbench(Run(folder), config_of(asked), bar)
    bench.run.update(passes={"L0": {**plan, "cells": 7}})
    assert bench.cells_a_pass() == 7, "a training that goes on reads in the same passes"
    bench.run.update(passes={"L0": {**plan, "identity": "of other cells", "cells": 7}})
    assert bench.cells_a_pass() == plan["cells"]


def test_a_device_is_one_that_is_there():
    assert device_of("cpu") == torch.device("cpu")
    assert device_of("").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="no device 'gpu': expected cpu, cuda, or cuda:N"):
        device_of("gpu")
    with pytest.raises(ConfigError, match="no device 'meta': expected"):
        device_of("meta")
    with pytest.raises(ConfigError, match=re.escape("device 'cuda:99' is not there: torch finds")):
        device_of("cuda:99")
