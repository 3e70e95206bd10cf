"""The claim that features match programs more often than the hardest of several fair controls."""

from functools import partial

import numpy as np

from calibration.world import World
from cellprism.report.claims import judgement
from cellprism.report.verdict import SHARE_MATTERS
from cellprism.studies.ladder.claims import beside, null_of
from cellprism.studies.ladder.compare import made_rung, paired, result_of
from cellprism.studies.ladder.score import Scorer
from cellprism.studies.programs.settings import ProgramsSettings

GENES, TERMS, LISTS, LENGTH, SEEDS = tuple(f"G{i}" for i in range(240)), 40, 24, 12, 5
TRAINED, FIXED = ("untrained", "frozen_decoder", "permuted"), "neurons"
MANY = 10 * LISTS  # of the control that is the same for all, whose rate is then what its kind has on average
AS_GOOD = 0.4  # share of planted lists of the one control that is as good


def ladder(seed: int, size: float, level: float = 0.0) -> dict[str, str]:
    """The rate of five autoencoders' lists beside three controls that are trained and one that is the same for all;
    ``level`` is the share of planted lists that the features and the first control have anyway. Controls that are drawn
    have worlds of their own (``programs``), and beside others they can only keep a claim from being made."""
    rng = np.random.default_rng([seed, 10])
    popularity = rng.gamma(1.0, size=len(GENES)) + 0.1
    popularity /= popularity.sum()
    terms = {f"term {t}": list(rng.choice(GENES, LENGTH, replace=False, p=popularity)) for t in range(TERMS)}
    lists = partial(_lists, rng, popularity, terms)
    tested = ProgramsSettings()
    scorer = Scorer(terms, GENES, tested.min_term_size, tested.family, tested.alpha)
    ours = [lists(level + size) for _ in range(SEEDS)]
    rungs = []
    for name in TRAINED:
        theirs = [lists(level if name == TRAINED[0] else 0.0) for _ in range(SEEDS)]
        rungs.append(made_rung(name, paired(scorer, ours, theirs, seed)))
    rungs.append(made_rung(FIXED, paired(scorer, ours, [lists(0.0, MANY)] * SEEDS, seed)))
    found = result_of("top20", [scorer.matched(some) for some in ours], ours[0], rungs)
    assert found.hardest is not None, "all are fair"
    interval, null = beside(found, found.hardest), null_of(found, found.hardest, SEEDS)
    return {"hardest": judgement(found.share, interval, null, ".0%", SHARE_MATTERS).verdict}


def one_as_good(seed: int, size: float) -> dict[str, str]:
    """The same, where one control has as many planted lists as the features."""
    return ladder(seed, size, AS_GOOD)


def _lists(
    rng: np.random.Generator, popularity: np.ndarray, terms: dict[str, list[str]], planted: float, number: int = LISTS
) -> dict[str, tuple[str, ...]]:
    """Lists by popularity, of which a share has half of its genes from one term."""
    made = {}
    for place in range(number):
        own = terms[f"term {rng.integers(TERMS)}"][: LENGTH // 2] if rng.random() < planted else []
        others = rng.choice(GENES, 2 * LENGTH, replace=False, p=popularity)
        made[str(place)] = (*own, *(gene for gene in others if gene not in own))[:LENGTH]
    return made


WORLDS = [
    World(
        "a ladder of equals", {"hardest": "ladder: rate of matches over seeds, against the hardest of four controls"},
        "Lists of five autoencoders and of four controls draw their genes independently, all by one popularity: none "
        "is harder than another, and the one that seems so was picked by chance. The control that is the same for all "
        "has ten times as many lists, so that its rate is no luck of its own.",
        ladder, (0.1, 0.25, 0.5), "share of the lists that have half of their genes from one term", 200, 25,
    ),
    World(
        "one control as good", {"hardest": "ladder: rate of matches over seeds, one control as good"},
        "Features and one control have 40 % of lists with half of their genes from one term, three other controls "
        "none: the hardest control is known, and the features do not exceed it.",
        one_as_good, (0.1, 0.25, 0.5), "share of such lists that the features have beyond it", 200, 25,
    ),
]  # fmt: skip
