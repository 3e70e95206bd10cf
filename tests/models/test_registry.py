"""From a name to a model."""

import pytest

from cellprism.errors import ModelError
from cellprism.models.registry import BUNDLED, load_model, model_path
from models.conftest import REDUCED


def test_a_file_and_a_folder_are_loaded(tmp_path):
    path = REDUCED / "aido_tiny_2blocks.safetensors"
    assert load_model(path).n_layers == load_model(str(path)).n_layers == 2
    (tmp_path / "model.safetensors").write_bytes(path.read_bytes())
    assert load_model(tmp_path).d_model == 64


def test_an_unknown_model_is_told_what_there_is():
    with pytest.raises(ModelError, match=r"no model 'mimi': expected one of mini, a model folder, or a .safetensors"):
        load_model("mimi")


def test_every_bundled_name_has_a_folder_in_the_package():
    for name in BUNDLED:
        assert (model_path(name) / "model.safetensors").is_file()


def test_a_bundled_name_goes_before_a_folder_of_that_name_and_anything_else_is_a_path(tmp_path, monkeypatch):
    (tmp_path / "mini").mkdir()
    monkeypatch.chdir(tmp_path)
    assert model_path("mini").parent.name == "models"
    assert model_path(tmp_path / "mini") == tmp_path / "mini"
