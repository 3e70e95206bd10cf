import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cellprism.errors import DamagedError, InputError
from cellprism.sae.autoencoder import SparseAutoencoder
from sae.conftest import D_MODEL, FEATURES, K

WEIGHTS = "sae_weights.safetensors"


@pytest.fixture
def saved(sae, tmp_path):
    rate = torch.rand(FEATURES, generator=torch.Generator().manual_seed(5))
    rate[3] = 0
    whole = replace(sae, firing_rate=rate, centre=torch.ones(7, D_MODEL), metadata={"model_name": "tiny"})
    whole.save(tmp_path / "sae" / "L2")
    return whole, tmp_path / "sae" / "L2"


def test_what_is_saved_comes_back(saved, vectors):
    sae, folder = saved
    found = SparseAutoencoder.load(folder)
    for name in ("W_enc", "b_enc", "W_dec", "b_dec", "centre"):
        assert torch.equal(getattr(found, name), getattr(sae, name))
    torch.testing.assert_close(found.firing_rate, sae.firing_rate, rtol=1e-5, atol=1e-9)
    assert found.firing_rate[3] == 0
    assert (found.k, found.relu, found.metadata) == (K, True, {"model_name": "tiny"})
    group = torch.zeros(len(vectors), dtype=torch.long)
    assert torch.equal(found.encode(vectors, group).values, sae.encode(vectors, group).values)


def test_files_and_keys_are_those_of_saelens(saved):
    _, folder = saved
    config = json.loads((folder / "cfg.json").read_text())
    expected = {
        "architecture": "topk",
        "d_in": D_MODEL,
        "d_sae": FEATURES,
        "k": K,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "rescale_acts_by_decoder_norm": False,
        "metadata": {"model_name": "tiny"},
    }
    assert {name: config[name] for name in expected} == expected
    with safe_open(folder / WEIGHTS, "pt") as opened:
        shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    assert shapes == {
        "W_enc": (D_MODEL, FEATURES),
        "b_enc": (FEATURES,),
        "W_dec": (FEATURES, D_MODEL),
        "b_dec": (D_MODEL,),
    }
    assert load_file(folder / "sparsity.safetensors")["sparsity"][3] == -10


def test_a_folder_without_our_own_entries_is_read_too(saved, vectors):
    sae, folder = saved
    config = json.loads((folder / "cfg.json").read_text())
    del config["cellprism"]
    (folder / "cfg.json").write_text(json.dumps(config))
    found = SparseAutoencoder.load(folder)
    assert found.centre is None
    assert torch.equal(found.W_dec, sae.W_dec)


def test_an_autoencoder_without_relu_gets_an_architecture_that_others_refuse(sae, tmp_path):
    replace(sae, relu=False).save(tmp_path)
    assert json.loads((tmp_path / "cfg.json").read_text())["architecture"] == "topk_signed"
    assert SparseAutoencoder.load(tmp_path).relu is False


def test_saving_again_leaves_nothing_of_the_former(saved, sae):
    _, folder = saved
    sae.save(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["cfg.json", WEIGHTS]
    found = SparseAutoencoder.load(folder)
    assert found.centre is None
    assert found.firing_rate is None


@pytest.mark.parametrize("name", ["cfg.json", WEIGHTS, "centre.safetensors", "sparsity.safetensors"])
def test_a_missing_file_is_named(saved, name):
    _, folder = saved
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        SparseAutoencoder.load(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*nowhere; give one that holds"):
        SparseAutoencoder.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["cfg.json", WEIGHTS, "centre.safetensors", "sparsity.safetensors"])
def test_a_truncated_file_is_named(saved, name):
    _, folder = saved
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedError, match=name):
        SparseAutoencoder.load(folder)


@pytest.mark.parametrize("name", [WEIGHTS, "centre.safetensors", "sparsity.safetensors"])
def test_a_flipped_byte_is_noticed(saved, name):
    _, folder = saved
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 0x40
    (folder / name).write_bytes(content)
    with pytest.raises(DamagedError, match=f"{name} is not the file that cfg.json was written with"):
        SparseAutoencoder.load(folder)


def _without_hashes(folder, **changes):
    config = json.loads((folder / "cfg.json").read_text()) | changes
    del config["cellprism"]
    (folder / "cfg.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"architecture": "gated"},
            InputError,
            "architecture 'gated'; this version reads topk and topk_signed",
        ),
        (
            {"normalize_activations": "layer_norm"},
            InputError,
            "normalize_activations = 'layer_norm'; only 'none'",
        ),
        ({"apply_b_dec_to_input": False}, InputError, "apply_b_dec_to_input = False"),
        ({"k": None}, DamagedError, "cfg.json lacks k"),
        ({"d_sae": 40}, DamagedError, r"W_enc has shape \(13, 41\) but cfg.json asks for \(13, 40\)"),
    ],
)
def test_settings_that_cannot_be_read_are_named(saved, changes, error, message):
    _, folder = saved
    _without_hashes(folder, **changes)
    with pytest.raises(error, match=message):
        SparseAutoencoder.load(folder)


def test_a_weight_that_is_not_there_is_named(saved):
    _, folder = saved
    tensors = load_file(folder / WEIGHTS)
    del tensors["b_enc"]
    save_file(tensors, folder / WEIGHTS)
    _without_hashes(folder)
    with pytest.raises(DamagedError, match=r"lacks b_enc; found W_dec, W_enc, b_dec"):
        SparseAutoencoder.load(folder)


def test_settings_that_are_no_object_are_damaged(saved):
    _, folder = saved
    (folder / "cfg.json").write_text("[1]")
    with pytest.raises(DamagedError, match="holds no settings"):
        SparseAutoencoder.load(folder)
