"""The study on models that read a cell as a whole: a DGD, an scVI, and one that says nothing of genes."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from models.latent.conftest import GENES, KEY, WIDTH, planted_cells
from torch.nn.functional import normalize

from cellprism.cells.genes import GeneTable
from cellprism.features.collect import feature_statistics
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.models.latent.dgd import DgdModel, DgdSizes
from cellprism.models.latent.embedding import EmbeddingModel
from cellprism.models.latent.scvi import ScviModel, ScviSizes
from cellprism.ontology.collection import Collection
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.h5ad import write_h5ad
from cellprism.studies.lens.settings import LensSettings
from cellprism.studies.lens.tables import read, write
from cellprism.studies.lens.work import work
from cellprism.studies.programs.settings import ProgramsSettings

FEATURES, CELLS = 31, 97
TABLE = GeneTable.of([f"G{i}" for i in range(GENES)], [f"ENSG{i:011d}" for i in range(GENES)])
MODELS: dict[str, Callable[[], Any]] = {
    "DGD": lambda: DgdModel.random(DgdSizes(GENES, WIDTH, components=5, hidden=19, search_steps=23), TABLE, 3),
    "scVI": lambda: ScviModel.random(ScviSizes(GENES, WIDTH, hidden=19, layers=2), TABLE, 3),
    "embedding": lambda: EmbeddingModel(KEY).fitted(planted_cells(CELLS)),
}
SETTINGS = LensSettings(
    high=0.8, draws=19, components=5, neighbours=7, cells=41, controls=3, features=(0, 1, 2), term_sizes=(2, 29)
)


def bench_of(model: Any, folder: Path) -> Any:
    """What the study is given, of a run whose autoencoder has random directions."""
    cells = planted_cells(CELLS)
    tokens = CellTokens(model, cells, [0], batch_size=CELLS)
    x = tokens.read(np.arange(CELLS)).x[0].float()
    rows = normalize(torch.from_numpy(np.random.default_rng(1).standard_normal((FEATURES, WIDTH))).float(), dim=1)
    sae = SparseAutoencoder(rows.T.contiguous(), torch.zeros(FEATURES), rows, x.mean(dim=0), k=4, relu=True)
    (folder / "programs").mkdir()
    write_h5ad(folder / "programs" / "cells.h5ad", feature_statistics(model, sae, cells, 0).cells)
    sets = {f"type {k}": tuple(f"G{i}" for i in range(k, GENES, 3)) for k in range(3)}
    return SimpleNamespace(
        cells=cells, model=model, sae=sae, tokens=tokens, config=SimpleNamespace(seed=0, layer=0),
        settings=lambda name: ProgramsSettings(gene_filter="all"), folder_of=lambda name: folder / name,
        collection=lambda name: Collection("sets", sets, {}), bar=lambda title, total: nullcontext(lambda *a: None),
        say=print, some_cells=lambda n: cells[:n].copy(),
    )  # fmt: skip


@pytest.mark.parametrize("kind", list(MODELS))
def test_features_of_whole_cells_are_read_and_set_high(kind, tmp_path):
    found = work(bench_of(MODELS[kind](), tmp_path), SETTINGS)
    write(tmp_path / "lens", found)
    again = read(tmp_path / "lens")
    assert again.summary == found.summary
    assert again.summary.read > 10
    assert len(again.summary.untrained) == 3
    if kind == "embedding":
        assert again.summary.moved == []
        assert "obsm:KEY+ridge" in again.summary.not_moved
    else:
        assert again.summary.annotated > 0.5  # types have genes of their own, and any direction follows them
        assert [one.feature for one in again.summary.moved] == [0, 1, 2]
        assert all(one.edit_ratio > 0 for one in again.summary.moved)
        assert again.summary.set_cells == 41
