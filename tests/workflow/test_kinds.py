"""Whole runs on other kinds of models and autoencoders: each ends in a page that names what it shows."""

import json
from html import unescape
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from models.scgpt.published import write_folder
from sklearn.decomposition import PCA

from cellprism.cells.genes import GeneTable
from cellprism.cli.app import call
from cellprism.errors import ModelError
from cellprism.models.latent.scvi import ScviModel, ScviSizes
from cellprism.models.registry import save_model
from cellprism.models.scgpt.files import published_name
from cellprism.models.scgpt.model import ScGpt
from cellprism.studies.study import studies
from cellprism.workflow.config import read_config
from cellprism.workflow.pipeline import continue_run, start_run
from cellprism.workflow.publish import write_report
from workflow.tiny import bar, config_of

pytestmark = pytest.mark.slow

N_GENES = 60
WHOLE = ("train.centring=global", "train.epochs=3", "train.n_features=41", "train.k=3")


def run_of(asked: dict, folder: Path, *changes: str) -> Path:
    """A tiny run of every step and its page; what was said goes to ``said.txt``."""
    said: list[str] = []
    start_run(config_of(asked, *changes), folder, bar, said.append)
    write_report(folder)
    (folder / "said.txt").write_text("\n".join(said))
    return folder


def page(run: Path) -> str:
    return unescape((run / "report.html").read_text(encoding="utf-8"))


def summary(run: Path, name: str) -> dict:
    return json.loads((run / name / "summary.json").read_text())


@pytest.fixture(scope="module")
def genes(asked) -> list[str]:
    return list(anndata.read_h5ad(asked["cells"]).var_names)


@pytest.fixture(scope="module")
def ranks(asked, genes, tmp_path_factory) -> Path:
    """A run on a random Geneformer."""
    pytest.importorskip("transformers", reason="Geneformer needs the package transformers")
    from cellprism.models.geneformer.model import Geneformer

    folder = tmp_path_factory.mktemp("ranks")
    save_model(Geneformer.random(genes, hidden=26, layers=2, heads=2, intermediate=19, input_size=32), folder / "model")
    return run_of({**asked, "model": str(folder / "model")}, folder / "run")


@pytest.fixture(scope="module")
def bins(asked, genes, tmp_path_factory) -> Path:
    """A run on a random scGPT, read from a folder in the published layout."""
    folder = tmp_path_factory.mktemp("bins")
    model = ScGpt.random(genes, hidden=26, layers=2, heads=2, intermediate=19, n_bins=11, seed=3)
    tensors = {published_name(name): tensor for name, tensor in model.state_dict().items()}
    args = {"embsize": 26, "nlayers": 2, "nheads": 2, "d_hid": 19, "n_bins": 11}
    write_folder(folder / "model", tensors, args, {g: i for i, g in enumerate([*genes, "<cls>"])})
    return run_of({**asked, "model": str(folder / "model")}, folder / "run")


@pytest.fixture(scope="module")
def whole(asked, genes, tmp_path_factory) -> Path:
    """A run on a random scVI."""
    folder = tmp_path_factory.mktemp("whole")
    model = ScviModel.random(ScviSizes(N_GENES, 13, 17, 1), GeneTable.of(genes), 3)
    save_model(model, folder / "model", {"name": "little scVI"})
    return run_of({**asked, "model": str(folder / "model")}, folder / "run", *WHOLE)


@pytest.fixture(scope="module")
def bare(asked, tmp_path_factory) -> Path:
    """A run on principal components, without a decoder."""
    folder = tmp_path_factory.mktemp("bare")
    cells = anndata.read_h5ad(asked["cells"])
    cells.obsm["X_pca"] = PCA(7, random_state=0).fit_transform(np.log1p(cells.X.toarray()))
    cells.write_h5ad(folder / "cells.h5ad")
    return run_of({**asked, "cells": str(folder / "cells.h5ad"), "model": "obsm:X_pca"}, folder / "run", *WHOLE)


def test_a_model_of_ranks_is_read_over_expressing_cells_and_in_token_logits(ranks):
    table = anndata.read_h5ad(ranks / "programs/genes.h5ad")
    assert table.uns["cellprism"]["tokens"] == "genes"
    expressing = table.var["n_cells"].to_numpy()
    assert expressing.min() < expressing.max() <= 37
    tested = set(", ".join(pd.read_parquet(ranks / "programs/features.parquet")["top_genes"]).split(", "))
    assert not tested & set(table.var_names[~table.var["expressed"]])
    assert json.loads((ranks / "model.json").read_text())["predicts"] == "token_logit"
    assert summary(ranks, "contrast/latent")["output_kind"] == "token_logit"


def test_the_page_says_which_genes_a_model_of_ranks_leaves_unread(ranks):
    said = "it reads the 30 genes of a cell that stand highest above their usual level"
    assert said in (ranks / "said.txt").read_text()
    assert said in page(ranks)


def test_few_steps_of_training_are_said_with_what_to_do(ranks):
    said = (ranks / "said.txt").read_text()
    assert "steps are few for an autoencoder to learn from" in said
    assert "raise train.epochs, or lower train.batch_size" in said


def test_the_page_of_a_model_of_ranks_never_calls_a_logit_expression(ranks):
    said = page(ranks)
    assert "log(1 + counts" not in said
    assert "predicted expression" not in said
    assert "These numbers are not expression" in said
    assert not (ranks / "contrast/expression").exists()
    absent = json.loads((ranks / "contrast/absent.json").read_text())
    assert list(absent) == ["expression"]
    assert "predicts which gene stands at a place, not how much" in absent["expression"]
    assert "so there is no expression to bring close; use objective='latent'" in said


def test_a_model_of_bins_is_steered_in_expression(bins):
    assert json.loads((bins / "model.json").read_text())["predicts"] == "expression"
    assert (bins / "contrast/expression/summary.json").is_file()
    assert anndata.read_h5ad(bins / "programs/genes.h5ad").uns["cellprism"]["tokens"] == "genes"
    assert "log(1 + counts per 10,000)" in page(bins)


def test_a_model_of_whole_cells_gets_genes_by_association_and_says_so(whole):
    table = anndata.read_h5ad(whole / "programs/genes.h5ad")
    assert table.uns["cellprism"]["tokens"] == "cells"
    assert table.shape == (41, N_GENES)
    rates = json.loads((whole / "programs/rates.json").read_text())
    names = {row["name"] for row in rates["rows"]}
    assert {"features", "uniform", "popularity", "gene_use", "coexpression", "untrained", "neurons"} <= names
    assert not {"neurons, gene means removed", "noise cells"} & names
    said = page(whole)
    assert "this is what goes together over cells, not what the model makes of a gene" in said
    for wrong in ("genes at which the feature fires", "gene token", "residual stream", "Fires at"):
        assert wrong not in said.split("<script")[0]


def test_both_objectives_have_a_meaning_for_a_decoder(whole):
    assert json.loads((whole / "contrast/absent.json").read_text()) == {}
    for objective in ("latent", "expression"):
        assert summary(whole, f"contrast/{objective}")["output_kind"] == "expression"
    measures = json.loads((whole / "fit/measures.json").read_text())
    assert measures["classes"] == []
    assert (measures["splice"] is None) == ("no loss to recover" in measures["no_splice"])
    assert set(measures["controls"]) == {"untrained"}
    assert json.loads((whole / "model.json").read_text())["tokens"] == "cells"
    assert json.loads((whole / "model.json").read_text())["predicts"] == "expression"


def test_without_a_decoder_the_page_says_what_is_missing(bare, capsys):
    steered, contrasts = (studies()[name].read(bare / name) for name in ("steer", "contrast"))
    assert steered.experiments == []
    assert [recipe.summary["objective"] for recipe in contrasts.recipes] == ["latent"]
    assert "'obsm:X_pca' has no decoder, so what an edit does to genes cannot be read" in steered.absent
    assert "has no decoder, so there is no expression to bring close" in contrasts.absent["expression"]
    assert "This model has no decoder: nothing is said of genes" in page(bare)
    assert "<b>no decoder</b>" in page(bare)
    assert "share of the gap closed" not in page(bare)
    said = (bare / "said.txt").read_text()
    assert "nothing to steer: 'obsm:X_pca' has no decoder" in said
    assert "no expression recipe: 'obsm:X_pca' has no decoder" in said
    assert call(["steer", str(bare), "--feature", "3"]) == 2
    assert "obsm:KEY+ridge" in capsys.readouterr().err


def test_a_contrast_with_nothing_left_to_do_is_refused(bare):
    config = read_config(bare / "run.toml", ["contrast.objectives=['expression']"])
    with pytest.raises(ModelError, match="use objective='latent', or give it a decoder"):
        continue_run(bare, "contrast", config, bar, lambda text: None)


@pytest.mark.parametrize("architecture", ["batchtopk", "jumprelu"])
def test_an_autoencoder_with_thresholds_goes_through_every_step(asked, tmp_path, architecture):
    run = run_of(asked, tmp_path / "run", f"train.architecture={architecture}")
    recipe = anndata.read_h5ad(run / "programs/genes.h5ad").uns["cellprism"]["sae"]
    assert recipe["architecture"] == architecture
    assert recipe["mean_threshold"] >= 0
    rates = json.loads((run / "programs/rates.json").read_text())
    assert "untrained" in {row["name"] for row in rates["rows"]}
    assert architecture in (run / "sae/L0/cfg.json").read_text()


def test_a_transcoder_is_interpreted_but_neither_steered_nor_contrasted(asked, tmp_path):
    run, without = tmp_path / "run", ("contrast.source=''", "contrast.target=''")
    run_of(asked, run, "train.target_layer=1", *without)
    (why,) = json.loads((run / "steer/absent.json").read_text()).values()
    assert "read after block 0 and written after block 1" in why
    assert "steer an autoencoder that was trained on block 1" in why
    assert (run / "programs/genes.h5ad").is_file()
    assert why in page(run)
    with pytest.raises(ModelError, match="transcoder"):
        continue_run(run, "contrast", config_of(asked, "train.target_layer=1"), bar, lambda text: None)
