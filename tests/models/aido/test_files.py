"""Weights on disk: every layout that is published loads, what cannot be read is told, and what is saved comes back."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cellprism.cells.genes import GeneTable, read_gene_table
from cellprism.errors import DamagedError, ModelError
from cellprism.models.aido.files import CONFIG, GENES, PICKLED, WEIGHTS, load, published_name, recognises, save
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.settings import AidoConfig
from cellprism.types import CellBatch
from models.conftest import REDUCED, same_weights

FEW = REDUCED / "aido_tiny_2blocks.safetensors"
SETTINGS = {"num_attention_heads": 2}
HEAD, BODY = "cls.", "bert."


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    """Two blocks of the reference's model under the published names."""
    return load_file(FEW)


@pytest.fixture
def reference() -> AidoCell:
    return load(FEW)


def write_model(folder: Path, tensors: dict[str, torch.Tensor], settings: dict | None = SETTINGS, **metadata) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, metadata=metadata or None)
    if settings is not None:
        (folder / CONFIG).write_text(json.dumps(settings))
    return folder


def test_a_folder_and_the_file_in_it_are_the_same_model(tmp_path, tensors, reference):
    folder = write_model(tmp_path / "AIDO.Cell-tiny", tensors)
    by_folder, by_file = load(folder), load(Path(folder / WEIGHTS))
    assert same_weights(by_folder, reference)
    assert same_weights(by_file, reference)
    assert by_folder.config == by_file.config == reference.config
    assert by_folder.name == "AIDO.Cell-tiny"
    assert by_folder.licence.startswith("not stated; published AIDO.Cell weights are under the GenBio AI Community")


def test_the_configuration_may_stand_in_the_files_metadata(tmp_path, tensors, reference):
    folder = write_model(tmp_path, tensors, settings=None, config=json.dumps(SETTINGS))
    assert load(folder / WEIGHTS).config == reference.config


def test_a_loaded_model_is_ready_to_run_and_asks_for_no_gradients(reference):
    assert not reference.training
    assert not any(p.requires_grad for p in reference.parameters())


@pytest.mark.parametrize("prefix", ["", BODY])
def test_a_bare_encoder_loads_with_a_loud_word_and_predicts_nothing(tmp_path, tensors, reference, prefix):
    body = {k.replace(BODY, prefix, 1): v for k, v in tensors.items() if not k.startswith(HEAD)}
    folder = write_model(tmp_path, body)
    with pytest.warns(UserWarning, match=r"no prediction head \(cls.*embeddings alone can be steered"):
        model = load(folder)
    io = load_file(REDUCED / "aido_tiny_2blocks_io.safetensors")
    gene = torch.cat([torch.arange(97), torch.tensor([-1, -1])])
    batch = CellBatch(io["plain.input"], gene, (gene >= 0).expand(2, -1), torch.arange(2))
    x = model.residual(batch, 1)
    assert torch.equal(x, reference.residual(batch, 1)), "residuals do not need a head"
    out, whole = model.resume(batch, 1, x), reference.resume(batch, 1, x)
    assert (model.predicts, out.expression) == ("nothing", None)
    assert torch.equal(out.embedding, whole.embedding)


def test_the_decoders_bias_may_be_published_twice_or_under_either_name(tmp_path, tensors, reference):
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
    assert same_weights(load(write_model(tmp_path / "both", tensors)), reference)
    del tensors["cls.predictions.bias"]
    assert same_weights(load(write_model(tmp_path / "other", tensors)), reference)


def test_weights_in_half_precision_are_run_in_single(tmp_path, tensors):
    model = load(write_model(tmp_path, {k: v.bfloat16() for k, v in tensors.items()}))
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_root_mean_square_norms_are_told_by_their_missing_biases(tmp_path):
    torch.manual_seed(0)
    model = AidoCell(AidoConfig(11, 14, 2, 2, 19, norm="rms"))
    assert not any("norm" in name and name.endswith("bias") for name in model.state_dict())
    save(model, tmp_path, {})
    loaded = load(tmp_path)
    assert loaded.config.norm == "rms"
    assert isinstance(loaded.final_norm, torch.nn.RMSNorm)
    assert same_weights(loaded, model)


def test_shards_of_a_folder_are_put_together(tmp_path, tensors, reference):
    names = sorted(tensors)
    for i, part in enumerate((names[:7], names[7:20], names[20:])):
        save_file({n: tensors[n] for n in part}, tmp_path / f"model-{i + 1:05}-of-00003.safetensors")
    (tmp_path / CONFIG).write_text(json.dumps(SETTINGS))
    assert same_weights(load(tmp_path), reference)


def test_checkpoints_and_scratch_files_beside_the_weights_are_left_alone(tmp_path, tensors, reference):
    folder = write_model(tmp_path, tensors)
    save_file({"average.x": torch.zeros(3)}, folder / "checkpoint.safetensors")
    (folder / ".model.safetensors.abc.safetensors").write_bytes(b"half a file")
    assert same_weights(load(folder), reference)


def test_a_missing_tensor_is_named(tmp_path, tensors):
    del tensors["bert.encoder.layer.1.mlp.gate_proj.bias"]
    with pytest.raises(ModelError, match=r"1 missing \(such as \['bert.encoder.layer.1.mlp.gate_proj.bias'\]\)"):
        load(write_model(tmp_path, tensors))


def test_a_head_of_which_only_a_part_is_there_is_no_head(tmp_path, tensors):
    del tensors["cls.predictions.transform.dense.weight"]
    with pytest.raises(ModelError, match="cls.predictions.transform.dense.weight"):
        load(write_model(tmp_path, tensors))


def test_an_unknown_tensor_is_named(tmp_path, tensors):
    tensors["bert.pooler.weight"] = torch.zeros(3)
    with pytest.raises(ModelError, match=r"0 missing.*1 unknown \(such as \['bert.pooler.weight'\]\)"):
        load(write_model(tmp_path, tensors))


def test_a_tensor_of_the_wrong_shape_is_named_with_both_shapes(tmp_path, tensors):
    name = "bert.encoder.layer.0.attention.self.key.weight"
    tensors[name] = tensors[name][:, :61].contiguous()
    with pytest.raises(ModelError, match=rf"{name} has shape \(64, 61\), expected \(64, 64\)"):
        load(write_model(tmp_path, tensors))


def test_a_table_that_is_no_table_is_named(tmp_path, tensors):
    tensors["bert.position_embedding.weight"] = torch.zeros(99)
    with pytest.raises(ModelError, match=r"bert.position_embedding.weight has shape \(99,\), expected two axes"):
        load(write_model(tmp_path, tensors))


def test_another_models_file_is_recognised_as_such(tmp_path):
    with pytest.raises(ModelError, match="lacks tensor bert.position_embedding.weight: not an AIDO.Cell model"):
        load(write_model(tmp_path, {"transformer.h.0.weight": torch.zeros(3, 5)}))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_damaged(tmp_path, tensors, share):
    path = write_model(tmp_path, tensors) / WEIGHTS
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DamagedError, match=r"model.safetensors is not a readable safetensors file"):
        load(tmp_path)


def test_a_configuration_that_is_not_json_is_damaged(tmp_path, tensors):
    folder = write_model(tmp_path / "beside", tensors)
    (folder / CONFIG).write_text('{"num_attention_heads": ')
    with pytest.raises(DamagedError, match=r"config.json is not readable JSON"):
        load(folder)
    folder = write_model(tmp_path / "inside", tensors, settings=None, config='{"num_attention')
    with pytest.raises(DamagedError, match="the configuration in the metadata .* is not JSON"):
        load(folder)


def test_a_configuration_without_the_number_of_heads_says_that_no_shape_can_tell(tmp_path, tensors):
    with pytest.raises(ModelError, match="does not say num_attention_heads"):
        load(write_model(tmp_path, tensors, settings={"hidden_size": 64}))


def test_no_configuration_at_all_is_told_where_it_may_stand(tmp_path, tensors):
    with pytest.raises(ModelError, match=r"expected config.json beside it or a 'config' entry in its metadata"):
        load(write_model(tmp_path, tensors, settings=None))


@pytest.mark.parametrize("name", ["nothing", "empty", "lost.safetensors"])
def test_a_path_without_weights_is_told_what_was_expected(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no model at .*: expected a .safetensors file or a folder that holds one"):
        load(tmp_path / name)


@pytest.fixture
def own(tmp_path) -> tuple[AidoCell, Path, dict]:
    """A model of ours with Ensembl ids, aliases and a card, and the folder it was saved into."""
    table = GeneTable(("B2M", "KMT2D", "LYZ"), ("ENSG00000166710", "", "ENSG00000090382"), {"MLL2": "KMT2D"})
    torch.manual_seed(2)
    model = AidoCell(AidoConfig(3, 14, 2, 2, 19, eps=1e-6, gene_subset=True, total="cell"), table)
    card = {"name": "ours", "revision": "r7", "licence": "CC-BY-4.0", "curve": [{"step": 1, "loss": 0.5}]}
    save(model, tmp_path / "ours", card)
    return model, tmp_path / "ours", card


def test_the_gene_list_is_the_one_that_the_model_was_saved_with(own, tmp_path):
    _, folder, _ = own
    header, *rows = (folder / GENES).read_text().splitlines()
    (folder / GENES).write_text("\n".join([header, *rows[::-1]]) + "\n")
    with pytest.raises(
        ModelError, match="in another order, so that each would be taken for another; use the genes.tsv"
    ):
        load(folder)
    (tmp_path / "genes.tsv").write_text("\n".join([header, *rows]) + "\n")
    assert len(load(folder, genes=tmp_path / "genes.tsv").genes) == len(rows)
    with pytest.raises(ModelError, match="in another order"):
        load(folder, genes=folder / GENES)


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (lambda t: t.to(torch.float8_e5m2), "holds float8_e5m2 codes"),
        (lambda t: t * torch.nan, "holds NaN or infinite"),
    ],
)
def test_tensors_that_are_no_weights_are_refused(tmp_path, tensors, spoilt, message):
    name = "bert.encoder.layer.0.attention.self.key.weight"
    tensors[name] = spoilt(tensors[name])
    with pytest.raises(ModelError, match=rf"{WEIGHTS}|{tmp_path}.*: {name} {message}"):
        load(write_model(tmp_path, tensors))


def test_what_is_saved_comes_back_bit_for_bit_with_genes_and_card(own):
    model, folder, card = own
    for path in (folder, folder / WEIGHTS):
        loaded = load(path)
        assert same_weights(loaded, model)
        assert loaded.config == model.config
        assert loaded.gene_table == model.gene_table
        assert (loaded.name, loaded.revision, loaded.licence, loaded.card) == ("ours", "r7", "CC-BY-4.0", card)


def test_a_gene_list_may_be_given_and_must_fit(own):
    _, folder, _ = own
    other = GeneTable.of(["X1", "X2", "X3"])
    assert load(folder, other).genes == ("X1", "X2", "X3")
    with pytest.raises(ModelError, match="2 genes but the model's position embedding has room for 3"):
        load(folder, GeneTable.of(["X1", "X2"]))


def test_saved_names_are_the_published_ones(own, tensors):
    model, folder, _ = own
    saved = load_file(folder / WEIGHTS)
    assert saved.keys() == tensors.keys(), "two blocks with head, like the reference's"
    assert {published_name(name) for name in model.state_dict()} == saved.keys()
    assert read_gene_table(folder / GENES) == model.gene_table
    with pytest.raises(KeyError):
        published_name("blocks.0.unheard_of.weight")


def test_saving_again_replaces_the_files_and_leaves_no_scratch(own):
    model, folder, card = own
    save(model.reinitialised(1), folder, {**card, "revision": "r8"})
    assert sorted(p.name for p in folder.iterdir()) == sorted([WEIGHTS, CONFIG, GENES])
    assert load(folder).revision == "r8"


def test_the_published_pickle_loads_as_tensors_and_gives_way_to_safetensors(tmp_path, tensors, reference):
    (tmp_path / CONFIG).write_text(json.dumps(SETTINGS))
    torch.save(tensors, tmp_path / PICKLED)
    assert same_weights(load(tmp_path), reference)
    assert same_weights(load(tmp_path / PICKLED), reference)
    (tmp_path / PICKLED).write_bytes(b"never opened")
    save_file(tensors, tmp_path / WEIGHTS)
    assert same_weights(load(tmp_path), reference)


def test_a_pickle_that_holds_more_than_tensors_is_not_loaded(tmp_path):
    (tmp_path / CONFIG).write_text(json.dumps(SETTINGS))
    torch.save({"bert.x": Path("nothing")}, tmp_path / PICKLED)
    with pytest.raises(
        ModelError,
        match=r"pytorch_model.bin holds more than tensors, or .*could run code.* as safetensors",
    ):
        load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_pickle_is_damaged(tmp_path, tensors, share):
    (tmp_path / CONFIG).write_text(json.dumps(SETTINGS))
    torch.save(tensors, tmp_path / PICKLED)
    whole = (tmp_path / PICKLED).read_bytes()
    (tmp_path / PICKLED).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DamagedError, match=r"pytorch_model.bin is not a readable file of weights"):
        load(tmp_path)


SAID = SETTINGS | {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 88, "bin_num": 100,
                   "normalization_type": "LayerNorm", "model_type": "cellfoundation"}  # fmt: skip


@pytest.mark.parametrize("positions", [97, 99])
def test_sizes_that_are_stated_and_right_are_not_spoken_of(tmp_path, tensors, reference, positions):
    folder = write_model(tmp_path, tensors, SAID | {"max_position_embeddings": positions})
    assert load(folder).config == reference.config


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden_size": 128}, r"hidden_size 128 stated, 64 found"),
        ({"num_hidden_layers": 6, "bin_num": 50}, r"num_hidden_layers 6 stated, 2 found; bin_num 50 stated, 100 found"),
        ({"max_position_embeddings": 650}, r"max_position_embeddings 650 stated, 97 found"),
        ({"normalization_type": "RMSNorm"}, r"normalization_type RMSNorm stated, layer found"),
    ],
)
def test_where_settings_and_tensors_disagree_both_are_said_and_the_tensors_count(
    tmp_path, tensors, reference, wrong, message
):
    folder = write_model(tmp_path, tensors, SAID | wrong)
    with pytest.warns(UserWarning, match=rf"disagree \(.*{message}.*; the tensors count.*number of heads"):
        assert load(folder).config == reference.config


def test_the_licence_of_a_copy_is_read_from_its_readme(tmp_path, tensors):
    folder = write_model(tmp_path, tensors)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert load(folder).licence == "apache-2.0"


def test_the_gene_list_may_be_given_as_a_file(own, tmp_path):
    _, folder, _ = own
    path = tmp_path / "list.tsv"
    path.write_text("gene_name\tindex\nX3\t2\nX1\t0\nX2\t1\n")
    assert load(folder, path).genes == load(folder, str(path)).genes == ("X1", "X2", "X3")


def test_a_model_is_recognised_by_its_configuration_or_its_tensors_names(tmp_path, tensors, own):
    assert recognises(own[1])
    assert recognises(FEW)
    assert recognises(write_model(tmp_path / "unsaid", tensors)), "num_attention_heads alone says nothing"
    (tmp_path / "pickle").mkdir()
    torch.save(tensors, tmp_path / "pickle" / PICKLED)
    assert not recognises(tmp_path / "pickle")
    (tmp_path / "pickle" / CONFIG).write_text(json.dumps(SAID))
    assert recognises(tmp_path / "pickle")


def test_what_is_no_model_of_this_family_is_not_recognised(tmp_path, tensors):
    assert not recognises(tmp_path)
    assert not recognises(tmp_path / "nothing")
    assert not recognises(write_model(tmp_path / "bert", {"bert.embeddings": torch.zeros(3)}, {"model_type": "bert"}))
    (tmp_path / CONFIG).write_text("[1, 2]")
    (tmp_path / WEIGHTS).write_bytes(b"no tensors")
    assert not recognises(tmp_path)


def test_leaving_genes_out_of_a_published_model_is_an_option_that_marks_it(tmp_path, tensors):
    folder = write_model(tmp_path, tensors)
    marked = load(folder, gene_subset=True)
    assert marked.config.gene_subset
    assert marked.config.total == "cell"
    assert len(marked.card["limits"]) == 1
    assert "were left out, while the model was trained on all 97 at once" in marked.card["limits"][0]
    assert "limits" not in load(folder).card


def test_a_model_trained_on_subsets_needs_no_mark(own):
    _, folder, card = own
    assert load(folder, gene_subset=True).card == card
