"""The part of the page about genes and states."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import listing, percent
from cellprism.report.section import Section
from cellprism.studies.state.figures import followed_figure, gene_state_figure
from cellprism.studies.state.tables import DEPTH, FEATURES, FILE, G2M, MITOCHONDRIAL, RIBOSOMAL, Found, S

NAMES = {
    DEPTH: "sequencing depth",
    MITOCHONDRIAL: "mitochondrial counts",
    RIBOSOMAL: "ribosomal counts",
    S: "the S phase",
    G2M: "the G2 and M phases",
}


def section(found: Found | None, claims: Sequence[Claim], context: Context) -> Section:
    """What features are made of, and what goes with them."""
    title, short = "Do features stand for genes or for states of cells?", "Gene or state"
    if found is None:
        absent = "Nobody asked whether features are genes or states; `cellprism do state RUN` does."
        return Section("state", title, short, "", absent=absent)
    rows = []
    if figure := gene_state_figure(found, (f"state/{FEATURES}",)):
        rows.append((figure,))
    if claims:
        verdicts = {row.name: claim.verdict for row, claim in zip(found.state.followed, claims, strict=True)}
        names = {row.name: name_of(row.name) for row in found.state.followed}
        rows.append((followed_figure(found, names, verdicts, (f"state/{FILE}", f"state/{FEATURES}")),))
    return Section(
        "state", title, short, _lead(found), rows,
        cannot=[_missing(found)] if found.state.absent else [],
        absent="" if rows else f"No feature differs between the {found.state.cells} cells that were read.",
    )  # fmt: skip


def name_of(name: str) -> str:
    """What a covariate is called on the page."""
    return NAMES.get(name, name)


def _lead(found: Found) -> str:
    state = found.state
    if state.residual:
        shares = [percent(state.residual[part]) for part in ("gene", "cell", "gene_by_cell")]
        start = (
            f"Of the inner state's variance, {shares[0]} is which gene a token is, {shares[1]} is the cell, the same "
            f"for all of its genes, and {shares[2]} is this gene in this cell. A table with one vector a gene, which "
            "knows no cell, would explain the first. What gene identity leaves of a feature is state only as far as "
            "the feature's genes agree on the cells; the rest may be noise."
        )
    else:
        start = (
            "This model reads a cell as a whole, so all variance of its features lies between cells and there is "
            "nothing to split; what goes with them can be asked all the same."
        )
    return f"{start} Features were followed over {state.cells} cells{_within(found)}; p-values are about these cells."


def _within(found: Found) -> str:
    return f", and within {found.state.types} cell types" if found.state.types else ""


def _missing(found: Found) -> str:
    said = [f"{name_of(name)} ({why})" for name, why in found.state.absent.items()]
    return f"Say whether features go with {listing(said)}."
