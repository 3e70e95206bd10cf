"""The part of the page about genes and states."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.context import Context
from cellprism.report.figure import listing, percent
from cellprism.report.findings import than_control
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
    if claims:
        verdicts = {row.name: claim.verdict for row, claim in zip(found.state.followed, claims, strict=True)}
        names = {row.name: name_of(row.name) for row in found.state.followed}
        rows.append((followed_figure(found, names, verdicts, (f"state/{FILE}", f"state/{FEATURES}")),))
    if figure := gene_state_figure(found, (f"state/{FEATURES}",)):
        rows.append((figure,))
    return Section(
        "state", title, short, _said(found, claims), rows, method=_method(found),
        told={c.id: f"{_goes(c)}, {than_control(c)}." for c in claims},
        cannot=[_missing(found)] if found.state.absent else [],
        absent="" if rows else f"No feature differs between the {found.state.cells} cells that were read.",
    )  # fmt: skip


def name_of(name: str) -> str:
    """What a covariate is called on the page."""
    return NAMES.get(name, name)


def _goes(claim: Claim) -> str:
    """``65 % of features go with how deeply a cell was sequenced within cell types``."""
    return f"{claim.show(claim.value)} of f{claim.statement[1:]}"


def _said(found: Found, claims: Sequence[Claim]) -> str:
    """What features are made of, and what goes with most of them."""
    said, residual = [], found.state.residual
    if residual:
        gene, cell, rest = (percent(residual[part]) for part in ("gene", "cell", "gene_by_cell"))
        said.append(
            f"Of the inner state's variance, {gene} is which gene a token is, {cell} the cell, and {rest} this gene in "
            "this cell."
        )
    shares = [
        f"{c.show(c.value)} {'' if said_of else 'go '}with {name_of(row.name)}"
        for said_of, (c, row) in enumerate(zip(claims, found.state.followed, strict=True))
        if c.value is not None
    ]
    if shares:
        null = claims[0].null
        within = f" within {found.state.types} cell types" if found.state.types else ""
        control = f"; by chance {claims[0].show(null.value)} would" if null else ""
        said.append(f"Of the features, {listing(shares)}{within}{control}.")
    return " ".join(said)


def _method(found: Found) -> str:
    start = (
        "A table with one vector a gene, which knows no cell, would explain what is which gene a token is. What that "
        "leaves of a feature is state only as far as the feature's genes agree on the cells; the rest may be noise."
        if found.state.residual
        else "This model reads a cell as a whole, so all variance of its features lies between cells and there is "
        "nothing to split; what goes with them can be asked all the same."
    )
    over = f"{found.state.cells} cells{_within(found)}"
    return f"{start} Features were followed over {over}; p-values are about these cells."


def _within(found: Found) -> str:
    return f", and within {found.state.types} cell types" if found.state.types else ""


def _missing(found: Found) -> str:
    said = [f"{name_of(name)} ({why})" for name, why in found.state.absent.items()]
    return f"Say whether features go with {listing(said)}."
