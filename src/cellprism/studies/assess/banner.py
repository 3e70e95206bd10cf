"""When a page has to warn before anything else: the model has nothing to say of these cells."""

from collections.abc import Sequence

from cellprism.report.claims import Claim
from cellprism.report.figure import percent
from cellprism.studies.assess.claims import error_id, gain_id
from cellprism.studies.assess.tables import Assessment

FAR = 0.5
"""A model that removes less than this share of what a ridge regression removes is far behind it."""
FOLLOWS = "All that follows describes such a model: it may say much about the network and little about these cells."


def banner(found: Assessment, claims: Sequence[Claim]) -> str:
    """What stands at the top of the page where the model, its gene means put right, is no better than the gene means of
    these cells, or far behind a ridge regression fitted on some of them; empty where neither is so."""
    verdicts = {claim.id: claim.verdict for claim in claims}
    if worse := _no_better(verdicts.get(error_id("gene mean"))):
        assert found.hidden_genes, "claimed of it"
        ours = percent(found.hidden_genes.methods["model"].removed)
        return (
            f"On these cells the model {worse} than always answering each gene's mean: it removes {ours} of that error "
            f"on hidden genes, even with its gene means put right. {FOLLOWS}"
        )
    if found.hidden_genes and verdicts.get(error_id("ridge")) == "below chance":
        ours, ridge = (found.hidden_genes.methods[name].removed for name in ("model", "ridge"))
        if ours < FAR * ridge:
            return (
                f"On these cells the model is far behind a ridge regression: it removes {percent(ours)} of the gene "
                f"means' error on hidden genes, the regression, fitted on {found.fit_cells:,} of these cells, "
                f"{percent(ridge)}. {FOLLOWS}"
            )
    if worse := _no_better(verdicts.get(gain_id("gene mean"))):
        ours = f"{found.hidden_counts['model'].value:.3f}".replace("-", "−")
        return (
            f"On these cells the model {worse} than the gene means at predicting hidden counts: it gains {ours} nats "
            f"per count, even with its gene means put right. {FOLLOWS}"
        )
    return ""


def _no_better(verdict: str | None) -> str:
    """What the verdict against the gene means says; empty where the model is better, or there is none."""
    if verdict in (None, "above chance"):
        return ""
    return "cannot be shown to be better" if verdict == "cannot be told here" else "is no better"
