"""Compare the run's autoencoder, feature by feature, with those of other seeds and of other cells.

Notable choices

- Gene profiles are read on the same cells for all, with the decoders' directions alone: every dictionary, trained or
  drawn, is used by a matching pursuit with as many features a token, so that only the directions differ.
- A feature that no other training finds again may still lie in what a few features of it span together; that is
  asked of directions alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float

from cellprism.cells.datasets import DATASETS
from cellprism.cells.read import read_cells
from cellprism.equations.effects import permutation_p
from cellprism.features.dictionaries import (
    TokenSample,
    control_dictionary,
    explained,
    sampled_tokens,
    trained_dictionary,
    with_centre,
)
from cellprism.features.reappearance import (
    Match,
    Portrait,
    consensus,
    exceeds,
    exchanged_shares,
    matched,
    mean_cosine,
    rebuilt,
)
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.place import as_given
from cellprism.studies.adds.halves import Halves
from cellprism.studies.adds.reading import portrait
from cellprism.studies.programs.seeds import further_autoencoders, trained_alike
from cellprism.studies.programs.tables import signed_term
from cellprism.studies.stability.settings import StabilitySettings
from cellprism.studies.stability.tables import FEATURE_COLUMNS, GRADES, Again, Agreement, Consensus, Stability
from cellprism.studies.workbench import Workbench

LEVEL = 0.05
ATOMS = 3
TOKENS = 8192  # at least, whose covariance directions are drawn with
PERMUTATIONS = 999


@torch.no_grad()
def work(bench: Workbench, settings: StabilitySettings) -> Stability:
    """Grade every feature of the run's autoencoder."""
    programs = _programs(bench)
    if bench.sae.is_transcoder:
        blank = dict.fromkeys(FEATURE_COLUMNS, np.nan) | {"grade": "", "feature": np.arange(len(programs))}
        return Stability(None, pd.DataFrame({**blank, "program": programs}))
    cells = _cells(bench, settings.cells)
    per_cell = -(-max(TOKENS, 2 * bench.sae.n_features) // len(cells.rows))
    sample = sampled_tokens(bench.tokens, bench.sae, cells.rows, per_cell, bench.config.seed)
    own = _trained(bench, bench.sae, cells)
    saes = further_autoencoders(bench, settings.seeds - 1)
    there = [_trained(bench, sae, cells) for sae in saes]
    drawn = list(_drawn(bench, settings.draws, sample, cells))
    beside = Beside(own, drawn, bench.config.seed)
    again, found, matches = beside.again(there)
    subspace, parts, chance_parts = beside.rebuilt(there)
    elsewhere, found_elsewhere = _elsewhere(bench, settings, cells, beside)
    grades = graded(beside.fires, found.mean(axis=0), subspace.mean(axis=0))
    counted = {grade: int((grades == grade).sum()) for grade in GRADES}
    agreement = Agreement(
        [bench.config.seed + i for i in range(settings.seeds)], len(cells.rows), settings.draws, LEVEL, ATOMS,
        int(beside.fires.sum()), counted, again, elsewhere, _name(bench, settings.other),
        _consensus(bench, [bench.sae, *saes], sample, consensus(own, there, matches, found)),
    )  # fmt: skip
    columns = (
        np.arange(len(grades)), grades, found.mean(axis=0), subspace.mean(axis=0),
        *(np.mean([getattr(match, name) for match in matches], axis=0) for name in ("cosine", "profile", "likeness")),
        beside.chance, parts.mean(axis=0), chance_parts, found_elsewhere, programs,
    )  # fmt: skip
    return Stability(agreement, pd.DataFrame(dict(zip(FEATURE_COLUMNS, columns, strict=True))))


def _programs(bench: Workbench) -> list[str]:
    """Of each feature, its program with its sign, where it has one."""
    table = bench.results("programs").features.sort_values("feature")
    return [signed_term(term, sign) for term, sign in zip(table["best_term"], table["sign"], strict=True)]


def graded(
    fires: Bool[np.ndarray, " feature"], alone: Float[np.ndarray, " feature"], together: Float[np.ndarray, " feature"]
) -> np.ndarray:
    """Grades from the shares of other trainings that find a feature again, alone and as a mixture."""
    return np.where(~fires, "", np.where(alone >= 0.5, "A", np.where(together >= 0.5, "B", "C")))


class Beside:
    """The run's dictionary beside drawn ones, against which others are held.

    Args:
        own: the run's.
        drawn: dictionaries that nobody trained.
        seed: decides permutations.
    """

    def __init__(self, own: Portrait, drawn: Sequence[Portrait], seed: int):
        self.own, self.drawn, self.seed = own, drawn, seed
        self.fires: Bool[np.ndarray, " feature"] = np.ptp(own.profiles, axis=1) > 0
        self.likeness = np.stack([matched(own, other).likeness for other in drawn])
        self.chance = np.quantile(self.likeness, 1 - LEVEL, axis=0)
        self.chance_cosine = float(np.mean([mean_cosine(own, other) for other in drawn]))
        self.chance_rebuilt = np.stack([rebuilt(own.directions, other.directions, ATOMS) for other in drawn])

    def again(self, others: Sequence[Portrait]) -> tuple[Again, Bool[np.ndarray, "training feature"], list[Match]]:
        """What others find again, each feature in each of them, and the matches."""
        matches = [matched(self.own, other) for other in others]
        values = np.stack([match.likeness for match in matches])
        found = exceeds(values, self.likeness, LEVEL) & self.fires
        rng = np.random.default_rng([self.seed, 67])
        shares = [float(one[self.fires].mean()) for one in found] if self.fires.any() else [0.0] * len(found)
        chance = exchanged_shares(
            values[:, self.fires], self.likeness[:, self.fires], LEVEL, PERMUTATIONS, rng
        ) if self.fires.any() else np.zeros(PERMUTATIONS)  # fmt: skip
        low, high = np.percentile(chance, [2.5, 97.5])
        share = float(np.mean(shares))
        cosine = float(np.mean([mean_cosine(self.own, other) for other in others]))
        row = Again(
            shares, share, float(chance.mean()), (float(low), float(high)), permutation_p(share, chance), PERMUTATIONS,
            cosine, self.chance_cosine,
        )  # fmt: skip
        return row, found, matches

    def rebuilt(
        self, others: Sequence[Portrait]
    ) -> tuple[Bool[np.ndarray, "training feature"], np.ndarray, Float[np.ndarray, " feature"]]:
        """Where a few directions of another rebuild one beyond chance; the shares rebuilt; what chance exceeds."""
        parts = np.stack([rebuilt(self.own.directions, other.directions, ATOMS) for other in others])
        return exceeds(parts, self.chance_rebuilt, LEVEL), parts, np.quantile(self.chance_rebuilt, 1 - LEVEL, axis=0)


def _trained(bench: Workbench, sae: SparseAutoencoder, cells: Halves) -> Portrait:
    return portrait(bench.tokens, with_centre(trained_dictionary(sae), sae), cells)


def _cells(bench: Workbench, count: int) -> Halves:
    """Random cells that have tokens, all in one part."""
    rng = np.random.default_rng([bench.config.seed, 61])
    rows = np.sort(rng.permutation(np.flatnonzero(bench.tokens.counts))[:count])
    return Halves(rows, bench.cells[rows].copy(), np.ones(len(rows), dtype=bool), False)


def _drawn(bench: Workbench, draws: int, sample: TokenSample, cells: Halves) -> Iterator[Portrait]:
    """Dictionaries with the covariance of the tokens."""
    with bench.bar("drawing dictionaries", draws) as advance:
        for number in range(draws):
            dictionary = control_dictionary("covariance", sample, bench.sae, 1000 * bench.config.seed + number)
            yield portrait(bench.tokens, with_centre(dictionary, bench.sae), cells)
            advance(number + 1)


def _elsewhere(
    bench: Workbench, settings: StabilitySettings, cells: Halves, beside: Beside
) -> tuple[Again | None, Float[np.ndarray, " feature"]]:
    """What autoencoders find again that were trained on other cells; nothing without."""
    if not settings.other:
        return None, np.full(len(beside.fires), np.nan)
    other = read_cells(settings.other, bench.model)
    saes = trained_alike(bench, other, range(settings.seeds))
    row, found, _ = beside.again([_trained(bench, sae, cells) for sae in saes])
    return row, found.mean(axis=0)


def _name(bench: Workbench, source: str) -> str:
    return source if source in DATASETS or not source else as_given(source, bench.folder)


def _consensus(
    bench: Workbench, saes: Sequence[SparseAutoencoder], sample: TokenSample, rows: Float[np.ndarray, "feature d_model"]
) -> Consensus | None:
    if not sample.varies:
        return None
    ours = trained_dictionary(bench.sae)
    W = torch.from_numpy(rows).to(ours.W_dec)
    mean = replace(ours, W_enc=W.T.contiguous(), W_dec=W)
    assert ours.k is not None, "pursuits have a number of steps"
    own = [explained(trained_dictionary(sae), sample) for sae in saes]
    return Consensus(explained(mean, sample), own, len(sample.x), ours.k)
