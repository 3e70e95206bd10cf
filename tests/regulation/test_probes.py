"""Inputs set and hidden genes read, where every effect is a weight."""

import numpy as np
import pytest
import torch

from cellprism.errors import ModelError
from cellprism.models.aido.model import AidoCell
from cellprism.regulation.probes import (
    Probe,
    committee_effects,
    folds_of,
    input_doses,
    input_effects,
    lacks_probe,
    shown_cells,
)
from cellprism.regulation.token_edits import ADDED, MULTIPLIED, Features, edit_effects, feature_doses, lacks_edits
from cellprism.simulate.linear_model import LinearCell
from cellprism.simulate.wired_model import WiredCell, wired_cells, wired_sae
from cellprism.steering.intervene import encode_site

GENES, CELLS = 23, 5


@pytest.fixture(scope="module")
def wired():
    wiring = np.random.default_rng(0).standard_normal((GENES, GENES))
    np.fill_diagonal(wiring, 0)
    return WiredCell(wiring), wired_cells(GENES, CELLS, 1), wiring


def probe_of(model, cells, size: int = 7, genes=None) -> Probe:
    genes = list(genes or model.genes)
    return Probe(model, shown_cells(model, cells, genes), genes, genes, folds_of(genes, 0), size)


def test_a_dose_moves_every_other_gene_by_its_weight(wired):
    model, cells, wiring = wired
    doses = input_doses(model, cells, model.genes, (0.5, 1.0), 3)
    counts = cells.X.toarray()
    np.testing.assert_allclose(doses[:, 1], counts.max(axis=0))
    found = input_effects(probe_of(model, cells), doses)
    off = ~np.eye(GENES, dtype=bool)
    for d in range(2):
        np.testing.assert_allclose(found.dose[d][off], (doses[:, d][:, None] * wiring)[off], rtol=1e-4, atol=1e-4)
        assert np.isnan(np.diag(found.dose[d])).all()
    own = np.where(counts > 0, counts, np.nan)
    np.testing.assert_allclose(found.deletion[off], (np.nanmean(own, axis=0)[:, None] * wiring)[off], atol=1e-4)


def test_passes_of_any_size_say_the_same_and_all_rows_are_told(wired):
    model, cells, _ = wired
    doses = input_doses(model, cells, model.genes, (0.9,), 16)
    told: list[int] = []
    one = input_effects(probe_of(model, cells, 3), doses, told.append)
    other = input_effects(probe_of(model, cells, 500), doses)
    np.testing.assert_allclose(one.dose, other.dose, atol=1e-5)
    rows, _ = probe_of(model, cells).single(doses)
    assert sum(told) == 2 * len(rows.cell)


def test_a_gene_that_is_read_is_hidden_but_for_the_one_that_is_set(wired):
    model, cells, _ = wired
    seen = []

    class Watching(WiredCell):
        def residual(self, batch, layer):
            seen.append((batch.values == -1).clone())
            return super().residual(batch, layer)

    watched = Watching(model.wiring.numpy())
    probe = probe_of(watched, cells, 1)
    probe.read(probe.single(input_doses(model, cells, model.genes, (0.9,), 16))[0])
    hidden = torch.cat(seen).sum(dim=1)
    assert set(hidden.tolist()) <= {GENES // 2 - 1, GENES // 2, GENES // 2 + 1}


def test_a_gene_that_no_cell_expresses_has_no_dose_and_no_effect(wired):
    model, cells, _ = wired
    silent = cells.copy()
    silent.X = cells.X.toarray()
    silent.X[:, 3] = 0
    doses = input_doses(model, silent, model.genes, (0.9,), 16)
    assert np.isnan(doses[3, 0])
    found = input_effects(probe_of(model, silent), doses)
    assert np.isnan(found.dose[0][3]).all()
    assert np.isnan(found.deletion[3]).all()
    assert not np.isnan(found.dose[0][4][[0, 1, 3]]).any()


def test_members_of_a_committee_add_up(wired):
    model, cells, wiring = wired
    doses = input_doses(model, cells, model.genes, (0.9,), 16)[:, 0]
    sets = np.array([[0, 1, 2], [5, 6, -1]])
    moved = committee_effects(probe_of(model, cells), sets, doses, 9)
    expected = [doses[[0, 1, 2]] @ wiring[[0, 1, 2], 9], doses[[5, 6]] @ wiring[[5, 6], 9]]
    np.testing.assert_allclose(moved, expected, rtol=1e-4)


@pytest.mark.parametrize("visible", [True, False])
def test_an_edit_of_one_token_moves_others_by_their_weight(wired, visible):
    model, cells, wiring = wired
    sae, probe = wired_sae(), probe_of(model, cells)
    features = Features(0, lambda x, batch: encode_site(sae, x, batch), sae.W_dec)
    found = edit_effects(probe, features, 2.0, visible)
    mean = cells.X.toarray().mean(axis=0)
    known = ~np.isnan(found[MULTIPLIED])
    assert not known.diagonal().any()
    assert known.sum() == GENES * (GENES - 1) if visible else 0 < known.sum() < GENES * (GENES - 1)
    np.testing.assert_allclose(found[MULTIPLIED][known], (2 * mean[:, None] * wiring)[known], rtol=1e-4, atol=1e-4)
    ratio = found[ADDED][known] / wiring[known]
    expressed = np.broadcast_to((cells.X.toarray() > 0).mean(axis=0)[:, None], known.shape)[known]
    assert np.corrcoef(ratio, expressed)[0, 1] > (0.99 if visible else 0.9)  # a pass has its own size of a push


def test_a_feature_turned_by_itself_moves_by_its_strength(wired):
    model, cells, wiring = wired
    sae = wired_sae()
    features = Features(0, lambda x, batch: encode_site(sae, x, batch), sae.W_dec)
    rows = feature_doses(probe_of(model, cells), features, (-2.0, 5.0), 4, [9, 2])
    counts = cells.X.toarray()[:, 4]
    assert [(row["feature"], row["read"]) for row in rows] == [(0, 9), (0, 2), (0, 9), (0, 2)]
    assert rows[0]["cells"] == (counts > 0).sum()
    expected = counts[counts > 0].mean() * wiring[4, [9, 2]]
    assert [row["effect"] for row in rows] == pytest.approx([*(-3 * expected), *(4 * expected)], rel=1e-3)


def test_who_cannot_be_asked_says_why(wired):
    model, cells, _ = wired
    assert lacks_probe(model) == ""
    assert "does not predict amounts of genes that it reads one by one" in lacks_probe(LinearCell())
    assert "last block" in lacks_edits(3, 2)
    assert lacks_edits(3, 1) == ""

    class Ragged(WiredCell):
        def batches(self, adata, size):
            for batch in super().batches(adata, size):
                yield type(batch)(batch.values, batch.gene.expand(len(batch.values), -1), batch.present, batch.cell)

    with pytest.raises(ModelError, match="reads other genes in every cell"):
        shown_cells(Ragged(model.wiring.numpy()), cells, model.genes)


def test_a_transformer_answers_some_genes_as_it_answers_all():
    genes = [f"G{i}" for i in range(GENES)]
    model, cells = (
        AidoCell.random(genes, hidden=8, layers=2, heads=2, intermediate=12, seed=1),
        wired_cells(GENES, 3, 2),
    )
    doses = input_doses(model, cells, genes, (0.9,), 16)
    fast = input_effects(probe_of(model, cells, 16, genes), doses)

    class Slow:
        """The same without the shortcut."""

        def __init__(self):
            for name in ("tokens", "predicts", "genes", "batches", "residual", "resume", "mask", "name"):
                setattr(self, name, getattr(model, name))

    slow = input_effects(probe_of(Slow(), cells, 16, genes), doses)
    np.testing.assert_allclose(fast.dose, slow.dose, atol=1e-6)
    assert np.nanstd(fast.dose) > 1e-6


def test_a_model_that_fills_in_absent_genes_is_shown_all_of_them():
    genes = [f"G{i}" for i in range(GENES)]
    whole = AidoCell.random(genes, hidden=8, layers=2, heads=2, intermediate=12, seed=1, gene_subset=False)
    part = AidoCell.random(genes, hidden=8, layers=2, heads=2, intermediate=12, seed=1)
    cells = wired_cells(GENES, 3, 2)
    assert (shown_cells(whole, cells, genes[:5]).values > 0).sum() > (
        shown_cells(part, cells, genes[:5]).values > 0
    ).sum()
    assert int((shown_cells(part, cells, genes[:5]).gene >= 0).sum()) == 5
