"""Counts with two planted cell types, and the settings of a training run that takes a second."""

from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.genes import GeneTable
from cellprism.models.aido.pretrain import PretrainConfig

CELLS, GENES = 61, 37
TABLE = GeneTable(tuple(f"G{i}" for i in range(GENES)), ("",) * GENES, {})
QUICK = PretrainConfig(
    layers=2, hidden=16, heads=2, intermediate=24, steps=100, tokens=600, genes_low=17, genes_high=37, warmup=5,
    learning_rate=5e-3, average=0.9, held_out=0.2, report_every=20, seed=3,
)  # fmt: skip
TWENTY_THREE = replace(QUICK, steps=23, report_every=7)
SPLIT = replace(QUICK, objective="split", factors=3, dimension=0.02, dimension_block=0)
SETTINGS = {"masked": TWENTY_THREE, "split": replace(SPLIT, steps=23, report_every=7)}


def planted_cells(seed: int = 0) -> AnnData:
    """Poisson counts: 13 genes mark one type, 11 the other, 13 are the same in both; totals include unseen genes."""
    rng = np.random.default_rng(seed)
    kind = rng.permutation(np.arange(CELLS) % 2)
    rates = np.full((2, GENES), 3.0)
    rates[0, :13], rates[1, 13:24] = 40.0, 55.0
    counts = rng.poisson(rates[kind] * rng.gamma(9, 1 / 9, size=(CELLS, 1)))
    obs = pd.DataFrame(
        {
            "cell_type": np.array(["left", "right"])[kind],
            "total_counts": counts.sum(1) + 101.0,
        },
        index=[f"cell{i}" for i in range(CELLS)],
    )
    return AnnData(sp.csr_matrix(counts.astype(np.float32)), obs=obs, var=pd.DataFrame(index=list(TABLE.symbol)))
