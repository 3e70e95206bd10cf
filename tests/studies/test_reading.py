import json
import shutil

import anndata
import pandas as pd
import pytest

from cellprism.errors import DamagedError, RunError
from cellprism.report.inputs import read_run
from report.made_up import N_CELLS, N_FEATURES, N_GENES


def edit_json(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_a_whole_run_is_read_whole(facts):
    assert facts.layer == 1
    assert (facts.cells.n_cells, facts.cells.n_genes) == (N_CELLS, N_GENES)
    assert sum(facts.cells.types.values()) == N_CELLS
    assert list(facts.cells.types.values()) == sorted(facts.cells.types.values(), reverse=True)
    assert facts.model.held_out["ridge"].value == 0.871
    assert len(facts.features.table) == N_FEATURES
    assert facts.features.contrast.shape == (N_FEATURES, 7)
    assert [f.feature for f in facts.steering[0].features] == [12, 40]
    assert facts.steering[0].silent == ["Erythrocyte: no effect possible"]


def test_contrasts_come_in_the_papers_order(facts):
    assert [c.objective for c in facts.contrasts] == ["latent", "expression"]


def test_an_empty_folder_is_a_run_without_steps(tmp_path):
    facts = read_run(tmp_path)
    assert facts.layer is None
    assert (facts.cells, facts.model, facts.training, facts.features, facts.rates) == (None,) * 5
    assert (facts.steering, facts.contrasts) == ([], [])


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        ("cells.h5ad", "cells"),
        ("model.json", "model"),
        ("sae", "training"),
        ("features", "features"),
        ("terms", "rates"),
        ("steer", "steering"),
        ("contrast", "contrasts"),
    ],
)
def test_a_step_that_was_not_run_is_missing_alone(run_folder, facts, gone, missing):
    path = run_folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = read_run(run_folder)
    for name in ("cells", "model", "training", "features", "rates", "steering", "contrasts"):
        assert bool(getattr(found, name) is not None and getattr(found, name) != []) == (name != missing), name


def test_no_folder_is_a_users_mistake(tmp_path):
    with pytest.raises(RunError, match="is no run folder; make one with"):
        read_run(tmp_path / "nowhere")


def test_several_layers_ask_which(run_folder):
    shutil.copytree(run_folder / "features" / "L1", run_folder / "features" / "L2")
    with pytest.raises(RunError, match=r"holds layers 1, 2; say which to show, for example layer=1"):
        read_run(run_folder)
    assert read_run(run_folder, layer=2).layer == 2
    with pytest.raises(RunError, match="has no layer 5; it has 1, 2"):
        read_run(run_folder, layer=5)


@pytest.mark.parametrize(
    ("file", "column"),
    [
        ("features/L1/features.parquet", "best_padj"),
        ("sae/L1/history.parquet", "mse"),
        ("steer/programs/doses.parquet", "off_target"),
        ("steer/programs/dose.parquet", "on_target"),
        ("contrast/latent/path.parquet", "n_above_0.3"),
        ("contrast/latent/cells.parquet", "closer"),
        ("contrast/expression/genes.parquet", "gap_fraction"),
        ("contrast/expression/recipe.parquet", "strength"),
    ],
)
def test_a_missing_column_is_named_with_its_file(run_folder, file, column):
    path = run_folder / file
    pd.read_parquet(path).drop(columns=column).to_parquet(path)
    with pytest.raises(DamagedError, match=f"lacks {column}; rerun the step that wrote it") as raised:
        read_run(run_folder)
    assert file in str(raised.value)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("model.json", lambda m: m.pop("n_layers"), "model.json lacks n_layers"),
        ("sae/L1/metrics.json", lambda m: m.pop("controls"), "metrics.json lacks controls"),
        ("terms/L1/rates.json", lambda m: m["rows"][2].pop("interval"), "row 'popularity' lacks interval"),
        (
            "steer/programs/summary.json",
            lambda m: m["features"][1].pop("response"),
            "feature 40 lacks response",
        ),
        ("contrast/latent/summary.json", lambda m: m.pop("lambda"), "summary.json lacks lambda"),
        ("contrast/latent/summary.json", lambda m: m["scores"]["drift"].pop("low"), "drift lacks low"),
    ],
)
def test_a_missing_field_is_named_with_its_file(run_folder, file, change, message):
    edit_json(run_folder / file, change)
    with pytest.raises(DamagedError, match=message):
        read_run(run_folder)


@pytest.mark.parametrize(
    "file",
    [
        "cells.h5ad",
        "features/L1/cells.h5ad",
        "features/L1/features.parquet",
        "model.json",
        "contrast/latent/path.parquet",
    ],
)
def test_a_truncated_file_is_damaged(run_folder, file):
    path = run_folder / file
    path.write_bytes(path.read_bytes()[:97])
    with pytest.raises(DamagedError, match=path.name):
        read_run(run_folder)


def test_a_sweep_of_nothing_has_no_tables_to_read(run_folder):
    def silence(summary):
        for row in summary["features"]:
            row["status"] = "no effect possible"

    edit_json(run_folder / "steer" / "programs" / "summary.json", silence)
    for path in (run_folder / "steer" / "programs").glob("*.parquet"):
        pd.DataFrame().to_parquet(path)
    (found,) = read_run(run_folder).steering
    assert found.features == []
    assert len(found.silent) == 3


def test_a_feature_without_genes_to_compare_is_not_judged(run_folder):
    path = run_folder / "steer" / "programs" / "summary.json"
    edit_json(path, lambda m: m["features"][0]["response"].update(value=None))
    (found,) = read_run(run_folder).steering
    assert [f.feature for f in found.features] == [40]
    assert "B cell receptor signalling: no genes to compare" in found.silent


def test_cells_without_labels_are_unlabelled(run_folder):
    for path in (run_folder / "cells.h5ad", run_folder / "features" / "L1" / "cells.h5ad"):
        cells = anndata.read_h5ad(path)
        del cells.obs["cell_type"]
        cells.write_h5ad(path)
    found = read_run(run_folder)
    assert found.cells.types == {"unlabelled": N_CELLS}
    assert found.features.contrast is None


def test_half_a_step_is_damaged(run_folder):
    (run_folder / "contrast" / "latent" / "genes.parquet").unlink()
    with pytest.raises(DamagedError, match=r"genes.parquet is missing though its folder is there"):
        read_run(run_folder)


def test_a_list_where_an_object_belongs_is_damaged(run_folder):
    (run_folder / "model.json").write_text("[1]")
    with pytest.raises(DamagedError, match="should hold one JSON object, found list"):
        read_run(run_folder)


def test_tables_of_different_features_are_damaged(run_folder):
    path = run_folder / "features" / "L1" / "features.parquet"
    pd.read_parquet(path).head(50).to_parquet(path)
    with pytest.raises(DamagedError, match=r"has 127 features, features.parquet 50"):
        read_run(run_folder)


def test_unlabelled_cells_take_no_part_in_the_comparison_of_types(run_folder, facts):
    path = run_folder / "features" / "L1" / "cells.h5ad"
    cells = anndata.read_h5ad(path)
    cells.obs["cell_type"] = cells.obs["cell_type"].astype(str).replace("NK", "unlabelled")
    cells.write_h5ad(path)
    found = read_run(run_folder).features
    assert "unlabelled" not in found.contrast.columns
    assert "NK" not in found.type_counts
    assert sum(found.type_counts.values()) == N_CELLS - facts.cells.types["NK"]


def test_features_named_by_text_are_numbers(run_folder):
    path = run_folder / "features" / "L1" / "features.parquet"
    table = pd.read_parquet(path)
    table.assign(feature=table["feature"].astype(str)).to_parquet(path)
    assert read_run(run_folder).features.table["feature"].tolist() == list(range(N_FEATURES))


def test_one_type_alone_cannot_be_compared(run_folder):
    path = run_folder / "features" / "L1" / "cells.h5ad"
    cells = anndata.read_h5ad(path)
    cells.obs["cell_type"] = "unlabelled"
    cells.write_h5ad(path)
    found = read_run(run_folder).features
    assert (found.contrast, found.chance_share) == (None, None)


def test_gene_identity_alone_follows_from_both_explained_variances(facts):
    """With one error E: 1 - E/T = 0.968 and 1 - E/W = 0.88, so W/T = 0.032/0.12 is what gene means leave."""
    assert facts.training.controls["gene_mean"] == pytest.approx(1 - 0.032 / 0.12)


def test_without_centring_there_is_no_such_control(run_folder):
    edit_json(run_folder / "sae" / "L1" / "metrics.json", lambda m: m.update(explained_within=None))
    assert set(read_run(run_folder).training.controls) == {"untrained"}


def test_how_far_a_rival_lies_behind_is_counted_in_the_gene_means_error(facts):
    low, high = facts.model.held_out["ridge"].behind
    assert (low, high) == pytest.approx((0.009, 0.017))


def test_scores_without_a_value_are_left_out(run_folder):
    edit_json(
        run_folder / "contrast" / "latent" / "summary.json",
        lambda m: m["scores"]["up_correct"].update(value=None),
    )
    assert "up_correct" not in read_run(run_folder).contrasts[0].scores


def test_genes_that_were_not_measured_are_left_out(run_folder):
    edit_json(
        run_folder / "contrast" / "latent" / "summary.json",
        lambda m: m["named"].update(CD8A={"measured": False}),
    )
    assert list(read_run(run_folder).contrasts[0].named) == ["CD8B"]


def test_reading_changes_nothing(whole_run):
    before = {p: p.stat().st_mtime_ns for p in whole_run.rglob("*") if p.is_file()}
    read_run(whole_run)
    assert before == {p: p.stat().st_mtime_ns for p in whole_run.rglob("*") if p.is_file()}
