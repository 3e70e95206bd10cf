"""Identities of cells, models and collections: exactly what is read decides."""

import shutil
from pathlib import Path

import pytest

from cellprism.errors import ConfigError
from cellprism.models.registry import load_model, tokens_of
from cellprism.workflow.config import make_config
from cellprism.workflow.pipeline import start_run
from cellprism.workflow.sources import cells_identity, collection_identity, model_identity
from workflow.tiny import bar


@pytest.fixture
def model(asked, tmp_path) -> Path:
    return Path(shutil.copytree(asked["model"], tmp_path / "home" / "model"))


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    (tmp_path / "home").mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("identity", [cells_identity, model_identity, collection_identity])
def test_an_empty_name_is_empty_wherever_the_command_is_called(identity, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = identity("")
    (tmp_path / "unrelated.log").write_text("x")
    assert identity("") == before == ""


@pytest.mark.parametrize("identity", [cells_identity, model_identity, collection_identity])
def test_the_home_folder_is_read_as_it_is_hashed(identity, home):
    found = []
    for content in ("one", "other"):
        (home / "file.gmt").write_text(content)
        assert identity("~/file.gmt") == identity(str(home / "file.gmt"))
        found.append(str(identity("~/file.gmt")))
    assert found[0] != found[1]


@pytest.mark.parametrize("name", ["model.safetensors", "genes.tsv", "config.json", "token_dictionary.pkl"])
def test_every_file_of_a_model_counts(model, name):
    before = model_identity(str(model))
    path = model / name
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b" ")
    assert model_identity(str(model)) != before


def test_dictionaries_that_a_model_shares_with_others_count(model):
    before = model_identity(str(model))
    (model.parent / "geneformer").mkdir()
    (model.parent / "geneformer" / "token_dictionary_x.pkl").write_bytes(b"1")
    assert model_identity(str(model)) != before


def test_the_gene_list_beside_a_model_that_is_one_file_counts_and_a_log_does_not(model):
    weights = str(model / "model.safetensors")
    before = model_identity(weights)
    (model / "train.log").write_text("x")
    assert model_identity(weights) == before
    (model / "genes.tsv").write_text("symbol\nCD4\n")
    assert model_identity(weights) != before


def test_a_family_that_is_named_counts_and_the_place_does_not(model, tmp_path):
    plain, named = model_identity(str(model)), model_identity(f"aido:{model}")
    assert plain != named
    moved = model.rename(tmp_path / "moved")
    assert (model_identity(str(moved)), model_identity(f"aido:{moved}")) == (plain, named)


def test_what_a_family_knows_by_name_is_no_file_that_lies_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "X_pca").write_text("a neighbour")
    assert model_identity("obsm:X_pca") == "obsm:X_pca"


def test_the_home_folder_of_a_model_is_loaded_as_it_is_hashed(model, home):
    for name in ("~/model", "aido:~/model"):
        assert model_identity(name) == model_identity(name.replace("~", str(home)))
        assert load_model(name).name == "tiny"
        assert tokens_of(name) == "genes"


def test_of_a_folder_of_cells_what_is_read_counts(tmp_path):
    folder = tmp_path / "tenx"
    folder.mkdir()
    for name in ("matrix.mtx", "barcodes.tsv", "features.tsv"):
        (folder / name).write_text(name)
    before = cells_identity(str(folder))
    (folder / "web_summary.html").write_text("a neighbour")
    assert cells_identity(str(folder)) == before
    (folder / "features.tsv").write_text("other")
    assert cells_identity(str(folder)) != before


def test_a_named_library_counts_by_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLPRISM_DATA_DIR", str(tmp_path))
    absent = collection_identity("Library")
    (tmp_path / "Library.gmt").write_text("a\tb\tCD4\n")
    first = collection_identity("Library")
    (tmp_path / "Library.gmt").write_text("a\tb\tCD8A\n")
    assert len({str(absent), str(first), str(collection_identity("Library"))}) == 3
    assert collection_identity(str(tmp_path / "Library.gmt")) == collection_identity("Library")
    assert collection_identity("blood") not in (absent, "blood")


def test_cells_that_come_are_a_change(tmp_path):
    before = cells_identity(str(tmp_path / "cells.h5ad"))
    (tmp_path / "cells.h5ad").write_bytes(b"x")
    assert cells_identity(str(tmp_path / "cells.h5ad")) != before
    assert cells_identity("bundled:pbmc68k") != "bundled:pbmc68k", "the file that the name stands for"


def test_a_collection_that_is_not_there_is_refused_before_the_first_step(tmp_path):
    asked = {"cells": str(tmp_path / "none.h5ad"), "programs": {"collection": "nope"}}
    with pytest.raises(ConfigError, match="no collection 'nope'"):
        start_run(make_config(asked), tmp_path / "run", bar, print)
    assert not (tmp_path / "run").exists()


def test_every_file_that_gene_sets_of_an_ontology_are_made_from_counts(tmp_path):
    (tmp_path / "terms.tsv").write_text("go_id")
    (tmp_path / "genes.tsv").write_text("symbol")
    (tmp_path / "go.toml").write_text('ontology = "terms.tsv"\nannotations = "genes.tsv"\n')
    found = [collection_identity(str(tmp_path / "go.toml"))]
    for name in ("terms.tsv", "genes.tsv", "go.toml"):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\n")
        found.append(collection_identity(str(tmp_path / "go.toml")))
    assert len(set(map(str, found))) == 4
    (tmp_path / "genes.tsv").unlink()
    assert collection_identity(str(tmp_path / "go.toml")) == {"absent": str(tmp_path / "go.toml")}
