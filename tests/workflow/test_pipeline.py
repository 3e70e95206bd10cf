"""A whole run on real cells: every promised file is there, readable, and made without a network."""

import json
import re

import anndata
import pandas as pd
from safetensors.numpy import load_file

from cellprism.store.run import Run
from cellprism.studies.study import studies
from cellprism.workflow.pipeline import steps
from cellprism.workflow.publish import write_report
from workflow.tiny import N_CELLS, N_FEATURES, N_GENES, SOURCE, TARGET

PROMISED = [
    "run.toml",
    "run.json",
    "cells.h5ad",
    "cells.json",
    "model.json",
    "claims.json",
    "report.html",
    "sae/L0/cfg.json",
    "sae/L0/sae_weights.safetensors",
    "sae/L0/sparsity.safetensors",
    "sae/L0/metrics.json",
    "sae/L0/history.parquet",
    "sae/L0/metrics.jsonl",
    "assess/assessment.json",
    "fit/measures.json",
    "fit/history.parquet",
    "programs/genes.h5ad",
    "programs/cells.h5ad",
    "programs/features.parquet",
    "programs/lists.parquet",
    "programs/types.parquet",
    "programs/types.json",
    "programs/enrichment.parquet",
    "programs/nulls.parquet",
    "programs/rates.json",
    "programs/sources.json",
    "steer/absent.json",
    "steer/programs/effects.parquet",
    "steer/programs/doses.parquet",
    "steer/programs/nulls.parquet",
    "steer/programs/terms.parquet",
    "steer/programs/summary.json",
    "contrast/absent.json",
    "contrast/latent/path.parquet",
    "contrast/latent/trials.parquet",
    "contrast/latent/genes.parquet",
    "contrast/latent/cells.parquet",
    "contrast/latent/recipe.parquet",
    "contrast/latent/summary.json",
    "contrast/expression/path.parquet",
    "contrast/expression/summary.json",
]


def test_a_run_leaves_every_promised_file(finished):
    assert [name for name in PROMISED if not (finished / name).is_file() or not (finished / name).stat().st_size] == []


def test_a_run_leaves_no_scratch_files(finished):
    assert [p.name for p in finished.rglob(".*") if p.name != ".lock"] == []


def test_cells_and_features_have_the_sizes_asked_for(finished):
    cells = anndata.read_h5ad(finished / "cells.h5ad")
    assert cells.shape == (sum(N_CELLS), N_GENES)
    assert set(cells.obs["cell_type"]) == {SOURCE, TARGET}
    assert anndata.read_h5ad(finished / "programs/genes.h5ad").shape == (N_FEATURES, N_GENES)
    assert anndata.read_h5ad(finished / "programs/cells.h5ad").shape == (sum(N_CELLS), N_FEATURES)
    assert load_file(finished / "sae/L0/sae_weights.safetensors")["W_dec"].shape[0] == N_FEATURES


def test_one_row_a_feature_with_its_footprint_and_its_best_program(finished):
    table = pd.read_parquet(finished / "programs/features.parquet")
    assert list(table["feature"]) == list(range(N_FEATURES))
    wanted = {"firing_rate", "participation_ratio", "set_size", "top_genes", "best_term", "best_padj", "n_terms"}
    assert wanted | {"gene_share", "state_share", "top_cell_type", "type_share", "type_padj"} <= set(table.columns)
    assert table["best_padj"].between(0, 1).all()


def test_rates_stand_beside_every_null_and_control(finished):
    rates = json.loads((finished / "programs/rates.json").read_text())
    names = [row["name"] for row in rates["rows"]]
    assert names[:5] == ["features", "uniform", "popularity", "gene_use", "coexpression"]
    assert {"untrained", "neurons", "neurons, gene means removed", "noise cells", "noise cells, 20 genes each"} <= set(
        names
    )
    for row in rates["rows"]:
        assert 0 <= row["interval"][0] <= row["rate"] <= row["interval"][1] <= 1, row["name"]


def test_a_run_makes_at_least_twelve_claims_with_verdict_and_source(finished):
    claims = json.loads((finished / "claims.json").read_text())
    assert len(claims) >= 12
    for claim in claims:
        if claim["value"] is not None:
            assert (finished / claim["source"]["file"]).is_file(), claim["id"]
    sections = {claim["section"] for claim in claims}
    assert len(sections) >= 4, sections


def test_the_page_is_one_file_under_15_mb(finished):
    assert (finished / "report.html").stat().st_size < 15e6


def test_what_stands_before_the_appendix_is_read_in_a_quarter_of_an_hour(run):
    """In words, folded ones too, with every study that a whole run has."""
    for name, study in studies().items():
        if not study.every_run:
            Run(run).forget(name)
    text = write_report(run).read_text(encoding="utf-8")
    first = text.partition("<main")[2].partition('<section id="appendix"')[0]
    assert 500 < len(re.sub(r"<[^>]*>", " ", first).split()) < 3000


def test_the_record_of_each_step_holds_versions_seeds_and_hashes(finished):
    record = json.loads((finished / "run.json").read_text())
    assert list(record["steps"]) == list(steps())
    for step in record["steps"].values():
        assert {"cellprism", "torch", "numpy"} <= set(step["versions"])
        assert (step["seed"], step["layer"], step["device"]) == (0, 0, "cpu")
        assert step["files"]
        assert all(len(digest) == 64 for digest in step["files"].values())
