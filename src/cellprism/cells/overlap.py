"""Too few genes in common: say how few, and the likeliest reason.

Overlap is counted against the smaller of the two lists, since a small model uses few of the data's genes and
a small panel has few of the model's: common / min(genes of the data, genes of the model).
"""

import re
from collections.abc import Sequence

import pandas as pd

from cellprism.cells.align import DataGenes, GeneMapping
from cellprism.cells.genes import ENSEMBL_ID, GeneTable, bare_ensembl

SPECIES = {"": "human", "MUS": "mouse", "RNO": "rat", "DAR": "zebrafish", "MMU": "macaque", "SSC": "pig"}
MOUSE_STYLE = re.compile(r"[A-Z][a-z][A-Za-z0-9.-]*|[A-Z]\d+[a-z][A-Za-z0-9.-]*")
ENTREZ = re.compile(r"\d+")


def species_of(names: Sequence[str]) -> str:
    """The species that gene names look like, by Ensembl prefix or case of symbols; '' if they do not tell."""
    prefixes = [m[1] for m in map(ENSEMBL_ID.fullmatch, names) if m]
    if 2 * len(prefixes) > len(names):
        prefix = max(set(prefixes), key=prefixes.count)
        return SPECIES.get(prefix, f"another species (ENS{prefix}G)")
    symbols = [n for n in names if re.search("[A-Za-z]{2}", n)]
    if not symbols:
        return ""
    share = sum(bool(MOUSE_STYLE.fullmatch(n)) for n in symbols) / len(symbols)
    return "mouse or rat" if share > 0.5 else "human" if share < 0.1 else ""


def overlap_problems(
    mapping: GeneMapping, genes: DataGenes, table: GeneTable, cell_names: pd.Index, least: float
) -> list[str]:
    """A sentence, with the likeliest reason, if common genes are less than ``least`` of the smaller list."""
    smaller = min(len(genes.shown), len(table))
    common = int(mapping.kept.size)
    if smaller == 0 or common >= least * smaller:
        return []
    found = (
        f"no gene of the data is among the model's {len(table):,}"
        if common == 0
        else f"only {common:,} of the model's {len(table):,} genes are among the data's {len(genes.shown):,}"
    )
    return [f"{found} (expected at least {least:.0%} of the smaller list): {_reason(genes, table, cell_names)}"]


def umi_problems(share: float, least: float) -> list[str]:
    """A sentence if the genes in common carry less than ``least`` of all counts."""
    if share >= least:
        return []
    return [
        f"the model's genes carry only {share:.1%} of the counts (expected at least {least:.0%}): too much "
        "would be dropped; check the gene names, use a model of such cells, or lower least_umi if meant"
    ]


def _reason(genes: DataGenes, table: GeneTable, cell_names: pd.Index) -> str:
    ids = [e for e in genes.ensembl if e]
    shown = ", ".join(repr(n) for n in genes.shown[:3])
    theirs = species_of(ids or genes.shown)
    ours = species_of([e for e in table.ensembl if e] or table.symbol)
    as_cells = sum(str(n) in table.by_symbol or str(n) in table.by_ensembl for n in cell_names)
    if as_cells > 0.3 * len(cell_names):
        return "the cells are named like genes, so the matrix is transposed; pass adata.T"
    known = ", ".join(map(repr, table.symbol[:3]))
    if theirs and ours and theirs not in ours and ours not in theirs:
        return (
            f"the genes look like {theirs} ({shown}), the model's like {ours} ({known}); replace each gene "
            "by its one-to-one orthologue first, or pretrain a model on such cells"
        )
    if not table.by_ensembl and bare_ensembl(genes.shown[0]):
        fix = "add symbols as var['gene_symbols']"
        return f"the data names genes by Ensembl id ({shown}), the model by symbol; {fix}"
    if 2 * sum(bool(ENTREZ.fullmatch(n)) for n in genes.shown) > len(genes.shown):
        return f"the genes are named by numbers ({shown}), perhaps Entrez ids; replace them by symbols"
    return f"the genes are named {shown}; the model knows them as {known}, or by their Ensembl ids"
