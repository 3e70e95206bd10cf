"""Features that are active in the same cells: their correlations, modules of them, and what chance makes of both."""

import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics import adjusted_rand_score

from cellprism.equations.ratio import varies
from cellprism.studies.map.graphs import NEAR, modules
from cellprism.studies.map.neighbours import Near, nearest
from cellprism.studies.map.tables import Modules

DRAWS = 5  # of features that are dealt out among the cells, each by itself

Activity = Float[np.ndarray, "cell feature"]


def standardised(activation: Activity) -> Activity:
    """Each feature over cells with mean 0 and length 1, so that products are correlations; 0 where it does not vary."""
    centred = activation - activation.mean(axis=0)
    length = np.sqrt(np.square(centred).sum(axis=0))
    scale = np.divide(1, length, out=np.zeros_like(length), where=varies(activation) & (length > 0))
    return (centred * scale).astype(np.float32)


def near_by_activity(z: Activity, count: int) -> Near:
    """The features that correlate most with each over cells; ``z`` from ``standardised``."""
    return nearest(lambda some: z[:, some].T @ z, z.shape[1], min(count, z.shape[1] - 1))


def modules_of(activation: Activity, resolution: float, seed: int) -> tuple[Int[np.ndarray, " feature"], Modules]:
    """Modules of features, and how firm they are.

    Args:
        activation: mean activation [cell feature], features that fire.
        resolution: larger makes more and smaller modules.
        seed: of every choice.
    """
    found, modularity = _modules(activation, resolution, seed)
    counts = np.bincount(found)
    rng = np.random.default_rng([seed, 79])
    halves = _halves(activation, resolution, seed, rng)
    chance, chance_halves = [], []
    for _ in range(DRAWS):
        shuffled = rng.permuted(activation, axis=0)
        chance.append(_modules(shuffled, resolution, seed)[1])
        chance_halves.append(_halves(shuffled, resolution, seed, rng))
    return found, Modules(
        int((counts > 1).sum()), int(counts.max()), modularity, float(np.mean(chance)), halves,
        float(np.mean(chance_halves)), DRAWS,
    )  # fmt: skip


def _modules(activation: Activity, resolution: float, seed: int) -> tuple[Int[np.ndarray, " feature"], float]:
    near = near_by_activity(standardised(activation), NEAR)
    return modules(near.index, near.value, resolution, seed)


def _halves(activation: Activity, resolution: float, seed: int, rng: np.random.Generator) -> float:
    """Agreement of the modules of two halves of the cells, over features that vary in both."""
    first = rng.permutation(len(activation)) < len(activation) // 2
    both = varies(activation[first]) & varies(activation[~first])
    if both.sum() < 2:
        return 0.0
    one, other = (_modules(activation[half][:, both], resolution, seed)[0] for half in (first, ~first))
    return float(adjusted_rand_score(one, other))
