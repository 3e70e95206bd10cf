"""Folders written by the real library, and ours read by it; mistakes and damage."""

import json
import shutil

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

pytest.importorskip("transformers", reason="Geneformer needs the package transformers")

import transformers
from safetensors.torch import load_file, save_file

from cellprism.cells.genes import GeneTable, write_gene_table
from cellprism.errors import DamagedError, ModelError
from cellprism.models import geneformer, hub
from cellprism.models.geneformer.dictionaries import CONVERTED, Dictionary, fetch_dictionaries
from cellprism.models.geneformer.files import convert, load
from cellprism.models.geneformer.model import Geneformer
from cellprism.models.registry import fetch_model, load_model, save_model
from models.conftest import same_weights
from models.geneformer.conftest import IDS, NAMES, publish
from models.hub_server import Hub, serving


@pytest.fixture
def folder(published, tmp_path):
    """A copy that may be spoilt."""
    shutil.copytree(published.folder.parent, tmp_path / "repository")
    return tmp_path / "repository" / published.folder.name


def edit_config(folder, **changed):
    settings = json.loads((folder / "config.json").read_text()) | changed
    (folder / "config.json").write_text(json.dumps(settings))


def edit_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_the_family_is_recognised_by_its_configuration(folder, tmp_path):
    assert geneformer.recognises(folder)
    assert not geneformer.recognises(folder / "config.json")
    assert not geneformer.recognises(tmp_path)
    edit_config(folder, model_type="cellfoundation")
    assert not geneformer.recognises(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(DamagedError, match="config.json is not readable JSON"):
        geneformer.recognises(folder)


def test_every_weight_is_the_one_that_the_library_loads(published):
    assert same_weights(geneformer.load(published.folder).network, published.network())


def test_what_we_save_is_what_the_library_and_we_load(model, cells, tmp_path):
    save_model(model, tmp_path / "saved", {"name": "mine", "licence": "MIT"})
    theirs, report = transformers.BertForMaskedLM.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not any(report.values()), report
    assert same_weights(theirs, model.network)
    ours = load(tmp_path / "saved")
    assert same_weights(ours.network, model.network)
    assert ours.dictionary == model.dictionary
    assert (ours.name, ours.licence, ours.revision) == ("mine", "MIT", "local")
    first, second = next(model.batches(cells, 5)), next(ours.batches(cells, 5))
    assert torch.equal(first.values, second.values)
    assert torch.equal(model.residual(first, 2), ours.residual(second, 2))


def test_a_random_folder_remembers_that_it_is_one(tmp_path):
    save_model(Geneformer.random(NAMES, hidden=26, layers=2, heads=2, input_size=13, seed=5), tmp_path)
    found = load(tmp_path)
    assert (found.name, found.revision, found.licence) == ("Geneformer, random weights", "seed 5", "none")
    assert found.genes == tuple(NAMES)


def test_the_dictionary_is_converted_once(folder, model):
    path = convert(folder)
    assert path == folder / CONVERTED
    shutil.rmtree(folder.parent / "geneformer")
    assert load(folder).dictionary == model.dictionary
    before = path.read_bytes()
    convert(folder)
    assert path.read_bytes() == before


def test_symbols_may_be_given(published, tmp_path):
    table = GeneTable.of(["MINE", "OTHER"], [IDS[4], IDS[-1]])
    write_gene_table(tmp_path / "genes.tsv", table)
    for genes in (table, tmp_path / "genes.tsv"):
        found = load(published.folder, genes=genes)
        assert set(found.genes) == {"MINE", "OTHER", *IDS} - {IDS[4], IDS[-1]}


def test_shared_tensors_may_be_named_twice_and_old_constants_are_left_out(folder, model):
    def older(tensors):
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone()
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
        tensors["bert.embeddings.position_ids"] = torch.arange(13)[None]

    edit_weights(folder, older)
    edit_config(folder, position_embedding_type="absolute", torch_dtype="float32", gradient_checkpointing=False)
    assert same_weights(load(folder).network, model.network)


def test_an_output_layer_of_its_own_is_kept_apart(tmp_path, cells):
    made = publish(tmp_path, "V1", tie_word_embeddings=False)
    model = load(made.folder)
    assert same_weights(model.network, made.network())
    head, embeddings = model.network.cls.predictions.decoder, model.network.bert.embeddings.word_embeddings
    assert not torch.equal(head.weight, embeddings.weight)
    save_model(model, tmp_path / "saved")
    assert same_weights(load(tmp_path / "saved").network, model.network)


def test_half_precision_files_are_read_as_float32(folder, model):
    edit_weights(folder, lambda tensors: tensors.update({k: t.half() for k, t in tensors.items()}))
    for name, weight in load(folder).network.state_dict().items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, model.network.state_dict()[name].half().float())


def test_missing_unknown_and_misshapen_tensors_are_named(folder):
    whole = load_file(folder / "model.safetensors")
    edit_weights(folder, lambda tensors: tensors.pop("bert.encoder.layer.1.output.dense.bias"))
    with pytest.raises(ModelError, match=r"1 tensors missing \(such as \['bert.encoder.layer.1.output.dense.bias'"):
        load(folder)
    classifier = {k: t for k, t in whole.items() if not k.startswith("cls.")} | {"classifier.bias": torch.zeros(3)}
    save_file(classifier, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"1 unknown \(such as \['classifier.bias'\]\); a classifier made from"):
        load(folder)
    save_file(whole | {"cls.predictions.bias": torch.zeros(7)}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"tensor cls.predictions.bias has shape \(7,\), but config.json asks for \(3"):
        load(folder)


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (lambda t: t.to(torch.int8), "holds int8 codes instead of weights"),
        (lambda t: t.to(torch.float8_e4m3fn), "holds float8_e4m3fn codes instead of weights"),
        (lambda t: t * torch.nan, "holds NaN or infinite weights"),
        (lambda t: torch.full_like(t, torch.inf), "holds NaN or infinite weights"),
    ],
)
@pytest.mark.parametrize("name", ["bert.encoder.layer.1.output.dense.bias", "cls.predictions.bias"])
def test_tensors_that_are_no_weights_are_refused(folder, name, spoilt, message):
    edit_weights(folder, lambda tensors: tensors.update({name: spoilt(tensors[name])}))
    with pytest.raises(ModelError, match=rf"model.safetensors: {name} {message}"):
        load(folder)


def test_missing_files_are_named_with_what_to_do(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no model.safetensors in .*only pytorch_model.bin.*save_pretrained"):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match="no config.json in .*expected a Geneformer folder"):
        load(folder)
    with pytest.raises(ModelError, match="no config.json in"):
        convert(folder)


def test_damaged_weights_are_damaged(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DamagedError, match="model.safetensors is not a readable safetensors file"):
        load(folder)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(DamagedError, match="is a Git LFS pointer.*git lfs pull"):
        load(folder)


@pytest.mark.parametrize("changed", [{"num_attention_heads": 3}, {"hidden_size": "wide"}, {"hidden_act": 3}])
def test_a_configuration_that_is_no_bert_is_refused(folder, changed):
    edit_config(folder, **changed)
    with pytest.raises(ModelError, match="config.json does not describe a BERT"):
        load(folder)


def test_the_licence_is_the_one_stated_beside_the_weights(folder):
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    assert load(folder).licence == "mit"


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_model_of_the_hub_comes_with_its_dictionaries_and_its_origin(published, model, tmp_path, monkeypatch):
    served = Hub(published.folder.parent, repository="ctheodoris/Geneformer", card={"license": "apache-2.0"})
    monkeypatch.setenv("CELLPRISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    source = hub.parse(f"hf://{served.repository}@{served.revision}#{published.folder.name}")
    with serving(served) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        folder = hub.fetch(source)
        with pytest.raises(ModelError, match="no gene dictionary of 3. tokens"):
            load(folder)
        named = load_model(f"hf://{source.repository}@{source.revision}#{source.subfolder}")
    assert fetch_model(f"hf://{source.repository}@{source.revision}#{source.subfolder}", offline=True) == folder
    found = load(folder)
    assert named.card == found.card
    assert same_weights(found.network, model.network)
    assert found.dictionary == model.dictionary
    assert found.name == f"ctheodoris/Geneformer/{published.folder.name}"
    assert (found.revision, found.licence) == (served.revision, "apache-2.0")
    assert found.card["source"].startswith(f"{address}/ctheodoris/Geneformer, fetched ")


def test_a_folder_that_was_not_fetched_asks_no_hub(published):
    fetch_dictionaries(published.folder)


def test_a_model_of_v1s_real_size_reads_the_2048_highest_genes(tmp_path):
    """6 blocks of width 256 over 25,426 tokens, as published."""
    names = [f"ENSG{i:011d}" for i in range(25_424)]
    dictionary = Dictionary.of(GeneTable.of(names, names), np.ones(len(names)), special=False)
    save_model(Geneformer.random(dictionary, hidden=256, layers=6, heads=4, intermediate=512), tmp_path)
    model = load(tmp_path)
    embeddings = (25_426 + 2_048 + 2 + 2) * 256
    block = 4 * (256 * 256 + 256) + 2 * 256 * 512 + 512 + 256 + 4 * 256
    head = 256 * 256 + 256 + 2 * 256 + 25_426
    assert sum(p.numel() for p in model.parameters()) == embeddings + 6 * block + head
    counts = np.random.default_rng(0).permutation(3_001)[None].astype(np.float32)
    adata = AnnData(sp.csr_matrix(counts))
    adata.var_names = names[7 : 7 + 3_001]
    batch = next(model.batches(adata, 1))
    assert batch.values.shape == (1, 2_048)
    expected = [names[7 + j] for j in np.argsort(-counts[0])[:2_048]]
    assert [model.genes[i] for i in batch.gene[0]] == expected
    out = model.resume(batch, 3, model.residual(batch, 3))
    assert out.token_logit.shape == (1, 2_048)
    assert out.token_logit.isfinite().all()
