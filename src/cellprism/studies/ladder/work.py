"""Every rung of the ladder beside the run's autoencoder and those of other seeds, under every list rule.

- All rungs of a rule have the features' rule, number and sizes of lists. Rates are means over lists, so that of rungs
  with other numbers of lists the rate of all is that of as many, on average over all choices.
- The seed is the unit: each autoencoder stands beside a control of its own, trained from the same seed or drawn for its
  lists; neurons and principal components are the same for all.
- The headline is the excess over the hardest fair rung. It was found among several, which its interval knows
  (``equations.least``).
- A rung that the run cannot have, or that has no lists under a rule, is named with the reason.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cellprism.enrich.list_rules import Directions, Lists
from cellprism.errors import InputError
from cellprism.features.dictionaries import sampled_tokens
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.ladder.compare import Draws, made_rung, paired, result_of
from cellprism.studies.ladder.information import PLAIN, information
from cellprism.studies.ladder.labels import DRAWN, OWN, RUNGS, few, unfair
from cellprism.studies.ladder.lists import ListsByRule, lists_by_rule, sizes_of
from cellprism.studies.ladder.ratios import BESIDE, EDGES, ratios, token_directions
from cellprism.studies.ladder.rungs import Site, rung_directions
from cellprism.studies.ladder.score import Matched, Scorer
from cellprism.studies.ladder.settings import LadderSettings
from cellprism.studies.ladder.tables import Absent, Ladder, RuleResult, Rung
from cellprism.studies.ladder.trained import directions
from cellprism.studies.ladder.user_programs import brought
from cellprism.studies.programs.gene_lists import list_background
from cellprism.studies.programs.seeds import further_autoencoders
from cellprism.studies.workbench import Workbench

INFORMED = 99  # families of the null whose most informative programs are shown
TOKENS = 1 << 14  # that components and clusters are learned from, at least; more for wide autoencoders


class Features:
    """The run's features, and those of further autoencoders, with their lists.

    Args:
        bench: the run.
        settings: of the ladder.
    """

    def __init__(self, bench: Workbench, settings: LadderSettings):
        own = directions(bench, bench.sae)
        assert own.genes is not None, "an autoencoder has a place among genes"
        self.tested = bench.settings("programs")
        self.background = list_background(own.genes, bench.cells, self.tested.gene_filter)
        self.rules = list(settings.rules)
        if _brought(settings):  # what cannot be used is refused before anything is trained
            brought(bench.cells, self.background, settings.cell_programs, settings.gene_programs)
        self.own, self.lists, self.saes = own, [], []
        for i, sae in enumerate([bench.sae, *further_autoencoders(bench, settings.seeds - 1)]):
            found = directions(bench, sae) if i else own
            self.lists.append(lists_by_rule(found, self.rules, self.background))
            self.saes.append(_with_rates(sae, found))

    @property
    def made(self) -> list[str]:
        """Rules by which every autoencoder has lists."""
        return [rule for rule in self.rules if all(one[rule] for one in self.lists)]

    def sizes(self, number: int) -> np.ndarray:
        """Lengths of an autoencoder's lists by participation ratio."""
        return sizes_of(self.lists[number].get("participation", {}))


def work(bench: Workbench, settings: LadderSettings) -> Ladder:
    """Measure every rung beside every autoencoder."""
    with bench.bar("features of every seed", None):
        features = Features(bench, settings)
    tested, seed = features.tested, bench.config.seed
    collection = bench.collection(tested.collection)
    scorer = Scorer(collection, features.background, tested.min_term_size, tested.family, tested.alpha)
    draws = Draws(collection, features.background, bench.cells, tested, settings.replicates, seed, bench.modules)
    climb = Climb(bench, settings, features, scorer, draws)
    for rung in [name for name in RUNGS if name in settings.rungs] + [OWN] * bool(_brought(settings)):
        with bench.bar(f"ladder: {RUNGS[rung].short if rung in RUNGS else _brought(settings)}", None):
            climb.drawn(rung) if rung in DRAWN else climb.made(rung)
    climb.spread["features"], climb.spread["tokens"] = features.own, token_directions(bench, climb.site)
    return Ladder(
        [seed + i for i in range(settings.seeds)], bench.cells.n_obs, bench.sae.n_features, collection.name,
        len(scorer.terms.names), len(features.background), tested.family, tested.alpha, settings.replicates,
        _brought(settings), [climb.result(rule) for rule in features.made], climb.absent,
        [rule for rule in features.rules if rule not in features.made], EDGES,
        ratios(climb.spread, features.background),
        information(climb.best, features.lists, scorer, min(settings.replicates, INFORMED), seed),
    )  # fmt: skip


class Climb:
    """What was found so far, rung by rung.

    Args:
        bench: the run.
        settings: of the ladder.
        features: the run's features.
        scorer: tests lists.
        draws: draws them.
    """

    def __init__(self, bench: Workbench, settings: LadderSettings, features: Features, scorer: Scorer, draws: Draws):
        self.bench, self.settings, self.features, self.scorer, self.draws = bench, settings, features, scorer, draws
        self.by_cell = not bench.tokens.are_genes
        self.ours = [{rule: scorer.matched(by_rule[rule]) for rule in features.made} for by_rule in features.lists]
        sae, rows = bench.sae, np.flatnonzero(bench.tokens.counts)
        per_cell = -(-max(TOKENS, 2 * sae.n_features) // len(rows))
        sample = sampled_tokens(bench.tokens, sae, rows, per_cell, bench.config.seed)
        self.site = Site(bench, settings, features.saes, sample, features.background)
        self.rungs: dict[str, list[Rung]] = {rule: [] for rule in features.made}
        self.missing: dict[str, list[str]] = {rule: [] for rule in features.made}
        self.absent: list[Absent] = []
        self.spread: dict[str, Directions] = {}
        """Whose participation ratios are shown."""
        self.best: dict[str, list[Matched]] = {"features": [one[PLAIN] for one in self.ours if PLAIN in one]}
        """What lists of 20 genes match, by autoencoder."""

    def made(self, rung: str) -> None:
        """A rung with directions of its own."""
        lists: list[ListsByRule] = []
        last: list[Directions] = []
        try:
            for found in rung_directions(rung, self.site):
                if rung in BESIDE and not lists:
                    self.spread[rung] = found
                lists.append(self._lists(found, len(lists)))
                last = [found]
        except InputError as error:
            self.absent.append(Absent(rung, str(error)))
            return
        if len(lists) == 1:  # the same directions for all, of the sizes that each autoencoder's lists have
            lists += [self._lists(last[0], i) for i in range(1, len(self.ours))]
        most = max(len(some) for some in lists[0].values())
        for rule in self.rungs:
            self._add(rung, rule, [one[rule] for one in lists], few(len(lists[0][rule]), most))

    def _lists(self, found: Directions, number: int) -> ListsByRule:
        """Lists beside the autoencoder of this number."""
        return lists_by_rule(found, list(self.rungs), self.features.background, self.features.sizes(number))

    def _add(self, rung: str, rule: str, theirs: Sequence[Lists], why: str) -> None:
        ours = [one[rule] for one in self.features.lists]
        if not all(theirs):
            self.missing[rule].append(rung)
            return
        pairs = paired(self.scorer, ours, theirs, self.bench.config.seed)
        if rule == PLAIN:
            self.best[rung] = [b for _, b in pairs]
        self.rungs[rule].append(made_rung(rung, pairs, unfair(rung, rule, self.by_cell) or why))

    def drawn(self, rung: str) -> None:
        """A rung whose lists are drawn for each autoencoder's."""
        for rule, rungs in self.rungs.items():
            ours = [one[rule] for one in self.features.lists]
            rungs.append(self.draws.rung(rung, ours, unfair(rung, rule, self.by_cell)))

    def result(self, rule: str) -> RuleResult:
        """All rungs under a rule."""
        ours = [one[rule] for one in self.ours]
        return result_of(rule, ours, self.features.lists[0][rule], self.rungs[rule], self.missing[rule])


def _with_rates(sae: SparseAutoencoder, found: Directions) -> SparseAutoencoder:
    """With the share of tokens at which each feature fires, which controls of some architectures need."""
    assert found.genes is not None, "an autoencoder has a place among genes"
    rates = torch.from_numpy(np.asarray(found.genes.obs["firing_rate"], dtype=np.float32))
    return replace(sae, firing_rate=rates.to(sae.W_dec.device))


def _brought(settings: LadderSettings) -> str:
    """Name of the programs that somebody brings."""
    path = settings.cell_programs or settings.gene_programs
    return Path(path).name.partition(".")[0] if path else ""
