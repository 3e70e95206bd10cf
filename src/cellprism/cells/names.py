"""Names of genes as they come out of other programs: genomes written before them, quotes around them, dates.

What can be undone without doubt is undone and said, also marks that nobody sees, such as those that begin a file; two
genomes in one matrix are refused.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from cellprism.cells.genes import ENSEMBL_ID
from cellprism.cells.raw import RawCells, as_text
from cellprism.errors import CellsError

GENOME = re.compile(
    r"(GRCh3[78]|hg19|hg38|GRCm3[89]|mm9|mm10|mm39|mRatBN7|Rnor6|rn6|rn7|GRCz1[01]|CHM13|T2T)[_-]+(?:p\d+_+)?"
)
DATE = re.compile(
    r"(?i)\d{1,2}-(mar|sep|dec|oct|apr|feb|nov)|(mar|sep|dec|oct|apr|feb|nov)-\d{1,2}|\d{4}-\d\d-\d\d( 00:00:00)?"
    r"|\d\.\d+e\+\d+"
)
BYTES = re.compile(r"b(['\"].*['\"])")
"""Names that were bytes and were written as Python shows them."""
MOST_OTHER = 0.01
"""Share of rows of a second genome that may be a foreign gene or two."""


def plain_names(raw: RawCells) -> RawCells:
    """The cells with quotes, blanks and one genome's prefix taken off the names of their genes; notes say so.

    Raises:
        CellsError: rows of two genomes or species; the message says how many of each.
    """
    texts = {str(c): raw.var[c] for c in raw.var.columns if _is_text(pd.Series(raw.var[c]))}
    _refuse_two(raw, "genome", _stated_genomes(raw.var))
    names = pd.Series([as_text(name) for name in raw.var.index], dtype=object)
    prefixes = Counter(m[1] for m in names.map(GENOME.match) if m)
    _refuse_two(raw, "prefix", prefixes)
    ids = [names, *texts.values()]
    for values in ids:
        _refuse_two(raw, "species", Counter(f"ENS{m[1]}G" for m in map(ENSEMBL_ID.fullmatch, map(str, values)) if m))
    notes = list(raw.notes)
    cleaned = names.map(_bare)
    if changed := int((cleaned != names.map(lambda n: GENOME.sub("", n, count=1))).sum()):
        notes.append(f"quotes or blanks were taken off the names of {changed:,} genes")
    if prefixes:
        genome, n = prefixes.most_common(1)[0]
        notes.append(f"{genome!r} was taken off the names of {n:,} genes")
    var = raw.var.set_axis(pd.Index(cleaned, dtype=str, name=raw.var.index.name))
    for column, values in texts.items():
        kept = values.astype(object)
        var[column] = kept.where(kept.isna(), kept.map(lambda v: _bare(as_text(v)))).to_numpy()
    return replace(raw, var=var, notes=tuple(notes))


def dates(names: Sequence[str]) -> list[str]:
    """Names that a spreadsheet has turned into dates or numbers, such as ``1-Mar`` for MARCH1 or MARC1."""
    return [n for n in names if DATE.fullmatch(n)]


def _bare(name: str) -> str:
    """A name without quotes, blanks, marks that nobody sees, the form of wide letters, and a genome's prefix."""
    seen = name
    if not name.isascii():
        seen = "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")
    if written := BYTES.fullmatch(seen):
        seen = written[1]
    return GENOME.sub("", seen.strip().strip("\"'").strip(), count=1) or name


def _is_text(column: pd.Series) -> bool:
    kind = column.cat.categories.dtype if isinstance(column.dtype, pd.CategoricalDtype) else column.dtype
    return bool(pd.api.types.is_object_dtype(kind) or pd.api.types.is_string_dtype(kind))


def _stated_genomes(var: pd.DataFrame) -> Counter[str]:
    column = next((c for c in var.columns if str(c).lower() == "genome"), None)
    return Counter() if column is None else Counter(str(g) for g in var[column].dropna() if str(g))


def _refuse_two(raw: RawCells, what: str, found: Counter[str]) -> None:
    total = sum(found.values())
    if len(found) < 2 or total - found.most_common(1)[0][1] <= MOST_OTHER * total:
        return
    sizes = ", ".join(f"{name} {n:,}" for name, n in found.most_common())
    how = {
        "genome": "keep one: adata[:, adata.var['genome'] == 'GRCh38'].copy()",
        "prefix": "keep one: adata[:, adata.var_names.str.startswith('GRCh38')].copy()",
        "species": "keep the rows whose ids are of one species",
    }[what]
    raise CellsError(
        raw.source,
        [f"its genes are of {len(found)} genomes ({sizes}), so cells of both and their mixtures would be read as one "
         f"species; {how}, and the cells of that species"],
    )  # fmt: skip
