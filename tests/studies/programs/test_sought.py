"""Programs looked for by name, in worlds where they are there, are not, or are found by chance."""

from dataclasses import replace

import numpy as np
import pytest
from anndata import AnnData
from scipy.stats import binom

from cellprism.enrich.over_representation import over_representation
from cellprism.errors import ConfigError
from cellprism.studies.programs import page as programs_page
from cellprism.studies.programs import sought as module
from cellprism.studies.programs.settings import ProgramsSettings
from cellprism.studies.programs.sought import sought

GENES = tuple(f"G{i}" for i in range(90))
SETTINGS = ProgramsSettings(sought=("cycle", "respirat", "nothing such"), replicates=39, min_term_size=3)


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    made = AnnData(rng.poisson(2.0, size=(60, len(GENES))).astype(np.float32))
    made.var_names = list(GENES)
    return made


@pytest.fixture(scope="module")
def collection():
    """Terms of twelve genes; the first genes are in most of them."""
    rng = np.random.default_rng(1)
    weight = np.linspace(4, 0.2, len(GENES)) ** 2
    names = ["Cell Cycle, early", "cell cycle, late", "Respiration", *(f"other {i}" for i in range(12))]
    chosen = [rng.choice(len(GENES), 12, replace=False, p=weight / weight.sum()) for _ in names]
    return {name: tuple(GENES[i] for i in some) for name, some in zip(names, chosen, strict=True)}


def found(lists, collection, cells, settings=SETTINGS, seed=0):
    table = over_representation(lists, collection, GENES, min_term_size=3)
    return {one.words: one for one in sought(lists, table, collection, GENES, cells, settings, seed)}


def popular_lists(rng, n=12, size=8):
    weight = np.linspace(4, 0.2, len(GENES)) ** 2
    drawn = [rng.choice(len(GENES), size, replace=False, p=weight / weight.sum()) for _ in range(n)]
    return {str(i): tuple(GENES[g] for g in some) for i, some in enumerate(drawn)}


def test_a_planted_program_is_found_with_its_feature_and_genes_and_a_name_without_terms_is_said(collection, cells):
    lists = popular_lists(np.random.default_rng(2)) | {"7": collection["cell cycle, late"][:8]}
    one = found(lists, collection, cells)
    assert (one["cycle"].terms, one["cycle"].term, one["cycle"].feature) == (2, "cell cycle, late", 7)
    assert set(one["cycle"].genes) == set(lists["7"])
    assert one["cycle"].chance == pytest.approx({"popularity": 1 / 40, "coexpression": 1 / 40})
    assert one["cycle"].padj < 0.05
    assert (one["nothing such"].terms, one["nothing such"].feature) == (0, None)


WORLDS = 60
FEWER = replace(SETTINGS, sought=("cycle",), replicates=19)


def rate_of_calls(collection, cells):
    rng, called = np.random.default_rng(3), []
    for world in range(WORLDS):
        one = found(popular_lists(rng), collection, cells, FEWER, seed=world)["cycle"]
        called.append(one.chance["popularity"] <= 0.1)
    return int(np.sum(called))


def test_lists_of_popular_genes_are_called_at_the_nominal_rate_and_fewer_lists_drawn_would_call_more(
    collection, cells, monkeypatch
):
    monkeypatch.setattr(module, "SOUGHT_NULLS", ("popularity",))
    allowed = binom.ppf(0.999, WORLDS, 0.1)
    assert rate_of_calls(collection, cells) <= allowed
    drawers = module.drawers

    def fewer(lists, *given):
        return drawers(dict(list(lists.items())[:1]), *given)

    monkeypatch.setattr(module, "drawers", fewer)
    assert rate_of_calls(collection, cells) > allowed


def test_a_name_that_no_list_shares_a_gene_with_and_no_names_at_all(collection, cells):
    inside = {gene for name, genes in collection.items() if "cycle" in name.casefold() for gene in genes}
    outside = tuple(gene for gene in GENES if gene not in inside)[:8]
    one = found({"0": outside}, collection, cells)["cycle"]
    assert (one.terms, one.feature, one.pvalue) == (2, None, 1.0)
    assert found({"0": outside}, collection, cells, replace(SETTINGS, sought=())) == {}


def test_empty_words_are_refused():
    with pytest.raises(ConfigError, match="sought"):
        ProgramsSettings(sought=("cycle", " "))


def test_the_page_says_what_was_found_and_what_was_not(page):
    programs = page.found["programs"]
    table = programs_page.sought_table(programs)
    rows = {row[0]: row for row in table.numbers.rows}
    assert rows["interferon"][1] == "Interferon response, type I"
    assert rows["interferon"][2] == "3"
    assert rows["germinal"][1] == "no term bears it"
    assert "Looked at" in table.caption
