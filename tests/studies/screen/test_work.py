"""The study on the tiny run: what it leaves, how it goes on, what its page says."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from workflow.tiny import bar

from cellprism.errors import ConfigError
from cellprism.report.context import read_context
from cellprism.store.run import Run
from cellprism.studies.files import read_h5ad
from cellprism.studies.screen import work as module
from cellprism.studies.screen.claims import claims
from cellprism.studies.screen.page import section
from cellprism.studies.screen.settings import ScreenSettings
from cellprism.studies.screen.tables import CARD_COLUMNS, EXACT, MATRIX, read, read_matrix
from cellprism.studies.screen.work import work
from cellprism.studies.workbench import Workbench
from cellprism.workflow.config import config_of


@pytest.fixture
def bench(finished, tmp_path) -> Workbench:
    folder = shutil.copytree(finished, tmp_path / "run")
    return Workbench(Run(folder), config_of(Run(folder)), bar)


def test_every_feature_that_fires_has_a_card_and_a_row_of_the_matrix(finished):
    found = read(finished / "screen")
    assert found.summary is not None
    assert found.cards is not None
    assert len(found.cards) == found.summary.live > 0
    assert set(CARD_COLUMNS) <= set(found.cards)
    matrix, exact = read_matrix(finished / "screen"), read_h5ad(finished / "screen" / EXACT)
    assert matrix.obs["feature"].tolist() == found.cards["feature"].tolist()
    assert matrix.n_vars == found.summary.genes
    assert sorted(set(exact.obs["strength"])) == [0.0, 2.0, 5.0]
    assert set(exact.obs["feature"]) == set(found.cards.loc[found.cards["passed"] != "", "feature"])
    assert not (finished / "screen" / ".shards").exists()
    assert found.summary.way in found.summary.operations
    assert all(cost.seconds >= 0 for cost in found.summary.costs)
    told = found.cards[["plausible_low", "plausible_high"]].notna().all(axis=1)
    assert told.tolist() == (found.cards["passed"] != "").tolist()
    assert (finished / "screen" / MATRIX).stat().st_size < 1 << 20


def test_numbers_of_the_cards_are_sums_over_the_matrix(finished):
    found, matrix = read(finished / "screen"), read_matrix(finished / "screen")
    reach = (np.abs(4 * matrix.X) >= found.summary.reach_from).sum(axis=1)
    assert found.cards["reach"].tolist() == reach.tolist()
    size = np.sqrt((matrix.X.astype(float) ** 2).mean(axis=1)) / found.cards["edit_size"]
    np.testing.assert_allclose(found.cards["effect"], size, rtol=1e-4)


def test_one_dictionary_beside_allows_no_verdict(finished):
    context = read_context(finished)
    found = read(finished / "screen")
    said = claims(found, context)
    assert {claim.verdict for claim in said} <= {"cannot be told here"}
    part = section(found, said, context)
    assert not part.absent
    assert len(part.long[0].rows) == len(found.cards)
    assert "too few were compared" in part.cannot[1]
    assert "cellprism screen RUN" in section(None, [], context).absent


def test_a_screen_that_was_stopped_goes_on_where_it_was(bench, monkeypatch):
    settings = replace(bench.settings("screen"), dictionaries=0, exact=0.2)
    exact, passed = module.exact_effects, []

    def stops(dose_cells, feature, strengths):
        if len(passed) == 2:
            raise KeyboardInterrupt
        passed.append(feature)
        return exact(dose_cells, feature, strengths)

    monkeypatch.setattr(module, "exact_effects", stops)
    with pytest.raises(KeyboardInterrupt):
        work(bench, settings)
    assert (bench.folder / "screen" / ".shards").is_dir()
    again: list[int] = []

    def goes_on(dose_cells, feature, strengths):
        again.append(feature)
        return exact(dose_cells, feature, strengths)

    monkeypatch.setattr(module, "exact_effects", goes_on)
    monkeypatch.setattr(module, "gene_derivatives", None)  # the matrix is there already
    found = work(bench, settings)
    assert again
    assert not set(again) & set(passed)
    assert found.summary.moves is None
    assert found.summary.describes == []
    chosen = found.cards.loc[found.cards["passed"] != "", "feature"]
    assert set(chosen) == {*again, *passed}
    assert not (bench.folder / "screen" / ".shards").exists()


def test_where_nothing_can_be_steered_it_says_why(bench, monkeypatch):
    monkeypatch.setattr(module, "cannot_steer", lambda bench: "it has no decoder")
    found = work(bench, ScreenSettings())
    assert found.absent == "it has no decoder"
    part = section(found, claims(found, read_context(bench.folder)), read_context(bench.folder))
    assert part.absent == "Nothing could be screened: it has no decoder."


def test_settings_that_make_no_sense_are_refused(bench):
    for changes, said in (({"cells": 3}, "cells is 3"), ({"exact": 0.9}, "exact is 0.9"),
                          ({"strengths": (0.0, 5.0)}, "0, 2 and 5 among them")):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            ScreenSettings(**changes)
    with pytest.raises(ConfigError, match="no such file; give a parquet table"):
        work(bench, replace(bench.settings("screen"), judge="nowhere.parquet"))
    with pytest.raises(ConfigError, match="no cell is called 'Martians'"):
        work(bench, replace(bench.settings("screen"), source="Martians"))


def test_cells_are_as_many_of_each_type_as_there_are(bench):
    cells = bench.balanced_cells(20)
    assert cells.n_obs == 20
    assert cells.obs["cell_type"].value_counts().tolist() == [10, 10]
    assert bench.balanced_cells(20).obs_names.tolist() == cells.obs_names.tolist()
