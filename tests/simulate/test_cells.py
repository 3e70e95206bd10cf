import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, chi2, kstest

from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.read import read_cells
from cellprism.errors import CellsError, ConfigError
from cellprism.simulate.answers import answers_of
from cellprism.simulate.cell_settings import PlantedSettings
from cellprism.simulate.cells import expected_counts, planted_cells
from cellprism.simulate.null_cells import independent_cells, poisson_cells, renamed_cells
from cellprism.simulate.plan import bundled_genes

SEED = 3


@pytest.fixture(scope="module")
def cells():
    return planted_cells("small", seed=SEED)


@pytest.fixture(scope="module")
def answers(cells):
    return answers_of(cells)


def standard(adata) -> np.ndarray:
    values = log1p_cp10k(adata).toarray()
    return (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)


def oracle(adata, answers) -> np.ndarray:
    """p of each program: does the mean of its genes follow its planted activity more than the mean of random genes?"""
    rng, values = np.random.default_rng(0), standard(adata)
    found = []
    for program, genes in answers.collection().items():
        places, activity = adata.var_names.get_indexer(genes), answers.activity[program].to_numpy()

        def score(places, activity=activity):
            return np.corrcoef(values[:, places].mean(axis=1), activity)[0, 1]

        chance = [score(rng.choice(values.shape[1], len(places), replace=False)) for _ in range(199)]
        found.append((1 + sum(c >= score(places) for c in chance)) / 200)
    return np.array(found)


def test_counts_have_the_planted_margins_and_the_planted_dispersion(cells, answers):
    mean = expected_counts(answers.settings, SEED)
    counts = cells.X.toarray()
    variance = mean + mean**2 / answers.settings.dispersion
    for axis in (0, 1):
        off = (counts - mean).sum(axis=axis) / np.sqrt(variance.sum(axis=axis))
        assert kstest(off, "norm").pvalue > 1e-3
    squares = ((counts - mean) ** 2 / variance).mean()
    assert squares == pytest.approx(1, abs=0.05)
    assert mean.sum(axis=1) == pytest.approx(cells.obs["depth"].to_numpy())


def test_names_are_real_and_read_cells_takes_them(cells):
    table = bundled_genes()
    place = [table.by_symbol[name] for name in cells.var_names]
    assert cells.var["ensembl"].tolist() == [table.ensembl[i] for i in place]
    read = read_cells(cells, genes=table)
    assert read.n_vars == cells.n_vars
    assert read.obs["cell_type"].tolist() == cells.obs["cell_type"].tolist()


def test_answers_survive_an_h5ad_file(cells, answers, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cells.write_h5ad(tmp_path / "planted.h5ad")
    again = answers_of(anndata.read_h5ad(tmp_path / "planted.h5ad"))
    for name in ("weights", "activity", "type_program", "relations", "edges"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(answers, name), check_dtype=False)
    assert again.settings == answers.settings
    assert again.collection() == answers.collection()
    assert again.seed == SEED


def test_some_programs_overlap_and_some_lie_inside_another(answers):
    assert set(answers.relations["relation"]) == {"overlaps", "inside"}
    for row in answers.relations.itertuples():
        mine, other = set(answers.genes_of(row.program)), set(answers.genes_of(row.other))
        assert mine < other if row.relation == "inside" else 0 < len(mine & other) < len(mine)


def test_types_use_the_programs_that_the_table_says(cells, answers):
    mean = answers.activity.groupby(cells.obs["cell_type"].to_numpy()).mean()
    used = answers.type_program == 1
    assert mean.to_numpy()[used].min() > 0.6 > 0.3 > mean.to_numpy()[~used].max()
    first, second = answers.types[:2]
    for program, direction in answers.differing(first, second).items():
        assert np.sign(mean.loc[second, program] - mean.loc[first, program]) == direction


@pytest.mark.slow
def test_a_simple_oracle_finds_the_programs_in_the_counts_and_none_in_null_cells(cells, answers):
    assert (oracle(cells, answers) <= 0.05).all()
    for null in (poisson_cells, independent_cells, renamed_cells):
        p = np.concatenate([oracle(null(cells, seed), answers) for seed in range(13)])
        assert binomtest(int((p <= 0.05).sum()), len(p), 0.05, alternative="greater").pvalue > 1e-3, null.__name__


def test_cells_planted_without_programs_show_none(answers):
    settings = PlantedSettings.preset("small", programs=0, regulators=0)
    p = []
    for seed in range(13):
        bare = planted_cells(settings, seed)
        assert answers_of(bare).collection() == {}
        assert answers_of(bare).edges.empty
        bare.var_names = answers.weights.index  # as many genes, under the names that have programs elsewhere
        p.append(oracle(bare, answers))
    hits = int((np.concatenate(p) <= 0.05).sum())
    assert binomtest(hits, 13 * len(answers.programs), 0.05, alternative="greater").pvalue > 1e-3


def test_null_cells_keep_their_margins_and_lose_their_answers(cells):
    counts = cells.X.toarray()
    for null, depths in ((poisson_cells, 0.97), (independent_cells, 0.8)):  # overdispersed genes move a cell's sum
        drawn = null(cells, 1).X.toarray()
        assert np.corrcoef(drawn.sum(axis=0), counts.sum(axis=0))[0, 1] > 0.97
        assert np.corrcoef(drawn.sum(axis=1), counts.sum(axis=1))[0, 1] > depths
    depth, share = counts.sum(axis=1, keepdims=True), counts.sum(axis=0) / counts.sum()
    drawn = poisson_cells(cells, 1).X.toarray()
    statistic = ((drawn - depth * share) ** 2 / np.maximum(depth * share, 1e-9)).sum()
    assert abs(statistic / counts.size - 1) < 0.05, "Poisson: variance is the mean"
    kept = independent_cells(cells, 1).X.toarray()
    spread = [np.log(((x - depth * share) ** 2).mean(axis=0)) for x in (kept, counts)]
    assert np.corrcoef(*spread)[0, 1] > 0.95
    renamed = renamed_cells(cells, 1)
    assert np.array_equal(renamed.X.toarray(), counts)
    assert sorted(renamed.var_names) == sorted(cells.var_names)
    assert (renamed.var_names == cells.var_names).mean() < 0.1
    assert renamed.var["ensembl"].to_dict() == cells.var["ensembl"].to_dict()
    with pytest.raises(CellsError, match="no planted answers"):
        answers_of(renamed)


def test_setting_a_regulator_moves_its_targets_the_planted_way_and_nothing_upstream(answers):
    settings = PlantedSettings.preset("small", donor_spread=0.0, batch_spread=0.0, depth=20_000.0)
    base = planted_cells(settings, seed=SEED)
    edges, truth = answers_of(base).edges, []
    for source in edges["source"].unique():
        raised, lowered = (log1p_cp10k(planted_cells(settings, SEED, {source: v})) for v in (1.5, -1.5))
        shift = pd.Series(np.asarray((raised - lowered).mean(axis=0)).ravel(), index=base.var_names)
        downstream = _reached(edges, source)
        direct = edges[edges["source"] == source]
        plain = direct[~direct["target"].isin(edges["source"])]
        truth += list(np.sign(shift[plain["target"]].to_numpy()) == plain["sign"])
        others = shift.drop([source, *downstream])
        assert shift[plain["target"]].abs().median() > 4 * others.abs().median()
        upstream = [s for s in edges["source"].unique() if s != source and s not in downstream]
        assert (shift[upstream].abs() < 0.35 * abs(shift[source])).all()
    assert np.mean(truth) > 0.85


def _reached(edges, source) -> set[str]:
    reached, todo = set(), [source]
    while todo:
        further = set(edges.loc[edges["source"] == todo.pop(), "target"]) - reached
        reached |= further
        todo += list(further)
    return reached


def test_an_intervention_leaves_all_other_draws_alone(answers):
    source = answers.edges["source"].iloc[0]
    plain, forced = (planted_cells("small", SEED, i) for i in (None, {source: 1.0}))
    assert np.array_equal(plain.obs["depth"], forced.obs["depth"])
    assert np.array_equal(answers_of(plain).activity, answers_of(forced).activity)


def test_depth_follows_its_settings(cells, answers):
    spread = np.log(cells.obs["depth"]).to_numpy()
    n, s = len(spread), answers.settings.depth_spread
    assert spread.mean() == pytest.approx(np.log(answers.settings.depth), abs=4 * s / n**0.5)
    assert chi2.cdf(spread.var() * n / s**2, n - 1) == pytest.approx(0.5, abs=0.499)


def test_the_same_seed_gives_the_same_cells(cells):
    again, other = planted_cells("small", SEED), planted_cells("small", SEED + 1)
    assert (again.X != cells.X).nnz == 0
    assert list(other.var_names) != list(cells.var_names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cells": 0}, "cells is 0: expected at least 1"),
        ({"effect": -1.0}, "effect is -1.0: expected 0 or more"),
        ({"nested": 1.5}, "nested is 1.5: expected a share from 0 to 1"),
        ({"dispersion": 0.0}, "dispersion is 0.0: expected a positive number"),
        ({"genes": 40}, "programs of 30 genes and 30 regulators with 12 targets need at least 90"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        PlantedSettings(**change)


def test_unknown_presets_genes_and_types_are_refused(answers):
    with pytest.raises(ConfigError, match="there is no preset 'huge': expected one of small, standard"):
        planted_cells("huge")
    with pytest.raises(ConfigError, match="genes is 9000: there are names for"):
        planted_cells(PlantedSettings(genes=9000))
    with pytest.raises(ConfigError, match="'NOGENE' is no regulator of these cells"):
        planted_cells("small", SEED, {"NOGENE": 1.0})
    with pytest.raises(CellsError, match="no type 'B cell'; there are type0"):
        answers.differing("type0", "B cell")
