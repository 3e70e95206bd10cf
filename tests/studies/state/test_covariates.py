"""What is known of the cells: from their genes, from usual columns, or said to be missing."""

import numpy as np
import pytest

from cellprism.errors import ConfigError
from cellprism.ontology.collection import Collection
from cellprism.studies.state.covariates import covariates
from studies.state.planted import CYCLE, cells

GENES = Collection("cycle", dict(CYCLE))


def test_shares_and_scores_come_from_genes_where_there_are_enough():
    known, absent = covariates(cells(), (), GENES)
    found = {c.name: c for c in known}
    assert list(found) == ["depth", "mitochondrial", "S phase", "donor"]
    assert found["mitochondrial"].origin == "share of counts in 6 genes"
    assert found["mitochondrial"].value[::2].min() > found["mitochondrial"].value[1::2].max()
    dividing = np.arange(61) % 3 == 0
    assert found["S phase"].value[dividing].mean() > found["S phase"].value[~dividing].mean() + 1
    assert found["donor"].value is None
    assert set(found["donor"].group) == {0, 1}
    assert absent == {
        "ribosomal": "these cells have 7 of its genes in the model, fewer than 20",
        "G2M phase": "these cells have 1 of its genes in the model, fewer than 10",
    }


def test_a_usual_column_stands_in_and_one_that_is_the_same_everywhere_says_nothing():
    some = cells()
    some.obs["G2M_score"] = np.arange(some.n_obs)
    some.obs["percent_ribo"] = np.nan
    some.obs["donor"] = "one"
    known, absent = covariates(some, (), GENES)
    found = {c.name: c.origin for c in known}
    assert found["G2M phase"] == "obs column 'G2M_score'"
    assert absent["donor"] == "the same in all of these cells (obs column 'donor')"
    assert "ribosomal" in absent


def test_named_columns_must_be_there_and_make_few_groups():
    some = cells()
    some.obs["age"] = np.linspace(20, 80, some.n_obs)
    known, _ = covariates(some, ("age",), GENES)
    assert known[-1].name == "age"
    assert known[-1].value is not None
    with pytest.raises(ConfigError, match="state.columns names 'batch', which obs does not have; it has total_counts"):
        covariates(some, ("batch",), GENES)
    some.obs["name"] = list(some.obs_names)
    with pytest.raises(ConfigError, match=r"obs\['name'\], named by state.columns, makes 61 groups"):
        covariates(some, ("name",), GENES)


def test_a_value_that_is_not_there_makes_no_group():
    some = cells()
    donor = some.obs["donor"].astype(object)
    donor[:9] = np.nan
    some.obs["donor"] = donor
    some.obs["batch"] = np.where(np.arange(some.n_obs) < 2, np.nan, 1.0 + np.arange(some.n_obs))
    known, absent = covariates(some, (), GENES)
    assert [c.name for c in known] == ["depth", "mitochondrial", "S phase"]
    assert absent["donor"] == "the column of obs has no value in 9 of 61 cells; fill them in, or leave it out"
    assert "no value in 2 of 61 cells" in absent["batch"]
    with pytest.raises(ConfigError, match=r"obs\['donor'\], named by state.columns, has no value in 9 of 61 cells"):
        covariates(some, ("donor",), GENES)


def test_a_usual_column_of_too_many_groups_is_said_to_be_missing():
    some = cells()
    some.obs["donor"] = list(some.obs_names)
    _, absent = covariates(some, (), GENES)
    assert absent["donor"].startswith("the column of obs makes 61 groups of cells")
