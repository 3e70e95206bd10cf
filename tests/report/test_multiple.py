"""How many verdicts of a page chance would give, and which outlast a correction over all of them."""

import numpy as np
import pytest
from scipy.stats import norm

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
    found = corrected([claim(i, one, 0.5 if one > 0.05 else 0.9, 9999) for i, one in enumerate(p)])
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
    said = sentences(
        corrected([claim(0, 0.001, draws=1999), claim(1, 0.04), claim(2, 0.6, 0.5), claim(3, 0.05, draws=39)])
    )
    assert said[0].startswith("Were there nothing in any of the 4 judged claims, up to 0.2 would be called")
    assert said[1].startswith(
        "Of the 3 that are called so by a p-value, 1 outlast a correction over the 3 claims that have"
    )
    assert "Benjamini-Yekutieli, since claims about the same cells depend on each other" in said[1]
    assert said[1].endswith("; of 1 it cannot be told, since their draws are too few.")
    assert sentences([]) == []


def test_q_is_kept_on_disk(tmp_path):
    claims = corrected([claim(0, 0.001), claim(1, None)])
    write_claims(tmp_path / "claims.json", claims)
    assert [c.q for c in read_claims(tmp_path / "claims.json")] == [pytest.approx(0.001), None]


def test_under_the_null_few_pages_have_a_claim_that_outlasts():
    """21 claims without anything in them: at most 5 % of pages, whatever the dependence."""
    rng = np.random.default_rng(5)
    pages, few = [], 0
    for _ in range(300):
        p = np.ceil(10_000 * rng.random(21)) / 10_000
        found = corrected([claim(i, float(one), 0.9 if one <= 0.05 else 0.5, 19_999) for i, one in enumerate(p)])
        pages.append(any(map(outlasts, found)))
        few += sum(one <= 0.05 / 21 for one in p)
    assert np.mean(pages) <= 0.05
    assert few >= 5, "there are small p-values to be corrected"


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_under_the_null_pages_of_claims_with_few_and_with_many_draws_have_no_more(shared):
    """A third with 39 draws, which take no part, a third with 199, a third without a limit; depending on each other."""
    rng = np.random.default_rng(7)
    false = []
    for _ in range(200):
        z = np.sqrt(shared) * rng.standard_normal() + np.sqrt(1 - shared) * rng.standard_normal(30)
        p = 2 * norm.sf(np.abs(z))
        claims = []
        for i, one in enumerate(p):
            draws = (39, 199, 99_999)[i % 3]
            drawn = min(1.0, 2 * np.ceil(one / 2 * (draws + 1)) / (draws + 1))
            claims.append(claim(i, float(drawn), 0.9 if drawn <= 0.05 else 0.5, draws))
        false.append(any(map(outlasts, corrected(claims))))
    assert np.mean(false) <= 0.05


def test_a_strong_claim_with_enough_draws_outlasts_and_one_of_39_draws_cannot_be_told():
    nothing = [claim(i, float(p), 0.5, 9999) for i, p in enumerate(np.linspace(0.1, 1, 30))]
    strong, few = claim(50, 2 / 10_000, draws=9999), claim(51, 2 / 40, draws=39)
    found = {c.id: c for c in corrected([*nothing, strong, few])}
    assert found["claim-50"].corrected == "outlasts the correction"
    assert found["claim-51"].verdict == "above chance"
    assert found["claim-51"].q is None
    said = found["claim-51"].corrected
    assert said.startswith("cannot be told after correction: 39 draws cannot reach it, ")
    assert {c.corrected for i, c in found.items() if i not in ("claim-50", "claim-51")} == {""}
    needed = int(said.split(", ", 1)[1].split(" could")[0].replace(",", ""))
    again = [*nothing, strong, claim(51, 2 / (needed + 1), draws=needed)]
    assert outlasts(corrected(again)[-1])
    assert not outlasts(corrected([*again[:-1], claim(51, 2 / needed, draws=needed - 1)])[-1])


def test_a_claim_that_enough_draws_could_have_made_outlast_does_not():
    found = corrected([claim(0, 0.04, draws=9999), *(claim(i, 0.8, 0.5, 9999) for i in range(1, 9))])
    assert found[0].corrected == "does not outlast the correction"


def test_claims_that_cannot_outlast_do_not_make_it_harder_for_others():
    others = [claim(i, 0.05, draws=39) for i in range(1, 20)]
    assert corrected([claim(0, 0.03, draws=999), *others])[0].q == pytest.approx(0.03)


def test_a_p_over_units_takes_part_whatever_the_number_of_draws():
    null = Null("none", 0.0, (0.0, 0.0), 1e-5, None, 5)
    said = judged(
        "over-seeds", "A", "B", 0.2, unit="", format=".3f", interval=(0.18, 0.22), null=null,
        test=Test("t", matters=0.1), source=Source("f", "x"),
    )  # fmt: skip
    (found,) = corrected([said])
    assert (found.q, found.corrected) == (pytest.approx(1e-5), "outlasts the correction")
