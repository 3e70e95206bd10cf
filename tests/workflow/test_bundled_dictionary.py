"""The dictionary that comes with cellprism: whole, small, and good for cells of donors that it was not trained on."""

import anndata
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import cellprism as cp
from cellprism.cli.app import call
from cellprism.dictionary.folder import BUNDLED, CARD, read_bundled
from cellprism.errors import CellsError, InputError
from cellprism.models.registry import load_model

BLOOD = "bundled:blood"


def test_its_card_says_where_it_is_from_how_well_it_fits_there_and_elsewhere_and_what_holds():
    found = read_bundled(BLOOD)
    card, model = found.card, load_model("pbmc2")
    assert card.model.source == model.name == "pbmc2"
    assert found.genes == tuple(model.genes)
    assert card.trained_on["source"] == "pbmc3k_raw_labelled.h5ad"
    assert card.trained_on["n_cells"] == 2700
    assert card.fit.elsewhere == "pbmc4k_raw_labelled.h5ad"
    assert 0 < card.fit.explained_elsewhere <= card.fit.explained_here < 1
    assert card.fit.recovered_interval[0] < card.fit.recovered < card.fit.recovered_interval[1]
    assert card.labels.donors == "pbmc4k_raw_labelled.h5ad"
    assert sum(card.stability.grades.values()) == card.n_features == len(found.features)
    assert "CC BY 4.0" in (BUNDLED[BLOOD] / "README.md").read_text()


def test_its_files_name_no_place_of_a_machine_and_are_few_megabytes():
    files = [path for path in BUNDLED[BLOOD].iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4e6
    for path in files:
        if path.suffix != ".safetensors":
            assert not [place for place in ("/work", "/home", "/root", "/tmp") if place in path.read_text()]
    assert (BUNDLED[BLOOD] / CARD).is_file()


def test_cells_with_too_few_of_its_genes_are_refused_and_a_folder_that_is_none_names_it():
    cells = cp.read_cells("bundled:pbmc68k")[::20].copy()
    with pytest.raises(CellsError, match="only 765 of the 3,060 genes"):
        cp.encode(cells, BLOOD)
    with pytest.raises(InputError, match="or bundled:blood"):
        cp.encode(cells, "nowhere")


def test_one_command_on_another_donor_explains_what_the_card_says_and_labels_hold(test_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = anndata.read_h5ad(test_data / "pbmc4k_raw_labelled.h5ad")[::11].copy()
    cells.write_h5ad("some.h5ad")
    assert call(["encode", "some.h5ad", "--with", BLOOD, "--out", "features.h5ad"]) == 0
    found, fit = anndata.read_h5ad("features.h5ad"), read_bundled(BLOOD).card.fit
    assert found.shape == (len(cells), 512)
    assert fit.explained / 2 < found.obs["explained"].mean() < fit.explained
    features = found.X.toarray()[:, found.var["label"].str.startswith("CD79A, MS4A1").to_numpy()]
    areas = [roc_auc_score(cells.obs["cell_type"] == "B cells", activity) for activity in features.T]
    assert len(areas) > 20
    assert np.median(areas) > 0.95
