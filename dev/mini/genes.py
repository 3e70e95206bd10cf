"""Which genes the bundled model reads: run once, its result is src/cellprism/models/mini/genes.tsv.

The 1,600 most variable genes of PBMC3K (variance of log1p CP10k, seen in 15 cells or more), all genes of the bundled
cells, canonical blood and interferon markers, and the targets of TBX21 that are seen at all.

    python dev/mini/genes.py PBMC3K.h5ad GENE_MAP.tsv.gz COLLECTRI.csv.gz genes.tsv
"""

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from cellprism.cells.genes import GeneTable, write_gene_table
from cellprism.cells.read import read_cells
from cellprism.enrich.gene_sets import log1p_cp10k

MARKERS = """
CD3D CD3E CD3G CD4 CD8A CD8B IL7R CCR7 SELL TCF7 LEF1 S100A4 FOXP3 IL2RA CTLA4 GZMA GZMB GZMH GZMK GZMM PRF1 GNLY NKG7
KLRD1 KLRB1 KLRF1 KLRC1 NCAM1 FCGR3A MS4A1 CD79A CD79B CD19 BANK1 TCL1A CD27 MZB1 CD14 LYZ S100A8 S100A9 S100A12 FCN1
VCAN CST3 MS4A7 LST1 FCER1A CLEC10A CD1C IL3RA CLEC4C LILRA4 PPBP PF4 GP9 ITGA2B HBA1 MKI67 TOP2A TYMS PCNA IFNG TBX21
EOMES CXCR3 CCR5 CCL3 CCL4 CCL5 TNF IL1B IL8 ISG15 ISG20 IFI6 IFI27 IFI44 IFI44L IFIT1 IFIT2 IFIT3 IFITM1 IFITM2 IFITM3
MX1 MX2 OAS1 OAS2 OAS3 OASL STAT1 STAT2 IRF1 IRF7 IRF8 IRF9 XAF1 RSAD2 HERC5 EPSTI1 SAMD9 SAMD9L DDX58 TRIM22 PARP9 BST2
LY6E GBP1 GBP2 GBP4 GBP5 PSMB8 PSMB9 PSMB10 TAP1 TAPBP B2M HLA-A HLA-B HLA-C HLA-E HLA-F CIITA CD74 HLA-DRA HLA-DRB1
HLA-DPA1 HLA-DPB1 HLA-DQA1 HLA-DQB1 HLA-DMA HLA-DMB
""".split()
MOST_VARIABLE, LEAST_CELLS = 1_600, 15


def main(cells: str, gene_map: str, regulons: str, out: str) -> None:
    adata = anndata.read_h5ad(cells)
    expression = log1p_cp10k(adata)
    mean = np.asarray(expression.mean(axis=0)).ravel()
    variance = np.asarray(expression.power(2).mean(axis=0)).ravel() - mean**2
    seen = pd.Series(np.bincount(expression.indices, minlength=adata.n_vars), index=adata.var_names)
    variable = adata.var_names[np.argsort(-np.where(seen >= LEAST_CELLS, variance, -1.0))[:MOST_VARIABLE]]
    bundled = read_cells("bundled:pbmc68k").var_names
    edges = pd.read_csv(regulons)
    targets = [gene for gene in edges.loc[edges["source"] == "TBX21", "target"] if seen.get(gene, 0) > 0]
    markers = [gene for gene in MARKERS if seen.get(gene, 0) >= 3]
    wanted = set(variable) | set(bundled) | set(targets) | set(markers)
    var = adata.var[adata.var_names.isin(list(wanted))]
    current = pd.read_csv(gene_map, sep="\t", keep_default_na=False).set_index("gene_id")["symbol_current"]
    symbols = [_symbol(name, current.get(gene_id, ""), set(var.index)) for name, gene_id in var["gene_ids"].items()]
    aliases = [[a] if (a := current.get(i, "")) != s and not a.startswith("ENSG") else []
               for s, i in zip(symbols, var["gene_ids"], strict=True)]  # fmt: skip
    write_gene_table(Path(out), GeneTable.of(symbols, list(var["gene_ids"]), aliases))
    print(f"{len(symbols)} genes: {len(variable)} variable, {len(bundled)} bundled, {len(targets)} targets, "
          f"{len(markers)} markers")  # fmt: skip


def _symbol(name: str, current: str, names: set[str]) -> str:
    """Data sets number repeated symbols; the bare symbol is used where it is this gene's and nobody else's."""
    return current if name == f"{current}-1" and current not in names else name


if __name__ == "__main__":
    main(*sys.argv[1:])
