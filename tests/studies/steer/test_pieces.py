"""A sweep in pieces: whoever makes them, in whatever order, and after a stop, it is the same to the bit."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from cellprism.errors import CellprismError
from cellprism.steering.dose_cells import DoseCells
from cellprism.store.run import Run
from cellprism.studies.steer import pieces
from cellprism.studies.steer.work import steer_feature, work
from studies.elsewhere import Backwards, Elsewhere, bench_of

TABLES = ("effects", "doses", "types", "genes", "nulls", "terms")


@pytest.fixture
def run(finished, tmp_path) -> Run:
    """One run, to be worked on."""
    return Run(shutil.copytree(finished, tmp_path / "run"))


def steered(bench, feature=None, **changes):
    settings = replace(bench.settings("steer"), **changes)
    if feature is not None:
        return steer_feature(bench, settings, feature)
    (found,) = work(bench, settings).experiments
    return found


def assert_same(one, other):
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert json.dumps(one.summary) == json.dumps(other.summary)


@pytest.mark.parametrize("engine", [Elsewhere(), Backwards()])
def test_pieces_made_elsewhere_in_any_order_have_the_bits_of_one_process(run, engine, monkeypatch):
    alone = steered(bench_of(run))
    assert set(alone.nulls["kind"]) >= {"control feature"}
    opens = []
    prepare = pieces.SweepingOnDisk.__call__
    monkeypatch.setattr(pieces.SweepingOnDisk, "__call__", lambda self, bench: opens.append(1) or prepare(self, bench))
    assert_same(alone, steered(bench_of(run, engine)))
    assert len(opens) == 1, "a worker reads the cells once for all pieces"
    assert not (run.folder / "steer" / ".shards").exists()


def test_a_feature_by_number_is_steered_elsewhere_too(run):
    feature = int(steered(bench_of(run)).effects["feature"].iloc[0])
    assert_same(steered(bench_of(run), feature), steered(bench_of(run, Elsewhere()), feature))


def test_a_sweep_that_stopped_goes_on_and_one_with_other_settings_begins_anew(run, monkeypatch):
    alone, asked, turned = steered(bench_of(run)), [], DoseCells.turned

    def failing(self, feature, strength, spared=None):
        asked.append((feature, strength))
        if len(asked) == 4:
            raise ValueError("no power")
        return turned(self, feature, strength, spared)

    monkeypatch.setattr(DoseCells, "turned", failing)
    with pytest.raises(CellprismError, match=r"of dictionary \d, beside feature \d+ failed: ValueError"):
        steered(bench_of(run))
    before, others = list(asked), replace(bench_of(run).settings("steer").doses, matched_genes=3)
    assert_same(alone, steered(bench_of(run)))
    again = asked[len(before) :]
    assert before[3] in again
    assert not set(before[:2]) & set(again)
    asked[:] = asked[:4]
    steered(bench_of(run), doses=others)
    assert set(before[:2]) <= set(asked[4:]), "what was found with other settings is not taken for it"
