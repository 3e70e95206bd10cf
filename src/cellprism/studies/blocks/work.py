"""How much there is to find in each block of a model.

Notable choices

- Noise is no dimension. Every count of a cell goes to one of two halves by itself; both are read, and what the two
  readings share is what the model says of the cell rather than of the draw. Halves have half the depth: of whole cells
  more recurs.
- Gene tokens that say little but how much of the gene was counted vary along a line each; so dimensions are also
  counted without that.
- What a dictionary adds is told from a short training on half of the cells, and judged on the others: it is there to
  compare blocks, not to say how good a long training would be.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData

from cellprism.cells.expression import log1p_cp10k
from cellprism.equations.dimension import inverse_participation, shared_participation
from cellprism.equations.ratio import is_spread
from cellprism.equations.within import within_groups, without_value
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.features.train import SaeJob, train_saes
from cellprism.models.latent.assess import both_counted, thinned
from cellprism.sae.config import SaeConfig
from cellprism.sae.distributed import alone
from cellprism.studies.blocks.readings import Reading, read_blocks, same_tokens
from cellprism.studies.blocks.settings import BlocksSettings
from cellprism.studies.blocks.tables import Block, Blocks, Dictionary, Dimensions
from cellprism.studies.fit.beside import beside, halves_of
from cellprism.studies.workbench import Workbench
from cellprism.types import CellModel

TOKENS = 32  # of each cell, whose dimensions are counted


@torch.no_grad()
def work(bench: Workbench, settings: BlocksSettings) -> Blocks:
    """Count dimensions and try a dictionary at every block."""
    model, cells, seed = bench.model, bench.some_cells(settings.cells), bench.config.seed
    rng = np.random.default_rng([seed, 43])
    one, other = thinned(sp.csr_matrix(cells.X, dtype=np.float32), 0.5, rng)
    both = both_counted(one, other)
    versions = [_of(cells, counts, both) for counts in (cells.X, one, other)]
    layers = range(model.n_layers)
    with bench.bar("reading cells whole and in halves", 3) as advance:
        some = rng.random((int(both.sum()), len(model.genes))) < TOKENS / cells.n_vars
        found = []
        for part in versions:
            found.append(read_blocks(model, part, layers, some, bench.cells_a_pass()))
            advance(len(found))
    readings = list(zip(*same_tokens(found), strict=True))
    first = rng.permutation(int(both.sum())) < both.sum() // 2
    with bench.bar("a dictionary for every block", None):
        dictionaries = _dictionaries(bench, cells, settings)
    blocks = [
        Block(layer, *_of_tokens(model, reading, first), _pooled([r.pooled for r in reading], first), dictionary)
        for layer, reading, dictionary in zip(layers, readings, dictionaries, strict=True)
    ]
    expression = [torch.from_numpy(log1p_cp10k(part).toarray()) for part in versions]
    return Blocks(
        model.d_model, int(both.sum()), TOKENS, settings.expansion * model.d_model, settings.k,
        _pooled(expression, first), blocks,
    )  # fmt: skip


def _of(cells: AnnData, counts: Any, rows: np.ndarray) -> AnnData:
    """Cells with other counts, and with the depth that these have."""
    part = cells[rows].copy()
    before = np.asarray(sp.csr_matrix(part.X).sum(axis=1)).ravel()
    part.X = sp.csr_matrix(counts)[rows]
    if "total_counts" in part.obs:  # of all genes: what lies outside is thinned alike
        now = np.asarray(part.X.sum(axis=1)).ravel()
        part.obs["total_counts"] = np.rint(part.obs["total_counts"].to_numpy() * now / np.maximum(before, 1))
    return part


def _of_tokens(
    model: CellModel, readings: Sequence[Reading], first: np.ndarray
) -> tuple[Dimensions | None, Dimensions | None]:
    """Dimensions of tokens, and of what their own counts leave; none where the cell is the one token."""
    if model.tokens != "genes":
        return None, None
    half = torch.from_numpy(first)[readings[0].cell]
    tokens = [within_groups(reading.x, reading.gene) for reading in readings]
    rest = [without_value(reading.x, reading.value, reading.gene) for reading in readings]
    return _dimensions(tokens, half), _dimensions(rest, half)


def _pooled(vectors: Sequence[torch.Tensor], first: np.ndarray) -> Dimensions:
    return _dimensions([x - x.mean(dim=0) for x in vectors], torch.from_numpy(first))


def _dimensions(vectors: Sequence[torch.Tensor], first: torch.Tensor) -> Dimensions:
    """Of the whole cells and of their two halves, means off."""
    whole, one, other = vectors
    ratio, share = (float(value) for value in shared_participation(one, other, first))
    recurs = np.isfinite(ratio) and ratio >= 1 and is_spread(share, 1)
    return Dimensions(1 / float(inverse_participation(whole)), ratio if recurs else None, share)


def _dictionaries(bench: Workbench, cells: AnnData, settings: BlocksSettings) -> list[Dictionary | None]:
    """One for each block, trained on the first half of the cells."""
    model, seed, memory = bench.model, bench.config.seed, bench.config.train.memory
    centring = "group" if model.tokens == "genes" else "global"
    train = SaeConfig(
        k=settings.k, expansion=settings.expansion, epochs=settings.epochs, centring=centring, memory=memory
    )
    jobs = [SaeJob(layer, train, seed) for layer in range(model.n_layers)]
    half = cells.n_obs // 2
    with alone():
        trained = train_saes(
            model, cells[:half].copy(), jobs, seed=seed, batch_size=bench.cells_a_pass(), measured=False
        )
    found = []
    for layer, sae in enumerate(trained):
        tokens = CellTokens(model, cells, [layer], memory=memory, batch_size=bench.cells_a_pass())
        atoms, judged = halves_of(tokens, sae.to(bench.device), np.arange(half), np.arange(half, cells.n_obs), seed)
        row = beside(sae, atoms, judged, settings.draws, seed)
        found.append(None if row is None else Dictionary(row.trained, row.best))
    return found
