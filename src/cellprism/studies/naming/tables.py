"""Labels and how well they foretell: the files of ``naming/``."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cellprism.store.tables import write_table
from cellprism.studies.files import read_columns, read_record, write_record

FEATURES, FILE = "features.parquet", "naming.json"
TYPE, TERM, GENES = "type", "term", "genes"
KINDS = {TYPE: "cell types", TERM: "programs", GENES: "genes"}
FEATURE_COLUMNS = {
    "feature": int, "label": str, "kind": str, "sign": str, "chosen": float, "auroc": float, "chance": float,
    "others": float, "p": float, "q": float, "shown": bool, "own_genes": str, "own_genes_auroc": float,
    **{f"{kind}_{what}": to for kind in KINDS for what, to in (("label", str), ("auroc", float))},
}  # fmt: skip


@dataclass(frozen=True)
class Labels:
    """The study's summary."""

    chosen_on: int
    """Cells on which labels were chosen."""
    judged_on: int
    """Other cells, on which they were judged."""
    donors: str
    """What the two have to do with each other: ``cells`` of the same donors, ``donors`` that differ, or the name of the
    ``other`` cells."""
    collection: str
    terms: int
    """Programs that could be a label."""
    types: int
    """Cell types that could."""
    labelled: int
    """Features that differ between cells enough to have a label."""
    distinct: int
    """Different labels among theirs."""
    draws: int
    """Labels like its own beside each feature."""
    shown: int
    """Features whose label foretells them better than labels like it do, q below .05."""
    auroc: float | None
    """Median over labelled features; None without any."""
    chance: float | None
    """The same of labels like theirs: genes as frequent, or as many cells."""
    others: float | None
    """The same of other features' labels."""
    own_genes: float | None
    """The same of a feature's own genes, used directly."""
    same_kind: dict[str, int]
    """How many of the shown labels are of each kind."""


@dataclass(frozen=True, eq=False)
class Found:
    """The study's results."""

    labels: Labels
    features: pd.DataFrame
    """One row a labelled feature: FEATURE_COLUMNS. ``sign`` is ``high`` or ``low``: where the label holds, the feature
    is strong or weak. ``chosen`` is the AUROC on the cells that chose, ``auroc`` on the others; there, ``chance`` is
    the mean of labels like it, about which p and q are, ``others`` the median of other features' labels. ``own_genes``
    are its ten genes by correlation over cells."""


def write(folder: Path, found: Found) -> list[Path]:
    """Write the study's folder."""
    write_table(folder / FEATURES, found.features)
    return [folder / FEATURES, write_record(folder / FILE, found.labels)]


def read(folder: Path) -> Found:
    """Read it. Raises ``DamagedError`` where it is not what ``write`` wrote."""
    return Found(read_record(Labels, folder / FILE), read_columns(folder / FEATURES, FEATURE_COLUMNS))
