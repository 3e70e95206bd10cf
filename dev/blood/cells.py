"""The training cells of the blood model: PBMC3K and PBMC4K in one file, or one of them, all genes, with donor and type.

Genes of the list carry the list's symbols; others keep their own, so that a cell's total is that of all its counts.

    python dev/blood/cells.py dev/blood/genes.tsv PBMC3K.h5ad PBMC4K.h5ad BLOOD.h5ad
    python dev/blood/cells.py dev/blood/genes.tsv PBMC3K.h5ad DONOR.h5ad
"""

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellprism.cells.genes import GeneTable, read_gene_table

LABELS = ("louvain", "cell_type")
TYPES = {"CD14+ Monocytes": "Monocytes", "FCGR3A+ Monocytes": "Monocytes"}
"""What the first data set's labels are called in the second."""


def read(path: Path, table: GeneTable) -> anndata.AnnData:
    """One data set: every gene once, under the list's symbol where it is one of the list."""
    cells = anndata.read_h5ad(path)
    names = [table.alias.get(name, name) for name in cells.var_names]
    ids = cells.var["gene_ids"] if "gene_ids" in cells.var else [""] * cells.n_vars
    names = [table.symbol[table.by_ensembl[i]] if i in table.by_ensembl else n for i, n in zip(ids, names, strict=True)]
    codes, unique = pd.factorize(np.asarray(names))
    fold = sp.csr_matrix((np.ones(len(codes), np.float32), (np.arange(len(codes)), codes)))
    label = next(column for column in LABELS if column in cells.obs)
    kinds = cells.obs[label].astype(str).replace(TYPES).replace("nan", "unlabelled")
    obs = pd.DataFrame({"cell_type": kinds.to_numpy(), "donor": path.stem.split("_")[0]})
    obs.index = [f"{donor}-{name}" for donor, name in zip(obs["donor"], cells.obs_names, strict=True)]
    return anndata.AnnData(sp.csr_matrix(cells.X @ fold), obs=obs, var=pd.DataFrame(index=unique))


def main(genes: str, *paths: str) -> None:
    table = read_gene_table(Path(genes))
    parts = [read(Path(path), table) for path in paths[:-1]]
    whole = anndata.concat(parts, join="outer", fill_value=0)
    for part in parts:
        print(f"{part.obs['donor'].iloc[0]}: {part.n_obs} cells; of the list not measured: "
              f"{sorted(set(table.symbol) - set(part.var_names))}")  # fmt: skip
    whole.write_h5ad(paths[-1], compression="gzip")


if __name__ == "__main__":
    main(*sys.argv[1:])
