"""The claim that a trained dictionary explains more than directions that nobody trained."""

import numpy as np
import torch
from torch.nn.functional import normalize

from calibration.world import World
from cellprism.features.dictionaries import TokenSample, control_dictionary
from cellprism.report.claims import Null, judgement
from cellprism.report.verdict import FEWEST_DRAWS
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.fit.beside import beside

D_MODEL, ATOMS, ACTIVE, TOKENS = 12, 48, 3, 240


def fit(seed: int, size: float) -> dict[str, str]:
    """Explained variance of a dictionary, part random and part the truth, beside random ones."""
    rng = np.random.default_rng([seed, 4])
    truth = normalize(torch.from_numpy(rng.standard_normal((ATOMS, D_MODEL))).float(), dim=1)
    giving, judging = (_tokens(rng, truth) for _ in range(2))
    shape = SparseAutoencoder(truth.T.contiguous(), torch.zeros(ATOMS), truth, torch.zeros(D_MODEL), k=ACTIVE)
    drawn = control_dictionary(
        "covariance", giving, shape, 1000 + seed
    )  # as controls are, which have seeds from seed on
    rows = normalize((1 - size) * drawn.W_dec + size * truth, dim=1)
    ours = SparseAutoencoder(rows.T.contiguous(), torch.zeros(ATOMS), rows, drawn.b_dec, k=ACTIVE)
    found = beside(ours, giving, judging, FEWEST_DRAWS, seed)
    row = next(row for row in found.rows if row.kind == "covariance")
    null = Null("", row.explained, row.interval, row.p, row.draws)
    return {"covariance": judgement(found.trained, None, null, ".1%").verdict}


def _tokens(rng: np.random.Generator, truth: torch.Tensor) -> TokenSample:
    """Vectors of three of 48 directions in 12 dimensions."""
    which = np.argsort(rng.random((TOKENS, ATOMS)), axis=1)[:, :ACTIVE]
    code = torch.from_numpy(rng.uniform(0.5, 1.5, (TOKENS, ACTIVE, 1))).float()
    return TokenSample((truth[which] * code).sum(dim=1), torch.zeros(TOKENS, dtype=torch.long), torch.arange(TOKENS))


WORLDS = [
    World(
        "untrained dictionary", {"covariance": "fit: trained beside covariance-matched directions"},
        "The dictionary is itself drawn with the covariance of the same tokens, so that it is one control among the "
        "others.",
        fit, (0.2, 0.4, 0.8), "share of the true directions in the dictionary's", 1000, 200,
    ),
]  # fmt: skip
