"""E2: drawn genes are as frequent and as often detected as the observed ones."""

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from cellprism.enrich.matched_lists import Levels, gene_levels, matched_groups, matched_lists, matched_table
from cellprism.enrich.nulls import null_rates
from cellprism.enrich.random_lists import gene_table
from cellprism.errors import ConfigError

GENES = [f"G{i}" for i in range(401)]


@pytest.fixture(scope="module")
def cells() -> AnnData:
    """Genes of many levels; every seventh is of few cells, and high there."""
    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(-0.5, 1.2, size=401)) * np.ones((151, 401))
    rate[:, ::7] = np.where(rng.random((151, 58)) < 0.1, 10 * rate[:, ::7], 0)
    found = AnnData(sp.csr_matrix(rng.poisson(rate).astype(np.float32)))
    found.var_names = GENES
    return found


@pytest.fixture(scope="module")
def lists(cells) -> dict[str, list[str]]:
    """Of frequent genes, of rare ones, and of those of few cells."""
    order = np.argsort(gene_levels(cells, GENES).mean)
    few = [gene for gene in GENES[::7] if gene_levels(cells, [gene]).mean[0] > 0.2]
    named = {"frequent": order[-40:-2:2], "rare": order[5:60:2]}
    return {name: [GENES[i] for i in some] for name, some in named.items()} | {"few": few[:17]}


def off(cells: AnnData, lists: dict, drawn: list[dict]) -> float:
    """How far the mean level or the mean detection of any list lies from the observed one's, as a share of it."""
    levels, place = gene_levels(cells, GENES), {gene: i for i, gene in enumerate(GENES)}
    found = []
    for name, genes in lists.items():
        for values in levels:
            observed = np.mean([values[place[gene]] for gene in genes])
            found.append(np.mean([[values[place[gene]] for gene in one[name]] for one in drawn]) / observed - 1)
    return float(np.abs(found).max())


def test_draws_are_matched_in_mean_and_in_detection(cells, lists):
    assert off(cells, lists, [matched_lists(lists, cells, GENES, seed) for seed in range(20)]) < 0.15


@pytest.mark.parametrize("broken", ["mean", "detected"])
def test_a_match_on_one_of_the_two_alone_is_not_one(cells, lists, broken):
    """Genes of few cells are the proof: with detection or level left out, their stand-ins lie elsewhere."""
    levels = gene_levels(cells, GENES)
    shuffled = np.random.default_rng(1).permutation(getattr(levels, broken))
    group = matched_groups(levels._replace(**{broken: shuffled}))
    place = {gene: i for i, gene in enumerate(GENES)}
    drawn = [matched_table(gene_table(lists.values(), place), group, seed).named(lists, GENES) for seed in range(20)]
    assert off(cells, lists, drawn) > 0.3


def test_sizes_and_what_lists_share_are_kept_and_genes_change(cells, lists):
    both = {**lists, "half": [*lists["frequent"][:9], *lists["rare"][:5], "elsewhere"]}
    drawn = matched_lists(both, cells, GENES, 3)
    assert {name: len(set(genes)) for name, genes in drawn.items()} == {
        name: len(set(genes) - {"elsewhere"}) for name, genes in both.items()
    }
    assert len(set(drawn["half"]) & set(drawn["frequent"])) == 9
    assert len(set(drawn["frequent"]) & set(lists["frequent"])) < len(lists["frequent"]) / 2
    assert drawn == matched_lists(both, cells, GENES, 3)
    assert drawn != matched_lists(both, cells, GENES, 4)


def test_groups_hold_at_least_twenty_where_there_are_as_many():
    rng = np.random.default_rng(2)
    levels = Levels(rng.random(137), rng.random(137))
    assert np.bincount(matched_groups(levels)).min() >= 20
    assert set(matched_groups(Levels(*(values[:7] for values in levels)))) == {0}


def test_it_is_a_null_by_name_that_needs_cells(cells, lists):
    terms = {"frequent": lists["frequent"], "other": GENES[:30]}
    found = null_rates(lists, terms, GENES, cells, nulls=("matched",), replicates=19).summary.set_index("measure")
    row = found.loc["annotated_rate"]
    assert row["mean"] < row["observed"]
    with pytest.raises(ConfigError, match="the matched null takes means of genes over cells; pass cells"):
        null_rates(lists, terms, GENES, nulls=("matched",))
