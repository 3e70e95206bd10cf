"""Steered features beside those of random dictionaries, on cells and a model whose every effect is known.

Cells have programs of their own genes; the model is linear (``simulate.linear_model``) and knows everything, so that an
edit moves genes by its direction. The planted autoencoder has one feature a program, and features of nothing. In the
other world nothing is planted: dictionaries that nobody trained are judged as if they were autoencoders.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy.stats import binom

from cellprism.enrich.over_representation import over_representation
from cellprism.enrich.programs import best_features, program_features
from cellprism.equations.effects import permutation_p
from cellprism.features.collect import feature_statistics
from cellprism.features.dictionaries import TokenSample, control_dictionary
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.simulate.linear_model import COUNTS_OF_ONE, LEVEL, LinearCell, as_counts, linear_sae
from cellprism.steering.dose import dose_sweep
from cellprism.steering.dose_nulls import Beside
from cellprism.steering.settings import CONTROL, LIST, DoseSettings
from cellprism.studies.programs.gene_lists import firing_lists
from cellprism.studies.steer.beside import Described, controls_of

GENES, PROGRAMS, SIZE, FEATURES, CELLS = 91, 13, 5, 41, 151
DICTIONARIES, FEW = 6, 5
NAMES = [f"G{i}" for i in range(GENES)]
COLLECTION = {f"program {p}": NAMES[p * SIZE : (p + 1) * SIZE] for p in range(PROGRAMS)}
SETTINGS = DoseSettings(matched_genes=3, batch_size=CELLS)
ALPHA = 0.05


@cache
def world() -> tuple[LinearCell, AnnData, SparseAutoencoder]:
    """The model, cells in each of which some programs are active, and the planted autoencoder."""
    rng = np.random.default_rng(3)
    model = LinearCell(GENES, GENES + 6)
    programs = np.zeros((PROGRAMS, GENES))
    for p in range(PROGRAMS):
        programs[p, p * SIZE : (p + 1) * SIZE] = rng.uniform(0.7, 1.3, SIZE)
    activity = rng.gamma(2, 1, (CELLS, PROGRAMS)) * (rng.random((CELLS, PROGRAMS)) < 0.3)
    y = LEVEL + activity @ programs + 0.3 * rng.standard_normal((CELLS, GENES))
    adata = AnnData(as_counts(y))
    adata.var_names, adata.obs_names = NAMES, [f"cell{i}" for i in range(CELLS)]
    nothing = rng.standard_normal((FEATURES - PROGRAMS, GENES))
    return model, adata, replace(linear_sae(model, np.concatenate([programs, nothing])), k=4)


@cache
def sample() -> TokenSample:
    """The residuals of all cells."""
    model, adata, _ = world()
    (batch,) = model.batches(adata, CELLS)
    return TokenSample(model.residual(batch, 0)[:, 0], torch.full((CELLS,), -1), batch.cell)


@cache
def described(seed: int) -> tuple[SparseAutoencoder, Described]:
    """A random dictionary, or the planted autoencoder where the seed is negative, with lists and programs."""
    model, adata, sae = world()
    dictionary = sae if seed < 0 else control_dictionary("covariance", sample(), sae, seed)
    genes = feature_statistics(model, dictionary, adata, 0).genes
    lists = firing_lists(genes, tuple(NAMES))
    return dictionary, Described(lists, over_representation(lists, COLLECTION, NAMES), genes)


def swept(seed: int, others: list[int], programs: int = PROGRAMS, low: bool = False, controls_low: bool = False):
    """The best features of the first programs, turned up and down beside those of other dictionaries; ``low``: as if
    they, or their controls, were strong where their genes are low."""
    model, adata, _ = world()
    dictionary, own = described(seed)
    best = best_features(own.table, COLLECTION, own.genes, ALPHA)
    terms = {int(best[term]): term for term in list(COLLECTION)[:programs] if term in best}
    there = [described(other) for other in others]
    if controls_low:
        there = [(made, replace(one, low=frozenset(one.lists))) for made, one in there]

    def beside(features):
        controls = {
            f: controls_of([d for _, d in there], COLLECTION, set(NAMES), ALPHA, True, terms[f]) for f in features
        }
        same = {f: own.matching(terms[f], ALPHA) for f in features}
        lists = {f: [genes for n, genes in own.lists.items() if n not in same[f] and genes] for f in features}
        return Beside([d for d, _ in there], controls, lists)

    found = dose_sweep(
        model, dictionary, adata, 0, {f: own.lists[str(f)] for f in terms}, beside=beside, settings=SETTINGS,
        low=list(terms) if low else (),
    )  # fmt: skip
    return terms, found


def ps(found, kind: str) -> dict[int, float]:
    """Two-sided p of each judged feature's response among draws of a kind."""
    judged = {row["feature"]: row["response"]["value"] for row in found.summary if row["status"] == "judged"}
    drawn = found.nulls[found.nulls["kind"] == kind].groupby("feature")["response"]
    return {f: permutation_p(judged[f], rows.to_numpy()) for f, rows in drawn}


@pytest.fixture(scope="module")
def planted():
    return swept(-1, list(range(DICTIONARIES)), FEW)


def test_planted_features_move_their_genes_beyond_all_controls(planted):
    terms, found = planted
    assert set(terms) == set(range(FEW))
    p = ps(found, CONTROL)
    assert np.mean([p[f] <= 0.05 for f in terms]) >= 0.8
    lists = found.nulls[found.nulls["kind"] == LIST].groupby("feature")["response"].max()
    assert (lists[list(terms)] < 1e-3).all()
    assert (found.nulls[found.nulls["kind"] == CONTROL].groupby("feature").size() == 39).all()


def test_features_that_are_strong_where_their_genes_are_low_are_judged_by_how_they_lower_them(planted):
    _, found = planted
    _, turned = swept(-1, list(range(DICTIONARIES)), FEW, low=True, controls_low=True)
    for one, other in zip(found.summary, turned.summary, strict=True):
        assert (one["direction"], other["direction"]) == (1, -1)
        assert other["response"]["value"] == pytest.approx(-one["response"]["value"])
        assert other["direct"] == pytest.approx(-one["direct"])
    for kind in (CONTROL, LIST):
        before, after = (each.nulls[each.nulls["kind"] == kind]["response"] for each in (found, turned))
        np.testing.assert_allclose(after, -before)
        assert ps(turned, kind) == ps(found, kind)
    np.testing.assert_allclose(turned.doses["response"], found.doses["response"])


def test_a_control_counts_in_its_own_direction(planted):
    _, found = planted
    _, turned = swept(-1, list(range(DICTIONARIES)), FEW, controls_low=True)
    before, after = (each.nulls.groupby("kind")["response"] for each in (found, turned))
    np.testing.assert_allclose(after.get_group(CONTROL), -before.get_group(CONTROL))
    np.testing.assert_allclose(after.get_group(LIST), before.get_group(LIST))


@pytest.mark.slow
def test_features_that_nobody_trained_are_called_as_often_as_the_level_says():
    """Each dictionary in turn stands for an autoencoder, beside others."""
    last, p = 2 * DICTIONARIES, []
    for seed in range(last):
        _, found = swept(seed, [(seed + 1 + i) % last for i in range(DICTIONARIES)])
        p += ps(found, CONTROL).values()
    called = sum(one <= 0.05 for one in p)
    assert len(p) >= 90
    assert called <= binom.ppf(0.995, len(p), 0.05)
    assert 0.3 < np.mean(p) < 0.7


def test_a_control_moves_its_own_genes_at_the_feature_s_edit_norm(planted):
    """By hand: an edit moves gene g of a cell by (alpha - 1) z W E_g."""
    _, found = planted
    model, adata, _ = world()
    x, rows = sample().x, model.rows.double().numpy()
    level = adata.to_df().mean().to_numpy() / COUNTS_OF_ONE
    drawn = found.nulls[(found.nulls["kind"] == CONTROL) & (found.nulls["feature"] == 3)]
    sae, _ = described(-1)
    size = root_mean_square(sae, x, 3)
    for row in drawn.head(7).itertuples():
        dictionary, own = described(row.dictionary)
        f = row.matched_control
        z = dense(dictionary, x)[:, f]
        moved = 4 * size / root_mean_square(dictionary, x, f) * z[z > 0].mean() * dictionary.W_dec[f].double().numpy()
        effect = moved @ rows.T
        genes = [NAMES.index(g) for g in own.lists[str(f)]]
        known = genes + [NAMES.index(g) for g in COLLECTION[row.program]]
        expected = effect[genes].mean() - matched(effect, level, genes, known)
        assert row.response == pytest.approx(expected, rel=0.02, abs=2e-3)


def dense(dictionary: SparseAutoencoder, x: torch.Tensor) -> np.ndarray:
    code = dictionary.encode(x)
    return torch.zeros(len(x), code.n_features).scatter_(1, code.features, code.values).double().numpy()


def root_mean_square(dictionary: SparseAutoencoder, x: torch.Tensor, feature: int) -> float:
    """Of an edit by one, over the cells in which a feature fires."""
    z = dense(dictionary, x)[:, feature]
    return float(np.sqrt((z[z > 0] ** 2).mean()) * dictionary.W_dec[feature].norm())


def matched(effect: np.ndarray, level: np.ndarray, genes: list[int], known: list[int]) -> float:
    """Mean effect on three other genes of the nearest level for each."""
    others = np.setdiff1d(np.arange(GENES), known)
    return float(np.mean([effect[others[np.argsort(abs(level[others] - level[g]))[:3]]].mean() for g in genes]))


def test_a_control_is_the_best_feature_of_its_dictionary_for_its_program(planted):
    _, found = planted
    drawn = found.nulls[found.nulls["kind"] == CONTROL].drop_duplicates(["dictionary", "matched_control"])
    assert len(drawn) >= 39
    for row in drawn.itertuples():
        _, own = described(row.dictionary)
        best = program_features(own.table, COLLECTION, own.genes, own.lists, row.program)
        assert best.feature == str(row.matched_control)
        assert best.padj < ALPHA


def test_no_control_shares_the_program_of_the_feature_beside_which_it_stands(planted):
    terms, found = planted
    for row in found.nulls[found.nulls["kind"] == CONTROL].itertuples():
        table = described(row.dictionary)[1].table
        shared = table[(table["term"] == terms[row.feature]) & (table["feature"] == str(row.matched_control))]
        assert not (shared["padj"] < ALPHA).any()


def test_a_feature_asked_for_by_number_stands_beside_all_that_have_a_program_where_it_has_one():
    there = [described(0)[1]]
    labels = {c.feature: c.program for c in controls_of(there, COLLECTION, set(NAMES), ALPHA, False, "program 1")}
    chosen = controls_of(there, COLLECTION, set(NAMES), ALPHA, True, "program 1")
    assert {c.feature for c in chosen} < set(labels)
    assert all(labels.values())
    without = controls_of(there, COLLECTION, set(NAMES), ALPHA, False, "")
    assert {c.program for c in without} == {""}
    assert not {c.feature for c in without} & set(labels)
