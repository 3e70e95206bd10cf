"""What features do to their own genes, and how that goes with what describes them, beside dictionaries that nobody
trained.

Notable choices

- Everything is asked of the features of every dictionary alike: which fire in enough cells, how they are described,
  what they do to their genes. So the autoencoder, if it were one more such dictionary, would be one among equals, and
  what all its features say together is judged among dictionaries (``equations.exchangeable``). It is read by its
  own encoder, they by pursuit, as wherever features are steered.
- A feature stands beside those features of untrained dictionaries that are most like it in firing rate, size of the
  edit, length of the list and level of its genes; their responses are scaled to its edit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import false_discovery_control, spearmanr

from cellprism.equations.effects import LEVEL, permutation_p
from cellprism.equations.exchangeable import one_among
from cellprism.equations.ratio import varies
from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.response import GeneGroup
from cellprism.steering.screen.scalars import group_weights
from cellprism.studies.screen.tables import Standing

MATCHES = 5  # other genes of the same level for each own gene
FAR = 5.0 - 1  # from strength 1 to the strength of which responses are told
MEASURES = ["firing", "edit", "length", "level"]
"""What features are matched on: logarithms of firing rate, edit and length of the list, mean level of its genes."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """The features of one dictionary that fire in enough cells, in one order everywhere."""

    features: Int[np.ndarray, " feature"]
    measures: Float[np.ndarray, "feature measure"]
    """NaN where the list has no gene of which the model speaks."""
    response: Float[np.ndarray, " feature"]
    """Change of the own genes against matched ones, at strength 5, in the direction that each feature stands for."""
    described: Float[np.ndarray, " feature"]
    """-log10 q of the best program."""
    effect: Float[np.ndarray, " feature"]
    """Root mean square change of all genes per unit of strength, over the size of such an edit."""


def dictionary_of(
    dose_cells: DoseCells,
    matrix: Float[np.ndarray, "feature gene"],
    features: Sequence[int],
    lists: Mapping[str, Sequence[str]],
    padj: Mapping[int, float],
    low: frozenset[str],
) -> Dictionary:
    """Features of a dictionary as they are compared.

    Args:
        dose_cells: the cells as the dictionary reads them.
        matrix: change of each gene per unit of each feature's strength.
        features: of the matrix's rows.
        lists: gene list of each feature, by its number as text.
        padj: q of each feature's best program.
        low: features that are strong where their genes are low.
    """
    level, genes = dose_cells.level, dose_cells.cache.genes
    rows = {name: np.full(len(features), np.nan) for name in ("response", *MEASURES)}
    for row, feature in enumerate(features):
        size = dose_cells.edit_size(feature)
        place = genes.get_indexer(pd.Index(list(lists.get(str(feature), ())), dtype=object))
        own = np.unique(place[place >= 0])
        if not own.size:
            continue
        group = GeneGroup.of(own, own, level, MATCHES)
        sign = -1 if str(feature) in low else 1
        rows["response"][row] = FAR * sign * (matrix[row] @ group_weights(group, len(level)))
        measured = (np.log(dose_cells.firing[feature]), np.log(size), np.log(own.size), level[own].mean())
        for name, value in zip(MEASURES, measured, strict=True):
            rows[name][row] = value
    sizes = np.array([dose_cells.edit_size(feature) for feature in features])
    q = np.array([padj.get(feature, 1.0) for feature in features])
    return Dictionary(
        np.asarray(features, dtype=np.int64),
        np.stack([rows[name] for name in MEASURES], axis=1),
        rows["response"],
        np.abs(np.log10(np.maximum(q, np.finfo(float).tiny))),
        np.sqrt((matrix**2).mean(axis=1)) / sizes,
    )


def beside_controls(ours: Dictionary, others: Sequence[Dictionary], count: int) -> pd.DataFrame:
    """What each feature's own genes do beside those of the features of other dictionaries that are most like it.

    Returns: A row a feature: control (mean), control_low, control_high (95 %), p (two-sided) and q (Benjamini-Hochberg
    over the features); missing values where there is nothing to compare.
    """
    measures = np.concatenate([one.measures for one in others]) if others else np.empty((0, len(MEASURES)))
    response = np.concatenate([one.response for one in others]) if others else np.empty(0)
    there = np.isfinite(response) & np.isfinite(measures).all(axis=1)
    measures, response = measures[there], response[there]
    edit = MEASURES.index("edit")
    scale = np.where(varies(measures), measures.std(axis=0), 1) if len(measures) else np.ones(len(MEASURES))
    found = np.full((len(ours.features), 4), np.nan)
    for row, (own, value) in enumerate(zip(ours.measures, ours.response, strict=True)):
        if not len(measures) or not np.isfinite(value):
            continue
        nearest = np.argsort((((measures - own) / scale) ** 2).sum(axis=1), kind="stable")[:count]
        drawn = response[nearest] * np.exp(own[edit] - measures[nearest, edit])
        low, high = np.quantile(drawn, [0.025, 0.975])
        found[row] = drawn.mean(), low, high, permutation_p(float(value), drawn)
    table = pd.DataFrame(found, columns=pd.Index(["control", "control_low", "control_high", "p"]))
    told = table["p"].notna().to_numpy()
    q = np.full(len(table), np.nan)
    if told.any():
        q[told] = false_discovery_control(table.loc[told, "p"].to_numpy())
    return table.assign(q=q)


def share_beyond(one: Dictionary, others: Sequence[Dictionary], count: int) -> float:
    """Share of a dictionary's features whose own genes go beyond those of their controls, each at p <= .05 two-sided;
    NaN where none can be told."""
    table = beside_controls(one, others, count)
    told = table["p"].notna().to_numpy()
    beyond = (table["p"] <= LEVEL).to_numpy() & (one.response > table["control"].to_numpy())
    return float(beyond[told].mean()) if told.any() else np.nan


def describes(one: Dictionary) -> float:
    """Rank correlation, over features, of how well a feature is described and how much it does; NaN where either does
    not vary."""
    if len(one.features) < 3 or not varies(np.stack([one.described, one.effect], axis=1)).all():
        return np.nan
    return float(np.asarray(spearmanr(one.described, one.effect))[0])


def standing(kind: str, value: float, others: Sequence[float]) -> Standing | None:
    """A number of the autoencoder beside the same of dictionaries of one kind; None where it has none."""
    there = [float(other) for other in others if np.isfinite(other)]
    if not np.isfinite(value) or not there:
        return None
    found = one_among(value, there)
    told = np.isfinite(found.half)
    return Standing(
        kind, float(value), found.mean,
        (found.mean - found.half, found.mean + found.half) if told else None,
        (value - found.half, value + found.half) if told else None,
        found.p if np.isfinite(found.p) else None, len(there),
    )  # fmt: skip
