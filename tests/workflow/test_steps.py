"""Steps: done once, done again exactly when something they depend on has changed, never built on what does not fit."""

import re
from dataclasses import replace

import anndata
import pytest

from cellprism.errors import CellsError, ConfigError, DamagedError, RunError
from cellprism.store.atomic import read_json
from cellprism.store.run import Run
from cellprism.store.tables import read_table
from cellprism.workflow.config import config_of as config_of_run
from cellprism.workflow.pipeline import continue_run, start_run, steer_one, steps
from cellprism.workflow.steps import identity_of
from workflow.tiny import bar, config_of

STEPS = steps()
AFTER_TRAIN = [name for name in STEPS if name not in ("cells", "assess", "blocks")]


def done_in(folder, config, *only, again=False) -> list[str]:
    """The steps that were done, neither skipped nor removed."""
    said: list[str] = []
    start_run(config, folder, bar, said.append, only or None, again=again)
    return [text.split(":")[0] for text in said if ": done in" in text]


def went_on(folder, step, config=None) -> list[str]:
    said: list[str] = []
    continue_run(folder, step, config, bar, said.append)
    return said


def test_a_finished_run_is_skipped_and_says_so(asked, run):
    said: list[str] = []
    start_run(config_of(asked), run, bar, said.append)
    every = [name for name, step in STEPS.items() if step.every_run]
    assert said == [f"{name}: already done, nothing has changed" for name in every]


def test_a_study_that_is_done_where_asked_for_is_no_part_of_a_whole_run(asked, run, monkeypatch):
    asked_for = {**STEPS, "adds": replace(STEPS["adds"], every_run=False)}
    monkeypatch.setattr("cellprism.workflow.pipeline.steps", lambda: asked_for)
    said: list[str] = []
    start_run(config_of(asked), run, bar, said.append)
    assert [text.split(":")[0] for text in said] == [n for n, step in asked_for.items() if step.every_run]
    assert done_in(run, config_of(asked, "adds.cells=20"), "adds") == ["adds"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("contrast.search.n_genes=12", ["contrast"]),
        ("steer.cells=5", ["steer"]),
        ("programs.alpha=0.1", [name for name in AFTER_TRAIN if "programs" in (name, *STEPS[name].needs)]),
        ("fit.cells=5", ["fit"]),
        ("train.k=4", AFTER_TRAIN),
        (
            'pool={"T cells"=["CD4+/CD45RO+ Memory"]}',
            list(STEPS),
        ),
    ],
)
def test_a_changed_setting_repeats_its_step_and_those_after_it(asked, finished, change, expected):
    config, before = config_of(asked, change), config_of(asked)
    same = {name: identity_of(step, config, STEPS) == identity_of(step, before, STEPS) for name, step in STEPS.items()}
    assert [name for name in STEPS if not same[name]] == expected


def test_a_step_whose_settings_changed_is_done_again(asked, run):
    assert done_in(run, config_of(asked, "steer.cells=5")) == ["steer"]
    assert read_json(run / "steer" / "programs" / "summary.json")["n_cells"] == 5
    assert "cells = 5" in (run / "run.toml").read_text()


def test_changed_cells_under_the_same_name_are_noticed(asked, tmp_path, run):
    cells = anndata.read_h5ad(asked["cells"])
    cells[::-1].copy().write_h5ad(tmp_path / "cells.h5ad")
    config = config_of({**asked, "cells": str(tmp_path / "cells.h5ad")})
    assert done_in(run, config, "cells", again=True) == ["cells"]


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"cells": "bundled:pbmc68k"}, "cells"),
        ({"model": "mini"}, "model"),
        ({"labels": "bulk_labels", "only": {"cell_type": ["B"]}}, "labels and only"),
    ],
)
def test_a_run_on_other_cells_is_refused_before_anything_is_written(asked, run, other, what):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    message = (
        f"{run} holds a run on cells {asked['cells']!r} with model {asked['model']!r} and labels '', but {what} would"
    )
    with pytest.raises(RunError, match=re.escape(message)):
        start_run(config_of({**asked, **other}), run, bar, lambda text: None)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_later_visit_leaves_the_record_of_what_was_done_as_it_was(asked, run, monkeypatch):
    before = Run(run).state
    monkeypatch.setattr("platform.python_version", lambda: "4.0")
    assert done_in(run, config_of(asked, "steer.cells=5")) == ["steer"]
    after = Run(run).state
    assert {name for name in after["steps"] if after["steps"][name] != before["steps"][name]} == {"steer"}
    assert after["steps"]["steer"]["python"] == "4.0"
    assert after["steps"]["steer"]["settings"]["steer"]["cells"] == 5
    assert {name: value for name, value in after.items() if name != "steps"} == {
        name: value for name, value in before.items() if name != "steps"
    }


def test_what_was_made_from_an_earlier_step_is_removed_and_said(asked, run):
    said: list[str] = []
    start_run(config_of(asked, "train.k=7"), run, bar, said.append, ("cells", "train"))
    gone = [text for text in said if text.endswith("removed, it was made from an earlier train")]
    assert [text.split(":")[0] for text in gone] == [name for name in AFTER_TRAIN if name != "train"]
    assert (run / "sae").is_dir()
    assert [name for name in ("fit", "programs", "steer", "contrast") if any((run / name).rglob("*.parquet"))] == []


def test_a_changed_file_of_gene_sets_is_noticed(asked, tmp_path, run):
    sets = tmp_path / "sets.gmt"
    genes = list(anndata.read_h5ad(asked["cells"]).var_names)
    sets.write_text("one\tx\t" + "\t".join(genes[:7]) + "\n")
    config = config_of(asked, f"programs.collection='{sets}'")
    assert done_in(run, config, "cells", "train", "programs") == ["programs"]
    assert done_in(run, config, "cells", "train", "programs") == []
    sets.write_text("one\tx\t" + "\t".join(genes[:11]) + "\n")
    assert done_in(run, config, "cells", "train", "programs") == ["programs"]


@pytest.mark.parametrize(("key", "named"), [("cells", "gone.h5ad"), ("model", "aido:gone"), ("model", "gone")])
def test_a_run_without_the_files_it_was_made_from_names_them_and_the_fix(asked, run, key, named):
    words = rf"step 'cells' of {run} was made from files that are not there \({key} = '{named}' in run.toml\); put "
    with pytest.raises(RunError, match=rf"{words}them back, or say where they are now with --set {key}=PATH"):
        went_on(run, "fit", config_of({**asked, key: named}))
    assert went_on(run, "fit", config_of(asked)) == ["fit: already done, nothing has changed"]


def test_gene_sets_that_are_gone_are_named(asked, run, tmp_path):
    sets = tmp_path / "sets.gmt"
    genes = list(anndata.read_h5ad(asked["cells"]).var_names)
    sets.write_text("one\tx\t" + "\t".join(genes[:7]) + "\n")
    config = config_of(asked, f"programs.collection={sets}")
    assert done_in(run, config, "programs") == ["programs"]
    sets.unlink()
    with pytest.raises(RunError, match=rf"programs.collection = '{sets}' in run.toml.*--set programs.collection=PATH"):
        went_on(run, "steer", config)


@pytest.mark.parametrize("name", ["steer/programs/effects.parquet", "steer/programs/summary.json"])
def test_an_altered_result_is_made_again(asked, run, name):
    before = (run / name).read_bytes()
    (run / name).write_bytes(before[:-7])
    assert done_in(run, config_of(asked)) == ["steer"]
    assert len((run / name).read_bytes()) == len(before)


def test_nothing_is_built_on_an_altered_file(run):
    weights = run / "sae" / "L0" / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    again = f"cellprism run {run / 'run.toml'} --out {run}"
    message = re.escape(f"{weights} is missing or altered; make it again with: {again}")
    with pytest.raises(DamagedError, match=message):
        went_on(run, "programs")


def test_a_missing_step_is_named_with_the_verb_that_makes_it(asked, tmp_path):
    folder = tmp_path / "run"
    assert done_in(folder, config_of(asked), "cells", "train") == ["cells", "train"]
    with pytest.raises(
        RunError, match=f"no finished step 'programs'; make it first with: cellprism do programs {folder}"
    ):
        went_on(folder, "steer")
    assert went_on(folder, "contrast")[0].startswith("contrast: done in")


def test_a_later_step_is_not_built_on_a_step_with_other_settings(asked, run):
    before = (run / "run.toml").read_text()
    with pytest.raises(RunError, match=r"step 'train' of .* was made with other settings"):
        went_on(run, "programs", config_of(asked, "train.k=4"))
    assert (run / "run.toml").read_text() == before, "a refused change leaves no trace"
    assert went_on(run, "programs") == ["programs: already done, nothing has changed"]


def test_types_can_be_changed_without_training_again(asked, run):
    said = went_on(run, "contrast", config_of(asked, f"contrast.source='{asked['contrast']['target']}'",
                                              f"contrast.target='{asked['contrast']['source']}'"))  # fmt: skip
    assert said[0].startswith("contrast: done in")
    assert read_json(run / "contrast" / "latent" / "summary.json")["source"] == asked["contrast"]["target"]


def test_types_taken_together_have_one_name(asked, tmp_path):
    types = [asked["contrast"]["source"], asked["contrast"]["target"]]
    config = config_of({"cells": asked["cells"], "model": asked["model"], "pool": {"T cells": types}})
    start_run(config, tmp_path / "run", bar, lambda text: None, ["cells"])
    assert set(anndata.read_h5ad(tmp_path / "run" / "cells.h5ad").obs["cell_type"]) == {"T cells"}


def test_unknown_types_are_refused_before_anything_is_trained(asked, tmp_path):
    config = config_of(asked, "contrast.target='CD8+ Cytotoxic'")
    with pytest.raises(CellsError, match=r"no cell type 'CD8\+ Cytotoxic'; did you mean 'CD8\+ Cytotoxic T'"):
        start_run(config, tmp_path / "run", bar, lambda text: None)
    assert not (tmp_path / "run" / "sae").exists()


def test_one_feature_can_be_steered_by_number(run):
    table = read_table(run / "programs" / "features.parquet")
    feature = int(table["firing_rate"].idxmax())
    folder = steer_one(run, feature, None, bar, lambda text: None)
    assert folder == run / "steer" / f"feature-{feature}"
    assert read_json(folder / "summary.json")["features"][0]["feature"] == feature


def test_a_feature_that_does_not_exist_is_refused_with_the_range(run):
    with pytest.raises(ConfigError, match=r"feature 99999 does not exist or never fires .*; features run from 0 to 40"):
        steer_one(run, 99999, None, bar, lambda text: None)


def test_a_run_knows_its_settings(asked, run):
    assert config_of_run(Run(run)) == config_of(asked)


def test_two_processes_do_not_work_on_one_run(asked, run):
    with Run(run).locked(), pytest.raises(RunError, match="another process is working on"):
        start_run(config_of(asked), run, bar, lambda text: None)


@pytest.mark.parametrize("study", ["lens", "steer"])
def test_a_key_that_no_version_here_knows_is_named_with_its_file_and_what_to_do(run, study):
    path = run / "run.toml"
    path.write_text(path.read_text().replace(f"[{study}]\n", f"[{study}]\nolder = 3\n"))
    said = rf"unknown key {study}\.older.*remove what is named here from {path} and give"
    with pytest.raises(ConfigError, match=said):
        went_on(run, "fit")
