"""How many features beat control features, beside how many of those would; and which genes are held out."""

import numpy as np
import pandas as pd
import pytest
from workflow.tiny import bar

from cellprism.enrich.programs import ProgramFeature
from cellprism.ontology.gmt import read_gmt
from cellprism.steering.settings import CONTROL
from cellprism.store.run import Run
from cellprism.studies.steer.work import _others, _signed, together
from cellprism.studies.workbench import Workbench
from cellprism.workflow.config import config_of


def judged(*features: tuple[float, np.ndarray]) -> dict | None:
    """Features together, each with its place among the draws beside it."""
    rows = [
        {"feature": i, "status": "judged", "no_effect": "", "response": {"value": float(value)}}
        for i, (value, _) in enumerate(features)
    ]
    nulls = [pd.DataFrame({"feature": i, "kind": CONTROL, "response": d}) for i, (_, d) in enumerate(features)]
    return together(rows, pd.concat(nulls))


def test_a_feature_that_is_a_control_beats_controls_as_often_as_the_null_says():
    """Features and controls from one and the same distribution, so any difference is chance."""
    rng = np.random.default_rng(11)
    n, found = 40, []
    for _ in range(100):
        draws = rng.standard_t(4, size=(n, 200))
        found.append(judged(*((d[0], d[1:]) for d in draws)))
    shares = np.array([one["share"] for one in found])
    assert found[0]["null"] == pytest.approx(shares.mean(), abs=0.008)
    low, high = found[0]["null_interval"]
    assert (low, high) == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=1.01 / n)


@pytest.mark.parametrize("n", range(1, 60, 7))
def test_the_nulls_interval_holds_its_value_and_the_share_lies_in_its_own(n):
    found = judged(*[(9.0, np.linspace(-1, 1, 99))] * n)
    assert found["null_interval"][0] <= found["null"] <= found["null_interval"][1]
    assert found["interval"][0] <= found["share"] <= found["interval"][1]
    assert (found["features"], found["beat_controls"], found["share"]) == (n, n, 1.0)


def test_only_what_was_judged_is_counted():
    drawn = np.linspace(-1, 1, 99)
    found = judged((9.0, drawn), (-9.0, drawn), (0.1, drawn))
    assert (found["features"], found["beat_controls"]) == (3, 1)
    silent = {"feature": 3, "status": "no effect possible"}
    bare = {"feature": 4, "status": "judged", "no_effect": "", "response": {"value": None}}
    assert together([silent, bare], pd.DataFrame()) is None


def test_few_controls_are_no_evidence_nor_is_an_effect_too_small_to_count():
    assert judged((9.0, np.linspace(-1, 1, 38)))["beat_controls"] == 0
    rows = [{"feature": 0, "status": "judged", "no_effect": "none", "response": {"value": 9.0}}]
    nulls = pd.DataFrame({"feature": 0, "kind": CONTROL, "response": np.linspace(-1, 1, 39)})
    assert together(rows, nulls)["beat_controls"] == 0


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


def test_controls_of_a_real_run_are_other_features_on_their_own_genes(finished):
    nulls = pd.read_parquet(finished / "steer" / "programs" / "nulls.parquet")
    controls = nulls[nulls["kind"] == CONTROL]
    assert 0 < controls.groupby("feature").size().max() <= 3
    assert (controls["program"] != "").all()
    assert (controls["dictionary"] >= 0).all()


def test_features_are_named_with_their_sign():
    features = pd.DataFrame({"feature": [3, 5], "sign": ["low", "high"]})
    assert [_signed(features, f, "B cell") for f in (3, 5)] == ["low: B cell", "B cell"]
