"""Features of any cells by a dictionary: what a run would give, block by block, gone on with, and refused by name."""

import json
import shutil

import anndata
import numpy as np
import pandas as pd
import pytest

import cellprism as cp
from cellprism.cli.app import call
from cellprism.dictionary.encode_block import Encoder
from cellprism.dictionary.folder import read_dictionary
from cellprism.errors import CellprismError, CellsError, ConfigError, DamagedError, InputError, ModelError, RunError
from cellprism.features.collect import cell_features
from cellprism.models.aido.files import save
from cellprism.models.aido.model import AidoCell
from cellprism.workflow.encode import Where, encode_to, planned
from cellprism.workflow.pipeline import start_run
from cellprism.workflow.share import open_dictionary, share
from workflow.tiny import N_FEATURES, bar, config_of


@pytest.fixture(scope="session")
def trained(asked, tmp_path_factory):
    """A run with an autoencoder and nothing else; not to be changed."""
    folder = tmp_path_factory.mktemp("encode") / "run"
    start_run(config_of(asked), folder, bar, lambda text: None, ("cells", "train"))
    return folder


@pytest.fixture(scope="session")
def shared(trained, tmp_path_factory):
    """Its dictionary, as it is passed on."""
    folder = tmp_path_factory.mktemp("encode") / "shared"
    share(trained, folder)
    return folder


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of eight cells."""
    monkeypatch.setattr("cellprism.dictionary.sharded.CELLS_A_SHARD", 8)
    monkeypatch.setattr("cellprism.workflow.encode.CELLS_A_SHARD", 8)


def same(one, other):
    np.testing.assert_array_equal(one.X.toarray(), other.X.toarray())
    np.testing.assert_array_equal(one.obs["explained"], other.obs["explained"])


def test_a_file_gets_the_features_that_its_run_gives_and_the_fit_that_training_measured(asked, trained, small_shards):
    found = cp.encode(asked["cells"], trained)
    sae, cells = cp.load_sae(trained / "sae" / "L0"), anndata.read_h5ad(trained / "cells.h5ad")
    wanted = cell_features(cp.load_model(asked["model"]), sae, cells, 0)
    np.testing.assert_allclose(found.X.toarray(), wanted.X.toarray(), atol=1e-6)
    assert found.shape == (37, N_FEATURES)
    assert list(found.obs_names) == list(cells.obs_names)
    assert found.obs["total_counts"].tolist() == cells.obs["total_counts"].tolist()
    assert (found.obs["n_tokens"] == cells.n_vars).all()
    assert found.uns["cellprism"]["explained"] == pytest.approx(sae.metadata["measures"]["explained_within"], abs=1e-4)
    assert found.obs["explained"].between(0, 1).all()


def test_a_shared_folder_encodes_to_the_same_bits_wherever_the_cells_come_from(asked, trained, shared, small_shards):
    by_run = cp.encode(asked["cells"], trained)
    by_folder = cp.encode(anndata.read_h5ad(asked["cells"]), shared, model=asked["model"])
    same(by_run, by_folder)
    card = json.loads((shared / "dictionary.json").read_text())
    assert card["trained_on"]["n_cells"] == 37
    assert card["trained_on"]["tokens"] == 37 * 60
    assert card["labels"] is None
    everything = "".join(path.read_text(errors="replace") for path in shared.iterdir() if path.suffix != ".safetensors")
    assert str(trained.parent) not in everything
    assert str(asked["model"]) not in everything, "no folder of the machine is passed on"
    assert "cellprism encode" in (shared / "README.md").read_text()


def test_genes_that_the_dictionary_was_not_trained_with_do_not_count(asked, tmp_path):
    cells = anndata.read_h5ad(asked["cells"])
    fewer = {**asked, "cells": str(tmp_path / "fewer.h5ad")}
    cells[:, :40].copy().write_h5ad(fewer["cells"])
    start_run(config_of(fewer), tmp_path / "run", bar, lambda text: None, ("cells", "train"))
    wide, narrow = (cp.encode(some, tmp_path / "run") for some in (cells, cells[:, :40].copy()))
    assert (wide.obs["n_tokens"] == 40).all()
    assert (wide.obs["total_counts"] > narrow.obs["total_counts"]).any(), "a cell's depth is over all genes"
    with pytest.raises(CellsError, match="only 10 of the 40 genes that are to be read are measured here"):
        cp.encode(cells[:, 30:].copy(), tmp_path / "run")


def test_the_model_must_be_named_where_it_does_not_come_along_and_another_is_refused(asked, shared, tmp_path):
    with pytest.raises(ModelError, match="reads the model 'tiny'.*say where it is: --model"):
        cp.encode(asked["cells"], shared)
    genes = cp.load_model(asked["model"]).genes
    for seed, order, message in ((4, genes, "on another model"), (3, genes[::-1], "with other genes, or in another")):
        model = AidoCell.random(list(order), hidden=16, layers=2, heads=2, intermediate=24, seed=seed)
        save(model, tmp_path / f"model-{seed}", {"name": "tiny", "revision": "seed 3", "licence": "none"})
        with pytest.raises(ModelError, match=f"{message}.*--model"):
            cp.encode(asked["cells"], shared, model=str(tmp_path / f"model-{seed}"))


def test_what_was_done_is_kept_and_a_poisoned_block_is_named(asked, trained, tmp_path, small_shards, monkeypatch):
    whole, out, blocks = cp.encode(asked["cells"], trained), tmp_path / "features.h5ad", []
    block = Encoder.block

    def poisoned(self, cells):
        blocks.append(cells.obs_names[0])
        if cells.obs_names[0] == "16":
            raise ValueError("poison")
        return block(self, cells)

    monkeypatch.setattr(Encoder, "block", poisoned)
    first, last = whole.obs_names[16], whole.obs_names[23]
    with pytest.raises(CellprismError, match=f"cells 17 to 24 \\({first} to {last}\\) failed: ValueError: poison"):
        encode_to(out, asked["cells"], trained)
    assert not out.exists()
    assert len(blocks) == 5
    blocks.clear()
    monkeypatch.setattr(Encoder, "block", lambda self, cells: blocks.append(cells.obs_names[0]) or block(self, cells))
    said = []
    encode_to(out, asked["cells"], trained, say=said.append)
    assert blocks == ["16"]
    assert "29 cells are done already" in said
    same(anndata.read_h5ad(out), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["features.h5ad"]
    with pytest.raises(RunError, match="is there; choose another name"):
        encode_to(out, asked["cells"], trained)


def test_several_files_are_one_data_set_by_a_manifest(asked, trained, tmp_path):
    cells = anndata.read_h5ad(asked["cells"])
    cells[:20].write_h5ad(tmp_path / "one.h5ad")
    cells[20:].write_h5ad(tmp_path / "two.h5ad")
    (tmp_path / "cells.csv").write_text("file,donor\none.h5ad,A\ntwo.h5ad,B\n")
    found = cp.encode(tmp_path / "cells.csv", trained)
    assert found.obs["donor"].tolist() == ["A"] * 20 + ["B"] * 17
    np.testing.assert_allclose(found.X.toarray(), cp.encode(cells, trained).X.toarray(), atol=1e-6)
    (tmp_path / "cells.csv").write_text("file,donor\none.h5ad,A\nthree.h5ad,B\n")
    with pytest.raises(CellsError, match=r"three.h5ad is not there; paths lead from the manifest's folder"):
        cp.encode(tmp_path / "cells.csv", trained)
    (tmp_path / "cells.csv").write_text("path\none.h5ad\n")
    with pytest.raises(CellsError, match="has a column 'file'"):
        cp.encode(tmp_path / "cells.csv", trained)


def test_cells_that_are_no_counts_are_refused_and_nothing_is_left(asked, trained, tmp_path):
    cells = anndata.read_h5ad(asked["cells"])
    cells.X = cells.X * 0.5
    cells.write_h5ad(tmp_path / "half.h5ad")
    with pytest.raises(CellsError, match="cells 1 to 37"):
        encode_to(tmp_path / "out.h5ad", tmp_path / "half.h5ad", trained)
    with pytest.raises(CellsError, match="no such file"):
        encode_to(tmp_path / "out.h5ad", tmp_path / "nowhere.h5ad", trained)
    with pytest.raises(ConfigError, match="expected local:N"):
        encode_to(tmp_path / "out.h5ad", asked["cells"], trained, where=Where("locl:2"))
    assert [path.name for path in tmp_path.iterdir()] == ["half.h5ad"]


def altered(folder):
    with (folder / "sae_weights.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\x7f")


def without_a_file(folder):
    (folder / "features.tsv").unlink()


def with_a_link(folder):
    (folder / "LICENSE").symlink_to("/etc/hostname")


def with_another_table(folder):
    table = pd.read_csv(folder / "features.tsv", sep="\t")
    table[::-1].to_csv(folder / "features.tsv", sep="\t", index=False)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (altered, DamagedError, "sae_weights.safetensors is missing, or not the file"),
        (without_a_file, DamagedError, "features.tsv is missing"),
        (with_a_link, RunError, "a link to /etc/hostname"),
        (with_another_table, DamagedError, "features.tsv is missing, or not the file"),
    ],
)
def test_a_received_folder_that_is_not_as_it_was_written_is_refused(shared, tmp_path, change, error, message):
    folder = tmp_path / "received"
    shutil.copytree(shared, folder)
    change(folder)
    with pytest.raises(error, match=message):
        read_dictionary(folder)


@pytest.mark.parametrize("source", ["/etc/passwd", "hf://someone/model@" + "0" * 40, "aido:/etc"])
def test_a_received_folder_opens_no_file_and_no_address_of_its_own(shared, tmp_path, source):
    folder = tmp_path / "received"
    shutil.copytree(shared, folder)
    card = json.loads((folder / "dictionary.json").read_text())
    card["model"]["source"] = source
    card["model"]["options"] = {"genes": "/etc/passwd", "offline": True, "gene_subset": True}
    (folder / "dictionary.json").write_text(json.dumps(card))
    opened = open_dictionary(folder)
    assert (opened.model, opened.options) == ("", {"gene_subset": True})


def test_a_folder_that_is_none_says_what_to_give(asked, tmp_path):
    with pytest.raises(InputError, match=r"cellprism share RUN --out FOLDER"):
        cp.encode(asked["cells"], tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        cp.encode(asked["cells"], tmp_path / "nowhere")


def test_disk_is_said_before_the_start(trained):
    sae = cp.load_sae(trained / "sae" / "L0")
    line = planned(sae, [500_000, 500_000], 2_000, 60, 2, 10**12)
    assert line.startswith("1,000,000 cells of 2 files in 2,000 shards by 2 processes; at most 328 MB of shards")
    assert planned(sae, [500_000], 1_000, 60, 1, 10**6).endswith("it may not fit")


def test_the_card_of_a_whole_run_says_what_it_measured(finished, tmp_path):
    card = share(finished, tmp_path / "shared")
    features = read_dictionary(tmp_path / "shared").features
    assert card.fit.explained is not None
    assert (card.labels is None) == ("label" not in features)
    assert card.stability is not None
    assert {"firing_rate", "genes", "term", "grade"} <= set(features)
    assert "not measured" in (tmp_path / "shared" / "README.md").read_text()
    with pytest.raises(RunError, match="is not empty"):
        share(finished, tmp_path / "shared")


def test_two_verbs_pass_a_dictionary_on_and_use_it(asked, trained, tmp_path, capsys):
    assert call(["share", str(trained), "--out", str(tmp_path / "d")]) == 0
    out = tmp_path / "f.h5ad"
    words = ["encode", str(asked["cells"]), "--with", str(tmp_path / "d"), "--out", str(out)]
    assert call(words) == 2
    assert "--model" in capsys.readouterr().err
    assert call([*words, "--model", str(asked["model"])]) == 0
    said = capsys.readouterr()
    assert said.out == f"{out}\n"
    assert "37 cells: their features explain" in said.err.replace("\n", " ")
