"""The model of two donors that comes with the package: its genes, its card, and what it says where."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellprism.cells.read import read_cells
from cellprism.equations.agreement import gene_correlations
from cellprism.models.aido.assess import expression_of, predict_masked
from cellprism.models.aido.files import CONFIG, GENES, WEIGHTS
from cellprism.models.aido.model import AidoCell
from cellprism.models.registry import load_model, model_location

FOLDER = Path(model_location("pbmc2"))
INTERFERON = "ISG15 ISG20 IFI6 IFI27 IFI35 IFI44L IFIT1 IFIT2 IFIT3 IRF7 MX1 MX2 OAS1 OAS2 OAS3 STAT1 CXCL10".split()


@pytest.fixture(scope="module")
def pbmc2() -> AidoCell:
    return load_model("pbmc2")


@pytest.fixture(scope="module")
def cells(pbmc2):
    """The 700 bundled cells, of another donor and chemistry than those it was trained on."""
    return read_cells("bundled:pbmc68k", model=pbmc2)


def test_it_is_small_and_reads_at_least_3000_genes(pbmc2):
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8_000_000
    assert len(pbmc2.genes) >= 3000
    assert sorted(p.name for p in FOLDER.iterdir()) == sorted([WEIGHTS, CONFIG, GENES, "README.md"])


def test_it_knows_all_genes_of_the_bundled_cells_those_of_mini_and_of_the_interferon_response(pbmc2, cells):
    assert cells.shape == (700, 765)
    known = {*pbmc2.genes, *pbmc2.gene_table.alias}
    assert set(cells.var_names) <= known
    assert [gene for gene in INTERFERON if gene not in known] == []
    assert len(set(load_model("mini").genes) - known) <= 40  # what one of the two data sets does not measure


def test_150_factors_have_ten_targets_among_its_genes(pbmc2, test_data):
    edges = pd.read_csv(test_data / "collectri_human.csv.gz")
    known = {*pbmc2.genes, *pbmc2.gene_table.alias}
    there = edges[edges["source"].isin(known) & edges["target"].isin(known)]
    targets = Counter(there.drop_duplicates(["source", "target"])["source"])
    assert sum(count >= 10 for count in targets.values()) >= 150


def test_its_card_says_what_it_was_made_from_and_how(pbmc2):
    card = pbmc2.card
    assert {"data", "licence", "command", "settings", "curve", "limits", "assessment"} <= card.keys()
    assert card["trained_at"] == "visible"
    assert card["settings"]["objective"] == "split"
    assert card["curve"][-1]["step"] == card["settings"]["steps"]
    assert card["curve"][-1]["held_out_loss"] < card["curve"][0]["held_out_loss"]
    assert pbmc2.revision == f"sha256:{hashlib.sha256((FOLDER / WEIGHTS).read_bytes()).hexdigest()[:16]}"


def test_what_it_says_follows_the_counts_where_it_sees_and_where_it_does_not(pbmc2, cells):
    few = cells[np.random.default_rng(0).choice(cells.n_obs, 211, replace=False)].copy()
    hidden = np.random.default_rng(1).random(few.n_vars) < 0.3
    counted = expression_of(pbmc2, few)
    for mask, genes in ((hidden, hidden), (np.zeros_like(hidden), ~hidden)):
        said = predict_masked(pbmc2, few, mask)[:, genes]
        truth = counted[:, genes]
        found = gene_correlations(said, truth, np.full((1, len(few)), 1 / len(few)))
        assert np.nanmedian(found) > 0.1
    said = predict_masked(pbmc2, few, hidden)[:, hidden]
    truth = counted[:, hidden]
    assert ((said - said.mean(0) - truth + truth.mean(0)) ** 2).mean() < ((truth - truth.mean(0)) ** 2).mean()


def test_the_page_beside_the_weights_quotes_what_was_measured(pbmc2):
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    judged = json.loads((Path(__file__).parents[3] / "dev" / "blood" / "judged.json").read_text())
    figures = [judged["hidden genes"][name]["model"]["over training means"] for name in judged["hidden genes"]]
    assert [figure for figure in figures if figure not in page] == []
    assert pbmc2.licence in page
