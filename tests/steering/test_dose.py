"""Dose sweeps on a model whose effects are known, and on one with random weights."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from cellprism.errors import ConfigError
from cellprism.simulate.wired_model import WiredCell, planted_wiring, wired_cells, wired_sae
from cellprism.steering.dose import dose_sweep
from cellprism.steering.dose_cells import read_dose_cells
from cellprism.steering.response import Effect, GeneGroup, moves_surely
from cellprism.steering.settings import LEAST_CELLS, DoseSettings
from cellprism.store.tables import read_table, write_table
from steering.planted import planted_cells, values_of

STRENGTHS = (-5.0, -3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0)
FEW = DoseSettings(matched_genes=2, top_genes=5)
COLLECTION = {"seven": ["G7", "G8", "G9"], "others": ["G1", "G2", "G3", "G4"], "far": ["G20", "G21", "G22"]}


@pytest.fixture
def swept(planted):
    model, sae = planted
    adata = planted_cells({5: 0.0})[:59].copy()
    group = np.arange(59) < 29
    return adata, dose_sweep(
        model, sae, adata, 1, {7: ["G7"], 40: ["G3"]}, held_out={7: ["G9", "G11"]}, groups={7: group},
        collection=COLLECTION, settings=FEW,
    )  # fmt: skip


def test_the_known_gene_moves_by_the_dose_and_no_other_gene_moves(swept):
    adata, result = swept
    effects = result.effects[result.effects["feature"] == 7].pivot(index="alpha", columns="gene", values="effect")
    mean = values_of(adata).numpy().mean(axis=0)
    for alpha in STRENGTHS:
        assert effects.loc[alpha, "G7"] == pytest.approx((alpha - 1) * mean[7], abs=1e-2)
        assert np.abs(effects.loc[alpha].drop("G7")).max() < 1e-2
    assert (effects.loc[1.0] == 0).all()


def test_a_straight_effect_is_antisymmetric_linear_and_monotone(swept):
    _, result = swept
    (seven,) = (entry for entry in result.summary if entry["feature"] == 7)
    assert seven["antisymmetry"]["value"] == pytest.approx(1, abs=1e-3)
    assert seven["linear_share"] == pytest.approx(1, abs=1e-3)
    assert seven["monotonicity"] == pytest.approx(1)
    assert seven["effect_elsewhere"] < 1e-2
    assert seven["genes_edited"] == 1


def test_its_response_is_its_slope_and_genes_that_it_does_not_hold_stay(swept):
    _, result = swept
    (seven,) = (entry for entry in result.summary if entry["feature"] == 7)
    assert seven["response"]["value"] == pytest.approx(4 * seven["slope"], rel=1e-2)
    assert abs(seven["held_out"]["value"]) < 1e-2


def test_a_feature_that_never_fires_gives_no_effect_possible(planted):
    model, sae = planted
    adata = planted_cells({})
    adata.X = adata.X.multiply(np.arange(29) != 7).tocsr()
    result = dose_sweep(model, sae, adata, 1, {7: ["G7"]}, settings=FEW)
    said = {"feature": 7, "status": "no effect possible", "firing_rate": 0.0, "cells_firing": 0, "forced": ""}
    assert result.summary == [said]
    assert result.effects.empty


def test_a_feature_that_fires_in_few_cells_is_not_judged(planted):
    model, sae = planted
    adata = planted_cells({})
    some = sp.csr_matrix(np.arange(112)[:, None] < np.where(np.arange(29) == 7, LEAST_CELLS - 1, 112))
    adata.X = adata.X.multiply(some).tocsr()
    (few,) = dose_sweep(model, sae, adata, 1, {7: ["G7"]}, settings=FEW).summary
    assert (few["status"], few["cells_firing"]) == ("it fires in fewer than 8 of these cells", 7)


def test_a_feature_that_moves_nothing_as_far_as_counts_has_no_controls(planted):
    """Nothing is asked for, and what could have been judged is said."""
    settings = DoseSettings(matched_genes=2, least_effect=99.0)

    def never(features):
        raise AssertionError

    (still,) = dose_sweep(*planted, planted_cells({}), 1, {7: ["G7"]}, beside=never, settings=settings).summary
    assert still["no_effect"].startswith("no effect possible: it moves no gene by 99, the most by ")
    assert still["response"]["value"] > 1


def test_terms_of_genes_moved_are_split_by_sign_and_lists_may_be_short(swept):
    _, result = swept
    seven = result.terms[result.terms["feature"] == 7]
    assert set(zip(seven["alpha"], seven["direction"], strict=True)) == {(5.0, "up"), (-3.0, "down")}
    assert (seven["genes"] == 1).all()
    assert set(seven["term"]) == {"seven"}


def test_of_each_gene_it_is_said_in_which_cells_it_moves_and_how_far_in_every_type(swept):
    """Turned to 5 the known gene rises by four times its value in every cell; others stay."""
    adata, result = swept
    values, kinds = values_of(adata).numpy()[:, 7], adata.obs["cell_type"].to_numpy()
    seven = result.effects[(result.effects["feature"] == 7) & (result.effects["gene"] == "G7")].set_index("alpha")
    assert tuple(seven.loc[5.0, ["rises", "falls"]]) == (1.0, 0.0)
    assert tuple(seven.loc[-3.0, ["rises", "falls"]]) == (0.0, 1.0)
    assert tuple(seven.loc[1.0, ["rises", "falls"]]) == (0.0, 0.0)
    others = result.effects[(result.effects["feature"] == 7) & (result.effects["gene"] != "G7")]
    assert others[["rises", "falls"]].to_numpy().mean() < 0.01
    types = result.types[result.types["feature"] == 7].set_index(["alpha", "cell_type"])
    assert len(types) == len(STRENGTHS) * len(set(kinds))
    for kind in set(kinds):
        assert types.loc[(5.0, kind), "on_target"] == pytest.approx(4 * values[kinds == kind].mean(), rel=1e-3)
        assert types.loc[(5.0, kind), "cells"] == (kinds == kind).sum()
    genes = result.genes.set_index("gene")
    assert genes.loc["G7", "read"] == genes.loc["G7", "seen"] == pytest.approx(values.mean(), rel=1e-3)
    assert genes["counts"].corr(genes["read"], method="spearman") > 0.9


def test_lists_hold_genes_of_the_background_that_move_surely_or_differ_between_types(planted):
    model, sae = planted
    adata = planted_cells({5: 0.2})
    group = (adata.obs["cell_type"] == "helper").to_numpy()

    def listed(feature: int, background=None, **asked) -> set[tuple[str, int]]:
        settings = DoseSettings(matched_genes=2, **asked)
        found = dose_sweep(
            model, sae, adata, 1, {feature: [f"G{feature}"]}, groups={feature: group}, background=background,
            collection={"all": adata.var_names}, settings=settings,
        )  # fmt: skip
        return set(zip(found.terms["direction"], found.terms["background_size"], strict=True))

    assert listed(7) == {("up", 29), ("down", 29)}
    assert listed(7, background=["G7", "G8"]) == {("up", 2), ("down", 2)}
    assert listed(7, background=["G8"]) == set()
    assert listed(7, lists="bonferroni") == listed(5, differential=True) == {("up", 29), ("down", 29)}
    assert listed(7, differential=True) == set(), "only the fifth gene differs"


def test_genes_that_move_surely_are_found_and_chance_alone_gives_any_in_a_twentieth_of_worlds():
    rng, called = np.random.default_rng(0), 0
    for _ in range(300):
        change = rng.normal(size=(40, 29))
        one = np.zeros((3, 29))
        effect = Effect(change.mean(0), one[0], change.std(0, ddof=1), one[0] + 40, one[1], one[2], one[:1])
        called += moves_surely(effect, 0.05).any()
    assert 0.01 < called / 300 < 0.09
    moved = replace(effect, read=effect.read + np.where(np.arange(29) == 3, 2.0, 0.0))
    assert moves_surely(moved, 0.05)[3]
    assert not moves_surely(Effect.still(29, 1), 0.05).any()


def test_tables_go_to_parquet_and_the_summary_to_json(swept, tmp_path):
    _, result = swept
    for name in ("effects", "doses", "types", "genes", "nulls", "terms"):
        table = getattr(result, name)
        write_table(tmp_path / f"{name}.parquet", table)
        assert read_table(tmp_path / f"{name}.parquet").equals(table)
    assert json.loads(json.dumps(result.summary, allow_nan=False)) == result.summary
    assert result.nulls["kind"].value_counts().to_dict()["difference of means"] == 1
    effects = result.effects[result.effects["feature"] == 7]
    assert set(effects.loc[effects["on_target"], "gene"]) == {"G7"}
    assert set(effects.loc[effects["held_out"], "gene"]) == {"G9", "G11"}
    assert (effects.loc[effects["gene"] == "G7", "edited"] == 1).all()


def test_sizes_of_edits_are_those_of_the_codes(real_model, real_sae, cells):
    feature = int(np.argmax(read_dose_cells(real_model, real_sae, cells, 1, 5, [], read="visible").squared_norm))
    dose_cells = read_dose_cells(real_model, real_sae, cells, 1, 5, [feature], read="visible")
    rows = dose_cells.rows(feature)
    assert dose_cells.edit_norm(feature, -2.0) == pytest.approx(3 * np.sqrt(dose_cells.squared_norm[feature]))
    assert (dose_cells.fires[:, feature] == np.isin(np.arange(17), rows)).all()
    kept = dose_cells.cache.kept
    activation = (kept.code_values * (kept.code_features == feature)).sum(dim=2)[:, :29]
    assert float(activation.square().sum()) == pytest.approx(dose_cells.squared_norm[feature], rel=1e-4)
    np.testing.assert_allclose(dose_cells.edited[feature], (activation != 0).double().mean(dim=0))
    residual = float(kept.x[rows][:, :29].norm())
    assert dose_cells.edit_ratio(feature, -2.0) == pytest.approx(dose_cells.edit_norm(feature, -2.0) / residual)


def test_effects_are_means_over_the_cells_in_which_a_feature_fires(real_model, real_sae, cells):
    from cellprism.steering.intervene import steer

    dose_cells = read_dose_cells(real_model, real_sae, cells, 1, 5, [])
    feature = int(np.argmin(np.abs(dose_cells.fires.sum(axis=0) - 9)))
    out = steer(real_model, real_sae, cells, 1, {feature: 5.0})
    rows = dose_cells.rows(feature)
    assert 0 < rows.size < 17
    expected = (out.layers["steered"] - out.layers["baseline"])[rows].mean(axis=0)
    np.testing.assert_allclose(dose_cells.effect(dose_cells.turned(feature, 5.0)).read, expected, atol=1e-5)


def test_a_sweep_of_a_transformer_is_reproducible(real_model, real_sae, cells):
    programs = {3: ["G1", "G2"], 7: ["G5", "G6", "G7"]}
    runs = [dose_sweep(real_model, real_sae, cells, 1, programs, settings=FEW) for _ in range(2)]
    assert runs[0].summary == runs[1].summary
    assert runs[0].effects.equals(runs[1].effects)


@pytest.mark.parametrize(
    ("programs", "held_out", "message"),
    [
        ({7: ["CD8A"]}, None, r"none of the 1 genes of programs\[7\] is among the cells' 29"),
        ({7: ["G7"]}, {7: ["G7", "G8"]}, r"held_out\[7\] shares genes with programs\[7\]"),
        ({41: ["G7"]}, None, "feature 41 does not exist"),
    ],
)
def test_impossible_sweeps_are_refused(planted, programs, held_out, message):
    with pytest.raises(ConfigError, match=message):
        dose_sweep(*planted, planted_cells({}), 1, programs, held_out=held_out, settings=FEW)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"judged_at": 3.0},
            "judged_at is 3.0, so strengths must hold 4 and -2; found -5, -3, -1, 0, 1, 2, 3, 5",
        ),
        ({"strengths": (5.0, -3.0, float("inf"))}, "strengths must be finite"),
        ({"top_genes": 0}, "must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        DoseSettings(**change)


def test_what_is_propagated_is_what_other_tokens_pass_on_and_nothing_of_the_genes_own():
    """A model that is a weighted sum of what it sees: turning every value up by d raises gene j by d times its sum over
    the genes that are not spared."""
    wiring = np.abs(planted_wiring(31, 3, 5, 1.0, 1.0, 0)[0]).astype(np.float32)
    adata = wired_cells(31, 43, 0)
    own = [f"G{i}" for i in range(4)]
    result = dose_sweep(WiredCell(wiring), wired_sae(), adata, 0, {0: own}, settings=FEW)
    (entry,) = result.summary
    values = adata[:, [f"G{i}" for i in range(31)]].X.toarray()
    some = GeneGroup.of(np.arange(4), np.arange(4), result.genes["read"].to_numpy(), FEW.matched_genes)
    wired = np.where(np.eye(31, dtype=bool), 0, wiring)
    for spared, found in (([], entry["response"]), (some.genes, entry["propagated"])):
        seen = values.copy()
        seen[:, spared] = 0
        change = FEW.judged_at * seen @ wired
        assert found["value"] == pytest.approx(some.response(change.mean(axis=0)), rel=1e-4)


def test_a_feature_that_is_not_at_its_genes_or_reads_them_hidden_has_nothing_propagated_apart(swept):
    _, result = swept
    seven, other = result.summary
    assert abs(seven["propagated"]["value"]) < 1e-2  # nothing reaches G7 but from its own token
    assert "propagated" not in other
