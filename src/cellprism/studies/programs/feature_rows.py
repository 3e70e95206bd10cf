"""The table of all features, as text for reading and numbers for sorting."""

import numpy as np

from cellprism.report.context import Context
from cellprism.report.figure import percent, small_text
from cellprism.report.frames import ordered, records, where
from cellprism.report.section import Cell, LongTable
from cellprism.studies.programs.tables import Programs, signed_term

HEADER = (
    "Feature", "Top genes", "Best program", "q", "Programs", "Sign", "Strongest in", "Its genes high in", "low in",
    "Between types",
)  # fmt: skip


def feature_rows(found: Programs, context: Context) -> LongTable:
    """All features that fire, those with the most certain program first."""
    alpha, has_types = found.rates["alpha"], found.specificity is not None
    table = ordered(
        where(found.features, found.features["firing_rate"] > 0), ["best_padj", "firing_rate"], rising=[True, False]
    )
    rows = []
    for row in records(table):
        share = float(row.type_share) if has_types else 0.0
        rows.append(
            (
                Cell(str(row.feature)),
                Cell(", ".join(g.strip() for g in str(row.top_genes).split(","))),
                Cell(signed_term(str(row.best_term), str(row.sign)) if row.best_padj < alpha else "–"),
                Cell(small_text(row.best_padj), float(row.best_padj)),
                Cell(str(row.n_terms)),
                Cell(_sign(str(row.sign), float(row.own_genes_r)), float(row.own_genes_r)),
                Cell(str(row.top_cell_type) or "–"),
                Cell(str(row.high_in) or "–"),
                Cell(str(row.low_in) or "–"),
                Cell(percent(share) if has_types else "–", share),
                Cell(percent(row.firing_rate, 2 if row.firing_rate < 0.01 else 1), float(row.firing_rate)),
                Cell(str(row.set_size)),
                Cell("–") if np.isnan(row.state_share) else Cell(percent(row.state_share), float(row.state_share)),
            )
        )
    header = (*HEADER, context.words.firing, "Genes", "Cell state")
    return LongTable(
        "feature", "All features", _lead(found, context), header, rows, placeholder="gene, program, cell type …"
    )


def _sign(sign: str, r: float) -> str:
    return f"{sign or '–'} ({r:+.2f})".replace("-", "−")


def _lead(found: Programs, context: Context) -> str:
    lead = (
        "Features that fire at least once, the most certain programs first. q is corrected over all programs "
        f"({found.rates['family']}); how often lists made by chance pass the same test stands in the figure of "
        "annotated rates. “Sign” says whether the feature is strong in cells in which its own genes are high or low, "
        "with the correlation over cells; a program whose genes are low where the feature is strong is named “low: …”. "
        "“Strongest in” is where the feature is, “high in” and “low in” where its genes are. “Between types” is the "
        "share of a feature's variance between cells that lies between cell types"
    )
    if found.specificity is not None:
        lead += f"; shuffled labels stay below {100 * found.specificity.chance_share:.1f} % for 95 % of features"
    if context.tokens == "genes":
        lead += ". “Cell state” is the share of its variance that is not explained by which gene it is on"
    return f"{lead}.{_covered(found)}"


def _covered(found: Programs) -> str:
    """How much ground the features' programs cover together, and where these come from."""
    said, covered = "", found.rates.get("coverage")
    if covered and covered["terms"]:
        said = (
            f" Together the lists match {covered['terms']:,} programs, {covered['distinct']:,} when those that say "
            f"nearly the same count once; the genes that they share with these are {percent(covered['share'])} of the "
            "genes of all programs tested."
        )
    files = found.rates.get("gene_sets", {}).get("files", ())
    named = [f"{f['file']} ({f['release'] or 'release not stated'}, SHA-256 {f['sha256'][:12]}…)" for f in files]
    return f"{said} Programs come from {' and '.join(named)}." if named else said
