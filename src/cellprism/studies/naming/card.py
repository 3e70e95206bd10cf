"""A feature's label on its card."""

from collections.abc import Sequence
from typing import Any

from cellprism.report.card import Fact
from cellprism.report.claims import Claim
from cellprism.report.figure import small_text
from cellprism.studies.naming.tables import FEATURES, KINDS, Found


def facts(found: Found, claims: Sequence[Claim], feature: int) -> list[Fact]:
    """The label where it foretells the feature, and how well each kind of label does."""
    at, table = f"naming/{FEATURES}", found.features.set_index("feature")
    if feature not in table.index:
        return [Fact("label", None, at, "too few cells tell where it is active")]
    row = table.loc[feature]
    said = label_of(row) if row["shown"] else None
    note = f"AUROC in other cells {row['auroc']:.2f}, labels like it {row['chance']:.2f}; q = {small_text(row['q'])}"
    return [
        Fact("label", said, at, note if row["shown"] else f"none foretells it better than chance; {note}"),
        *(
            Fact(f"best by {words}", str(row[f"{kind}_label"]), at, f"AUROC in other cells {row[f'{kind}_auroc']:.2f}")
            for kind, words in KINDS.items()
            if row[f"{kind}_label"]
        ),
        Fact("its ten genes, used directly", float(row["own_genes_auroc"]), at, "AUROC in other cells"),
    ]  # fmt: skip


def label_of(row: Any) -> str:
    """The label with its sign."""
    return f"{row['sign']} in {row['label']}" if row["kind"] == "type" else (
        str(row["label"]) if row["sign"] == "high" else f"low where {row['label']} is high"
    )  # fmt: skip
