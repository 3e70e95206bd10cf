"""Judges from outside, where what they should say is known; and the one line about the recipe aimed at."""

import numpy as np
import pandas as pd
import pytest

from cellprism.errors import ConfigError
from cellprism.studies.pareto.judges import linear_score, measured_response
from cellprism.studies.pareto.page import aimed_line
from cellprism.studies.pareto.settings import ParetoSettings
from cellprism.studies.pareto.tables import Aimed, Condition
from studies.made_up_pareto import pareto

GENES = pd.Index([f"G{i}" for i in range(31)])


def judge() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(23, 5)), columns=["CD8 a", "CD8 b", "CD4 a", "CD4 b", "B"])
    table.insert(0, "mean", rng.uniform(0, 1, 23))
    table.insert(1, "scale", rng.uniform(0.5, 2, 23))
    table.index = pd.Index(["(intercept)", *(f"G{i}" for i in range(5, 27))])
    table.loc["(intercept)", ["mean", "scale"]] = [0.0, 1.0]
    return table


def test_the_linear_judge_is_the_best_class_of_either_side_over_the_genes_it_shares():
    table, values = judge(), np.random.default_rng(1).gamma(1, 3, (7, 31))
    score = linear_score(table, GENES, "CD8", "CD4", ["G6"])
    for cell, own in enumerate(values):
        totals = dict(table.loc["(intercept)"])
        for i, gene in enumerate(GENES):
            if gene in table.index and gene != "G6":
                x = min((own[i] - table.loc[gene, "mean"]) / table.loc[gene, "scale"], 10)
                totals = {c: v + x * table.loc[gene, c] if c in table.columns[2:] else v for c, v in totals.items()}
        expected = max(totals["CD8 a"], totals["CD8 b"]) - max(totals["CD4 a"], totals["CD4 b"])
        assert score(values)[cell] == pytest.approx(expected)


def test_a_judge_without_a_class_or_gene_is_refused():
    with pytest.raises(ConfigError, match=r"pareto.judge has not a class that begins with 'NK'"):
        linear_score(judge(), GENES, "NK", "CD4")
    with pytest.raises(ConfigError, match="has not any gene that the model speaks of"):
        linear_score(judge(), pd.Index(["X"]), "CD8", "CD4")


def test_a_response_goes_with_itself_and_not_with_noise():
    rng = np.random.default_rng(2)
    own = rng.normal(size=31)
    table = pd.DataFrame({"log2_fold_change": own + rng.normal(0, 0.2, 31)}, index=GENES)
    found = measured_response(own, GENES, table, "x", 99, 0)
    assert found.low > 0.7
    noise = measured_response(rng.normal(size=31), GENES, table, "x", 99, 0)
    assert noise.low < 0 < noise.high
    assert measured_response(own[:9], GENES[:9], table, "x", 9, 0).r is None


def test_one_line_says_reached_or_not():
    assert pareto().summary is not None
    line = aimed_line(pareto().summary.aimed)
    assert line.startswith(
        "One small recipe for both was asked for: not reached, for want of way of CD8A (not measured: "
    )
    met = Aimed([Condition("features", 3.0, 40.0, True, ".0f")], 2, 9)
    assert aimed_line(met).endswith("reached. 2 of 9 recipes of the front would meet all on test cells.")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edit": "turn"}, "edit is 'turn': expected one of multiply, add, clamp"),
        ({"weighting": "much"}, "weighting is 'much': expected one of gap"),
        ({"learnable": "given"}, "features is .*: expected some with learnable"),
        ({"must": ("A",), "must_not": ("A",)}, "must and must_not is \\['A'\\]: expected no gene in both"),
        ({"weights": 2}, "weights is 2: expected a whole number of at least 3"),
        ({"source": "a"}, "expected both, or neither"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        ParetoSettings(**change)
