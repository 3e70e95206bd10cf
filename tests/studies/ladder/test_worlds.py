"""Worlds in which it is known what the features exceed."""

import numpy as np
import pytest
from anndata import AnnData

from cellprism.enrich.list_rules import Lists
from cellprism.report.claims import judgement
from cellprism.studies.ladder.claims import beside, null_of
from cellprism.studies.ladder.compare import Draws, made_rung, paired, result_of
from cellprism.studies.ladder.information import above, information
from cellprism.studies.ladder.score import Scorer
from cellprism.studies.ladder.tables import RuleResult
from cellprism.studies.programs.settings import ProgramsSettings

GENES = tuple(f"G{i}" for i in range(160))
PROGRAMS = {f"program {p}": GENES[12 * p : 12 * p + 12] for p in range(10)}
SEEDS, DRAWN, TESTED = 5, ("popularity", "matched", "coexpression"), ProgramsSettings()
SCORER = Scorer(PROGRAMS, GENES, 3, "all-terms", 0.05)


def cells() -> AnnData:
    """Genes without anything in common."""
    found = AnnData(np.random.default_rng(0).poisson(1.0, size=(61, 160)).astype(np.float32))
    found.var_names = GENES
    return found


def lists(rng: np.random.Generator, planted: float, number: int = 23) -> Lists:
    """A share of the lists has half of its genes from one program."""
    made = {}
    for i in range(number):
        own = GENES[12 * (i % 10) : 12 * (i % 10) + 8] if rng.random() < planted else ()
        made[str(i)] = (*own, *(gene for gene in rng.permutation(GENES) if gene not in own))[:16]
    return made


def climbed(rng: np.random.Generator, ours: float, theirs: float, drawn: tuple[str, ...] = ()) -> RuleResult:
    features = [lists(rng, ours) for _ in range(SEEDS)]
    rungs = []
    for name, number in (("untrained", 23), ("pca", 13), ("neurons", 17)):
        others = [lists(rng, theirs, number) for _ in range(1 if name == "neurons" else SEEDS)]
        pairs = paired(SCORER, features, others * (SEEDS if name == "neurons" else 1), 0)
        rungs.append(made_rung(name, pairs))
    draws = Draws(PROGRAMS, GENES, cells(), TESTED, 39, int(rng.integers(100)))
    rungs += [draws.rung(name, features) for name in drawn]
    return result_of("top20", [SCORER.matched(some) for some in features], features[0], rungs)


def verdict(found: RuleResult) -> str:
    assert found.hardest is not None
    return judgement(found.share, beside(found, found.hardest), null_of(found, found.hardest, SEEDS)).verdict


def test_planted_programs_are_above_every_rung():
    found = climbed(np.random.default_rng(1), 0.8, 0.1, DRAWN)
    assert {rung.name for rung in found.rungs if rung.excess.interval[0] > 0} == {
        "untrained", "pca", "neurons", *DRAWN,
    }  # fmt: skip
    assert found.hardest.fair == 6
    assert found.hardest.interval[0] > 0
    assert verdict(found) == "above chance"


def test_features_that_are_drawn_as_the_controls_are_within():
    rng = np.random.default_rng(2)
    said = [verdict(climbed(rng, 0.3, 0.3)) for _ in range(8)]
    assert said.count("above chance") == 0
    assert said.count("below chance") <= 2


def test_one_control_that_has_more_is_the_hardest():
    rng = np.random.default_rng(3)
    found = climbed(rng, 0.5, 0.1)
    better = made_rung("nmf", paired(SCORER, *([lists(rng, p) for _ in range(SEEDS)] for p in (0.5, 1.0)), 0))
    both = result_of("top20", [SCORER.matched(lists(rng, 0.5)) for _ in range(SEEDS)], lists(rng, 0.5),
                     [*found.rungs, better])  # fmt: skip
    assert both.hardest.name == "nmf"
    assert verdict(both) == "below chance"
    unfair = made_rung("nmf", paired(SCORER, *([lists(rng, p) for _ in range(SEEDS)] for p in (0.5, 1.0)), 0), "why")
    assert result_of("top20", [SCORER.matched(lists(rng, 0.5))], lists(rng, 0.5), [unfair]).hardest is None


def test_numbers_of_lists_do_not_decide():
    """Few lists and many have one rate, and programs are counted at the number that both have."""
    rng = np.random.default_rng(4)
    many, few = lists(rng, 0.8, 61), dict(list(lists(rng, 0.8, 61).items())[:11])
    rung = made_rung("pca", paired(SCORER, [many], [few], 0))
    assert (rung.lists, rung.excess.lists) == (11, 11)
    assert rung.ours < SCORER.matched(many).distinct(61)
    same = made_rung("pca", paired(SCORER, [many], [many], 0))
    assert (same.excess.mean, same.ours) == (0, same.distinct)
    together = Scorer(PROGRAMS, GENES, 3, "all-tests", 0.05)
    ours, theirs = together.beside(many, few, rng)
    assert (ours.total, theirs.total) == (11, 11)


def test_information_of_neurons_that_match_larger_programs_is_less():
    """Neurons match a large program, features small ones."""
    sets = {**PROGRAMS, "large": GENES[120:]}
    scorer, rng = Scorer(sets, GENES, 3, "all-terms", 0.05), np.random.default_rng(5)
    features = [{"top20": lists(rng, 0.9)} for _ in range(SEEDS)]
    large = {str(i): tuple(rng.permutation(GENES[120:])[:16]) for i in range(13)}
    found = {"features": [scorer.matched(one["top20"]) for one in features], "neurons": [scorer.matched(large)] * SEEDS}
    said = information(found, features, scorer, 5, 0)
    assert said is not None
    assert said.above > 0.9
    assert said.p < 0.01
    assert {row.name for row in said.sources} == {"features", "neurons", "popularity"}
    assert information({**found, "neurons": []}, features, scorer, 5, 0) is None
    assert above(np.array([1.0, 3.0, np.nan]), np.array([2.0, 3.0])) == pytest.approx(1.5 / 4)
