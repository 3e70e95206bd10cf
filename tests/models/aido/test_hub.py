"""A model of the shape of AIDO.Cell-3M, from a hub to a forward pass: sizes, head, licence, revision, gene list."""

import gzip
import hashlib
import shutil

import pytest
import torch

from cellprism.errors import CellprismError, DamagedError, ModelError
from cellprism.models import hub
from cellprism.models.aido import gene_list as aido_genes
from cellprism.models.aido.files import fetch_extras, load, recognises
from cellprism.models.registry import load_model
from cellprism.store.download import RemoteFile
from cellprism.types import CellBatch
from models.conftest import same_weights
from models.hub_server import Hub, serving, write_published

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

GENES = [f"G{i}" for i in range(19_264)]
LIST = "gene_name\tindex\n" + "".join(f"{g}\t{i}\n" for i, g in enumerate(GENES))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The random model, and folders of it as safetensors and as the published pickle."""
    root = tmp_path_factory.mktemp("published")
    write_published(root / "pickle", pickled=True)
    return write_published(root / "safetensors"), root


@pytest.fixture
def server(published, tmp_path, monkeypatch):
    """A hub with the pickled model and a gene list, and an empty cache."""
    folder = tmp_path / "repository"
    shutil.copytree(published[1] / "pickle", folder)
    (folder / "lists").mkdir()
    (folder / "lists" / aido_genes.NAME).write_text(LIST)
    made = Hub(folder)
    with serving(made) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("CELLPRISM_CACHE", str(tmp_path / "cache"))
        url = f"{address}/{made.repository}/resolve/{made.revision}/lists/{aido_genes.NAME}"
        monkeypatch.setattr(aido_genes, "URL", url)
        digest = f"sha256:{hashlib.sha256(LIST.encode()).hexdigest()}"
        monkeypatch.setattr(aido_genes, "LIST", RemoteFile(len(LIST), digest))
        yield made


@pytest.fixture
def source(server) -> hub.HubSource:
    return hub.parse(f"hf://{server.repository}@{server.revision}")


def few_genes() -> CellBatch:
    """Three cells of 97 genes spread over the list, and the depth tokens."""
    gene = torch.cat([torch.arange(97) * 197, torch.tensor([-1, -1])])
    values = torch.rand(3, 99, generator=torch.Generator().manual_seed(1)) * 4
    return CellBatch(values, gene, (gene >= 0).expand(3, -1), torch.arange(3))


def test_from_a_pinned_revision_to_a_forward_pass(server, source, published):
    folder = hub.fetch(source)
    assert recognises(folder)
    fetch_extras(folder)
    model = load(folder)
    assert same_weights(model, published[0])
    assert model.config == published[0].config
    assert (model.config.layers, model.config.hidden, model.config.heads, model.config.intermediate) == (6, 128, 4, 320)
    assert 3.6e6 < sum(p.numel() for p in model.parameters()) < 3.7e6, "the published model has 3.65 million"
    assert model.config.norm == "layer"
    assert model.head is not None
    assert model.name == "genbio-ai/AIDO.Cell-3M"
    assert model.revision == server.revision
    assert model.licence.startswith(
        "GenBio AI Community License: non-commercial use only; it covers what the model puts"
    )
    assert model.card["source"].startswith(f"{hub.endpoint()}/genbio-ai/AIDO.Cell-3M, fetched 20")
    assert model.genes == tuple(GENES)
    batch = few_genes()
    out = model.resume(batch, 3, model.residual(batch, 3))
    assert torch.equal(out.expression, published[0].resume(batch, 0, published[0].residual(batch, 0)).expression)
    server.status = 500
    assert same_weights(load(hub.fetch(source, offline=True)), model), "no network the second time"


def test_by_its_source_a_model_comes_with_its_genes_and_options(server, source):
    assert load_model(str(source)).genes == tuple(GENES)
    server.status = 500
    marked = load_model(str(source), offline=True, gene_subset=True)
    assert marked.revision == server.revision
    assert "were left out, while the model was trained on all 19,264 at once" in marked.card["limits"][0]


def test_a_hub_with_safetensors_gives_the_same_model(server, source, published):
    (server.folder / "pytorch_model.bin").unlink()
    shutil.copy(published[1] / "safetensors" / "model.safetensors", server.folder)
    assert same_weights(load(hub.fetch(source)), published[0])


def test_a_local_folder_is_the_same_model_of_unsaid_origin(published):
    for kind in ("safetensors", "pickle"):
        model = load(published[1] / kind)
        assert same_weights(model, published[0])
        assert (model.name, model.revision) == (kind, "local")
        assert model.licence.startswith("not stated; published AIDO.Cell weights are under the GenBio AI Community")


def test_without_the_list_the_model_runs_and_says_how_to_read_cells(source, cells):
    model = load(hub.fetch(source))
    assert model.genes == ()
    with pytest.raises(ModelError, match=r"came without a gene list.*genes=TABLE, or fetch .*cellprism models fetch"):
        next(model.batches(cells, 5))


def test_the_list_is_used_for_models_of_its_length_alone(server, source):
    fetch_extras(server.folder)
    assert aido_genes.cached_gene_list(19_263) is None
    table = aido_genes.cached_gene_list(19_264)
    assert table is not None
    assert table.symbol == tuple(GENES)


def test_a_folder_that_brings_its_gene_list_needs_no_other(server):
    (server.folder / "genes.tsv").write_text(LIST)
    fetch_extras(server.folder, offline=True)
    assert server.asked == []


def test_the_list_comes_from_the_cache_when_it_is_there_and_offline_only_then(server):
    with pytest.raises(ModelError, match=r"the AIDO.Cell gene list is not in the cache .*pass a copy of OS_scRNA"):
        aido_genes.fetch_gene_list(offline=True)
    path = aido_genes.fetch_gene_list()
    server.asked.clear()
    assert aido_genes.fetch_gene_list() == aido_genes.fetch_gene_list(offline=True) == path
    assert server.asked == []


def test_another_list_is_refused_wherever_it_comes_from(server, source):
    name = f"lists/{aido_genes.NAME}"
    server.instead = {name: LIST.replace("G7\t7\n", "G8\t7\n", 1).encode()}
    with pytest.raises(DamagedError, match="nothing was kept"):
        fetch_extras(server.folder)
    server.instead = {}
    server.gone = {name}
    with pytest.raises(CellprismError, match=r"the AIDO.Cell gene list is not at .* \(404 Not Found\); pass a copy of"):
        fetch_extras(server.folder)
    server.gone = set()
    path = aido_genes.fetch_gene_list()
    path.write_text(LIST[:-1])
    with pytest.raises(DamagedError, match="is not the published gene list .*remove it and fetch it again"):
        load(hub.fetch(source))
    assert aido_genes.fetch_gene_list().read_text() == LIST, "fetching replaces it"


def test_the_pinned_checksum_is_that_of_the_published_list(test_data, tmp_path):
    packed = test_data / "OS_scRNA_gene_index.19264.tsv.gz"
    if not packed.is_file():
        pytest.skip(f"no {packed.name} among the test data")
    path = tmp_path / aido_genes.NAME
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    assert aido_genes.LIST.matches(path)
