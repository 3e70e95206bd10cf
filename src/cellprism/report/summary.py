"""The top of the page: a few sentences and numbers of this run, each with its control in the same breath."""

import math
from collections import Counter
from dataclasses import dataclass

from cellprism.report.claims import Claim
from cellprism.report.facts import ContrastFacts, RunFacts, SteeredFeature
from cellprism.report.figures.contrast import marker_words
from cellprism.report.figures.figure import listing
from cellprism.report.figures.steering import signed
from cellprism.report.verdict import VERDICTS, judge
from cellprism.report.words import words_for

RATE = "annotated-against-"
KEY_CLAIMS = {
    "model-beats-ridge": "of the error on hidden genes removed",
    RATE: "of features match a known gene program",
    "features-beat-random": "of steered features move their own program",
    "contrast-latent-fraction-closer": "of steered cells end closer to the target",
}
"""Claims that become the large numbers, by a part of their id, with the words that go under the number."""


@dataclass(frozen=True)
class KeyNumber:
    """One large number with its control and verdict."""

    value: str
    words: str
    control: str
    verdict: str
    claim: str


def key_numbers(claims: list[Claim]) -> list[KeyNumber]:
    """The large numbers of the page, as far as this run measured them, each beside the hardest control that is fair."""
    found = []
    for part, words in KEY_CLAIMS.items():
        measured = [c for c in claims if part in c.id and c.value is not None]
        if not measured:
            continue
        claim = _hardest(measured)
        control = "no control was measured"
        if claim.null and claim.null.value is not None:
            control = f"{claim.show(claim.null.value)}, {claim.null.name.split(' (')[0]}"
        found.append(KeyNumber(claim.show(claim.value), words, control, claim.verdict, claim.id))
    return found


def _hardest(claims: list[Claim]) -> Claim:
    """The claim with the highest control, of those that are fair where there are such."""
    return max([c for c in claims if _is_fair(c)] or claims, key=_control)


def _is_fair(claim: Claim) -> bool:
    """Whether the verdict is what the numbers say, so that nothing else forbids the comparison."""
    null = claim.null.interval if claim.null else None
    return judge(claim.value, claim.interval, null, matters=claim.test.matters).verdict == claim.verdict


def _control(claim: Claim) -> float:
    return -math.inf if claim.null is None or claim.null.value is None else claim.null.value


def summary_sentences(facts: RunFacts, claims: list[Claim]) -> list[str]:
    """What this run found, in plain sentences; parts that were not run are left out."""
    by_id = {claim.id: claim for claim in claims}
    sentences = [_what(facts), _features(facts, by_id), _steering(facts, claims)]
    sentences.append(_contrasts(facts.contrasts, by_id))
    sentences.append(_tally(claims))
    return [s for s in sentences if s]


def _what(facts: RunFacts) -> str:
    if facts.model is None or facts.cells is None:
        return ""
    site = f" ({facts.place})" if facts.place else ""
    cells, model = facts.cells, facts.model
    return (
        f"We looked inside the cell model {model.name}{site} while it read {cells.n_cells:,} cells of "
        f"{len(cells.types)} types, each with {cells.n_genes:,} measured genes."
    )


def _features(facts: RunFacts, by_id: dict[str, Claim]) -> str:
    """The annotated rate against popularity, co-expression and the hardest control."""
    rivals = [claim for id, claim in by_id.items() if RATE in id and claim.null]
    if not rivals:
        return ""
    hardest = _hardest(rivals)
    named = [by_id.get(RATE + "popularity"), by_id.get(RATE + "coexpression"), hardest]
    shown = {claim.id: claim for claim in named if claim is not None}.values()
    controls = [f"{c.show(c.null.value)} of {c.null.name.split(' (')[0]}" for c in shown if c.null]
    start = f"{hardest.show(hardest.value)} of its features match a known gene program, against {listing(controls)}"
    if hardest.verdict == "above chance":
        return f"{start}: more than any of these explains."
    if hardest.verdict == "below chance" and hardest.id == RATE + "coexpression":
        return f"{start}: genes that merely vary together match programs more often than features do."
    return f"{start}, so matching a program is by itself no evidence that a feature adds anything."


def _steering(facts: RunFacts, claims: list[Claim]) -> str:
    together = next((c for c in claims if c.id.endswith("features-beat-random")), None)
    features = facts.steering[0].features if facts.steering else []
    if together is None or not features:
        return ""
    best, words = max(features, key=_beyond), words_for(facts.tokens, facts.steering[0].quantity)
    null = best.response.random_feature
    span = ""
    if null.interval:
        low, high = (signed(edge) for edge in null.interval)
        span = f" (95 % of matched random features: {low} to {high})"
    beat = round((together.value or 0.0) * len(features))
    text = (
        f"Turned up and down, feature {best.feature} ({best.program}) shifts its genes{words.within} by "
        f"{signed(best.response.value)} against others {words.alike}{span}; {beat} of {len(features)} "
        "steered features move their genes beyond matched random ones."
    )
    return text


def _beyond(steered: SteeredFeature) -> float:
    """How far a feature's response lies beyond that of random features, in half-widths of their range."""
    null = steered.response.random_feature
    if null.interval is None or null.interval[0] == null.interval[1]:
        return -float("inf")
    low, high = null.interval
    return (steered.response.value - (low + high) / 2) / (high - low)


def _contrasts(contrasts: list[ContrastFacts], by_id: dict[str, Claim]) -> str:
    """All recipes between the same two types in one sentence."""
    if not contrasts:
        return ""
    first = contrasts[0]
    parts = []
    for contrast in contrasts:
        claim = by_id.get(f"contrast-{contrast.objective}-fraction-closer")
        if claim is not None and (contrast.source, contrast.target) == (first.source, first.target):
            null = f"{claim.show(claim.null.value)} with {claim.null.name}" if claim.null else "no control"
            words = f"{claim.show(claim.value)} with the {contrast.objective} recipe"
            parts.append(f"{words} ({null}: {claim.verdict})")
    genes = ", ".join(marker_words(named) for named in first.named.values())
    return (
        f"Steered towards {first.target}, of {first.n_test} unseen {first.source_cells} end closer to it in "
        "the model's inner state: " + " and ".join(parts) + (f"; {genes}{first.words.within}." if genes else ".")
    )


def _tally(claims: list[Claim]) -> str:
    counts = Counter(claim.verdict for claim in claims)
    parts = [
        f"{counts[v]} {v if v != 'cannot be told here' else 'that cannot be told here'}" for v in VERDICTS if counts[v]
    ]
    return f"Of {len(claims)} claims on this page, we find " + ", ".join(parts) + "." if claims else ""
