"""Verbs at work on real cells: data on stdout, talk on stderr, and what a run folder holds afterwards."""

import json

import anndata
import pytest

from cellprism.cells.datasets import DATASETS
from cellprism.cli.app import call
from cellprism.ontology.published import PUBLISHED
from cellprism.store.atomic import read_json
from cellprism.workflow.pipeline import steps


def test_data_sets_are_listed_with_their_licences(capsys):
    assert call(["data", "list"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    expected = {**DATASETS, **PUBLISHED}
    assert [(name, licence) for name, _, licence in rows] == [(name, file.licence) for name, file in expected.items()]


def test_a_release_of_the_ontology_is_fetched_with_a_checksum_alone(capsys):
    assert call(["data", "fetch", "go", "--release", "2024-01-17"]) == 2
    assert "release 2024-01-17 of go has no checksum here (pinned is 2022-11-03); give it as" in capsys.readouterr().err
    assert call(["data", "fetch", "pbmc3k", "--release", "2024-01-17"]) == 2
    assert "pbmc3k has one release; --release and --sha256 are for go and goa_human" in capsys.readouterr().err


def test_models_are_listed(capsys):
    assert call(["models", "list"]) == 0
    assert capsys.readouterr().out.startswith("pbmc2\t")


def test_a_model_says_its_sizes_and_licence(capsys, asked):
    assert call(["models", "info", asked["model"]]) == 0
    out = capsys.readouterr().out
    assert "tiny (seed 3), licence: none" in out
    assert "2 blocks, d_model 16, 60 genes" in out
    assert "predicts expression" in out


def test_a_check_of_cells_is_json_when_asked(capsys):
    assert call(["data", "check", "bundled:pbmc68k", "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["n_cells"] == 700
    assert err == ""


def test_a_check_of_cells_is_text_otherwise(capsys):
    assert call(["data", "check", "bundled:pbmc68k"]) == 0
    assert "700 cells" in capsys.readouterr().out


def test_a_check_lists_what_is_wrong(capsys, asked):
    assert call(["data", "check", asked["cells"], "--model", asked["model"], "--labels", "cel_type"]) == 2
    assert "did you mean 'cell_type'?" in capsys.readouterr().err


def test_a_model_that_does_not_share_the_genes_is_refused(capsys, tmp_path, asked):
    cells = anndata.read_h5ad(asked["cells"])
    cells.var_names = [f"{gene}x" for gene in cells.var_names]
    cells.write_h5ad(tmp_path / "other.h5ad")
    assert call(["train", str(tmp_path / "other.h5ad"), "--out", str(tmp_path / "run"), "--model", asked["model"]]) == 2
    assert "no gene of the data is among the model's 60" in capsys.readouterr().err


def test_data_that_cannot_be_fetched_by_an_unknown_name_is_exit_code_2(capsys):
    assert call(["data", "fetch", "pbmc3"]) == 2
    assert "pbmc3k" in capsys.readouterr().err


def test_the_verbs_follow_each_other(capsys, tmp_path, asked):
    run = str(tmp_path / "run")
    train = ["train", asked["cells"], "--out", run, "--model", asked["model"], "--layer", "0"]
    settings = [f"--set=train.{key}={value}" for key, value in asked["train"].items()]
    assert call([*train, *settings]) == 0
    assert call(["do", "programs", run, "--set", "programs.replicates=3", "--gene-filter", "all"]) == 0
    assert call(["report", run]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert f"next: cellprism do fit {run}, or cellprism do programs {run}" in err
    assert "open file://" in err
    assert (tmp_path / "run" / "report.html").is_file()
    assert read_json(tmp_path / "run" / "run.json")["steps"].keys() == {"cells", "train", "programs"}


def test_steering_a_feature_that_does_not_exist_names_the_range(capsys, run):
    assert call(["steer", str(run), "--feature", "99999"]) == 2
    err = capsys.readouterr().err
    assert "feature 99999 does not exist or never fires in these cells; features run from 0 to 40" in err


def test_steering_another_program_changes_the_run(capsys, run):
    assert call(["steer", str(run), "--program", "Ribosom", "--set", "steer.cells=5"]) == 0
    assert "next: cellprism contrast" in capsys.readouterr().err
    summary = read_json(run / "steer" / "programs" / "summary.json")
    assert summary["n_cells"] == 5
    assert len(summary["features"]) == 1
    assert 'programs = [\n    "Ribosom",\n]' in (run / "run.toml").read_text()


def test_a_contrast_needs_two_types(capsys, run):
    assert call(["contrast", str(run), "--from", ""]) == 0, "nothing was changed, so the run's own types stand"
    assert call(["contrast", str(run), "--set", "contrast.source=", "--set", "contrast.target="]) == 2
    assert "say which: cellprism contrast" in capsys.readouterr().err


def test_an_unknown_type_comes_with_near_matches(capsys, run):
    assert call(["contrast", str(run), "--to", "CD8+ Cytotoxic"]) == 2
    assert "did you mean 'CD8+ Cytotoxic T'?" in capsys.readouterr().err


def test_one_objective_and_another_gene_can_be_asked_for(capsys, run, asked):
    assert call(["contrast", str(run), "--objective", "latent", "--named", "CD8A"]) == 0
    assert list(read_json(run / "contrast" / "latent" / "summary.json")["named"]) == ["CD8A"]


@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("sae/L0/sae_weights.safetensors", ["do", "programs"]),
        ("programs/enrichment.parquet", ["steer"]),
        ("claims.json", None),
    ],
)
def test_a_damaged_file_is_exit_code_3(capsys, run, name, verb):
    path = run / name
    path.write_bytes(path.read_bytes()[:-5])
    if verb is None:
        assert call(["report", str(run)]) == 0, "claims.json is written anew from the rest"
        return
    assert call([*verb, str(run)]) == 3
    err = capsys.readouterr().err
    assert f"{path} is missing or altered; make it again with: cellprism" in err


FILES = ["programs/features.parquet", "programs/cells.h5ad", "sae/L0/sae_weights.safetensors", "cells.h5ad"]


@pytest.mark.parametrize("how", ["altered", "missing"])
@pytest.mark.parametrize("name", FILES)
def test_a_report_of_a_run_that_was_altered_is_refused_with_file_and_step(capsys, run, name, how):
    path = run / name
    before = [(run / written).read_bytes() for written in ("claims.json", "report.html")]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if how == "altered":
        path.write_bytes(data)
    assert call(["report", str(run)]) == 3
    step = {"sae": "train", "cells.h5ad": "cells"}.get(name.partition("/")[0], name.partition("/")[0])
    err = capsys.readouterr().err
    assert f"{path} is missing or is no longer what step '{step}' wrote; make it again with: cellprism run" in err
    assert [(run / written).read_bytes() for written in ("claims.json", "report.html")] == before


def test_a_table_that_was_edited_by_hand_is_refused_though_it_can_be_read(capsys, run):
    path = run / "programs" / "rates.json"
    path.write_text(path.read_text().replace('"alpha": 0.05', '"alpha": 0.04'))
    assert call(["report", str(run)]) == 3
    assert f"{path} is missing or is no longer what step 'programs' wrote" in capsys.readouterr().err


def test_a_run_that_is_asked_for_again_is_skipped(capsys, run, finished):
    assert call(["run", str(run / "run.toml"), "--out", str(run)]) == 0
    err = capsys.readouterr().err
    assert err.count("already done, nothing has changed") == sum(step.every_run for step in steps().values())


def test_a_demo_in_the_folder_of_another_run_is_refused_and_has_the_option_that_it_names(capsys, run):
    assert call(["demo", "--out", str(run)]) == 2
    assert "use another --out, or --again" in capsys.readouterr().err
    assert call(["demo", "--help"]) == 0
    assert "--again" in capsys.readouterr().out


def test_a_doctor_uses_the_bundled_model(capsys):
    assert call(["doctor"]) == 0
    assert "all finite: True" in capsys.readouterr().out
