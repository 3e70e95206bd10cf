"""Agreement with the full table, planted truth, what each null is for, calibration of its p-value."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import binom

from cellprism.enrich.membership import term_table
from cellprism.enrich.nulls import NULLS, null_rates, score
from cellprism.enrich.over_representation import FAMILIES, Tails, annotated_rate, over_representation
from cellprism.errors import ConfigError

GENES = [f"G{i}" for i in range(211)]
LISTS_ONLY = ("uniform", "popularity", "gene_use")


@pytest.fixture
def collection():
    rng = np.random.default_rng(0)
    return {f"t{t}": [str(g) for g in rng.choice(GENES, rng.integers(5, 23), replace=False)] for t in range(53)}


@pytest.fixture
def planted(collection):
    """Each list holds six genes of a term and five others."""
    rng = np.random.default_rng(1)
    parts = [list(genes[:6]) for genes in collection.values() if len(genes) >= 6][:37]
    return {f"f{i}": [*dict.fromkeys(part + [str(g) for g in rng.choice(GENES, 5)])] for i, part in enumerate(parts)}


@pytest.fixture
def cells():
    rng = np.random.default_rng(2)
    counts = rng.poisson(rng.gamma(1, 2, size=211), (101, 211)).astype(np.float32)
    return AnnData(counts, var=pd.DataFrame(index=GENES), obs=pd.DataFrame(index=[str(i) for i in range(101)]))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fast_score_equals_what_the_full_table_says(planted, collection, family):
    terms = term_table(collection, GENES)
    found = score(planted.values(), terms, Tails(211), family)
    table = over_representation(planted, collection, GENES, family)
    significant = table[table["padj"] < 0.05]
    assert found.annotated.mean() == annotated_rate(table, len(planted))
    assert found.annotated.tolist() == [name in set(significant["feature"]) for name in planted]
    assert found.distinct_terms == significant["term"].nunique()
    shared = [set(planted[row.feature]) & set(collection[row.term]) for row in significant.itertuples()]
    assert found.covered_genes == len(set().union(*shared))


def test_planted_programs_exceed_every_null_with_an_interval_above_zero(planted, collection, cells):
    summary = null_rates(planted, collection, GENES, cells, seed=3).summary
    assert list(summary["null"].unique()) == list(NULLS)
    rates = summary[summary["measure"] == "annotated_rate"]
    assert (rates["observed"] > 0.7).all()
    assert (rates["mean"] < 0.25).all()
    assert (rates["excess_low"] > 0).all()
    np.testing.assert_allclose(rates["p_value"], 1 / 21)
    np.testing.assert_allclose(summary["excess"], summary["observed"] - summary["mean"])
    assert (summary["low"] <= summary["mean"]).all()
    assert (summary["mean"] <= summary["high"]).all()
    assert (summary["excess_low"] <= summary["excess"]).all()
    assert (summary["excess"] <= summary["excess_high"]).all()
    assert set(summary["n_lists"]) == {37}
    assert set(summary["mean_set_size"]) == {np.mean([len(genes) for genes in planted.values()])}


def test_summary_and_replicates_agree(planted, collection):
    found = null_rates(planted, collection, GENES, nulls=["uniform"], replicates=7)
    assert list(found.replicates["replicate"]) == list(range(7))
    for row in found.summary.itertuples():
        drawn = found.replicates[row.measure]
        assert row.mean == pytest.approx(drawn.mean())
        assert row.low == pytest.approx(np.percentile(drawn, 2.5))
        assert row.p_value == (1 + (drawn >= row.observed).sum()) / 8


def test_a_null_draws_the_same_lists_whichever_others_are_asked_for(planted, collection):
    alone = null_rates(planted, collection, GENES, nulls=["gene_use"], replicates=3).replicates
    among = null_rates(planted, collection, GENES, nulls=LISTS_ONLY, replicates=3).replicates
    among = among[among["null"] == "gene_use"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, among)


def test_lists_that_all_name_the_same_program_are_nothing_beside_gene_use_and_much_beside_uniform(collection):
    rng = np.random.default_rng(4)
    ribosome = collection["t0"][:8] if len(collection["t0"]) >= 8 else collection["t1"][:8]
    lists = {
        i: [*ribosome, *(g for g in rng.choice(GENES[100:], 3, replace=False) if g not in ribosome)] for i in range(31)
    }
    found = null_rates(lists, collection, GENES, nulls=LISTS_ONLY, seed=5).summary
    found = found[found["measure"] == "annotated_rate"].set_index("null")
    assert found.loc["uniform", "observed"] == 1
    assert found.loc["uniform", "mean"] < 0.1
    assert found.loc["gene_use", "mean"] > 0.95
    assert found.loc["gene_use", "p_value"] > 0.05


def test_the_p_value_of_random_lists_is_not_too_often_small(collection):
    rng = np.random.default_rng(6)
    pvalues = []
    for experiment in range(40):
        lists = {i: list(rng.choice(GENES, 11, replace=False)) for i in range(29)}
        found = null_rates(lists, collection, GENES, nulls=["uniform"], replicates=19, seed=experiment, alpha=0.3)
        pvalues.append(found.summary["p_value"].to_numpy())
    pvalues = np.array(pvalues)
    assert pvalues.shape == (40, 3)
    for level in (0.05, 0.1, 0.25, 0.5):
        assert ((pvalues <= level).sum(axis=0) <= binom.ppf(0.9999, 40, level)).all()
    assert (pvalues.mean(axis=0) < 0.75).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"nulls": ["permuted"]},
            "unknown null 'permuted'; choose from uniform, popularity, gene_use, coexpression",
        ),
        ({"nulls": ["coexpression"]}, "the co-expression null correlates genes over cells; pass cells"),
        ({"replicates": 0}, "1 lists and 0 replicates; there must be at least 1 of each"),
        ({"lists": {}}, "0 lists and 20 replicates"),
        ({"family": "any"}, "unknown family of tests 'any'"),
    ],
)
def test_mistakes_are_refused(collection, change, message):
    arguments = {"lists": {"a": ["G1"]}, "collection": collection, "background": GENES}
    with pytest.raises(ConfigError, match=message):
        null_rates(**(arguments | change))


def test_on_real_counts_and_the_gene_ontology_uniform_lists_stay_below_five_in_a_hundred(test_data):
    import anndata

    from cellprism.enrich.random_lists import coexpression_lists, coexpression_modules
    from cellprism.ontology.gmt import read_gmt

    adata = anndata.read_h5ad(test_data / "pbmc3k_raw_labelled.h5ad")
    adata = adata[:, np.asarray(adata.X.sum(axis=0)).ravel() > 1000].copy()
    collection = read_gmt(test_data / "GO_Biological_Process_2021.gmt.gz")
    lists = {i: tuple(adata.var_names[:23]) for i in range(101)}
    modules = coexpression_lists(lists, coexpression_modules(adata, adata.var_names, 23), adata.var_names, 8)
    found = null_rates(modules, collection, adata.var_names, nulls=["uniform"], replicates=3, min_term_size=3).summary
    assert found["mean"][0] < 0.05
    assert found["observed"][0] > 0.15
