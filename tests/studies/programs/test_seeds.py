"""Rates over autoencoders of several seeds: their excess over controls with lists made alike."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import binom
from workflow.tiny import bar, config_of

from cellprism.simulate.answers import answers_of
from cellprism.simulate.cells import planted_cells
from cellprism.studies.programs.gene_lists import as_many, firing_lists, first_genes, fixed_lists
from cellprism.studies.programs.over_seeds import excess_of
from cellprism.studies.programs.seeds import seed_excesses
from cellprism.studies.programs.settings import ProgramsSettings
from cellprism.workflow.pipeline import start_run

GENES = tuple(f"G{i}" for i in range(120))
PROGRAMS = {f"program {p}": GENES[12 * p : 12 * p + 12] for p in range(10)}
CELLS = AnnData(sp.csr_matrix(np.ones((3, 120), dtype=np.float32)))
SETTINGS = ProgramsSettings(replicates=39)


def table(rng: np.random.Generator, strong: float, features: int = 41) -> AnnData:
    """Features that are strong at noise, and in a third of them at genes of a program as well."""
    values = rng.gamma(1.0, size=(features, len(GENES)))
    for row in values[: features // 3]:
        start = 12 * rng.integers(10)
        row[start : start + 7] += strong
    F = AnnData(values)
    F.obs["firing_rate"] = 0.1
    F.obs_names, F.var_names = [str(i) for i in range(features)], list(GENES)
    return F


def excess(rng: np.random.Generator, ours: float, theirs: float):
    """Of five seeds with features of one strength, over controls of another, with lists of 20 genes."""
    lists = []
    for _ in range(5):
        made = fixed_lists({"features": table(rng, ours), "untrained": table(rng, theirs, 31)}, {}, CELLS, GENES)
        lists.append({rule: some for rule, some in made.items() if rule == "20 genes each"})
    drawn = {"rate": 0.0, "p_value": 1.0, "replicates": 39}
    rows = {f"{name}, 20 genes each": drawn for name in ("features", "popularity", "gene_use")}
    few = ProgramsSettings(replicates=1)
    found = seed_excesses(lists, rows, PROGRAMS, GENES, CELLS, few, int(rng.integers(10**6)))
    return {row.name: row for row in found}


def test_controls_in_place_of_features_are_called_once_in_twenty():
    rng = np.random.default_rng(1)
    found = [excess(rng, 2.5, 2.5)["untrained, 20 genes each"] for _ in range(40)]
    called = sum((row.p or 1.0) <= 0.05 for row in found)
    assert called <= binom.ppf(1 - 1e-3, 40, 0.05)
    assert np.mean([row.share for row in found]) > 0.1, "some lists match programs"
    assert abs(np.mean([row.mean for row in found])) < 0.02
    assert {len(row.shares) for row in found} == {5}


def test_programs_that_features_have_and_controls_have_less_of_are_found():
    rng = np.random.default_rng(2)
    row = excess(rng, 5.0, 0.5)["untrained, 20 genes each"]
    assert row.p < 0.01
    assert row.interval[0] > 0
    assert row.mean == pytest.approx(np.mean(row.shares) - np.mean(row.controls))
    assert row.lists == 41


def test_lists_of_a_control_have_the_rule_number_and_length_of_the_features():
    rng = np.random.default_rng(3)
    made = fixed_lists({"features": table(rng, 1.0), "untrained": table(rng, 1.0, 31)}, {}, CELLS, GENES)
    for rule, size in (("20 genes each", 20), ("50 genes each", 50)):
        ours, theirs = as_many(made[rule]["features"], made[rule]["untrained"], rng)
        assert {len(genes) for some in (ours, theirs) for genes in some.values()} == {size}
        assert len(ours) == len(theirs) == 31
        assert set(ours) <= set(made[rule]["features"])
    assert first_genes({"3": ("A", "B", "C"), "5": ("A",), "7": ()}, 2) == {"3": ("A", "B")}
    F = table(rng, 1.0)
    assert fixed_lists({"features": F}, {}, CELLS, GENES)["20 genes each"]["features"] == firing_lists(F, GENES, 20)


def test_both_p_values_must_be_small():
    shares, controls = [0.5, 0.52, 0.49, 0.51, 0.5], [0.4, 0.41, 0.4, 0.39, 0.4]
    alone, drawn = excess_of("x", shares, controls, 9), excess_of("x", shares, controls, 9, 0.03, 199)
    assert alone.p == alone.p_seeds == drawn.p_seeds < 0.001
    assert (alone.p_draws, drawn.p, drawn.draws) == (None, 0.03, 199)
    other_side = excess_of("x", [0.3, *shares[1:]], [0.4, 0.1, 0.1, 0.1, 0.1], 9, 0.03, 199)
    assert other_side.mean > 0
    assert other_side.p == 1.0
    assert excess_of("x", shares[:1], controls[:1], 9, 0.01, 199).p is None


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run on planted cells, with a model that was trained on blood, down to its programs; three seeds."""
    folder = tmp_path_factory.mktemp("planted")
    programs = answers_of(planted_cells("small", 0)).collection()
    lines = ["\t".join([name, "planted", *genes]) for name, genes in programs.items()]
    (folder / "planted.gmt").write_text("\n".join(lines) + "\n")
    asked = {
        "cells": "planted:small", "model": "obsm:planted_activity", "layer": 0,
        "train": {"n_features": 41, "k": 3, "epochs": 30, "batch_size": 128, "centring": "global"},
        "programs": {
            "collection": str(folder / "planted.gmt"), "replicates": 39, "gene_filter": "all", "seeds": 5, "draws": 2,
        },
    }  # fmt: skip
    start_run(config_of(asked), folder / "run", bar, lambda text: None, only=("cells", "train", "programs"))
    return folder / "run" / "programs"


def test_planted_programs_exceed_random_lists_over_seeds(planted):
    found = json.loads((planted / "seeds.json").read_text())
    assert found["seeds"] == [0, 1, 2, 3, 4]
    rows = {row["name"]: row for row in found["rows"]}
    for name in ("coexpression, 20 genes by correlation", "coexpression, 50 genes by correlation"):
        assert rows[name]["interval"][0] > 0.3, name
        assert rows[name]["p"] <= 0.05, name
    own = {row["name"]: row for row in json.loads((planted / "rates.json").read_text())["rows"]}
    for name, row in rows.items():
        control, _, rule = name.rpartition(", ")
        assert len(row["shares"]) == len(row["controls"]) == 5
        assert rule != "20 genes by correlation" or len(set(row["shares"])) > 1, "other seeds, other features"
        if control in ("popularity", "gene_use", "coexpression"):
            assert (row["shares"][0], row["controls"][0]) == (own[f"features, {rule}"]["rate"], own[name]["rate"])
    lists = pd.read_parquet(planted / "lists.parquet")
    assert lists["feature"].nunique() > 10


def test_types_are_judged_over_the_same_seeds(planted):
    found = json.loads((planted / "types_beside.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["tokens", "components"]
    for row in found["rows"]:
        assert len(row["shares"]) == len(row["controls"]) == 5
        assert row["shares"][0] == found["share_apart"]
