"""What directions say of the cells: where they fire, and how strongly in each cell."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData

from cellprism.cells.expression import log1p_cp10k
from cellprism.features.association import association_table
from cellprism.features.collect import expressed
from cellprism.features.reappearance import Portrait
from cellprism.features.tables import CellSums, GeneSums
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.adds.halves import Halves
from cellprism.types import SparseCode


@dataclass(frozen=True, eq=False)
class Reading:
    """Tables of some directions."""

    genes: AnnData | None
    """Directions x genes over the first half of the cells, as ``feature_statistics`` has them; None where directions
    fire at no gene."""
    cells: sp.csc_matrix
    """Mean activation [cell direction], both halves."""


@torch.no_grad()
def read_directions(tokens: CellTokens, sae: SparseAutoencoder, halves: Halves) -> Reading:
    """Read an autoencoder, or a dictionary that takes its place, on the tokens of some cells."""
    cells, device, model = halves.cells, sae.W_dec.device, tokens.model
    place = np.full(len(tokens.counts), -1)
    place[halves.rows] = np.arange(cells.n_obs)
    local, first = (torch.from_numpy(a).to(device) for a in (place, halves.first))
    column = torch.from_numpy(cells.var_names.get_indexer(pd.Index(model.genes))).to(device)
    by_cell = CellSums(cells.n_obs, sae.n_features)
    by_gene = GeneSums(sae.n_features, cells.n_vars, device) if model.tokens == "genes" else None
    for start in range(0, len(halves.rows), tokens.batch_size):
        held = tokens.read(halves.rows[start : start + tokens.batch_size]).to(device)
        gene, cell = held.gene.long(), local[held.cell.long()]
        code = sae.encode(held.x[0].float(), None if sae.centre is None else gene)
        by_cell.add(code, cell)
        if by_gene is not None:
            inside = first[cell]
            some = SparseCode(code.values[inside], code.features[inside], code.n_features)
            by_gene.add(some, column[gene[inside]])
    names = pd.Index([str(i) for i in range(sae.n_features)], name="feature")
    mean: Any = sp.csc_matrix(by_cell.mean())
    if by_gene is not None:
        return Reading(_gene_table(by_gene, cells, int(halves.first.sum()), names), mean)
    return Reading(association_table(by_cell.total[halves.first], cells[halves.first].copy(), names, {}), mean)


def portrait(tokens: CellTokens, dictionary: SparseAutoencoder, halves: Halves) -> Portrait:
    """A dictionary that reads vectors as the model makes them, as it is compared with others, over the first half."""
    genes = read_directions(tokens, dictionary, halves).genes
    assert genes is not None, "an autoencoder has a place among genes"
    return Portrait(dictionary.W_dec.cpu().numpy(), np.asarray(genes.X))


def _gene_table(sums: GeneSums, cells: AnnData, n_cells: int, names: pd.Index) -> AnnData:
    """Mean activation at genes that enough cells express, as in ``feature_statistics``."""
    enough = expressed(sums.cells, n_cells)
    fired = sums.fired.sum(axis=1) / max(int(sums.cells.sum()), 1)
    return AnnData(
        np.where(enough, sums.mean(), np.float32(0)), obs=pd.DataFrame({"firing_rate": fired}, index=names),
        var=pd.DataFrame(index=cells.var_names).assign(expressed=enough),
    )  # fmt: skip


def read_projections(halves: Halves, n_features: int, seed: int) -> Reading:
    """Random projections of the cells' own log1p counts per ten thousand, without any model."""
    rng = np.random.default_rng([seed, 53])
    directions = rng.standard_normal((halves.cells.n_vars, n_features))
    return Reading(None, sp.csc_matrix(log1p_cp10k(halves.cells) @ directions))
