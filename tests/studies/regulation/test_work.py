"""The study on the tiny run, its parts on disk, and what it refuses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from workflow.tiny import bar

from cellprism.errors import ConfigError, ModelError
from cellprism.store.run import Run
from cellprism.studies.regulation import preset
from cellprism.studies.regulation.answers import committees_of
from cellprism.studies.regulation.effects import measured_effects, shards_of
from cellprism.studies.regulation.experiments import read_signature
from cellprism.studies.regulation.plan import chosen_cells, planned
from cellprism.studies.regulation.settings import RegulationSettings
from cellprism.studies.regulation.tables import DELETION, DOSE, EVERY, PUBLISHED, TARGET
from cellprism.studies.regulation.work import work
from cellprism.studies.study import studies
from cellprism.studies.workbench import Workbench
from cellprism.workflow.config import config_of


@pytest.fixture
def bench(run) -> Workbench:
    return Workbench(Run(run), config_of(Run(run)), bar)


@pytest.fixture
def settings(bench) -> RegulationSettings:
    return bench.settings("regulation")


def test_every_probe_is_told_of_every_factor_in_every_type(finished):
    found = studies()["regulation"].read(finished / "regulation")
    design = found.facts.design
    rows = found.tables["factors"]
    probes = {DOSE, "features multiplied", "features added"}
    assert probes <= set(rows["probe"]) <= probes | {DELETION}
    assert set(rows["type"]) == {*design.types, EVERY}
    assert set(rows["factor"]) == set(design.factors)
    assert {one.source for one in found.facts.overall} == {
        "model", "untrained model", "ridge regression", "co-expression", "pairs without an edge",
    }  # fmt: skip
    symmetric = found.facts.of("direction", "co-expression")
    assert symmetric.value == pytest.approx(0.5)
    assert {row.source for row in found.facts.measured} == {
        "model",
        "untrained model",
        "co-expression",
        "ridge regression",
    }
    assert not list((finished / "regulation").glob(".shards*"))


def test_an_interrupted_measurement_goes_on_where_it_was(bench, settings):
    plan = planned(bench, settings)
    shards = shards_of(bench, settings, plan)
    first = measured_effects(bench, settings, plan, shards)
    kept = sorted(shards.folder.iterdir())
    assert len(kept) == 6  # two cells: doses, features, untrained
    kept[0].write_bytes(b"half a file")
    others = [path.stat().st_mtime_ns for path in kept[1:]]
    again = measured_effects(bench, settings, plan, shards_of(bench, settings, plan))
    for key, table in first.model.items():
        np.testing.assert_allclose(again.model[key], table, atol=1e-6)
    assert again.rows == first.rows
    assert [path.stat().st_mtime_ns for path in kept[1:]] == others
    other = shards_of(bench, replace(settings, doses=(0.5,)), plan)
    assert other.folder != shards.folder
    other.clear()
    assert not shards.folder.exists()


def test_where_nothing_can_be_asked_the_fix_is_named(bench, settings, monkeypatch):
    with pytest.raises(ConfigError, match="no edges were named"):
        work(bench, replace(settings, edges=""))
    with monkeypatch.context() as other:
        other.setattr("cellprism.studies.regulation.work.lacks_probe", lambda model: "it predicts nothing.")
        with pytest.raises(ModelError, match="it predicts nothing. Make a run with one that does, such as pbmc2"):
            work(bench, settings)
    with pytest.raises(ConfigError, match="no factor has enough targets .*; lower min_targets or detected"):
        work(bench, replace(settings, min_targets=24))


def test_a_factor_that_was_named_is_asked_about_alone(bench, settings):
    name = studies()["regulation"].read(bench.folder / "regulation").facts.design.factors[0]
    found = work(bench, replace(settings, factors=(name,), committees=0, doses=(0.5, 0.9), screen=""))
    assert found.facts.design.factors == [name]
    assert {one.measure for one in found.facts.one} == {"forward", "direction"}
    assert found.facts.of("direction") is None
    assert set(found.tables["doses"]["quantile"]) == {0.5, 0.9}
    assert set(found.tables["pairs"]["factor"]) == {name}


def test_who_is_not_there_is_refused_with_who_is(bench, settings):
    with pytest.raises(ConfigError, match=r"no factor is left to ask about \(NOBODY: not in the model.*; try "):
        planned(bench, replace(settings, factors=("NOBODY",)))
    plan = planned(bench, settings)
    name, gene = plan.factors[0], next(g for g in plan.facts.genes if g not in set(plan.edges.table["source"]))
    for changes, why in (
        ({"factors": (name.lower() + "x",)}, f"not in the model or the cells; did you mean {name}"),
        ({"factors": (gene,)}, "has no edge from it"),
        ({"factors": (name,), "detected": 0.99}, "of the cells, and 99.00% are needed"),
        ({"factors": (name,), "min_targets": 90}, "targets are expressed, and 90 are needed"),
    ):
        with pytest.raises(ConfigError, match=why):
            planned(bench, replace(settings, **changes))
    with pytest.raises(ConfigError, match="types names 'Martians', which no cell has; the cells have CD"):
        planned(bench, replace(settings, types=("Martians",)))
    with pytest.raises(ConfigError, match="there is no file .*nowhere.csv"):
        planned(bench, replace(settings, edges="nowhere.csv"))
    for changes in ({"cells": 0}, {"doses": ()}, {"doses": (2.0,)}, {"genes": 3}, {"strength": 0.0}, {"detected": 1.0}):
        with pytest.raises(ConfigError, match=next(iter(changes))):
            replace(settings, **changes)


def test_cells_without_labels_are_one_type():
    cells = AnnData(np.ones((13, 2)))
    assert list(chosen_cells(cells, (), 5, 0)) == ["all cells"]
    cells.obs["cell_type"] = ["a"] * 7 + ["b"] * 5 + ["unlabelled"]
    found = chosen_cells(cells, (), 5, 0)
    assert {kind: len(rows) for kind, rows in found.items()} == {"a": 5, "b": 5}


def test_committees_are_regulators_of_one_target_beside_sets_that_match(bench, settings):
    table = [(f, t) for f in range(3) for t in range(3)]
    plan = planned(bench, settings)
    genes = list(plan.panel.genes)
    shared = replace(
        plan.edges,
        table=plan.edges.table.iloc[:0]
        .reindex(range(len(table)))
        .assign(source=[plan.factors[f] for f, _ in table], target=[genes[-1 - t] for _, t in table], effect=1.0),
    )
    found = committees_of(replace(plan, edges=shared))
    for target, sets in found:
        assert sets.shape == (10, 3)
        assert target not in sets
        assert len(set(sets.ravel())) == sets.size
    assert found == [] or len(found) == 3


def test_a_signature_is_refused_with_the_fix(tmp_path):
    with pytest.raises(ConfigError, match="there is no file .* with a signature"):
        read_signature(str(tmp_path / "none.csv"), {})
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="has the columns a, b; expected gene and log2_fold_change"):
        read_signature(str(tmp_path / "other.csv"), {})
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="cannot be read as a table"):
        read_signature(str(tmp_path / "broken.parquet"), {})
    (tmp_path / "one.csv").write_text("gene,log2_fold_change\nA,1\nA,2\nold,3\nC,\nD,high\n")
    assert list(read_signature(str(tmp_path / "one.csv"), {"old": "B"})["gene"]) == ["A", "B"]


def test_every_file_is_read_before_anything_is_measured(bench, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("cellprism.studies.regulation.work.measured_effects", lambda *a: pytest.fail("measured"))
    genes = list(bench.cells.var_names)
    mouse = tmp_path / "mouse.csv"
    pd.DataFrame({"source": [g.capitalize() for g in genes[:5]], "target": "Actb"}).to_csv(mouse, index=False)
    ids = tmp_path / "ids.csv"
    ids.write_text("gene,log2_fold_change\nENSG00000073861,1\nENSG00000111537,2\n")
    empty = tmp_path / "screen.csv"
    empty.write_text("gene,screen,log2_fold_change\nA,CD8 X,\nB,CD8 X,\n")
    for changes, said in (
        ({"edges": str(mouse)}, "none of the 6 genes of .*look like those of another species or in small letters"),
        ({"signature": str(ids)}, "they are Ensembl ids, of which the model knows none; expected symbols"),
        ({"screen": str(empty)}, "holds no edge from one gene to another"),
    ):
        with pytest.raises(ConfigError, match=said):
            work(bench, replace(settings, **changes))
    with pytest.raises(pytest.fail.Exception, match="measured"):
        work(bench, settings)


def test_the_published_genes_are_named_with_the_published_strengths():
    assert preset.ALPHAS == (-15, -5, -2, 2, 5, 15)
    assert [gene for gene, group in PUBLISHED.items() if group == TARGET] == ["CXCR3", "IFNG", "TNF"]
    assert [gene for gene, group in PUBLISHED.items() if group != TARGET] == ["CCL5", "KPNA2", "OASL"]
