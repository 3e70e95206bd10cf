"""How many features beat random ones, beside how many random ones would; and which genes are held out."""

import numpy as np
import pandas as pd
import pytest
from workflow.tiny import bar

from cellprism.enrich.programs import ProgramFeature
from cellprism.ontology.gmt import read_gmt
from cellprism.store.run import Run
from cellprism.studies.steer.work import _others, together
from cellprism.studies.workbench import Workbench
from cellprism.workflow.steps import config_of


def judged(value: float, drawn: np.ndarray) -> dict:
    """A feature with its place among the random features that were drawn."""
    low, high = np.quantile(drawn, [0.025, 0.975])
    p = (1 + (drawn >= value).sum()) / (len(drawn) + 1)
    null = {"mean": float(drawn.mean()), "low": float(low), "high": float(high), "p": float(p), "n": len(drawn)}
    return {"status": "judged", "response": {"value": value, "random_feature": null}}


def test_a_feature_that_is_a_random_one_beats_them_as_often_as_the_null_says():
    """Features and random features from one and the same distribution, so any difference is chance."""
    rng = np.random.default_rng(11)
    n, found = 40, []
    for _ in range(200):
        draws = rng.standard_t(4, size=(n, 400))
        found.append(together([judged(float(d[0]), d[1:]) for d in draws]))
    shares = np.array([one["share"] for one in found])
    assert found[0]["null"] == pytest.approx(shares.mean(), abs=0.005)
    low, high = found[0]["null_interval"]
    assert (low, high) == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=1.01 / n)


@pytest.mark.parametrize("n", range(1, 60))
def test_the_nulls_interval_holds_its_value_and_the_share_lies_in_its_own(n):
    found = together([judged(9.0, np.linspace(-1, 1, 99))] * n)
    assert found["null_interval"][0] <= found["null"] <= found["null_interval"][1]
    assert found["interval"][0] <= found["share"] <= found["interval"][1]
    assert (found["features"], found["beat_random"], found["share"]) == (n, n, 1.0)


def test_only_what_was_judged_is_counted():
    drawn = np.linspace(-1, 1, 99)
    silent = {"status": "no effect possible"}
    bare = {"status": "judged", "response": {"value": None}}
    found = together([judged(9.0, drawn), judged(-9.0, drawn), judged(0.1, drawn), silent, bare])
    assert (found["features"], found["beat_random"]) == (3, 1)
    assert together([silent, bare]) is None


def test_few_random_features_are_no_evidence():
    """Beyond 95 % of 10 random features by interpolation, but not by p."""
    drawn = np.linspace(-1, 1, 10)
    value = 0.999
    assert value > np.quantile(drawn, 0.975)
    assert together([judged(value, drawn)])["beat_random"] == 0


def test_held_out_genes_are_the_programs_other_measured_genes(finished):
    bench = Workbench(Run(finished), config_of(Run(finished)), bar)
    blood, measured = read_gmt("blood"), set(bench.cells.var_names)
    term = max(blood, key=lambda term: len(measured & set(blood[term])))
    genes = [gene for gene in blood[term] if gene in measured]
    assert len(genes) >= 5
    found = ProgramFeature("some words", "7", term, 0.01, (), 0.5, pd.DataFrame(), "")
    other = next(gene for gene in bench.cells.var_names if gene not in genes)
    assert _others(bench, found, {"7": (genes[3], other, genes[0]), "8": tuple(genes)}) == (
        *genes[1:3], *genes[4:],
    )  # fmt: skip


def test_held_out_genes_of_a_real_sweep_are_none_of_the_features_own(finished):
    effects = pd.read_parquet(finished / "steer" / "programs" / "effects.parquet")
    assert effects["held_out"].any()
    assert not (effects["held_out"] & effects["on_target"]).any()
