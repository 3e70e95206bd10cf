"""The study on the tiny run: every rung is there or its reason is said, and all have the features' kind of lists."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from workflow.tiny import bar

from cellprism.errors import ConfigError
from cellprism.store.run import Run
from cellprism.studies.ladder.labels import OWN, RULES, RUNGS
from cellprism.studies.ladder.settings import LadderSettings
from cellprism.studies.ladder.tables import Ladder
from cellprism.studies.ladder.work import work
from cellprism.studies.study import studies
from cellprism.studies.workbench import Workbench
from cellprism.workflow.config import config_of

FEW = LadderSettings(rungs=("matched",), rules=("top20", "correlation", "participation"), replicates=3, seeds=1)


@pytest.fixture(scope="module")
def found(finished) -> Ladder:
    return studies()["ladder"].read(finished / "ladder")


@pytest.fixture
def bench(finished) -> Workbench:
    return Workbench(Run(finished), config_of(Run(finished)), bar)


def test_every_rung_is_there_or_its_reason_is_said(found):
    assert {row.name: row.why for row in found.absent} == {"block0": "this run reads block 0 itself"}
    assert found.rules
    for rule in found.rules:
        assert {*(rung.name for rung in rule.rungs), *rule.missing, "block0"} == set(RUNGS), rule.name
        assert [r.name for r in rule.rungs] == [name for name in RUNGS if name in {r.name for r in rule.rungs}]


def test_both_autoencoders_stand_beside_every_rung(found):
    assert found.seeds == [0, 1]
    for rule in found.rules:
        assert len(rule.shares) == 2
        for rung in rule.rungs:
            assert rung.excess.shares == pytest.approx(rule.shares)
            assert len(rung.excess.controls) == 2
            assert rung.lists > 0
        if rule.hardest:
            fair = [rung for rung in rule.rungs if not rung.unfair]
            assert rule.hardest.mean == pytest.approx(min(rung.excess.mean for rung in fair))
            assert rule.hardest.interval is None or rule.hardest.interval[0] <= rule.hardest.mean


def test_spread_is_shown_beside_its_nulls(found):
    assert [row.name for row in found.ratios] == ["features", "untrained", "tokens", "permuted"]
    assert all(sum(row.counts) > 0 for row in found.ratios)


def test_your_own_programs_stand_beside_the_features(bench, tmp_path):
    rng = np.random.default_rng(0)
    cells, genes = bench.cells.obs_names, bench.cells.var_names
    usage = pd.DataFrame(rng.random((len(cells), 3)), index=cells, columns=list("abc"))
    spectra = pd.DataFrame(rng.random((3, len(genes))), index=list("abc"), columns=genes)
    usage.to_csv(tmp_path / "mine.csv")
    spectra.to_csv(tmp_path / "spectra.tsv", sep="\t")
    asked = replace(FEW, cell_programs=str(tmp_path / "mine.csv"), gene_programs=str(tmp_path / "spectra.tsv"))
    found = work(bench, asked)
    assert (found.brought, found.absent) == ("mine", [])
    for rule in found.rules:
        rung = rule.rungs[-1]
        assert rung.name == OWN
        assert rung.lists <= 3
        assert bool(rung.unfair) == (rule.name != "correlation")
    alone = work(bench, replace(asked, gene_programs=""))
    assert {rule.name: OWN in rule.missing for rule in alone.rules} == {
        "top20": True, "correlation": False, "participation": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rungs": ("uniform", "E9")}, r"rungs is .*expected some of uniform, .*nmf, each once"),
        ({"rungs": ("pca", "pca")}, "each once"),
        ({"rules": ()}, "at least one"),
        ({"rules": ("top10",)}, r"some of participation, top20"),
        ({"seeds": 0}, "seeds is 0"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        LadderSettings(**change)


def test_names_of_rules_and_rungs_are_those_of_the_libraries():
    from cellprism.enrich.list_rules import RULES as RANKED
    from cellprism.enrich.nulls import ALL_NULLS
    from cellprism.studies.ladder.labels import DRAWN
    from cellprism.studies.ladder.rungs import OTHERS, TRAINED

    assert list(RANKED) == list(RULES)
    assert set(DRAWN) == set(ALL_NULLS)
    assert {*DRAWN, *TRAINED, *OTHERS} == {*RUNGS, OWN}
