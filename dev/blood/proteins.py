"""CITE-seq slices of several donors in one file: counts, donor, proteins as columns of ``obs``.

Only proteins that all slices measure; levels are centred log ratios (the mean of a cell's log1p counts is taken off).
Their columns are named ``protein CD3``; ``cell_type`` is the gate (CD4, CD8 T cells, B cells, Monocytes, unlabelled).

    python dev/blood/proteins.py SLICE.h5ad SLICE.h5ad PROTEINS.h5ad
"""

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from judge import gates


def read(path: Path) -> anndata.AnnData:
    """One slice, its donor named by the file."""
    cells = anndata.read_h5ad(path)
    proteins = cells.obsm.pop("protein_expression")
    log = np.log1p(proteins.rename(columns=lambda name: name.split("_")[0]).astype(float))
    kinds = pd.Series(gates(proteins), index=cells.obs_names)
    t_cells = log["CD3"] > log["CD3"].median()
    kinds[~t_cells & (kinds == "") & (log["CD19"] > log["CD19"].quantile(0.85))] = "B cells"
    kinds[~t_cells & (kinds == "") & (log["CD14"] > log["CD14"].quantile(0.7))] = "Monocytes"
    cells.obs = log.add_prefix("protein ").assign(cell_type=kinds.replace("", "unlabelled"), donor=path.stem)
    return cells


def main(*paths: str) -> None:
    parts = [read(Path(path)) for path in paths[:-1]]
    shared = [name for name in parts[0].obs if all(name in part.obs for part in parts)]
    for part in parts:
        part.obs = part.obs[shared]
    whole = anndata.concat(parts, join="inner", index_unique="-")
    levels = whole.obs.filter(like="protein ")
    whole.obs[list(levels)] = levels.sub(levels.mean(axis=1), axis=0)
    print(pd.crosstab(whole.obs["donor"], whole.obs["cell_type"]), *levels, sep="\n")
    whole.write_h5ad(paths[-1], compression="gzip")


if __name__ == "__main__":
    main(*sys.argv[1:])
