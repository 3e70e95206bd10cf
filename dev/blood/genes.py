"""Which genes the blood model reads: run once, its result is dev/blood/genes.tsv.

Genes of PBMC3K and PBMC4K are matched by symbol, old or current. Taken are: all genes of the bundled cells; those of
`mini`, canonical blood and interferon markers and the detected targets of TBX21, as far as both data sets measure them;
the most variable genes of either; every detected factor of CollecTRI with at least ten detected targets, and the
targets of those factors that then lack at most four of ten. Detected: seen in at least ten cells of the two data sets
together (TBX21's targets and markers: three). A few bundled genes have no row in PBMC4K; they are named, and count as
zero there.

    python dev/blood/genes.py PBMC3K.h5ad PBMC4K.h5ad GENE_MAP.tsv.gz COLLECTRI.csv.gz dev/blood/genes.tsv
"""

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

import cellprism as cp
from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.genes import GeneTable, write_gene_table

sys.path.insert(0, str(Path(__file__).parents[1] / "mini"))
from genes import MARKERS as MINI_MARKERS

MOST_VARIABLE, LEAST_CELLS, FEW_CELLS, LEAST_TARGETS, LACKING = 1_700, 10, 3, 10, 4
INTERFERON = """
ADAR CMPK2 CXCL10 CXCL9 CXCL11 DDX60 DDX60L DHX58 EIF2AK2 GBP3 HELZ2 HERC6 IFI16 IFI30 IFI35 IFIH1 IFIT5 IFNAR1 IFNAR2
IFNGR1 IFNGR2 IRF2 IRF4 JAK1 JAK2 LAP3 LGALS3BP LGALS9 NMI NT5C3A PARP10 PARP12 PARP14 PLSCR1 PML PSME1 PSME2 RTP4 SOCS1
SOCS3 SP100 SP110 STAT3 TAP2 TDRD7 TMEM140 TNFSF10 TRIM21 TRIM25 TRIM5 TYK2 UBE2L6 USP18 WARS ZBP1 ZC3HAV1 ZNFX1
""".split()


def seen_in(cells: anndata.AnnData) -> pd.Series:
    """In how many cells each gene is seen."""
    return pd.Series(np.bincount(cells.X.tocsr().indices, minlength=cells.n_vars), index=cells.var_names)


def variance_of(cells: anndata.AnnData) -> pd.Series:
    """Variance of log1p CP10k, per gene."""
    expression = log1p_cp10k(cells)
    mean = np.asarray(expression.mean(axis=0)).ravel()
    return pd.Series(np.asarray(expression.power(2).mean(axis=0)).ravel() - mean**2, index=cells.var_names)


def renamed(cells: anndata.AnnData, current: pd.Series) -> dict[str, str]:
    """Symbols of the first data set that the second has under the current name."""
    return {old: new for old, new in current.items() if new and new != old and new in cells.var_names}


def regulators(edges: pd.DataFrame, detected: set[str], known: set[str]) -> set[str]:
    """Detected factors with at least ten detected targets, and the targets of those that lack only a few of ten."""
    edges = edges[edges["target"].isin(list(detected)) & edges["source"].isin(list(detected))]
    targets = edges.groupby("source")["target"].agg(set)
    targets = targets[targets.map(len) >= LEAST_TARGETS]
    lacking = targets.map(lambda of: LEAST_TARGETS - len(of & known))
    completed = targets[(lacking > 0) & (lacking <= LACKING)]
    return set(targets.index).union(*completed)


def main(first: str, second: str, gene_map: str, regulons: str, out: str) -> None:
    cells = [anndata.read_h5ad(path) for path in (first, second)]
    ids = cells[0].var["gene_ids"]
    current = pd.read_csv(gene_map, sep="\t", keep_default_na=False).set_index("gene_id")["symbol_current"]
    new = pd.Series(current.reindex(ids).fillna("").to_numpy(), index=cells[0].var_names)
    new[new.str.startswith("ENSG") | new.duplicated(keep=False) | new.isin(cells[0].var_names)] = ""
    other = renamed(cells[1], new)
    both = [name for name in cells[0].var_names if name in cells[1].var_names or name in other]
    second_names = [name if name in cells[1].var_names else other[name] for name in both]
    in_both = [cells[0][:, both], cells[1][:, second_names]]
    in_both[1].var_names = both
    seen = seen_in(in_both[0]) + seen_in(in_both[1])
    detected, rarely = (set(seen.index[seen >= least]) for least in (LEAST_CELLS, FEW_CELLS))
    edges = pd.read_csv(regulons)
    tbx21 = {"TBX21", *edges.loc[edges["source"] == "TBX21", "target"]} & rarely
    parts = {
        "bundled": set(cp.read_cells("bundled:pbmc68k").var_names),
        "mini": set(cp.load_model("mini").genes),
        "TBX21": tbx21,
        "markers": {*MINI_MARKERS, *INTERFERON} & rarely,
    }
    variable = [variance_of(part).reindex(both)[seen.to_numpy() >= LEAST_CELLS] for part in in_both]
    parts["variable"] = {gene for v in variable for gene in v.nlargest(MOST_VARIABLE).index}
    wanted = set().union(*parts.values()) & set(both) | parts["bundled"]
    parts["regulators"] = regulators(edges, detected, wanted)
    wanted |= parts["regulators"]
    for name, part in parts.items():
        print(f"{name}: {len(part)} genes, not measured in both: {sorted(part - set(both))}")
    rows = [name for name in cells[0].var_names if name in wanted]
    write_gene_table(
        Path(out), GeneTable.of(rows, list(ids[rows]), [[new[name]] if new[name] else [] for name in rows])
    )
    edges = edges[edges["target"].isin(rows)]
    testable = edges.groupby("source")["target"].nunique().loc[lambda n: n >= LEAST_TARGETS]
    read = testable.index.isin(rows).sum()
    print(f"{len(rows)} genes; {len(testable)} factors with {LEAST_TARGETS} targets or more, {read} of them read")


if __name__ == "__main__":
    main(*sys.argv[1:])
