"""What edits that chance would make do to the genes on which a feature is judged."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.nulls import difference_of_means, moved_along, nearest_features, random_direction, shared_vector
from cellprism.steering.response import GeneGroup, Mirror, Sweep

RANDOM_FEATURE = "random feature"
RANDOM_DIRECTION = "random direction"
DIFFERENCE = "difference of means"


def feature_mirror(dose_cells: DoseCells, feature: int, distance: float) -> Mirror:
    """Effects of one feature at strengths 1 + d and 1 - d."""
    return Mirror(*(dose_cells.feature_effect(feature, 1 + sign * distance).read for sign in (1, -1)))


def null_table(
    dose_cells: DoseCells,
    sweep: Sweep,
    distance: float,
    group: Bool[np.ndarray, " cell"] | None,
    per_gene: int,
    replicates: int,
    seed: int,
) -> pd.DataFrame:
    """Responses to other edits of the same norm.

    Columns: feature; kind (random feature, random direction, difference of means); replicate; matched_control (the
    random feature, -1 otherwise); response (of the feature's own genes), held_out (of the held-out ones),
    antisymmetry; its_own (response of as many genes as the feature has, those at which the *random* feature
    is strongest: what any feature does to its own genes).
    """
    feature, own, held_out = sweep.feature, sweep.own, sweep.held_out
    rows = []
    for kind, replicate, matched_control, mirror in _edits(dose_cells, feature, distance, group, replicates, seed):
        its_own = np.nan
        if matched_control >= 0:
            strongest = dose_cells.strongest(matched_control, own.chosen.size)
            its_own = mirror.response(GeneGroup.of(strongest, strongest, dose_cells.level, per_gene))
        rows.append(
            {
                "feature": feature,
                "kind": kind,
                "replicate": replicate,
                "matched_control": matched_control,
                "response": mirror.response(own),
                "held_out": mirror.response(held_out) if held_out else np.nan,
                "antisymmetry": mirror.antisymmetry(),
                "its_own": its_own,
            }
        )
    return pd.DataFrame(rows)


def _edits(
    dose_cells: DoseCells,
    feature: int,
    distance: float,
    group: Bool[np.ndarray, " cell"] | None,
    replicates: int,
    seed: int,
) -> Iterator[tuple[str, int, int, Mirror]]:
    """Kind, replicate, matched control and effects of every edit that a feature is compared with."""
    rng = np.random.default_rng(seed)
    everything = np.arange(dose_cells.cache.n_features)
    controls: Int[np.ndarray, " some"] = nearest_features(
        dose_cells.firing, dose_cells.squared_norm, feature, everything, replicates
    )
    for i, other in enumerate(controls):
        scaled = distance * float(np.sqrt(dose_cells.squared_norm[feature] / dose_cells.squared_norm[other]))
        yield RANDOM_FEATURE, i, int(other), feature_mirror(dose_cells, int(other), scaled)
    for i in range(replicates):
        direction = random_direction(dose_cells.cache, rng)
        ends = (dose_cells.direction_effect(feature, 1 + sign * distance, direction).read for sign in (1, -1))
        yield RANDOM_DIRECTION, i, -1, Mirror(*ends)
    if group is not None:
        yield DIFFERENCE, 0, -1, _difference_mirror(dose_cells, group, dose_cells.edit_norm(feature, 1 + distance))


def _difference_mirror(dose_cells: DoseCells, group: Bool[np.ndarray, " cell"], norm: float) -> Mirror:
    """Effects of adding and of subtracting the mean residual of a group minus that of all other cells, at a
    norm."""
    rows = np.arange(dose_cells.n_cells)
    per_gene = difference_of_means(dose_cells.cache, np.flatnonzero(~group), np.flatnonzero(group))
    vectors = shared_vector(dose_cells.cache, per_gene, rows)
    ends = (dose_cells.effect(moved_along(dose_cells.cache, rows, sign * vectors, norm)).read for sign in (1, -1))
    return Mirror(*ends)
