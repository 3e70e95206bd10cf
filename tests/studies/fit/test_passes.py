"""The passes behind the loss recovered: whoever makes them, and after a stop, the same to the bit."""

import re
import shutil
from dataclasses import asdict, replace

import pytest

from cellprism.errors import CellprismError
from cellprism.features.baselines import untrained_sae
from cellprism.features.dictionaries import control_dictionary, with_centre
from cellprism.features.splice import loss_recovered, masked_errors
from cellprism.store.run import Run
from cellprism.studies.fit import passes
from cellprism.studies.fit.beside import halves
from cellprism.studies.fit.passes import FAIR, TRAINED, UNTRAINED, Passes
from cellprism.studies.fit.work import work
from cellprism.studies.shards import shards_of
from studies.elsewhere import Backwards, Elsewhere, bench_of

CELLS = 37  # of the tiny run: one pass of 32 cells, one of 5


@pytest.fixture
def run(finished, tmp_path) -> Run:
    """One run, to be worked on."""
    return Run(shutil.copytree(finished, tmp_path / "run"))


def spliced(bench, hidden=0.3):
    """The loss recovered of three autoencoders, as the study has it measured."""
    settings, sae, seed = replace(bench.settings("fit"), hidden=hidden), bench.sae, bench.config.seed
    bench.config = replace(bench.config, fit=settings)
    fair = with_centre(control_dictionary("covariance", halves(bench.tokens, sae, seed)[0], sae, seed), sae)
    saes, shards = (
        {TRAINED: sae, UNTRAINED: untrained_sae(sae, seed), FAIR: fair},
        shards_of(bench, "fit", ("cells", "train"), settings),
    )
    some, how = bench.some_cells(settings.cells), Passes(bench, shards)
    found = loss_recovered(bench.model, saes, some, bench.config.layer, share=hidden, seed=seed, each=how)
    shards.clear()
    return {name: str(one) for name, one in found.items()}  # NaN is not itself


@pytest.mark.parametrize("engine", [Elsewhere(), Backwards()])
def test_passes_made_elsewhere_in_any_order_have_the_bits_of_one_process(run, engine):
    alone = spliced(bench_of(run))
    assert len(set(alone.values())) == 3
    assert f"cells={CELLS}" in alone[FAIR]
    assert spliced(bench_of(run, engine)) == alone
    assert not (run.folder / "fit" / ".shards").exists()


def test_the_study_says_the_same_whoever_makes_them(run):
    few = replace(bench_of(run).settings("fit"), draws=2)
    one, other = (work(bench_of(run, engine), few).measures for engine in (None, Elsewhere()))
    assert str(asdict(one)) == str(asdict(other))


def test_what_stopped_goes_on_and_with_other_settings_begins_anew(run, monkeypatch):
    made, alone = [], spliced(bench_of(run))

    def failing(splicing, number):
        made.append(number)
        if len(made) == 2:
            raise ValueError("no power")
        return masked_errors(splicing, number)

    monkeypatch.setattr(passes, "masked_errors", failing)
    names = bench_of(run).cells.obs_names  # all are drawn
    said = re.escape(f"drawn cells 33 to 37 ({names[32]} to {names[36]}) failed: ValueError: no power")
    with pytest.raises(CellprismError, match=said):
        spliced(bench_of(run))
    assert spliced(bench_of(run)) == alone
    assert made == [0, 1, 1]
    made[:] = [0]
    with pytest.raises(CellprismError):
        spliced(bench_of(run))
    assert spliced(bench_of(run), hidden=0.5) != alone
    assert made == [0, 0, 1, 0, 1]
