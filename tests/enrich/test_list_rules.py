"""Rules by which a feature becomes a list of genes."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from cellprism.enrich.list_rules import (
    RULES,
    Directions,
    as_cells,
    cut_lists,
    own_sizes,
    ranked_lists,
    sizes_like,
    standardised,
)
from cellprism.equations.footprint import participation_ratio

GENES = tuple(f"G{i}" for i in range(31))


@pytest.fixture
def found() -> Directions:
    """Three features strong at four genes of their own, at a gene where all are strong, and one that never fires."""
    rng = np.random.default_rng(0)
    mean = rng.random((4, 31)) * 0.1
    mean[:3, 30] = 9.0
    for f in range(3):
        mean[f, 4 * f : 4 * f + 4] = 2.0
    mean[3] = 0
    largest = mean.copy()
    largest[:3, 20:23] = 20.0
    table = AnnData(mean, obs=pd.DataFrame({"firing_rate": [0.2, 0.2, 0.2, 0.0]}, index=list("abcd")))
    table.var_names, table.layers["max"] = list(GENES), largest
    activity = rng.random((53, 4))
    counts = rng.poisson(3, size=(53, 31)).astype(np.float32)
    counts[:, 12:16] += np.rint(20 * activity[:, [0]])
    adata = AnnData(sp.csr_matrix(counts))
    adata.obs_names, adata.var_names = [f"c{i}" for i in range(53)], list(GENES)
    return Directions(table, as_cells(activity, list("abcd"), adata), adata)


def test_each_rule_ranks_by_what_it_says(found):
    tops = {by: ranked_lists(found, by, GENES, 5)[0] for by in ("mean", "maximum", "standardised", "correlation")}
    assert set(tops["mean"]["a"]) == {"G30", "G0", "G1", "G2", "G3"}
    assert {"G20", "G21", "G22"} <= set(tops["maximum"]["a"])
    assert set(tops["standardised"]["a"][:4]) == {"G0", "G1", "G2", "G3"}
    assert set(tops["correlation"]["a"][:4]) == {"G12", "G13", "G14", "G15"}
    assert all("d" not in tops[by] for by in ("mean", "maximum", "standardised"))


def test_ratios_are_over_the_background_and_of_directions_that_fire(found):
    few = GENES[:12]
    lists, ratio = ranked_lists(found, "mean", few, 12)
    assert {gene for genes in lists.values() for gene in genes} <= set(few)
    np.testing.assert_allclose(list(ratio.values()), participation_ratio(found.genes.X[:3, :12]))
    assert ranked_lists(found, "correlation", few, 12)[1] == {}


def test_what_directions_do_not_have_makes_no_lists(found):
    bare = Directions(None, found.cells, found.counts)
    assert ranked_lists(bare, "mean", GENES, 5) == ({}, {})
    assert ranked_lists(Directions(found.genes, None, found.counts), "correlation", GENES, 5) == ({}, {})
    del found.genes.layers["max"]
    assert ranked_lists(found, "maximum", GENES, 5) == ({}, {})


def test_a_gene_at_which_all_are_strong_alike_stands_out_nowhere():
    F = np.array([[5.0, 1.0, 0.0], [5.0, 3.0, 0.0], [5.0, 0.0, 0.0]])
    z = standardised(F)
    assert (z[:, [0, 2]] == 0).all()
    assert z[1, 1] == pytest.approx((3 - 4 / 3) / np.std([1, 3, 0]))
    assert z[2, 1] == 0


def test_a_controls_lists_are_as_long_as_the_features():
    rng = np.random.default_rng(1)
    ours, ratio = rng.integers(3, 90, size=101), {str(i): float(r) for i, r in enumerate(1000 * rng.random(101))}
    sizes = sizes_like(ours, ratio)
    assert sorted(sizes.values()) == sorted(ours.tolist())
    ranked = sorted(ratio, key=ratio.get)
    assert [sizes[name] for name in ranked] == sorted(ours.tolist())
    fewer = sizes_like(ours, dict(list(ratio.items())[:17]))
    assert np.mean(list(fewer.values())) == pytest.approx(ours.mean(), rel=0.1)
    assert own_sizes({"a": 3.6, "b": 0.2}) == {"a": 4, "b": 0}


def test_lists_that_are_too_short_are_left_out():
    lists = {"a": ("A", "B", "C"), "b": ("A",), "c": ()}
    assert cut_lists(lists, 2) == {"a": ("A", "B")}
    assert cut_lists(lists, {"a": 1, "b": 1, "c": 0}) == {"a": ("A",), "b": ("A",)}


def test_rules_of_one_length_say_it():
    assert {name: rule.size for name, rule in RULES.items()} == {
        "participation": None, "top20": 20, "top50": 50, "maximum": 20, "standardised": 20, "correlation": 20,
    }  # fmt: skip
