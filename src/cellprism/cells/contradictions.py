"""Where two things that the data says of its genes do not agree: what is refused, and what is said.

- Ids and symbols that name different genes: one of the two lists was sorted or shifted alone.
- A second row for a gene, without the id that the first has: an antibody, a guide, or the gene once more.
- What is dropped for such reasons is named with its share of all counts.
"""

import numpy as np
from jaxtyping import Float

from cellprism.cells.align import DataGenes, GeneMapping
from cellprism.cells.genes import GeneTable
from cellprism.cells.modalities import FIX
from cellprism.cells.names import dates

FEW_DISAGREE = 0.05
"""Share of rows whose symbol may have gone to another gene since; 0.1 % of PBMC3K's do."""
LITTLE = 0.01
"""Share of all counts below which rows of unknown kind are dropped with a note."""


def contradictions(
    mapping: GeneMapping, genes: DataGenes, table: GeneTable, umi: Float[np.ndarray, " gene"]
) -> list[str]:
    """Contradictions that keep the cells from being read.

    Args:
        mapping: what became of each gene of the data.
        genes: what the data calls them.
        table: the model's genes.
        umi: counts of each gene of the data over all cells.
    """
    return [*_disagreement(mapping, genes, table), *_second_rows(mapping, genes), *_twins(mapping, genes, umi)]


def drop_notes(mapping: GeneMapping, genes: DataGenes, umi: Float[np.ndarray, " gene"]) -> list[str]:
    """What was dropped or read otherwise than it is written, with sizes."""
    notes = []
    if mapping.mangled:
        notes.append(f"{_some(mapping.mangled, genes)} were read with the punctuation of their genes, which R changes")
    if mapping.cased:
        notes.append(f"{_some(mapping.cased, genes)} are in capitals and were read as genes with small letters")
    if mapping.disagree:
        notes.append(f"{_some(mapping.disagree, genes)} have the id of another gene than their symbol; the id was used")
    for rows, why in (
        (mapping.twins, "are named like another row with a number; they may be antibodies or guides, and were dropped"),
        (mapping.foreign, "have an id of another species and a symbol of this one, and were dropped"),
        (mapping.otherwise, "differ from genes of the model by small letters alone, as in other species; dropped"),
    ):
        if rows:
            notes.append(f"{_some(rows, genes)} {why} ({_share(rows, umi):.1%} of counts)")
    lost = [row for row in np.flatnonzero(mapping.place < 0).tolist() if dates([genes.shown[row]])]
    if lost:
        notes.append(
            f"{_some(lost, genes)} are dates or numbers that a spreadsheet made of names (1-Mar of MARCH1 or MARC1), "
            f"and were dropped ({_share(lost, umi):.1%} of counts); take the names from before, or add Ensembl ids"
        )
    return notes


def _disagreement(mapping: GeneMapping, genes: DataGenes, table: GeneTable) -> list[str]:
    n = len(mapping.disagree)
    if n <= max(2, FEW_DISAGREE * mapping.both):
        return []
    row = mapping.disagree[0]
    means = table.symbol[int(mapping.place[row])]
    return [
        f"ids and symbols name different genes in {n:,} of {mapping.both:,} rows, such as {genes.names[row][-1]!r} "
        f"with the id of {means!r} ({genes.ensembl[row]}): one of the two was sorted or shifted alone; correct it, or "
        "leave the wrong one out of var"
    ]


def _second_rows(mapping: GeneMapping, genes: DataGenes) -> list[str]:
    with_id = {int(p) for p, w in zip(mapping.place, mapping.way, strict=True) if w == 0}
    rows = [r for r in np.flatnonzero(mapping.way > 0) if int(mapping.place[r]) in with_id and not genes.sure[r]]
    if not rows:
        return []
    return [
        f"{_some(rows, genes)} have no Ensembl id and are named like rows that have one: whether they are antibodies "
        f"or guides cannot be known; {FIX}"
    ]


def _twins(mapping: GeneMapping, genes: DataGenes, umi: Float[np.ndarray, " gene"]) -> list[str]:
    if not mapping.twins or _share(mapping.twins, umi) <= LITTLE:
        return []
    return [
        f"{_some(mapping.twins, genes)} are named like another row with a number and hold "
        f"{_share(mapping.twins, umi):.0%} of all counts: whether they are antibodies cannot be known; {FIX}"
    ]


def _some(rows, genes: DataGenes) -> str:
    shown = ", ".join(genes.shown[int(row)] for row in list(rows)[:5])
    return f"{len(rows):,} rows ({shown}{', ...' if len(rows) > 5 else ''})"


def _share(rows, umi: Float[np.ndarray, " gene"]) -> float:
    total = float(umi.sum())
    return float(umi[list(rows)].sum()) / total if total else 0.0
