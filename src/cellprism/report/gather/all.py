"""Every claim of a run, in the order of the page."""

from cellprism.report.claims import Claim
from cellprism.report.facts import RunFacts
from cellprism.report.gather.contrast import contrast_claims
from cellprism.report.gather.features import rate_claims, specificity_claims
from cellprism.report.gather.model import model_claims, training_claims
from cellprism.report.gather.steering import steering_claims
from cellprism.report.gather.unmeasured import unmeasured_claims


def gather_claims(facts: RunFacts) -> list[Claim]:
    """What the run says, judged against what was measured beside it; steps that were not run claim
    nothing."""
    claims: list[Claim] = []
    if facts.model:
        claims += model_claims(facts.model)
    if facts.training and facts.layer is not None:
        claims += training_claims(facts.training, facts.layer)
    if facts.rates and facts.layer is not None:
        claims += rate_claims(facts.rates, facts.layer)
    if facts.features and facts.layer is not None:
        claims += specificity_claims(facts.features, facts.layer)
    claims += steering_claims(facts.steering, facts.tokens)
    for contrast in facts.contrasts:
        claims += contrast_claims(contrast)
    return claims + unmeasured_claims(facts)
