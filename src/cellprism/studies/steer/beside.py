"""What a steered feature stands beside: features of random dictionaries, chosen as it was, and lists of other features.

Notable choices

- The dictionaries are normal directions with the covariance of the residuals (``features.dictionaries``), as wide as
  the autoencoder and as sparse. Their features get lists, and these lists programs, by the rules of the run's own: same
  cells, same genes, same test, and the same rule says which of them are strong where their genes are low.
- A feature that was found for a program is the best of its dictionary for it. So are its controls, each for another
  program. A feature that somebody asked for by number stands beside all features: those with a program where it has
  one, those without where it has none.
- Features whose lists match the steered feature's own program, best or not, are no controls, nor are their lists.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData

from cellprism.enrich.labels import best_terms
from cellprism.enrich.list_rules import Directions, own_lists
from cellprism.enrich.programs import best_features
from cellprism.enrich.signs import signs
from cellprism.features.collect import feature_statistics
from cellprism.features.dictionaries import PursuitAutoencoder, control_dictionary, sampled_tokens, with_centre
from cellprism.steering.dose_nulls import Beside, Control
from cellprism.studies.programs.tables import Programs, lists_of
from cellprism.studies.programs.work import Lists, list_background, tested
from cellprism.studies.workbench import Workbench

DICTIONARIES = 3
GIVING, ATOMS = 200, 8192  # cells, and about how many of their tokens, that give the covariance; more for wide ones


@dataclass(frozen=True, eq=False)
class Described:
    """The features of one dictionary, by the run's own rules."""

    lists: Lists
    table: pd.DataFrame
    """Lists and terms, from ``over_representation``."""
    genes: AnnData
    """Features x genes."""
    low: frozenset[str] = frozenset()
    """Features that are strong where their genes are low."""

    def padj(self, alpha: float) -> dict[str, float]:
        """q of each feature's best program; 1 where it shares no gene with any."""
        best = best_terms(self.table, list(self.lists), alpha)
        return dict(zip(best["feature"], best["best_padj"].astype(float), strict=True))

    def matching(self, term: str, alpha: float) -> set[str]:
        """Features whose lists match a term."""
        return set(self.table.query("term == @term and padj < @alpha")["feature"])


def beside(
    bench: Workbench, programs: Programs, terms: Mapping[int, str], by_program: bool, features: Sequence[int]
) -> Beside:
    """Controls and lists for some features.

    Args:
        bench: the run.
        programs: its features and their programs.
        terms: feature -> its program's term, empty where it has none.
        by_program: whether features were found for these programs, or asked for by number.
        features: those that want controls.
    """
    alpha = bench.settings("programs").alpha
    collection = bench.collection(bench.settings("programs").collection)
    dictionaries = random_dictionaries(bench)
    described = [described_by(bench, dictionary) for dictionary in dictionaries]
    controls = partial(controls_of, described, collection, set(bench.cells.var_names), alpha, by_program)
    return Beside(
        dictionaries,
        {feature: controls(terms[feature]) for feature in features},
        {feature: other_lists(programs, feature, terms[feature], alpha) for feature in features},
    )


def random_dictionaries(bench: Workbench) -> list[PursuitAutoencoder]:
    """Dictionaries with the covariance of the run's residuals, for vectors as the model makes them."""
    sae, tokens, seed = bench.sae, bench.tokens, bench.config.seed
    some = np.random.default_rng([seed, 37]).permutation(np.flatnonzero(tokens.counts))[:GIVING]
    sample = sampled_tokens(tokens, sae, np.sort(some), -(-max(ATOMS, 2 * sae.n_features) // len(some)), seed)
    return [
        with_centre(control_dictionary("covariance", sample, sae, seed + number), sae) for number in range(DICTIONARIES)
    ]


def described_by(bench: Workbench, dictionary: PursuitAutoencoder) -> Described:
    """The features of a dictionary, by the rules of the run's own."""
    settings, cells = bench.settings("programs"), bench.cells
    found = feature_statistics(bench.model, dictionary, cells, bench.config.layer, tokens=bench.tokens)
    background = list_background(found.genes, cells, settings.gene_filter)
    lists = own_lists(Directions(found.genes, found.cells, cells), settings.rule, background)
    sign = signs(found.cells, cells, lists, settings.alpha)["sign"]
    low = frozenset(name for name, side in zip(found.cells.var_names, sign, strict=True) if side == "low")
    return Described(lists, tested(lists, bench, settings, background), found.genes, low)


def controls_of(
    described: Sequence[Described],
    collection: Mapping[str, Iterable[str]],
    measured: set[str],
    alpha: float,
    by_program: bool,
    term: str,
) -> list[Control]:
    """Features that were chosen as one of a program was, none of which matches it."""
    found = []
    for number, one in enumerate(described):
        if by_program:
            best = best_features(one.table, collection, one.genes, alpha)
            of = {feature: its for its, feature in reversed(best.items())}  # where it is best for several, the first
        else:
            labels = best_terms(one.table, list(one.lists), alpha)
            of = {
                f: its for f, its in zip(labels["feature"], labels["best_term"], strict=True) if bool(its) == bool(term)
            }
        same = one.matching(term, alpha)
        for feature, its in of.items():
            own = one.lists[feature]
            if feature not in same and own:
                others = tuple(g for g in collection[its] if g in measured and g not in own) if its else ()
                found.append(Control(number, int(feature), its, own, others, feature in one.low))
    return found


def other_lists(programs: Programs, feature: int, term: str, alpha: float) -> list[tuple[str, ...]]:
    """Lists of other features that match another program, or none where the feature has none."""
    lists, table = lists_of(programs), programs.enrichment
    matching = table[table["padj"] < alpha]
    same = set(matching.loc[matching["term"] == term, "feature"])
    some = set(matching["feature"]) if term else set(lists) - set(matching["feature"])
    return [genes for name, genes in lists.items() if name in some - same - {str(feature)} and genes]
