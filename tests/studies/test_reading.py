"""Files of a run that are not what a step wrote: one message that names file and field."""

import shutil

import pandas as pd
import pytest

from cellprism.errors import DamagedError, RunError
from cellprism.report.context import read_context
from cellprism.store.run import Run
from cellprism.studies.programs.tables import read_genes
from cellprism.studies.steer.view import features_of, unjudged_of
from cellprism.studies.study import studies
from studies.made_up import N_CELLS, N_FEATURES, N_GENES, edit_json, shown


def read_study(folder, file: str):
    """Read the study that a file belongs to."""
    name = file.partition("/")[0]
    return studies()[name].read(folder / name)


def test_a_whole_run_is_read_whole(page):
    context, found = page.context, page.found
    assert context.layer == 1
    assert (context.cells.n_cells, context.cells.n_genes) == (N_CELLS, N_GENES)
    assert sum(context.cells.types.values()) == N_CELLS
    assert list(context.cells.types.values()) == sorted(context.cells.types.values(), reverse=True)
    assert found["assess"].hidden_genes.methods["ridge"].value == pytest.approx(0.871)
    assert len(found["programs"].features) == N_FEATURES
    assert found["programs"].types.shape == (N_FEATURES, 1 + 7)
    (experiment,) = found["steer"].experiments
    assert [steered.feature for _, steered in features_of(experiment)] == [12, 40]
    assert unjudged_of(experiment) == [(71, "Erythrocyte", "no effect possible")]


def test_contrasts_come_in_the_papers_order(page):
    assert [recipe.summary["objective"] for recipe in page.found["contrast"].recipes] == ["latent", "expression"]


def test_the_runs_own_experiment_comes_first(run_folder):
    folder = run_folder / "steer"
    for name in ("feature-7", "a-first"):
        shutil.copytree(folder / "programs", folder / name)
    assert [e.name for e in studies()["steer"].read(folder).experiments] == ["programs", "a-first", "feature-7"]


def test_an_empty_run_knows_nothing(tmp_path):
    Run(tmp_path).update(steps={})
    context, found, _, sections, findings = shown(tmp_path)
    assert (context.layer, context.cells, context.model, found) == (None, None, None, {})
    assert not any(section.rows for section in sections.values())
    assert findings == []


@pytest.mark.parametrize("gone", list(studies()))
def test_a_study_that_was_not_run_is_missing_alone(run_folder, page, gone):
    Run(run_folder).forget(gone)
    found = shown(run_folder)
    assert set(found.found) == set(studies()) - {gone}
    lost = {f.id for f in page.figures.values() if any(file.startswith(f"{gone}/") for file in f.files)}
    assert lost
    assert set(found.figures) == set(page.figures) - lost


def test_no_folder_is_a_users_mistake(tmp_path):
    with pytest.raises(RunError, match="is no run folder; make one with"):
        read_context(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "column"),
    [
        ("programs/features.parquet", "best_padj"),
        ("programs/lists.parquet", "rank"),
        ("programs/enrichment.parquet", "padj"),
        ("fit/history.parquet", "mse"),
        ("steer/programs/doses.parquet", "off_target"),
        ("steer/programs/effects.parquet", "on_target"),
        ("steer/programs/terms.parquet", "padj"),
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
        read_study(run_folder, file)
    assert file in str(raised.value)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("assess/assessment.json", lambda m: m["cell_types"]["residuals"].pop("value"), r"assessment.json .*value"),
        ("fit/measures.json", lambda m: m.pop("controls"), r"measures.json is not what its step writes .*controls"),
        ("fit/measures.json", lambda m: m.update(l0="many"), r"measures.json is not what its step writes .*l0"),
        ("programs/rates.json", lambda m: m["rows"][2].pop("interval"), "row 'popularity' lacks interval"),
        ("programs/rates.json", lambda m: m.pop("background_size"), "rates.json lacks background_size"),
        ("programs/types.json", lambda m: m.pop("null_interval"), r"types.json .*null_interval"),
        ("contrast/latent/summary.json", lambda m: m.pop("lambda"), "summary.json lacks lambda"),
        ("contrast/latent/summary.json", lambda m: m["scores"]["drift"].pop("low"), "row 'drift' lacks low"),
    ],
)
def test_a_missing_field_is_named_with_its_file(run_folder, file, change, message):
    edit_json(run_folder / file, change)
    with pytest.raises(DamagedError, match=message):
        read_study(run_folder, file)


@pytest.mark.parametrize("field", ["direction", "response", "judged_at", "plausible", "edit_ratio", "antisymmetry"])
def test_a_judged_feature_that_lacks_a_number_is_named(run_folder, field):
    edit_json(run_folder / "steer/programs/summary.json", lambda m: m["features"][1].pop(field))
    with pytest.raises(DamagedError, match=f"programs/summary.json, feature.* lacks {field}"):
        shown(run_folder)


@pytest.mark.parametrize("field", ["n_layers", "tokens", "predicts"])
def test_a_model_that_lacks_a_field_is_named(run_folder, field):
    edit_json(run_folder / "model.json", lambda m: m.pop(field))
    with pytest.raises(DamagedError, match=f"model.json lacks {field}"):
        read_context(run_folder)


@pytest.mark.parametrize("card", [[], None, "words", {"limits": "words"}, {"limits": [3]}])
def test_a_card_that_is_none_is_a_message(run_folder, card):
    edit_json(run_folder / "model.json", lambda m: m.update(card=card))
    with pytest.raises(DamagedError, match=r"model.json is not what its step writes \(wrong value type for field"):
        read_context(run_folder)


def test_a_list_where_an_object_belongs_is_damaged(run_folder):
    for file in ("model.json", "programs/rates.json", "fit/measures.json", "steer/absent.json"):
        (run_folder / file).write_text("[1]")
    with pytest.raises(DamagedError, match="should hold one JSON object, found list"):
        read_context(run_folder)
    for name in ("programs", "fit", "steer"):
        with pytest.raises(DamagedError, match="should hold one JSON object, found list"):
            studies()[name].read(run_folder / name)


@pytest.mark.parametrize(
    "file",
    [
        "assess/assessment.json", "fit/history.parquet", "programs/features.parquet", "programs/types.json",
        "steer/programs/effects.parquet", "steer/absent.json", "contrast/latent/path.parquet",
    ],
)  # fmt: skip
def test_a_truncated_file_is_damaged(run_folder, file):
    path = run_folder / file
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedError, match=path.name):
        read_study(run_folder, file)


def test_a_truncated_matrix_is_damaged(run_folder):
    path = run_folder / "programs" / "genes.h5ad"
    path.write_bytes(path.read_bytes()[:97])
    with pytest.raises(DamagedError, match=r"genes.h5ad is not a readable h5ad file"):
        read_genes(path.parent)
    path.unlink()
    with pytest.raises(DamagedError, match=r"genes.h5ad is missing; rerun the step that writes it"):
        read_genes(path.parent)


@pytest.mark.parametrize("file", ["contrast/latent/genes.parquet", "programs/rates.json", "steer/absent.json"])
def test_half_a_step_is_damaged(run_folder, file):
    (run_folder / file).unlink()
    with pytest.raises(DamagedError, match=f"{file} is missing; rerun the step that writes it"):
        read_study(run_folder, file)


def test_tables_of_different_features_are_damaged(run_folder):
    path = run_folder / "programs" / "features.parquet"
    pd.read_parquet(path).head(50).to_parquet(path)
    with pytest.raises(DamagedError, match=r"types.parquet has 127 features, features.parquet 50"):
        read_study(run_folder, "programs/features.parquet")


def test_reading_changes_nothing(whole_run):
    before = {p: p.stat().st_mtime_ns for p in whole_run.rglob("*") if p.is_file()}
    shown(whole_run)
    assert before == {p: p.stat().st_mtime_ns for p in whole_run.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("file", "field"),
    [
        ("programs/rates.json", "rows"),
        ("steer/programs/summary.json", "features"),
        ("contrast/latent/summary.json", "scores"),
    ],
)
@pytest.mark.parametrize("value", [None, 3, "text", [None], {"a": 1}])
def test_what_holds_no_objects_is_damaged(run_folder, file, field, value):
    edit_json(run_folder / file, lambda record: record.update({field: value}))
    with pytest.raises(DamagedError, match=f"{field} holds .*, expected JSON objects"):
        read_study(run_folder, file)
