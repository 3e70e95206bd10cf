"""A finished run as one object."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import cellprism as cp
from cellprism.errors import DamagedError, InputError, RunError
from cellprism.report.claims import read_claims
from cellprism.workflow.publish import write_report


def test_everything_of_a_run_is_there_by_name(finished):
    run = cp.open_run(str(finished))
    assert (run.cells.n_obs, run.sae.n_features, run.model.name) == (37, 41, "tiny")
    assert run.cell_features.shape == (37, 41)
    assert run.feature_genes.shape == (41, run.cells.n_vars)
    assert run.card(3).feature == 3
    assert run.page.name == "report.html"
    assert list(run.claims.index) == [claim.id for claim in read_claims(finished / "claims.json")]
    assert {"cells", "train", "programs"} <= set(run.studies)
    for name in run.tables:
        assert run.tables[name] is not None, name
    codes = run.sae.encode(run.model.residual(batch := next(run.model.batches(run.cells, 5)), 0), batch)
    means = codes.dense().sum(1) / batch.present.sum(1, keepdim=True)
    np.testing.assert_allclose(means.numpy(), run.cell_features.X[:5].toarray(), rtol=1e-4, atol=1e-6)


def test_a_table_is_reached_by_whole_name_short_name_and_attribute(whole_run):
    tables = cp.open_run(whole_run).tables
    whole = pd.read_parquet(whole_run / "programs" / "enrichment.parquet")
    for found in (tables["programs/enrichment"], tables["enrichment"], tables.programs.enrichment):
        pd.testing.assert_frame_equal(found, whole)
    assert isinstance(tables["programs/types"], pd.DataFrame)
    assert isinstance(tables["programs/types.json"], dict)
    assert "programs" in dir(tables)
    assert "enrichment" in dir(tables.programs)
    assert "enrichment" in repr(tables)
    with pytest.raises(RunError, match=r"several tables called 'features': .*programs/features.*say which"):
        tables["features"]
    with pytest.raises(RunError, match="no table 'enrichmant'; it has"):
        tables["enrichmant"]
    assert tables.get("enrichmant") is None
    with pytest.raises(AttributeError, match="whole has no table or folder 'nope'; it has adds"):
        tables.nope  # noqa: B018


def test_features_hold_what_every_study_says_of_all_of_them(whole_run):
    run = cp.open_run(whole_run)
    features = run.features
    assert len(features) == 127
    assert features.index.name == "feature"
    assert features.columns.is_unique
    for study, column in (("programs", "best_term"), ("state", "of_state"), ("stability", "grade")):
        table = pd.read_parquet(whole_run / study / "features.parquet").set_index("feature")
        assert features[column].equals(table[column].reindex(features.index)), column


def test_claims_are_rows_with_their_numbers(whole_run, tmp_path):
    with pytest.raises(RunError, match=r"has no claims.json yet; `cellprism report .*whole` writes it"):
        cp.open_run(whole_run).claims  # noqa: B018
    import shutil

    copy = shutil.copytree(whole_run, tmp_path / "copy")
    write_report(copy)
    claims, rows = cp.open_run(copy).claims, json.loads((copy / "claims.json").read_text())
    for row in rows:
        said = claims.loc[row["id"]]
        assert said["verdict"] == row["verdict"]
        assert (pd.isna(said["value"]) and row["value"] is None) or said["value"] == row["value"]
        assert (
            (said["file"], said["field"]) == (row["source"]["file"], row["source"]["field"]) if row["source"] else True
        )


def test_what_is_no_run_or_is_broken_is_one_message(whole_run, run_folder, tmp_path):
    with pytest.raises(RunError, match=r"is no run folder: there is no run.json in it; give the folder"):
        cp.open_run(tmp_path)
    with pytest.raises(RunError, match="is no run folder"):
        cp.open_run(whole_run / "model.json")
    lists = run_folder / "programs" / "enrichment.parquet"
    whole = lists.read_bytes()
    lists.write_bytes(b"PAR1 nothing")
    with pytest.raises(DamagedError, match="is not a readable table"):
        cp.open_run(run_folder).tables["enrichment"]
    lists.write_bytes(whole)
    (run_folder / "programs" / "cells.h5ad").unlink(missing_ok=True)
    with pytest.raises(DamagedError, match=r"cells.h5ad is missing; rerun the step"):
        cp.open_run(run_folder).cell_features  # noqa: B018
    (run_folder / "run.json").write_text("[]")
    with pytest.raises(DamagedError, match="is not the record of a run"):
        cp.open_run(run_folder)
    (run_folder / "run.json").write_text("{}")
    empty = cp.open_run(run_folder)
    with pytest.raises(RunError, match="has no autoencoder yet"):
        empty.sae  # noqa: B018
    with pytest.raises(RunError, match="has no programs yet; `cellprism do programs"):
        empty.features  # noqa: B018


def test_tables_and_cards_are_read_without_torch(whole_run):
    code = (
        f"import sys, cellprism as cp; run = cp.open_run({str(whole_run)!r}); run.features; repr(run)\n"
        "run.tables['enrichment']; run.card(3)._repr_html_(); run._repr_html_(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("folder", [12, None, ["demo"], 1.5])
def test_what_is_no_name_of_a_folder_opens_no_run(folder):
    for read in (cp.open_run, lambda name: cp.feature_card(name, 3)):
        with pytest.raises(RunError, match="a run is read by the name of its folder, got"):
            read(folder)
    with pytest.raises(InputError, match="an autoencoder is read by the name of its folder, got"):
        cp.load_sae(folder)
