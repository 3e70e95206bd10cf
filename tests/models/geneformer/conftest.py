"""Cells, and Geneformer folders as the real library writes them, in the published layout of V1 and V2."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from anndata import AnnData

CELLS, MODEL_GENES, DATA_GENES = 17, 29, 23
SIZES = {"hidden_size": 26, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 19}
INPUT = 13  # fewer than most cells express, so that many are cut
IDS = [f"ENSG{i:011d}" for i in range(101, 101 + MODEL_GENES)]
SYMBOLS = [f"G{i}" for i in range(MODEL_GENES - 1)]  # the last gene has no symbol
NAMES = [*SYMBOLS, IDS[-1]]
ENDING = {"V1": "_gc30M.pkl", "V2": "_gc104M.pkl"}
FIRST = {"V1": ["<pad>", "<mask>"], "V2": ["<pad>", "<mask>", "<cls>", "<eos>"]}


@dataclass(frozen=True)
class Published:
    """A model's folder, beside the folder of dictionaries, and what was written there."""

    version: str
    folder: Path
    tokens: dict[str, int]
    medians: dict[str, float]

    @property
    def dictionaries(self) -> Path:
        """Folder of the pickles of this version."""
        beside = self.folder.parent / "geneformer"
        return beside / "gene_dictionaries_30m" if self.version == "V1" else beside

    def network(self):
        """The model as the library itself loads it."""
        from transformers import BertForMaskedLM

        return BertForMaskedLM.from_pretrained(self.folder, attn_implementation="sdpa").eval()


def write_pickle(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value))


def publish(root: Path, version: str, **changed) -> Published:
    """Write a random model with the real library and its dictionaries where the published repository has them."""
    from transformers import BertConfig, BertForMaskedLM

    rng = np.random.default_rng(11)
    order = rng.permutation(MODEL_GENES)  # tokens in another order than ids and symbols
    tokens = {token: i for i, token in enumerate([*FIRST[version], *(IDS[i] for i in order)])}
    medians = {gene: float(rng.uniform(0.3, 4)) for gene in IDS}
    sizes = SIZES | {"max_position_embeddings": INPUT, "vocab_size": len(tokens), "hidden_act": "relu"} | changed
    torch.manual_seed(3)
    network = BertForMaskedLM(BertConfig(initializer_range=0.3, pad_token_id=0, **sizes))
    torch.nn.init.normal_(network.cls.predictions.bias)  # the library starts it at 0, where it could go missing unseen
    made = Published(version, root / f"Geneformer-{version}", tokens, medians)
    network.save_pretrained(made.folder)
    write_pickle(made.dictionaries / f"token_dictionary{ENDING[version]}", tokens)
    write_pickle(made.dictionaries / f"gene_median_dictionary{ENDING[version]}", medians)
    symbols = dict(zip(SYMBOLS, IDS, strict=False)) | {"OLD3": IDS[3], "ELSEWHERE": "ENSG00000000001"}
    write_pickle(made.dictionaries / f"gene_name_id_dict{ENDING[version]}", symbols)
    successors = {gene: gene for gene in IDS} | {"ENSG00000000555": IDS[5], "ENSG00000000556": "ENSG00000000001"}
    write_pickle(made.dictionaries / f"ensembl_mapping_dict{ENDING[version]}", successors)
    return made


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> dict[str, Published]:
    """V1 and V2 in one folder, as in the published repository."""
    root = tmp_path_factory.mktemp("repository")
    return {version: publish(root, version) for version in ENDING}


@pytest.fixture(params=["V1", "V2"])
def published(request, repository) -> Published:
    return repository[request.param]


@pytest.fixture
def model(published):
    from cellprism.models.geneformer.files import load

    return load(published.folder)


@pytest.fixture
def cells() -> AnnData:
    """17 cells with counts of 23 of the 29 genes, one of them without a symbol; the third expresses three genes."""
    rng = np.random.default_rng(5)
    counts = rng.poisson(rng.gamma(1.3, 1.5, (CELLS, DATA_GENES))).astype(np.float32)
    counts[2] = 0
    counts[2, [4, 9, 20]] = 1, 2, 1
    adata = AnnData(sp.csr_matrix(counts))
    adata.var_names = [NAMES[-1], *(f"G{i}" for i in rng.permutation(MODEL_GENES - 1)[: DATA_GENES - 1])]
    adata.obs_names = [f"cell{i}" for i in range(CELLS)]
    return adata
