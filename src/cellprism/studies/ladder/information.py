"""The most informative program of each list, features beside neurons (Fig. 1b of Yanovsky and Chernomoretz 2026).

- Small programs are informative by construction, and more lists or longer ones find more of them: all have lists of 20
  genes by one rule, and shares of pairs do not depend on how many lists there are.
- What features owe to the genes that they prefer shows in lists of genes that are in as many programs, put in their
  place (E1).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import mannwhitneyu

from cellprism.enrich.random_lists import popularity_lists
from cellprism.equations.units import unit_mean
from cellprism.studies.ladder.lists import ListsByRule
from cellprism.studies.ladder.score import Matched, Scorer
from cellprism.studies.ladder.tables import Information, Informed

PLAIN, NEURONS, NULL = "top20", "neurons", "popularity"
BINS = 24


def information(
    found: Mapping[str, Sequence[Matched]], lists: Sequence[ListsByRule], scorer: Scorer, draws: int, seed: int
) -> Information | None:
    """Features beside neurons and beside the null, or None where either matches nothing.

    Args:
        found: what lists of 20 genes match, by source and autoencoder.
        lists: the features', by autoencoder and rule.
        scorer: tests lists.
        draws: families of the null.
        seed: of the draws.
    """
    ours, neurons = found.get("features", []), found.get(NEURONS, [])
    if not ours or not neurons or not all(np.isfinite(one.best).any() for one in (*ours, neurons[0])):
        return None
    rng = range(draws)
    drawn = [scorer.matched(popularity_lists(lists[0][PLAIN], scorer.terms, [seed, 67, i])) for i in rng]
    null = [above(one.best, neurons[0].best) for one in drawn if np.isfinite(one.best).any()]
    if not null:
        return None
    each = np.array([above(one.best, neurons[0].best) for one in ours])
    spread = unit_mean(each - 0.5)
    edges = np.linspace(0, float(scorer.information.max()), BINS + 1)
    sources = [_informed(name, some, edges) for name, some in
               (("features", ours[:1]), (NEURONS, neurons[:1]), (NULL, drawn))]  # fmt: skip
    low, high = np.percentile(null, [2.5, 97.5])
    return Information(
        edges.tolist(), sources, min(ours[0].total, neurons[0].total), float(each.mean()),
        None if spread.interval is None else (0.5 + spread.interval[0], 0.5 + spread.interval[1]),
        float(mannwhitneyu(_matching(ours[0].best), _matching(neurons[0].best)).pvalue),
        float(np.mean(null)), (float(low), float(high)), draws,
    )  # fmt: skip


def above(a: Float[np.ndarray, " list"], b: Float[np.ndarray, " other"]) -> float:
    """Share of the pairs in which the first is larger, ties one half; of values that are numbers.

    Formula: U / (n m), U the Mann-Whitney statistic of n against m values.
    """
    a, b = _matching(a), _matching(b)
    return float(mannwhitneyu(a, b).statistic / (len(a) * len(b)))


def _matching(values: Float[np.ndarray, " list"]) -> Float[np.ndarray, " some"]:
    return values[np.isfinite(values)]


def _informed(name: str, found: Sequence[Matched], edges: np.ndarray) -> Informed:
    values = [_matching(one.best) for one in found]
    counts = np.mean([np.histogram(some, edges)[0] for some in values], axis=0)
    pooled = np.concatenate(values)
    matching = float(np.mean([np.isfinite(one.best).mean() for one in found]))
    return Informed(name, counts.tolist(), matching, float(np.median(pooled)) if len(pooled) else None)
