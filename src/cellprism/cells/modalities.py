"""Which rows are genes: antibodies, guides, hashtags and peaks are measured beside them and bear their names.

- A column that says what each row is decides, however it is spelt and whatever a join did to its name.
- A word that is not known there stops the reading: to keep such rows would add antibodies to genes, to drop them might
  lose genes.
- Without such a column, an Ensembl id makes a row a gene, a genomic interval is a peak, and names that only antibodies,
  hashtags and guides have stop the reading.
"""

import re
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from cellprism.cells.expression import cell_blocks
from cellprism.cells.genes import bare_ensembl
from cellprism.cells.raw import RawCells
from cellprism.errors import CellsError
from cellprism.store.room import stacked

TYPE_COLUMNS = ("featuretypes", "featuretype", "modality", "modalities", "featuremodality")
GENES = (
    "geneexpression", "geneexp", "gex", "gene", "genes", "rna", "mrna", "expression", "transcript", "transcripts",
    "scrna", "snrna", "rnaseq", "scrnaseq", "transcriptome", "transcriptomics", "cdna",
)  # fmt: skip
OTHERS = (
    "antibodycapture", "antibody", "antibodies", "ab", "adt", "adts", "protein", "proteins", "proteinexpression",
    "prot", "citeseq", "surfaceprotein", "isotypecontrol", "hto", "htos", "hashtag", "hashtags", "hashing",
    "cellhashing",
    "multiplexingcapture", "cmo", "crisprguidecapture", "crispr", "guide", "guides", "guidecapture", "grna", "sgrna",
    "peak", "peaks", "atac", "chromatinaccessibility", "chromatin", "antigencapture", "antigen", "custom", "vdj",
    "vdjt", "vdjb", "spikein", "spikeins", "ercc", "tag", "tags", "barcode", "barcodes",
)  # fmt: skip
BIOTYPE = re.compile(
    r"(proteincoding|processedtranscript|tec|artifact|retainedintron|nonsensemediateddecay|\w*(rna|pseudogene|ribozyme)"
    r"|(ig|tr)[cdjlv]\w*gene|senseintronic|senseoverlapping|antisense|3primeoverlappingncrna|overlappingncrna)"
)
PEAK = re.compile(r"(chr)?(\d{1,2}|[XYM]|MT|[GK][IL]\d+\.\d|[KG]\d+\.\d)[:_-]\d+[-_]\d+")
NO_GENE = re.compile(
    r"(?i:.*totalseq.*|.*[_-]adt|adt[_-].*|prot[_:-].*|.*[_-]protein|anti[-_.].+|.*hashtag.*|hto[_-].*|hto\d+|.*[_-]hto"
    r"|.*isotype.*|.*igg?\d?[abc]?[_ -]*(control|ctrl).*|cmo\d{3}|.*[_-]?sgrna.*|grna[_-].*|.*[_-]grna\d*"
    r"|non[-_]?targeting.*)|sg[A-Z0-9].+|AB_.+"
)
FIX = "say it in var['feature_types']: 'Gene Expression' for genes, 'Antibody Capture' or another word for the rest"


def only_genes(raw: RawCells) -> RawCells:
    """The cells with nothing but genes, and a note of what was left out.

    Raises:
        CellsError: what some rows are cannot be known, or none is a gene; the message says how to tell.
    """
    kinds, column = cast(Any, _stated(raw.var))
    names: Any = pd.Series(raw.var.index.astype(str))
    peaks = names.map(lambda n: bool(PEAK.fullmatch(n))).to_numpy(bool)
    if column is None:
        _refuse_unnamed(raw, names[~peaks])
        return _without(raw, peaks, "Peaks, by their names") if peaks.any() else raw
    gene = kinds.map(_is_gene)
    missing = (kinds == "").to_numpy()
    gene[missing & _with_ids(raw.var)] = True
    gene[missing & peaks] = False
    known = gene.notna().to_numpy()
    if not known.all():
        _refuse_unknown(raw, kinds[~known], names[~known], column)
    other = ~gene.to_numpy(bool)
    if other.all() and len(other):
        held = ", ".join(sorted(set(kinds)))
        raise CellsError(raw.source, [f"no row is a gene: var[{column!r}] holds {held} alone; expected gene counts"])
    typed = replace(raw, typed=True)
    return _without(typed, other, ", ".join(sorted({k or "unnamed" for k in kinds[other]}))) if other.any() else typed


def _stated(var: pd.DataFrame) -> tuple[pd.Series, str | None]:
    """What each row is said to be, '' where nothing is said, and the name of the column that says so."""
    said, names = pd.Series([""] * len(var), dtype=object), []
    for column in var.columns:
        bare = re.sub(r"[^a-z]", "", re.sub(r"[-_.](x|y|\d+)$", "", str(column).lower()))
        if bare in TYPE_COLUMNS:
            texts = (
                var[column].astype(object).where(var[column].notna(), "").map(str).str.strip().reset_index(drop=True)
            )
            said = said.where(said != "", texts.where(texts.str.lower() != "nan", ""))
            names.append(str(column))
    return said, names[0] if names and (said != "").any() else None


def _is_gene(word: str) -> bool | None:
    key = re.sub(r"[^a-z0-9]", "", word.lower())
    if key in OTHERS:
        return False
    return True if key in GENES or BIOTYPE.fullmatch(key) else None


def _with_ids(var: pd.DataFrame) -> np.ndarray:
    texts = [var.index, *(var[c] for c in var.columns if not pd.api.types.is_numeric_dtype(var[c].dtype))]
    return np.any([[bool(bare_ensembl(str(v))) for v in text] for text in texts], axis=0)


def _without(raw: RawCells, other: np.ndarray, what: str) -> RawCells:
    note = f"{int(other.sum()):,} rows are no genes and were left out ({what})"
    some = (raw.matrix[rows][:, ~other] for rows in cell_blocks(raw.matrix.get_shape()[0]))
    matrix = stacked(some, int((~other).sum()))
    return replace(raw, matrix=matrix, var=raw.var[~other], notes=(*raw.notes, note))


def _refuse_unknown(raw: RawCells, kinds: pd.Series, names: pd.Series, column: str) -> None:
    counted = ", ".join(f"{word!r} ({n:,})" if word else f"nothing ({n:,})" for word, n in kinds.value_counts().items())
    raise CellsError(
        raw.source,
        [f"var[{column!r}] says of {len(kinds):,} rows what is not known: {counted}, such as {names.iloc[0]!r}; "
         f"whether they are genes decides which counts are read: {FIX}"],
    )  # fmt: skip


def _refuse_unnamed(raw: RawCells, names: pd.Series) -> None:
    ids = _with_ids(raw.var)
    odd = [n for i, n in names.items() if NO_GENE.fullmatch(n) and not ids[int(str(i))]]
    if odd:
        shown = ", ".join(map(repr, odd[:5]))
        raise CellsError(
            raw.source,
            [f"{len(odd):,} rows are named like antibodies, hashtags or guides ({shown}), and no column of var says "
             f"which rows are genes; other antibodies may bear the plain names of genes: {FIX}"],
        )  # fmt: skip
