"""The small published simulation: three regulators, five genes.

Formula: activity a ~ Poisson(2) and accessibility b ~ Bernoulli(.5, .1, .9), three of each; tf = a b; y = tf R.
Nine hidden variables stand behind data that a linear autoencoder 5-4-5 presses into four dimensions.

Source: Schuster 2025.
"""

import numpy as np
import torch

from cellprism.errors import ConfigError
from cellprism.simulate.world import HiddenVariable, World

RATE = 2.0
OPEN = (0.5, 0.1, 0.9)
REGULATION = ((0, 1, 1, 0, 0), (1, 1, 0, 1, 0), (0, 0, 0, 1, 1))


def small_world(samples: int = 12_000, seed: int = 0, noise: bool = False) -> World:
    """Samples of the small simulation.

    Args:
        samples: how many; published are 10,000 to learn from and 2,000 to judge on.
        seed: decides every draw.
        noise: draw Poisson counts around y, instead of y itself.

    Raises:
        ConfigError: no samples are asked for.
    """
    if samples < 1:
        raise ConfigError(f"samples is {samples}: expected at least 1")
    rng = np.random.default_rng([seed, 0])
    regulation = np.array(REGULATION, dtype=np.float64)
    activity = rng.poisson(RATE, (samples, len(OPEN))).astype(np.float64)
    accessibility = (rng.random((samples, len(OPEN))) < OPEN).astype(np.float64)
    tf = activity * accessibility
    y = tf @ regulation
    if noise:
        y = rng.poisson(y).astype(np.float64)
    hidden = (
        HiddenVariable("tf", "number", 1, tf),
        HiddenVariable("activity", "number", 2, activity),
        HiddenVariable("accessibility", "binary", 2, accessibility),
    )
    return World(torch.from_numpy(y).float(), hidden, {"regulation": regulation})
