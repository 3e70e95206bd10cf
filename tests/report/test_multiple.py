"""How many verdicts of a page chance would give, and which outlast a correction over all of them."""

import numpy as np
import pytest

from cellprism.report.claims import Claim, Null, Source, Test, judged, read_claims, write_claims
from cellprism.report.multiple import corrected, expected_false, outlasts, sentences


def claim(number: int, p: float | None, value: float = 0.9, draws: int = 199, barred: str = "") -> Claim:
    null = Null("chance", 0.5, (0.4, 0.6), p, None if p is None else draws)
    return judged(
        f"claim-{number}", "A", "B", value, unit="", format=".3f", interval=(value, value), null=null,
        test=Test("t", matters=0.3), source=Source("f", "x"), barred=barred,
    )  # fmt: skip


def by_hand(p: list[float]) -> list[float]:
    """Benjamini and Yekutieli, from the definition."""
    m = len(p)
    harmonic = sum(1 / i for i in range(1, m + 1))
    ranked = sorted(p)
    step = [ranked[j] * m * harmonic / (j + 1) for j in range(m)]
    return [min(1.0, *step[ranked.index(one) :]) for one in p]


def test_q_values_are_those_of_the_definition():
    p = [0.01, 0.02, 0.03, 0.6, 0.0005]
    found = corrected([claim(i, one, 0.5 if one > 0.05 else 0.9) for i, one in enumerate(p)])
    assert [c.q for c in found] == pytest.approx(by_hand(p))
    assert [outlasts(c) for c in found] == [False, False, False, False, True]


def test_what_has_no_p_of_its_own_takes_no_part():
    """Intervals alone, too few draws, a control that is unfair."""
    others = [claim(1, None), claim(2, 0.02, draws=38), claim(3, 0.02, barred="lists of another length")]
    found = corrected([claim(0, 0.02), *others])
    assert [c.q for c in found] == [pytest.approx(0.02), None, None, None]
    assert corrected(others) == others
    assert corrected([]) == []


def test_each_judged_claim_adds_its_level_to_the_expected_false_verdicts():
    claims = [claim(0, 0.01), claim(1, 0.6, 0.5), claim(2, None), claim(3, 0.01, barred="unfair")]
    assert [c.verdict for c in claims] == ["above chance", "at chance", "above chance", "cannot be told here"]
    assert expected_false(claims) == pytest.approx(0.15)


def test_the_sentences_hold_both_and_say_why():
    said = sentences(corrected([claim(0, 0.001), claim(1, 0.04), claim(2, 0.6, 0.5)]))
    assert said[0].startswith("Were there nothing in any of the 3 judged claims, up to 0.2 would be called")
    assert said[1].startswith("Of the 2 that are called so by a p-value, 1 outlast a correction over all 3 claims")
    assert "Benjamini-Yekutieli, since claims about the same cells depend on each other" in said[1]
    assert sentences([]) == []


def test_q_is_kept_on_disk(tmp_path):
    claims = corrected([claim(0, 0.001), claim(1, None)])
    write_claims(tmp_path / "claims.json", claims)
    assert [c.q for c in read_claims(tmp_path / "claims.json")] == [pytest.approx(0.001), None]


def test_under_the_null_few_pages_have_a_claim_that_outlasts():
    """21 claims without anything in them: at most 5 % of pages, whatever the dependence."""
    rng = np.random.default_rng(5)
    pages = []
    for _ in range(300):
        p = np.ceil(200 * rng.random(21)) / 200
        found = corrected([claim(i, float(one), 0.9 if one <= 0.05 else 0.5) for i, one in enumerate(p)])
        pages.append(any(map(outlasts, found)))
    assert np.mean(pages) <= 0.05
