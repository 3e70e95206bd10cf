"""Lists of controls and of other seeds: whoever makes them, and after a stop, the same."""

import shutil

import pytest

from cellprism.errors import CellprismError
from cellprism.store.run import Run
from cellprism.studies.programs import controls
from cellprism.studies.programs.controls import NOISE, UNTRAINED, control_lists, lists_of_one
from cellprism.studies.programs.gene_lists import list_background
from cellprism.studies.programs.seeds import further_autoencoders
from cellprism.studies.programs.tables import read_genes
from studies.elsewhere import Backwards, Elsewhere, bench_of


@pytest.fixture
def run(finished, tmp_path) -> Run:
    """One run, to be worked on."""
    return Run(shutil.copytree(finished, tmp_path / "run"))


def made(bench):
    settings = bench.settings("programs")
    background = list_background(read_genes(bench.folder_of("programs")), bench.cells, settings.gene_filter)
    return control_lists(bench, background, further_autoencoders(bench, 2))


@pytest.mark.parametrize("engine", [Elsewhere(), Backwards()])
def test_lists_made_elsewhere_in_any_order_are_those_of_one_process(run, engine):
    alone = made(bench_of(run))
    assert alone.untrained
    assert alone.noise["noise cells"]
    assert len(alone.further) == 2
    assert alone.further[0] != alone.further[1]
    assert all(set(by_name) == {"features", UNTRAINED} for by_name in alone.further[0].values())
    assert made(bench_of(run, engine)) == alone
    assert not (run.folder / "programs" / ".shards").exists()


def test_what_stopped_goes_on(run, monkeypatch):
    asked, alone = [], made(bench_of(run))

    def failing(state, task):
        asked.append(task)
        if len(asked) == 3:
            raise ValueError("no power")
        return lists_of_one(state, task)

    monkeypatch.setattr(controls, "lists_of_one", failing)
    with pytest.raises(CellprismError, match="the autoencoder of seed 1 failed: ValueError: no power"):
        made(bench_of(run))
    assert made(bench_of(run)) == alone
    assert asked == [UNTRAINED, NOISE, 1, 2, 1]
