"""What was read, in figures and in words: cells, genes matched, summed, dropped and absent, cell types."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from anndata import AnnData

from cellprism.cells.famous import famous
from cellprism.cells.labels import CELL_TYPE
from cellprism.errors import CellsError

SHOWN = 8
STRAY = 1e-4
"""Share of all counts below which a gene says nothing of the tissue: strays and ambient RNA."""
GOOD_SHARE = 0.8
"""Share of counts that a model should know; of PBMC3K the published gene list keeps 93 %."""


@dataclass(frozen=True)
class MappingReport:
    """How the data's genes met the model's."""

    n_read: int
    """Genes in the data."""
    n_model: int
    """Genes in the model's list."""
    n_found: int
    """Genes of the model that the data measured."""
    matched_by: dict[str, int]
    """Genes of the data matched by ``ensembl``, ``symbol`` and ``alias``."""
    summed: int
    """Genes of the model that are the sum of several of the data's."""
    dropped: int
    """Genes of the data that the model does not know."""
    absent_from_data: int
    """Genes of the model that the data did not measure."""
    umi_share_kept: float
    """Share of all counts that lie in matched genes."""
    summed_genes: list[str]
    """Their symbols."""
    largest_dropped: list[tuple[str, float]]
    """The dropped genes with the most counts, and these counts."""
    absent_genes: list[str]
    """Their symbols."""
    famous_dropped: list[str]
    """Dropped genes that define a cell type and hold more than stray counts, each with the type; the largest first."""


@dataclass(frozen=True)
class CellsReport:
    """What ``read_cells`` found."""

    source: str
    """What was read, as the user named it."""
    sha256: str
    """Its checksum, '' for an object in memory."""
    counts_from: str
    """``X``, ``layers/NAME`` or ``raw``."""
    n_cells: int
    """Cells."""
    n_read: int
    """Genes in the data."""
    umi: float
    """Counts in all."""
    median_umi: float
    """Median of the cells' totals."""
    mapping: MappingReport | None
    """How genes were matched; None if no model was named."""
    labels: dict[str, int]
    """Cells of each type, most frequent first; empty without labels."""
    label_column: str
    """Column the types came from, '' without."""
    notes: list[str]
    """What else a user should know."""

    @property
    def losses(self) -> list[str]:
        """What is lost of these cells between the data and the model, in words; none without a model."""
        m = self.mapping
        if m is None:
            return []
        share = [] if m.umi_share_kept >= GOOD_SHARE else [f"only {m.umi_share_kept:.0%} of the counts are kept"]
        known = [f"the model does not know {', '.join(m.famous_dropped)}"] if m.famous_dropped else []
        hardly = [note for note in self.notes if note.endswith("empty barcodes?")]
        return [*share, *known, *hardly]

    @property
    def verdict(self) -> str:
        """``fits``, or ``fits with losses`` and what they are; '' where no model was named."""
        if self.mapping is None:
            return ""
        return f"fits with losses: {'; '.join(self.losses)}" if self.losses else "fits"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, the verdict included."""
        return asdict(self) | {"verdict": self.verdict, "losses": self.losses}

    def __str__(self) -> str:
        lines = [
            f"{self.source}: {self.n_cells:,} cells x {self.n_read:,} genes, {self.umi:,.0f} counts in "
            f"{self.counts_from}; "
            f"median total of a cell {self.median_umi:,.0f}"
        ]
        lines += [] if self.mapping is None else _mapping_lines(self.mapping, self.umi)
        if self.labels:
            types = ", ".join(f"{name} {n:,}" for name, n in self.labels.items())
            lines.append(f"cell types (obs[{self.label_column!r}]): {types}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, f"verdict: {self.verdict}"] if self.verdict else lines)


def cells_report(adata: AnnData) -> CellsReport:
    """The report of cells that ``read_cells`` returned, also after they went through an .h5ad file.

    Raises:
        CellsError: these cells were not read by ``read_cells``.
    """
    record = adata.uns.get("cellprism", {})
    if "n_read" not in record:
        raise CellsError(
            "the AnnData", ["uns['cellprism'] is missing or incomplete; read the cells with read_cells(...)"]
        )
    counts = adata.obs[CELL_TYPE].value_counts() if CELL_TYPE in adata.obs else {}
    return CellsReport(
        source=str(record["source"]), sha256=str(record["sha256"]), counts_from=str(record["counts_from"]),
        n_cells=adata.n_obs, n_read=int(record["n_read"]), umi=float(record["umi"]),
        median_umi=float(record["median_umi"]),
        mapping=_mapping(record["mapping"]) if "mapping" in record else None,
        labels={str(k): int(n) for k, n in counts.items() if n}, label_column=str(record["label_column"]),
        notes=_texts(record["notes"]),
    )  # fmt: skip


def _mapping(record: Mapping[str, Any]) -> MappingReport:
    whole = {
        name: int(record[name]) for name in ("n_read", "n_model", "n_found", "summed", "dropped", "absent_from_data")
    }
    largest = list(zip(_texts(record["dropped_genes"]), np.asarray(record["dropped_umi"]).tolist(), strict=True))
    total = sum(n for _, n in largest) / max(1 - float(record["umi_share_kept"]), 1e-12)
    return MappingReport(
        **whole,
        matched_by={str(way): int(n) for way, n in record["matched_by"].items()},
        umi_share_kept=float(record["umi_share_kept"]),
        summed_genes=_texts(record["summed_genes"]),
        largest_dropped=largest[:SHOWN],
        absent_genes=_texts(record["absent_genes"]),
        famous_dropped=famous([name for name, n in largest if n >= STRAY * total]),
    )


def _mapping_lines(m: MappingReport, umi: float) -> list[str]:
    by = ", ".join(f"{n:,} by {way}" for way, n in m.matched_by.items())
    largest = ", ".join(f"{name} {n:,.0f} ({n / umi:.1%})" for name, n in m.largest_dropped if n)
    return [
        f"genes of the model: {m.n_found:,} of {m.n_model:,} measured ({m.n_found / m.n_model:.1%}); "
        f"{m.umi_share_kept:.1%} of counts kept",
        f"  matched  {by}",
        f"  summed   {m.summed:,} genes of the model from several of the data{_such_as(m.summed_genes)}",
        f"  dropped  {m.dropped:,} of the data's genes{'; largest: ' + largest if largest else ''}",
        f"  absent   {m.absent_from_data:,} genes of the model were not measured{_such_as(m.absent_genes)}",
    ]


def _such_as(names: list[str]) -> str:
    return f": {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}" if names else ""


def _texts(values: Any) -> list[str]:
    return [str(v) for v in np.asarray(values).ravel()]
