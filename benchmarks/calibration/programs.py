"""Claims about features, cell types and programs."""

import numpy as np
import pandas as pd

from calibration.world import ABOVE, AT, World
from cellprism.enrich.labels import best_terms
from cellprism.enrich.nulls import NullRates, null_rates
from cellprism.enrich.over_representation import over_representation
from cellprism.equations.effects import permutation_p
from cellprism.report.claims import Null, judgement
from cellprism.report.verdict import FEWEST_DRAWS, SHARE_MATTERS
from cellprism.studies.programs.specificity import PERMUTATIONS, between_types, shuffled_shares_apart
from cellprism.studies.programs.work import type_specificity

FAMILIES, FEATURES, TYPES = 8, 64, {"a": 31, "b": 19, "c": 11}
GENES, TERMS, LISTS, LENGTH = tuple(f"G{i}" for i in range(240)), 40, 24, 12
PROGRAMS = {f"program {p}": GENES[LENGTH * p : LENGTH * (p + 1)] for p in range(20)}


def types(seed: int, size: float) -> dict[str, str]:
    """The share of features that tell types apart."""
    rng = np.random.default_rng([seed, 1])
    labels = rng.permutation(np.repeat(list(TYPES), list(TYPES.values())))
    activation = rng.normal(size=(len(labels), FAMILIES))[:, np.arange(FEATURES) % FAMILIES]
    activation += 0.1 * rng.normal(size=activation.shape)
    activation[:, : FEATURES // 2] += size * (labels == "b")[:, None]
    found = between_types(activation, labels)
    table = pd.DataFrame({"firing_rate": np.ones(FEATURES), "type_share": found.share})
    shuffled = shuffled_shares_apart(activation, labels, found.chance, PERMUTATIONS, seed)
    counted = type_specificity(table, found, TYPES, shuffled)
    null = Null("", counted.null, counted.null_interval, counted.p, counted.permutations)
    return {"types": judgement(counted.share_apart, None, null, ".0%", SHARE_MATTERS).verdict}


def rates(seed: int, size: float) -> dict[str, str]:
    """The annotated rate of lists beside two kinds of random lists."""
    rng = np.random.default_rng([seed, 2])
    popularity = rng.gamma(1.0, size=len(GENES)) + 0.1

    def drawn(n: int) -> list[str]:
        return list(rng.choice(GENES, n, replace=False, p=popularity / popularity.sum()))

    terms, lists = {f"term {t}": drawn(LENGTH) for t in range(TERMS)}, {}
    for number in range(LISTS):
        own = terms[f"term {rng.integers(TERMS)}"][: LENGTH // 2] if rng.random() < size else []
        lists[number] = (*own, *(gene for gene in drawn(2 * LENGTH) if gene not in own))[:LENGTH]
    nulls = ("popularity", "gene_use")
    found = null_rates(lists, terms, GENES, nulls=nulls, replicates=FEWEST_DRAWS, seed=seed, min_term_size=3)
    return {null: _rate(found, null) for null in nulls}


def _rate(found: NullRates, null: str) -> str:
    row = found.summary.query("null == @null and measure == 'annotated_rate'").iloc[0]
    drawn = found.replicates.query("null == @null")["annotated_rate"].to_numpy()
    interval, p = (float(row["low"]), float(row["high"])), permutation_p(float(row["observed"]), drawn)
    chance = Null("", float(row["mean"]), interval, p, len(drawn))
    return judgement(float(row["observed"]), None, chance, ".0%", SHARE_MATTERS).verdict


def own_program(seed: int, size: float) -> dict[str, str]:
    """Whether one list has a program."""
    rng = np.random.default_rng([seed, 3])
    own = list(rng.permutation(PROGRAMS[f"program {rng.integers(20)}"])[: round(size * LENGTH)])
    genes = (*own, *(gene for gene in rng.permutation(GENES) if gene not in own))[:LENGTH]
    best = best_terms(over_representation({"0": genes}, PROGRAMS, GENES, min_term_size=3), ["0"])
    return {"own": ABOVE if best["best_term"].iloc[0] else AT}


WORLDS = [
    World(
        "random lists", {"own": "programs: a feature's own program"},
        "One list of genes drawn uniformly from the background, which is what the hypergeometric test assumes; q < .05 "
        "over twenty programs is one-sided, so that .05 may be called above.",
        own_program, (0.25, 0.35, 0.5), "share of the list's twelve genes that come from one program", 1000, 200, 0.05,
    ),
    World(
        "shuffled types", {"types": "programs: features tell types apart, against permuted labels"},
        "Features in eight families of near copies, and labels of cells drawn without regard to them: the true labels "
        "are one permutation among the others.",
        types, (0.25, 0.5, 1.0), "shift of half the features in one of three types, in standard deviations", 1000, 200,
    ),
    World(
        "lists by popularity",
        {
            "popularity": "programs: rate of matches, against popularity-matched lists",
            "gene_use": "programs: rate of matches, against lists that use genes as often",
        },
        "Lists and terms draw their genes independently, both by one popularity: which genes stand in a list says "
        "nothing of its terms beyond how popular they are.",
        rates, (0.1, 0.25, 0.5), "share of the lists that have half of their genes from one term", 200, 60,
    ),
]  # fmt: skip
