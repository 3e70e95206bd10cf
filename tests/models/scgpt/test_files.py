"""Published folders in every layout load; what is no such folder is refused with the reason."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from cellprism.errors import DamagedError, ModelError
from cellprism.models.scgpt import load, recognises
from cellprism.models.scgpt.files import published_name
from models.conftest import same_weights
from models.scgpt.published import ARGS, HIDDEN, SPECIAL, VOCABULARY, Published, write_folder

RAN = []


class Runs:
    """Runs code when unpickled."""

    def __reduce__(self):
        return RAN.append, ("ran",)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "blood")


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return dict(Published().state_dict())


def fused(tensors: dict[str, torch.Tensor], prefix: str, part: str) -> dict[str, torch.Tensor]:
    """The same weights as the flash-attention build names them."""
    names = {name: name.replace("self_attn.in_proj_", f"self_attn.{part}Wqkv.") for name in tensors}
    names = {name: new.replace("self_attn.out_proj", f"self_attn.{part}out_proj") for name, new in names.items()}
    return {prefix + names[name]: tensor for name, tensor in tensors.items()}


def test_every_published_tensor_is_loaded_under_its_own_name(folder, tensors):
    model = load(folder)
    assert {published_name(ours) for ours in model.state_dict()} == tensors.keys()
    for ours, found in model.state_dict().items():
        assert torch.equal(found, tensors[published_name(ours)])
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_sizes_come_from_the_tensors_and_conventions_from_the_settings(folder):
    c = load(folder).config
    assert (c.vocabulary, c.hidden, c.layers, c.heads, c.intermediate) == (32, 14, 3, 2, 19)
    assert (c.n_bins, c.cls_value, c.mask_value) == (11, -2.0, -1.0)


def test_genes_are_the_vocabulary_without_its_special_tokens(folder):
    model = load(folder)
    assert model.genes == tuple(f"G{i}" for i in range(29))
    assert model.gene_token.tolist() == [VOCABULARY[gene] for gene in model.genes]
    assert model.cls_token == SPECIAL["<cls>"]
    assert model.name == "blood"
    assert model.licence.startswith("MIT where published")


@pytest.mark.parametrize(("prefix", "part"), [("", ""), ("module.", ""), ("", "_impl.")])
def test_fused_attention_and_the_names_of_distributed_training_load_the_same(folder, tensors, prefix, part):
    plain = load(folder)
    assert same_weights(plain, load(write_folder(folder, fused(tensors, prefix, part))))


def test_safetensors_come_before_the_pickle_and_half_precision_is_widened(folder, tensors):
    plain = load(folder)
    save_file({name: t.half() for name, t in tensors.items()}, folder / "model.safetensors")
    (folder / "best_model.pt").write_bytes(b"not read")
    model = load(folder)
    assert model.card["weights"] == "model.safetensors"
    for name, found in model.state_dict().items():
        assert found.dtype == torch.float32
        assert torch.equal(found, plain.state_dict()[name].half().float())


def test_a_file_of_weights_loads_with_what_lies_beside_it(folder):
    other = shutil.copy(folder / "best_model.pt", folder / "epoch_5.pt")
    assert recognises(folder / "epoch_5.pt")
    assert same_weights(load(folder), load(folder / "epoch_5.pt"))
    assert same_weights(load(folder), load(other))


def test_a_folder_is_recognised_by_its_settings_and_vocabulary(folder, tmp_path):
    assert recognises(folder)
    assert not recognises(folder / "args.json")
    (folder / "best_model.pt").unlink()
    assert recognises(folder), "load says which file is missing"
    (folder / "vocab.json").unlink()
    assert not recognises(folder)
    assert not recognises(tmp_path / "nowhere")


def test_heads_of_other_uses_are_left_aside_and_named(folder, tensors):
    others = {
        "cls_decoder.out_layer.weight": torch.zeros(1, HIDDEN),
        "mvc_decoder.gene2query.weight": torch.zeros(HIDDEN, HIDDEN),
        "flag_encoder.weight": torch.zeros(2, HIDDEN),
    }
    plain = load(folder)
    model = load(write_folder(folder, tensors | others))
    assert same_weights(plain, model)
    assert list(model.card["left_aside"]) == ["cls_decoder.", "mvc_decoder.", "flag_encoder."]
    assert plain.card["left_aside"] == {}
    json.dumps(model.card)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dsbn.bns.0.running_mean", r"dsbn\.\* is left aside, normalisation by batch"),
        ("bn.running_mean", r"bn\.\* is left aside, batch normalisation"),
        ("decoder.zero_logit.0.weight", r"decoder\.zero_logit\.\* is left aside, probability of expression"),
    ],
)
def test_parts_without_which_results_are_others_are_warned_of(folder, tensors, name, said):
    write_folder(folder, tensors | {name: torch.zeros(HIDDEN)})
    with pytest.warns(UserWarning, match=said):
        load(folder)


def test_a_decoder_that_reads_batch_labels_is_refused(folder, tensors):
    tensors["decoder.fc.0.weight"] = torch.zeros(HIDDEN, 2 * HIDDEN)
    with pytest.raises(ModelError, match="fine-tuned with batch labels.*load the pretrained weights"):
        load(write_folder(folder, tensors))


@pytest.mark.parametrize("name", ["best_model.pt", "args.json", "vocab.json"])
def test_a_folder_that_lacks_a_file_is_told_what_belongs_there(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelError, match=r"no scGPT model at .*blood: expected a folder with best_model.pt or"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nheads": None}, "does not say nheads"),
        ({"input_style": "log1p"}, "input_style is 'log1p'; only models with 'binned'"),
        ({"input_emb_style": "category"}, "input_emb_style is 'category'; only models with 'continuous'"),
        ({"pre_norm": True}, "pre_norm is True; only models with False"),
    ],
)
def test_settings_of_other_kinds_of_model_are_refused(folder, change, said):
    args = {key: value for key, value in (ARGS | change).items() if value is not None}
    with pytest.raises(ModelError, match=said):
        load(write_folder(folder, args=args))


@pytest.mark.parametrize(
    ("vocabulary", "said"),
    [
        (VOCABULARY, r"holds 29 tokens, the embedding 32 rows; expected every token with its row, 0 to 31"),
        (VOCABULARY | SPECIAL | {"G3": 4}, "holds 32 tokens, the embedding 32 rows"),
        ([*VOCABULARY, *SPECIAL], "holds a list, the embedding 32 rows"),
        (VOCABULARY | {"<pad>": 7, "<mask>": 30, "<eoc>": 31}, "has no token <cls>"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(folder, vocabulary, said):
    with pytest.raises(ModelError, match=said):
        load(write_folder(folder, vocabulary=vocabulary))


def test_missing_unknown_and_misshapen_tensors_are_named(folder, tensors):
    norm = tensors.pop("encoder.enc_norm.weight")
    with pytest.raises(ModelError, match=r"1 missing \(such as \['encoder.enc_norm.weight'\]\), 0 unknown"):
        load(write_folder(folder, tensors))
    tensors |= {"encoder.enc_norm.weight": norm, "pert_encoder.weight": torch.zeros(3, HIDDEN)}
    with pytest.raises(ModelError, match=r"0 missing .*1 unknown \(such as \['pert_encoder.weight'\]\)"):
        load(write_folder(folder, tensors))
    del tensors["pert_encoder.weight"]
    tensors["encoder.enc_norm.weight"] = torch.zeros(3)
    with pytest.raises(ModelError, match=r"tensor encoder.enc_norm.weight has shape \(3,\), expected \(14,\)"):
        load(write_folder(folder, tensors))
    del tensors["encoder.embedding.weight"]
    with pytest.raises(ModelError, match="tensor encoder.embedding.weight is missing: not an scGPT model"):
        load(write_folder(folder, tensors))


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run_it(folder, tensors):
    write_folder(folder, tensors | {"extra": Runs()})
    with pytest.raises(ModelError, match=r"holds more than tensors.*so it is not opened.*save_file"):
        load(folder)
    assert not RAN


def test_a_checkpoint_around_the_state_dict_is_told_apart(folder, tensors):
    write_folder(folder, {"epoch": 3, "model": tensors})
    with pytest.raises(ModelError, match="holds a dictionary of epoch, model; expected a state dict"):
        load(folder)


@pytest.mark.parametrize("name", ["best_model.pt", "model.safetensors"])
@pytest.mark.parametrize("left", [0, 5, 2000])
def test_truncated_weights_are_told_as_damaged(folder, tensors, name, left):
    save_file(tensors, folder / "model.safetensors")
    for file in {"best_model.pt", "model.safetensors"} - {name}:
        (folder / file).unlink()
    (folder / name).write_bytes((folder / name).read_bytes()[:left])
    with pytest.raises(DamagedError, match=f"{name} is not a readable file of weights .*; fetch or copy it again"):
        load(folder)


def test_a_flipped_bit_is_found(folder):
    file = folder / "best_model.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedError, match=r"is damaged: the checksum of .* is wrong"):
        load(folder)


@pytest.mark.parametrize("name", ["args.json", "vocab.json"])
def test_a_truncated_json_file_is_told_as_damaged(folder, name):
    (folder / name).write_text((folder / name).read_text()[:-3])
    with pytest.raises(DamagedError, match=f"{name} is not readable JSON"):
        load(folder)
