from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix
from scipy.stats import chisquare

from cellprism.cells.expression import log1p_cp10k
from cellprism.enrich import random_lists
from cellprism.enrich.membership import term_table
from cellprism.enrich.random_lists import (
    ModulesOnce,
    coexpression_lists,
    coexpression_modules,
    gene_use_lists,
    popularity_lists,
    uniform_lists,
)
from cellprism.errors import ConfigError

GENES = [f"G{i}" for i in range(307)]
SIZES = [0, 1, 5, 13, 41, 41]


@pytest.fixture
def lists():
    rng = np.random.default_rng(0)
    made = {f"f{i}": [str(g) for g in rng.choice(GENES[:97], size, replace=False)] for i, size in enumerate(SIZES)}
    made["f3"] = [*made["f3"], "not in the background"]
    return made


@pytest.fixture
def collection():
    """Gene i is in more terms the smaller i is."""
    rng = np.random.default_rng(1)
    weight = 1 / np.arange(1, 308)
    return {f"t{t}": list(rng.choice(GENES, 19, replace=False, p=weight / weight.sum())) for t in range(101)}


@pytest.fixture
def cells():
    """Five planted programs of eleven genes each, the rest noise, one gene that never varies."""
    rng = np.random.default_rng(2)
    activity = rng.gamma(0.5, size=(401, 5))
    rate = np.full((401, 71), 1.5)
    for program in range(5):
        rate[:, program * 11 : (program + 1) * 11] += 6 * activity[:, [program]]
    counts = rng.poisson(rate).astype(np.float32)
    counts[:, 70] = 0
    obs = pd.DataFrame({"total_counts": 500.0}, index=[str(i) for i in range(401)])
    return AnnData(csr_matrix(counts), obs=obs, var=pd.DataFrame(index=GENES[:71]))


def test_every_null_keeps_the_sizes_of_the_lists_within_the_background(lists, collection, cells):
    wanted = {f"f{i}": size for i, size in enumerate(SIZES)}
    terms = term_table(collection, GENES)
    modules = coexpression_modules(cells, GENES, 41)
    for null in (
        uniform_lists(lists, GENES, 3),
        popularity_lists(lists, terms, 3),
        gene_use_lists(lists, GENES, 3),
        coexpression_lists(lists, modules, GENES, 3),
    ):
        assert {name: len(set(genes)) for name, genes in null.items()} == wanted
        assert {name: len(genes) for name, genes in null.items()} == wanted
        assert {g for genes in null.values() for g in genes} <= set(GENES)


def test_a_seed_gives_the_same_lists_again_and_another_seed_others(lists, collection, cells):
    terms, modules = term_table(collection, GENES), coexpression_modules(cells, GENES, 41)
    for draw in (
        lambda seed: uniform_lists(lists, GENES, seed),
        lambda seed: popularity_lists(lists, terms, seed),
        lambda seed: gene_use_lists(lists, GENES, seed),
        lambda seed: coexpression_lists(lists, modules, GENES, seed),
    ):
        assert draw(5) == draw(5)
        assert draw(5) != draw(6)


def test_uniform_lists_take_every_gene_equally_often(lists):
    drawn = Counter(g for seed in range(400) for g in uniform_lists({"a": GENES[:13]}, GENES[:29], seed)["a"])
    assert chisquare([drawn[g] for g in GENES[:29]]).pvalue > 1e-3


def test_popularity_lists_keep_what_any_two_lists_share(lists, collection):
    drawn = popularity_lists(lists, term_table(collection, GENES), 4)
    for a, b in combinations(lists, 2):
        shared = set(lists[a]) & set(lists[b]) - {"not in the background"}
        assert len(set(drawn[a]) & set(drawn[b])) == len(shared)


def test_popularity_lists_keep_each_lists_number_of_memberships_and_uniform_lists_do_not(lists, collection):
    terms = term_table(collection, GENES)
    popularity = dict(zip(terms.gene, np.asarray(terms.member.sum(axis=0)).ravel(), strict=True))
    observed = sum(popularity[g] for g in lists["f4"])
    matched = [sum(popularity[g] for g in popularity_lists(lists, terms, s)["f4"]) for s in range(50)]
    uniform = [sum(popularity[g] for g in uniform_lists(lists, GENES, s)["f4"]) for s in range(50)]
    assert np.mean(matched) == pytest.approx(observed, rel=0.1)
    assert np.mean(uniform) < 0.6 * observed


def test_popularity_lists_move_genes_only_among_neighbours_in_popularity(collection):
    terms = term_table(collection, GENES)
    popularity = dict(zip(terms.gene, np.asarray(terms.member.sum(axis=0)).ravel(), strict=True))
    matched_gene = popularity_lists({"all": GENES}, terms, 5)["all"]
    rank = {g: i for i, g in enumerate(sorted(GENES, key=lambda g: popularity[g]))}
    ties = Counter(popularity.values())
    assert sorted(matched_gene) == sorted(GENES)
    assert all(
        abs(rank[a] - rank[b]) < 20 + ties[popularity[a]] + ties[popularity[b]]
        for a, b in zip(GENES, matched_gene, strict=True)
    )
    assert np.mean([a == b for a, b in zip(GENES, matched_gene, strict=True)]) < 0.2


def test_gene_use_lists_keep_how_many_lists_hold_each_gene_and_break_who_stands_with_whom(lists):
    drawn = gene_use_lists(lists, GENES, 6)
    held = [Counter(g for genes in made.values() for g in genes if g in GENES) for made in (lists, drawn)]
    assert held[0] == held[1]
    assert 0 < len(set(drawn["f4"]) & set(lists["f4"])) < 41


def test_gene_use_lists_reach_every_arrangement_with_the_same_margins_equally_often():
    lists = {"a": ["A", "B", "E"], "b": ["C", "D", "E"]}
    drawn = Counter(frozenset(gene_use_lists(lists, "ABCDE", seed)["a"]) for seed in range(600))
    assert set(drawn) == {frozenset({"E", *pair}) for pair in combinations("ABCD", 2)}
    assert chisquare(list(drawn.values())).pvalue > 1e-3


def test_modules_hold_the_top_pearson_correlates_of_their_first_gene(cells):
    modules = coexpression_modules(cells, GENES, 11)
    correlation = np.corrcoef(log1p_cp10k(cells).toarray()[:, :70].T)
    assert modules.genes == tuple(GENES[:70])
    for gene, order in enumerate(modules.order):
        np.fill_diagonal(correlation, 2)
        assert order.tolist() == np.argsort(-correlation[gene], kind="stable")[:11].tolist()


def test_shorter_modules_are_the_beginning_of_longer_ones_where_genes_are_alike(cells):
    columns = csr_matrix(cells.X)[:, np.repeat(np.arange(12), 4)]
    alike = AnnData(columns, obs=cells.obs, var=pd.DataFrame(index=GENES[:48]))
    longest = coexpression_modules(alike, GENES, 48).order
    for size in range(1, 48):
        assert np.array_equal(coexpression_modules(alike, GENES, size).order, longest[:, :size])


def test_modules_are_made_once_for_cells_and_a_background_whatever_their_length(cells, monkeypatch):
    def made(adata, *given):
        calls.append(given)
        return coexpression_modules(adata, *given)

    calls, once, few = [], ModulesOnce(), cells[:100].copy()
    monkeypatch.setattr(random_lists, "coexpression_modules", made)
    for adata, genes, size, times in [
        (cells, GENES, 7, 1), (cells, GENES, 50, 1), (cells, GENES, 1, 1), (cells, GENES, 60, 2), (cells, GENES, 55, 2),
        (cells, GENES[:20], 9, 3), (few, GENES[:20], 9, 4), (few, GENES[:20], 20, 4),
    ]:  # fmt: skip
        found, wanted = once(adata, genes, size), coexpression_modules(adata, genes, size)
        assert found.genes == wanted.genes
        assert np.array_equal(found.order, wanted.order)
        assert len(calls) == times
    with pytest.raises(ConfigError, match="modules of 21 genes"):
        once(few, GENES[:20], 21)


def test_modules_find_planted_programs(cells):
    modules = coexpression_modules(cells, GENES, 11)
    planted = [set(order) == set(range(g // 11 * 11, g // 11 * 11 + 11)) for g, order in enumerate(modules.order[:55])]
    assert np.mean(planted) > 0.9


def test_coexpression_lists_start_from_every_gene_before_any_comes_twice(cells):
    modules = coexpression_modules(cells, GENES, 3)
    drawn = coexpression_lists(dict.fromkeys(range(80), GENES[:3]), modules, GENES, 7)
    starts = Counter(genes[0] for genes in drawn.values())
    assert len(starts) == 70
    assert max(starts.values()) == 2


def test_modules_are_refused_where_too_few_genes_vary(cells):
    with pytest.raises(ConfigError, match=r"modules of 20 genes need as many that vary.*has 12 in these cells"):
        coexpression_modules(cells, [*GENES[:12], "G70"], 20)
    with pytest.raises(ConfigError, match="a list has 13 genes, the modules 5"):
        coexpression_lists({"a": GENES[:13]}, coexpression_modules(cells, GENES, 5), GENES)
