import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellprism.enrich.gene_sets import gene_sets
from cellprism.enrich.over_representation import over_representation
from cellprism.enrich.programs import program_features
from cellprism.ontology.gmt import read_gmt


@pytest.fixture(scope="module")
def blood():
    return read_gmt("blood")


@pytest.fixture(scope="module")
def F(blood):
    """Feature 1 is interferon, 2 is interferon diluted, 4 is B cell receptor, the others are noise."""
    rng = np.random.default_rng(0)
    genes = sorted({g for members in blood.values() for g in members})
    values = rng.gamma(0.5, 0.1, size=(7, len(genes)))
    matrix = AnnData(values, obs=pd.DataFrame(index=list("0123456")), var=pd.DataFrame(index=genes))
    for feature, term, n in (
        (1, "Interferon alpha and beta response", 40),
        (2, "Interferon gamma response", 15),
    ):
        matrix.X[feature, matrix.var_names.isin(blood[term][:n])] += 5
    matrix.X[4, matrix.var_names.isin(blood["B cell receptor signalling"])] += 5
    return matrix


@pytest.fixture(scope="module")
def lists(F):
    return gene_sets(F)


@pytest.fixture(scope="module")
def table(F, lists, blood):
    return over_representation(lists, blood, F.var_names)


def test_the_strongest_feature_is_found_by_a_word_with_its_genes_and_runners_up(table, blood, F, lists):
    found = program_features(table, blood, F, lists, "interferon")
    assert (found.feature, found.term) == ("1", "Interferon alpha and beta response")
    assert found.padj < 1e-20
    assert found.genes == tuple(g for g in lists["1"] if g in blood[found.term])
    assert set(found.genes) >= {"ISG15", "MX1", "IFI6"}
    assert found.share == pytest.approx(F["1", list(blood[found.term])].X.sum() / F["1"].X.sum())
    assert found.runners_up["feature"].tolist()[0] == "2"
    assert found.runners_up["feature"].is_unique
    assert found.runners_up["padj"].is_monotonic_increasing
    assert "are in 'Interferon alpha and beta response', padj" in found.why


def test_a_whole_name_asks_for_that_term_only_and_case_does_not_matter_for_words(table, blood, F, lists):
    assert program_features(table, blood, F, lists, "Interferon gamma response").feature == "2"
    assert program_features(table, blood, F, lists, "b CELL receptor").feature == "4"


def test_several_words_are_alternatives(table, blood, F, lists):
    found = program_features(table, blood, F, lists, ["nonsense", "B cell receptor"])
    assert found.feature == "4"
    assert found.program == "nonsense or B cell receptor"


def test_none_is_an_answer_with_its_reason(table, blood, F, lists):
    unknown = program_features(table, blood, F, lists, "photosynthesis")
    assert (unknown.feature, unknown.term, unknown.genes, unknown.padj) == (None, None, (), 1.0)
    assert unknown.why == "no term of the collection is named like 'photosynthesis'"
    absent = program_features(table, blood, F, lists, "platelets")
    assert absent.feature is None
    assert absent.why == "no feature is enriched for any of 1 matching terms at padj < 0.05"
    assert list(absent.runners_up) == ["feature", "term", "padj", "overlap", "share", "likeness"]
