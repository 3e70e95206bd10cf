"""Folders: what is saved comes back bit for bit, and what was changed on the way is noticed and named."""

import json

import pytest
import torch

from cellprism.errors import DamagedError, ModelError
from cellprism.models.latent import dgd as dgd_family
from cellprism.models.latent import scvi as scvi_family
from cellprism.models.latent.files import CONFIG, GENES, WEIGHTS
from cellprism.models.registry import load_model, save_model
from cellprism.store.atomic import sha256

FAMILIES = {"DgdModel": dgd_family, "ScviModel": scvi_family}


@pytest.fixture
def family(counts_model):
    return FAMILIES[type(counts_model).__name__]


@pytest.fixture
def folder(counts_model, tmp_path):
    path = tmp_path / "a model"
    save_model(counts_model, path, {"licence": "CC-BY", "curve": [{"epoch": 1, "likelihood": -3.5}]})
    return path


def test_what_is_saved_comes_back(counts_model, family, folder, planted):
    loaded = family.load(folder)
    (batch,) = counts_model.batches(planted[:17], 17)
    x = counts_model.residual(batch, 0)
    assert torch.equal(loaded.residual(batch, 0), x)
    assert torch.equal(loaded.resume(batch, 0, x).expression, counts_model.resume(batch, 0, x).expression)
    assert loaded.gene_table == counts_model.gene_table
    assert loaded.sizes == counts_model.sizes
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_name_licence_and_revision_come_back(counts_model, family, folder):
    loaded = load_model(str(folder))
    assert (loaded.name, loaded.licence) == (counts_model.name, "CC-BY")
    assert loaded.revision == counts_model.revision == f"sha256:{sha256(folder / WEIGHTS)[:16]}"
    assert loaded.card["curve"] == [{"epoch": 1, "likelihood": -3.5}]


def test_loading_leaves_random_numbers_alone(family, folder):
    before = torch.get_rng_state()
    family.load(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_family_recognises_its_own_folders_alone(family, folder, tmp_path):
    (other,) = set(FAMILIES.values()) - {family}
    assert family.recognises(folder)
    assert not other.recognises(folder)
    with pytest.raises(ModelError, match=r"says model_type 'cellprism-\w+', expected 'cellprism-\w+'; load it with"):
        other.load(folder)
    assert not family.recognises(tmp_path / "nowhere")
    assert not family.recognises(folder / WEIGHTS)
    (folder / CONFIG).write_text('{"model_type": ')
    assert not family.recognises(folder)


def test_the_registry_finds_the_family_of_a_folder(counts_model, folder):
    loaded = load_model(folder)
    assert type(loaded) is type(counts_model)
    assert loaded.revision == counts_model.revision


@pytest.mark.parametrize("name", [WEIGHTS, GENES])
def test_truncated_and_altered_files_are_named(family, folder, name):
    whole = (folder / name).read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1])):
        (folder / name).write_bytes(damaged)
        with pytest.raises(DamagedError, match=rf"{name} is not the file that was saved .*copy it again"):
            family.load(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"lacks {name}; a model's folder holds"):
        family.load(folder)


def test_a_truncated_configuration_is_named(family, folder):
    whole = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(whole[: len(whole) // 2])
    with pytest.raises(DamagedError, match="config.json is not readable JSON"):
        family.load(folder)
    (folder / CONFIG).unlink()
    with pytest.raises(ModelError, match="no model at .*: expected a folder with config.json"):
        family.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 20}, "weights and sizes do not fit"),
        ({"hidden": "many"}, "does not hold a whole model .*hidden"),
        ({"depth": 3}, "does not hold a whole model .*depth"),
        ({"n_genes": 28}, "the gene list has 29 genes but the model"),
    ],
)
def test_sizes_that_do_not_fit_the_weights_are_told(family, folder, change, message):
    config = json.loads((folder / CONFIG).read_text())
    config["sizes"] |= change
    (folder / CONFIG).write_text(json.dumps(config))
    with pytest.raises((DamagedError, ModelError), match=message):
        family.load(folder)
