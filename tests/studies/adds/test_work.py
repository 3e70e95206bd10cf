"""The study on the tiny run, where something is missing, and what its readings are."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from workflow.tiny import bar

from cellprism.enrich.membership import term_table
from cellprism.features.collect import feature_statistics
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.report.context import read_context
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.simulate.linear_model import LAYER, LinearCell, linear_cells, linear_sae
from cellprism.store.run import Run
from cellprism.studies.adds.halves import halves_of
from cellprism.studies.adds.labels import (
    AGAIN,
    COMPONENTS,
    ISOTROPIC,
    PROJECTIONS,
    RAISES,
    RECALL,
    TERMS,
    TOKENS,
    TYPES,
)
from cellprism.studies.adds.page import section
from cellprism.studies.adds.pushes import agreement, gene_response
from cellprism.studies.adds.reading import read_directions, read_projections
from cellprism.studies.adds.settings import AddsSettings
from cellprism.studies.adds.tables import Adds
from cellprism.studies.adds.work import work
from cellprism.studies.programs.seeds import further_autoencoders
from cellprism.studies.study import studies
from cellprism.studies.workbench import Workbench
from cellprism.workflow.config import config_of

ONE = AddsSettings(cells=37, seeds=1)


@pytest.fixture
def bench(finished) -> Workbench:
    return Workbench(Run(finished), config_of(Run(finished)), bar)


def lead(found: Adds, bench: Workbench) -> str:
    part = section(found, [], read_context(bench.folder))
    return f"{part.said} {part.method}"


def test_every_source_stands_beside_both_autoencoders(finished):
    found = studies()["adds"].read(finished / "adds")
    assert found.seeds == [0, 1]
    assert found.cells == 30
    names = [column.name for column in found.columns]
    assert {RECALL, TYPES} <= set(names)
    assert any(name.startswith(TERMS) for name in names)
    for column in found.columns:
        assert len(column.trained) == 2
        for row in column.rows:
            assert 0 < row.lists <= column.directions
            assert len(row.shares) == len(row.controls) == 2
        if column.name.endswith("genes each"):
            assert PROJECTIONS not in {row.name for row in column.rows}
        fixed = [row for row in column.rows if row.name == COMPONENTS and column.name == TYPES]
        assert all(row.lists < 2 * found.width + 1 for row in fixed)


def test_one_autoencoder_without_labels_and_without_matches_has_a_page(finished, tmp_path):
    config = config_of(Run(finished))
    genes = list(Workbench(Run(finished), config, bar).cells.var_names)
    sets = tmp_path / "Far.gmt"
    sets.write_text("".join(f"set {i}\t\t" + "\t".join(genes[i::20]) + "\n" for i in range(20)))
    few = Workbench(Run(finished), replace(config, programs=replace(config.programs, collection=str(sets))), bar)
    del few.cells.obs["cell_type"]
    found = work(few, ONE)
    assert (found.seeds, found.types) == ([0], 0)
    assert TYPES not in {column.name for column in found.columns}
    for column in found.columns:
        assert (column.interval, column.told) == (None, 0)
        if column.name.startswith(TERMS):
            assert column.trained[0] < 2
    assert "One autoencoder says nothing" in lead(found, few)


def test_too_few_cells_of_a_donor_compare_nothing(bench):
    bench.cells.obs["donor"] = ["a"] * 3 + ["b"] * (bench.cells.n_obs - 3)
    found = work(bench, ONE)
    assert found.columns == []
    assert found.by_donor
    assert "Nothing could be compared" in section(found, [], read_context(bench.folder)).absent


def test_autoencoders_of_other_seeds_are_the_same_whenever_they_were_trained(bench, finished):
    one = further_autoencoders(bench, 1)
    more = further_autoencoders(bench, 2)
    assert more[0] is one[0]
    assert further_autoencoders(bench, 1) == one
    together = further_autoencoders(Workbench(Run(finished), bench.config, bar), 2)
    for a, b in zip(more, together, strict=True):
        assert torch.equal(a.W_dec, b.W_dec)
    assert not torch.equal(more[0].W_dec, more[1].W_dec)


def test_a_reading_is_that_of_the_first_half_at_genes_and_of_all_in_cells(bench):
    halves = halves_of(bench.cells, bench.tokens.counts, 31, 0)
    found = read_directions(bench.tokens, bench.sae, halves)
    whole = feature_statistics(bench.model, bench.sae, halves.cells, bench.config.layer)
    np.testing.assert_allclose(found.cells.toarray(), whole.cells.X.toarray(), atol=1e-6)
    half = feature_statistics(bench.model, bench.sae, halves.cells[halves.first].copy(), bench.config.layer).genes
    np.testing.assert_allclose(found.genes.X, half.X, atol=1e-6)
    np.testing.assert_allclose(found.genes.obs["firing_rate"], half.obs["firing_rate"])
    assert found.genes.var["expressed"].tolist() == half.var["expressed"].tolist()


def test_a_model_of_whole_cells_is_read_by_association():
    programs = np.random.default_rng(0).normal(size=(5, 29)) * 0.3
    model, cells = LinearCell(), linear_cells(programs, {1: 3.0})
    sae = linear_sae(model, programs)
    tokens = CellTokens(model, cells, [LAYER])
    halves = halves_of(cells, tokens.counts, cells.n_obs, 0)
    found = read_directions(tokens, sae, halves)
    half = feature_statistics(model, sae, halves.cells[halves.first].copy(), LAYER).genes
    np.testing.assert_allclose(found.genes.X, half.X, atol=1e-6)
    drawn = [read_projections(halves, 7, seed).cells.toarray() for seed in (0, 0, 1)]
    assert drawn[0].shape == (cells.n_obs, 7)
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2])


def test_a_push_raises_the_genes_that_a_linear_model_says():
    rng = np.random.default_rng(5)
    programs = rng.uniform(0.7, 1.3, (5, 67)) * (rng.random((5, 67)) < 0.2)
    cells, model = linear_cells(programs, {0: 2.0, 3: 0.5}, 31), LinearCell(67, 71)
    sae = linear_sae(model, programs)
    bench: Any = SimpleNamespace(model=model, sae=sae, config=SimpleNamespace(layer=LAYER))
    genes = tuple(cells.var_names)
    response = gene_response(bench, halves_of(cells, np.ones(cells.n_obs, dtype=int), cells.n_obs, 0), genes)
    assert response is not None
    assert response == pytest.approx(model.rows.numpy(), abs=0.02)
    lists = {str(p): tuple(cells.var_names[np.argsort(-programs[p])[:6]]) for p in range(5)}
    terms = term_table({"all": genes[:9]}, genes)
    turned = {str(p): lists[str((p + 1) % 5)] for p in range(5)}
    assert agreement(sae, response, lists, terms, 6) > 0.7
    assert agreement(sae, response, turned, terms, 6) < 0.1
    unknown = np.where(np.arange(67)[:, None] < 60, response, np.nan)  # genes that the model says nothing of
    assert agreement(sae, unknown, lists, terms, 6) <= agreement(sae, response, lists, terms, 6)


def test_lists_of_random_genes_agree_with_no_push():
    rng = np.random.default_rng(6)
    model = LinearCell(67, 71)
    genes = tuple(f"G{i}" for i in range(67))
    terms = term_table({"all": genes[:9]}, genes)
    found = []
    for _ in range(40):
        rows = torch.from_numpy(rng.normal(size=(23, 71))).float()
        sae = SparseAutoencoder(rows.T.contiguous(), torch.zeros(23), rows, torch.zeros(71), k=2)
        lists = {str(f): tuple(rng.permutation(genes)[:6]) for f in range(23)}
        found.append(agreement(sae, model.rows.numpy().astype(float), lists, terms, 6))
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(40)


def test_what_is_found_again_is_told_of_training_and_of_drawn_tokens(finished):
    found = studies()["adds"].read(finished / "adds")
    (again,) = (column for column in found.columns if column.name == AGAIN)
    assert {row.name for row in again.rows} == {TOKENS, ISOTROPIC}
    assert all(0 <= share <= 1 for share in again.trained)
    raised = [column for column in found.columns if column.name.startswith(RAISES)]
    assert raised
    assert PROJECTIONS not in {row.name for column in raised for row in column.rows}
