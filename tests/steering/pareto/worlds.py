"""Worlds in which the trade between both objectives is known.

- *Agreeing*: every gene has a token and a feature of its own; the embedding is the mean over tokens, so that both
  objectives ask the same of every feature.
- *Conflicting*: genes 3 and 11 share one direction and one feature, which multiplies both. Gene 3 is three times as
  strong in the target, gene 11 half as strong. The embedding sees their sum; expression is asked of gene 11 alone.
"""

from dataclasses import replace

import numpy as np
import torch

from cellprism.steering.contrast.cell_split import split_types
from cellprism.steering.contrast.objective import Aim, ContrastProblem
from cellprism.steering.pareto.joint import JointProblem
from cellprism.steering.settings import ContrastSettings
from cellprism.steering.site_cache import read_site_cache
from steering.planted import PlantedModel, planted_cells, planted_sae

ROSE, FELL = 3, 11
SEARCH = ContrastSettings(
    penalties=9, smallest_penalty=1e-4, iterations=60, n_genes=4, null_replicates=3, random_edits=3, resamples=49
)


def conflicting():
    """Cells of the world, their split, and its model."""
    model = PlantedModel()
    model.rows = model.rows.clone()
    model.rows[FELL] = model.rows[ROSE]
    sae = planted_sae(model)
    W_enc = sae.W_enc.clone()
    W_enc[:, FELL] = 0  # what would fire at both genes with the other
    sae = replace(sae, W_enc=W_enc)
    adata = planted_cells({ROSE: 3.0, FELL: 0.5}, noise=0.0)
    _, parts = split_types(adata, "helper", "killer", "cell_type", None, 400, 0)
    return read_site_cache(model, sae, adata, 1, 64), parts


def conflicting_problem(cache, parts) -> JointProblem:
    """Both objectives of the training cells, expression at gene 11 alone."""
    means = [cache.baseline.part(rows) for rows in (parts.train.source, parts.train.target)]
    embedding, values = ([torch.from_numpy(getattr(m, n).mean(axis=0)).float() for m in means]
                         for n in ("embedding", "values"))  # fmt: skip
    latent = Aim(*embedding, torch.ones(cache.model.d_model))
    expression = Aim(*(v[[FELL]] for v in values), torch.ones(1), torch.tensor([FELL]))
    problems = [ContrastProblem(cache, parts.train.source[:5], aim) for aim in (latent, expression)]
    still = torch.ones(cache.n_features)
    return JointProblem(*problems, (problems[0].loss(still), problems[1].loss(still)), 0.5)


def wanted(cache, parts) -> tuple[float, float]:
    """Strengths of the shared feature at which the embedding, and gene 11, arrive."""
    values = cache.baseline.values[parts.train.source].mean(axis=0)
    rose, fell = values[ROSE], values[FELL]
    return (3 * rose + 0.5 * fell) / (rose + fell), 0.5


def known_strength(weight: float, a: float, b: float) -> float:
    """Where (1 - w) (x - a)^2 / (a - 1)^2 + w (x - b)^2 / (b - 1)^2 is least."""
    one, other = (1 - weight) / (a - 1) ** 2, weight / (b - 1) ** 2
    return (one * a + other * b) / (one + other)


def gains_at(strength: float, a: float, b: float) -> np.ndarray:
    """Gain of either objective at a strength."""
    return np.array([1 - (strength - x) ** 2 / (x - 1) ** 2 for x in (a, b)])
