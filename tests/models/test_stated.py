"""What a model's files say beside its weights is of the kind that is computed with; files of weights hold weights."""

import json

import pytest
import torch

from cellprism.errors import DamagedError, ModelError
from cellprism.models.aido.model import AidoCell
from cellprism.models.registry import load_model, save_model

GENES = [f"G{i}" for i in range(29)]


@pytest.fixture
def folder(tmp_path):
    save_model(AidoCell.random(GENES, hidden=14, layers=2, heads=2, intermediate=19), tmp_path)
    return tmp_path


def edit(folder, **changed) -> None:
    settings = json.loads((folder / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"heads": "2"}, "says heads = '2', expected a whole number"),
        ({"heads": 2.0}, "says heads = 2.0, expected a whole number"),
        ({"heads": True}, "says heads = True, expected a whole number"),
        ({"heads": [2]}, r"says heads = \[2\], expected a whole number"),
        ({"eps": float("nan")}, "says eps = nan, expected a finite number"),
        ({"eps": "1e-5"}, "says eps = '1e-5', expected a finite number"),
        ({"eps": -1.0}, "eps -1.0: expected a number of at least 0"),
        ({"bin_alpha": None}, "says bin_alpha = None, expected a finite number"),
        ({"gene_subset": "no"}, "says gene_subset = 'no', expected true or false"),
        ({"gene_subset": 1}, "says gene_subset = 1, expected true or false"),
        ({"total": "all"}, "says total = 'all', expected 'aligned' or 'cell'"),
        ({"total": None}, "says total = None, expected text"),
        ({"mask_value": None}, "says mask_value = None, expected a finite number"),
        ({"mask_value": 1.0}, "mask_value 1.0 and pad_value -2.0 .*: expected two numbers below 0"),
        ({"mask_value": -2.0}, "mask_value -2.0 and pad_value -2.0 .*: expected two numbers below 0"),
    ],
)
def test_settings_of_another_kind_are_refused_by_name(folder, changed, said):
    edit(folder, **changed)
    with pytest.raises(ModelError, match=said):
        load_model(folder)


@pytest.mark.parametrize("text", ["true", "3", '"x"', "NaN", "null", "[]"])
def test_a_configuration_that_is_no_object_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match="the configuration of .* is .*, expected a JSON object of settings"):
        load_model(f"aido:{folder}")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ([torch.zeros(3)], "holds a list; expected a state dict"),
        (torch.zeros(3), "holds a Tensor; expected a state dict"),
        (None, "holds a NoneType; expected a state dict"),
        ({1: torch.zeros(3)}, "holds a dictionary of 1; expected a state dict"),
        ({"epoch": 3, "model": {}}, "holds a dictionary of epoch, model; expected a state dict"),
    ],
)
def test_a_pickle_that_holds_no_tensors_by_name_is_refused(folder, held, said):
    (folder / "model.safetensors").unlink()
    torch.save(held, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=said):
        load_model(folder)


@pytest.mark.parametrize("content", [b"hello there", b"PK\x03\x04", b"", b"\x80\x02cos\nsystem\n."])
def test_torchs_advice_to_open_a_file_all_the_same_is_never_passed_on(folder, content):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises((ModelError, DamagedError)) as error:
        load_model(folder)
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_pointer_of_git_lfs_is_called_one(folder, name):
    (folder / "model.safetensors").unlink()
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(DamagedError, match=f"{name} is a Git LFS pointer, not the file itself; run git lfs pull"):
        load_model(folder)


@pytest.mark.parametrize("source", ["", "x" * 5000, "/dev/null"])
def test_a_source_that_is_no_model_is_a_message(source):
    with pytest.raises(ModelError, match="no model"):
        load_model(source)
