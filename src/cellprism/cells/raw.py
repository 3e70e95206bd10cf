"""Cells as they stand in a file, before anything is checked: what every reader hands over."""

from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np
import pandas as pd
import scipy.sparse as sp
from jaxtyping import Float

GENE_EXPRESSION = "Gene Expression"
FEATURE_TYPES = ("feature_types", "feature_type")


@dataclass(frozen=True)
class RawCells:
    """One matrix of a file with the names of its rows and columns."""

    source: str
    """What was read, as the user named it."""
    matrix: sp.csr_matrix
    """Values [cell, gene], as they are stored."""
    obs: pd.DataFrame
    """One row a cell."""
    var: pd.DataFrame
    """One row a gene."""
    sha256: str = ""
    """Checksum of the file or folder, '' for an object in memory."""
    where: str = "X"
    """Which matrix this is: ``X``, ``layers['...']`` or ``raw``."""
    others: tuple[str, ...] = ()
    """Other values of ``layer`` under which whole numbers were found."""
    labels: str | None = None
    """Column of ``obs`` that is known to hold cell types."""
    totals: Float[np.ndarray, " cell"] | None = None
    """Counts of each cell over all genes, declared because the matrix holds only some genes."""
    embedding: Float[np.ndarray, "cell d_model"] | None = None
    """The embedding that was asked for."""
    notes: tuple[str, ...] = ()
    """What a user should know about how this was read."""


def only_genes(raw: RawCells) -> RawCells:
    """Leave out antibodies, guides and peaks where ``var`` says what each row is."""
    column = next((c for c in FEATURE_TYPES if c in raw.var), None)
    if column is None:
        return raw
    kinds = np.array(raw.var[column].astype(str))
    keep = kinds == GENE_EXPRESSION
    if keep.all() or not keep.any():
        return raw
    others = ", ".join(np.unique(kinds[~keep]).tolist())
    note = f"{int((~keep).sum()):,} rows are no genes and were left out ({others})"
    return replace(raw, matrix=raw.matrix[:, keep], var=raw.var[keep], notes=(*raw.notes, note))


def near(word: str, options: list[str], most: int = 3) -> list[str]:
    """Options like ``word``, whatever their case, best first; those that contain it count as like it."""
    lower: dict[str, str] = {}
    for option in options:
        lower.setdefault(option.lower(), option)
    close = get_close_matches(word.lower(), list(lower), n=most, cutoff=0.6)
    inside = [o for o in lower if word.lower() in o] if len(word) > 1 else []
    return [lower[o] for o in [*inside, *(o for o in close if o not in inside)][:most]]


def suggestion(word: str, options: list[str]) -> str:
    """'did you mean ...?' with near matches, else the first few options."""
    if close := near(word, options):
        return f"did you mean {' or '.join(map(repr, close))}?"
    if not options:
        return "there are none"
    shown = ", ".join(map(repr, options[:10])) + (", ..." if len(options) > 10 else "")
    return f"there are {shown}"
