"""The model that comes with the package: its genes, its card, and that it has learned something."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from cellprism.cells.read import read_cells
from cellprism.models.aido.assess import expression_of, nearest_genes, predict_masked
from cellprism.models.aido.files import CONFIG, GENES, WEIGHTS
from cellprism.models.aido.model import AidoCell
from cellprism.models.registry import load_model, model_location

MARKERS = """CD3D CD3E CD4 CD8A CD8B IL7R CCR7 LEF1 SELL FOXP3 IL2RA CTLA4 MS4A1 CD79A CD79B TCL1A CD19 NKG7 GNLY GZMB
    GZMK GZMA PRF1 KLRB1 KLRD1 NCAM1 LYZ CD14 S100A8 S100A9 FCN1 FCGR3A MS4A7 FCER1A CST3 CLEC10A CD1C IL3RA PPBP PF4
    HLA-DRA ISG15 IFI6 IFNG TBX21 CCL5 CXCR3 MKI67""".split()
FOLDER = Path(model_location("mini"))
METHODS = {"model", "ridge", "type mean", "gene mean"}


@pytest.fixture(scope="module")
def mini() -> AidoCell:
    return load_model("mini")


@pytest.fixture(scope="module")
def cells(mini):
    """The 700 bundled cells, of another donor than those it was trained on."""
    return read_cells("bundled:pbmc68k", model=mini)


def test_it_is_small_and_has_at_least_1500_genes_and_a_head(mini):
    assert (FOLDER / WEIGHTS).stat().st_size <= 8_000_000
    assert len(mini.genes) >= 1500
    assert mini.head is not None
    assert mini.config.gene_subset
    assert sorted(p.name for p in FOLDER.iterdir()) == sorted([WEIGHTS, CONFIG, GENES, "README.md"])


def test_it_knows_all_genes_of_the_bundled_cells(mini, cells):
    assert cells.shape == (700, 765)
    assert set(cells.var_names) <= set(mini.genes)


def test_it_knows_the_canonical_blood_markers(mini):
    assert [gene for gene in MARKERS if gene not in mini.genes] == []


def test_it_knows_every_target_of_TBX21_that_its_training_cells_show(mini, test_data):
    edges = pd.read_csv(test_data / "collectri_human.csv.gz")
    targets = set(edges.loc[edges["source"] == "TBX21", "target"])
    assert len(targets) == 54
    raw = read_h5ad(test_data / "pbmc3k_raw_labelled.h5ad")
    names = pd.read_csv(test_data / "pbmc3k_gene_map.tsv.gz", sep="\t").set_index("gene_id")["symbol_current"]
    seen = np.asarray((raw.X > 0).sum(0)).ravel() > 0
    detected = {*raw.var_names[seen], *names.reindex(raw.var["gene_ids"][seen]).dropna()}
    assert len(targets & detected) >= 40
    assert sorted(targets & detected - set(mini.genes) - set(mini.gene_table.alias)) == []


def test_its_card_says_what_it_was_made_from_and_how(mini):
    card = mini.card
    assert {"data", "licence", "command", "settings", "curve", "limits", "assessment"} <= card.keys()
    assert "CC" in card["licence"]
    assert "2,700" in card["data"]
    assert card["command"].startswith("cellprism pretrain ")
    assert isinstance(card["settings"]["seed"], int)
    assert card["settings"]["layers"] == mini.n_layers
    assert card["curve"][-1]["step"] == card["settings"]["steps"]
    assert card["curve"][-1]["held_out_error"] < card["curve"][0]["held_out_error"]
    assert len(card["limits"]) >= 3


def test_its_revision_is_the_checksum_of_its_weights(mini):
    checksum = hashlib.sha256((FOLDER / WEIGHTS).read_bytes()).hexdigest()
    assert mini.revision == f"sha256:{checksum[:16]}"


def test_its_card_measures_it_below_ridge_and_type_means(mini):
    masked = mini.card["assessment"]["masked"]
    assert set(masked["methods"]) == METHODS
    assert masked["test_cells"] >= 200
    mse = {name: figures["mse"] for name, figures in masked["methods"].items()}
    assert mse["model"] < mse["ridge"]
    assert mse["model"] < mse["type mean"]
    assert mse["model"] < mse["gene mean"]


def test_its_card_reads_cell_types_almost_as_well_as_raw_expression_does(mini):
    readout = {k: v["accuracy"] for k, v in mini.card["assessment"]["cell_types"]["readout"].items()}
    assert readout["residuals"] > readout["raw expression"] - 0.05
    assert readout["residuals"] > readout["untrained network"] + 0.1


def test_nearest_gene_embeddings_are_those_that_a_biologist_expects(mini):
    near = nearest_genes(mini, ("MS4A1", "CD79A", "GNLY", "LYZ", "PPBP"), count=10)
    assert {"CD79A", "CD79B"} & set(near["MS4A1"])
    assert {"MS4A1", "CD79B", "TCL1A"} & set(near["CD79A"])
    assert {"NKG7", "PRF1", "GZMB"} & set(near["GNLY"])
    assert {"S100A8", "S100A9", "CST3"} & set(near["LYZ"])
    assert {"PF4", "SDPR", "CAVIN2", "GNG11"} & set(near["PPBP"])


def test_on_cells_of_another_donor_it_predicts_hidden_genes_better_than_their_means(mini, cells):
    """A cell's own gene means are given the advantage: they are taken over the very cells that are scored."""
    few = cells[np.random.default_rng(0).choice(cells.n_obs, 211, replace=False)].copy()
    hidden = np.random.default_rng(1).random(few.n_vars) < 0.3
    truth = expression_of(mini, few)[:, hidden]
    predicted = predict_masked(mini, few, hidden)[:, hidden]
    assert ((predicted - truth) ** 2).mean() < ((truth.mean(0) - truth) ** 2).mean()


def test_the_page_beside_the_weights_quotes_the_cards_figures(mini):
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    masked, readout = (mini.card["assessment"][part] for part in ("masked", "cell_types"))
    figures = [masked["methods"][name]["of_gene_mean"] for name in ("model", "ridge", "type mean")]
    figures += [source["accuracy"] for source in readout["readout"].values()]
    assert [f"{figure:.3f}" for figure in figures if f"{figure:.3f}" not in page] == []
    assert mini.licence in page
