"""The study on the tiny run, beside cells of another donor, and where it has nothing to compare."""

from dataclasses import replace

import numpy as np
import pytest
from workflow.tiny import bar

from cellprism.report.context import read_context
from cellprism.store.run import Run
from cellprism.studies.stability.claims import claims
from cellprism.studies.stability.page import section
from cellprism.studies.stability.settings import StabilitySettings
from cellprism.studies.stability.tables import GRADES
from cellprism.studies.stability.work import graded, work
from cellprism.studies.study import studies
from cellprism.studies.workbench import Workbench
from cellprism.workflow.config import config_of


@pytest.fixture
def bench(finished) -> Workbench:
    return Workbench(Run(finished), config_of(Run(finished)), bar)


def test_grades_are_those_of_half_of_the_trainings():
    fires = np.array([True, True, True, True, False])
    alone, together = np.array([0.5, 0.4, 0.4, 1.0, 1.0]), np.array([0.0, 0.5, 0.4, 1.0, 1.0])
    assert graded(fires, alone, together).tolist() == ["A", "B", "C", "A", ""]


def test_every_feature_that_fires_has_a_grade(finished):
    found = studies()["stability"].read(finished / "stability")
    agreement = found.agreement
    assert agreement is not None
    assert agreement.seeds == [0, 1, 2]
    assert (len(agreement.again.shares), agreement.elsewhere, agreement.cells) == (2, None, 11)
    assert sum(agreement.grades.values()) == agreement.firing == (found.features["grade"] != "").sum()
    counts = found.features["grade"].value_counts()
    assert agreement.grades == {grade: int(counts.get(grade, 0)) for grade in GRADES}
    assert found.features["feature"].tolist() == list(range(len(found.features)))
    assert found.features["found_elsewhere"].isna().all()


def test_few_draws_bar_the_claim(finished):
    found = studies()["stability"].read(finished / "stability")
    (claim,) = claims(found, read_context(finished))
    assert claim.verdict == "cannot be told here"
    assert "5 dictionaries drawn are too few" in claim.why


def test_trainings_on_the_run_s_own_cells_find_as_much_again_elsewhere(bench, finished):
    settings = StabilitySettings(seeds=3, cells=11, draws=39, other=str(finished / "cells.h5ad"))
    found = work(bench, settings)
    agreement = found.agreement
    assert agreement is not None
    assert agreement.elsewhere is not None
    assert len(agreement.elsewhere.shares) == 3
    assert agreement.elsewhere.shares[0] == 1  # the same seed on the same cells is the run's own
    assert agreement.elsewhere.mean_cosine > agreement.again.mean_cosine
    assert agreement.other.endswith("cells.h5ad")
    told = {claim.id: claim for claim in claims(found, read_context(finished))}
    assert set(told) == {"features-stable", "features-stable-elsewhere"}
    page = section(found, list(told.values()), read_context(finished))
    assert agreement.other in str(page.tables)
    assert len(page.tables[0].numbers.rows) == 2


def test_a_transcoder_is_not_compared_and_says_so(bench, finished):
    bench.sae = replace(bench.sae, is_transcoder=True)
    found = work(bench, StabilitySettings(seeds=2))
    assert found.agreement is None
    assert "transcoder" in section(found, [], read_context(finished)).absent
    (claim,) = claims(found, read_context(finished))
    assert claim.value is None
