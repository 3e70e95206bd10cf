"""The claim that features of an autoencoder are found again by other trainings."""

import numpy as np
import torch
from torch.nn.functional import normalize

from calibration.world import World
from cellprism.features.dictionaries import TokenSample, control_dictionary
from cellprism.features.reappearance import Portrait
from cellprism.report.claims import Null, judgement
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.studies.stability.work import Beside

D_MODEL, ATOMS, TOKENS, GENES, TRAININGS, DRAWS = 12, 40, 400, 60, 4, 39


def stability(seed: int, size: float) -> dict[str, str]:
    """Trainings that share some directions with the run's autoencoder, and are drawn like the controls else."""
    rng = np.random.default_rng([seed, 8])
    mixing = rng.standard_normal((D_MODEL, D_MODEL)) * np.linspace(2, 0.2, D_MODEL)
    x = torch.from_numpy(rng.standard_normal((TOKENS, D_MODEL)) @ mixing).float()
    sample = TokenSample(x, torch.from_numpy(rng.integers(GENES, size=TOKENS)), torch.arange(TOKENS))
    blank = torch.zeros(ATOMS, D_MODEL)
    shape = SparseAutoencoder(blank.T.contiguous(), torch.zeros(ATOMS), blank, torch.zeros(D_MODEL), k=3)

    def drawn(number: int) -> torch.Tensor:
        return control_dictionary("covariance", sample, shape, 1000 * seed + number).W_dec

    own = drawn(0)
    others = [
        torch.where(torch.from_numpy(rng.random(ATOMS) < size)[:, None], own, drawn(1 + i)) for i in range(TRAININGS)
    ]
    beside = Beside(
        _portrait(own, sample), [_portrait(drawn(1 + TRAININGS + i), sample) for i in range(DRAWS)], seed
    )  # fmt: skip
    row, _, _ = beside.again([_portrait(rows, sample) for rows in others])
    null = Null("", row.by_chance, row.interval, row.p, row.permutations)
    return {"again": judgement(row.share, None, null, ".0%").verdict}


def _portrait(rows: torch.Tensor, sample: TokenSample) -> Portrait:
    """Directions, and how strongly tokens of each gene lie along them."""
    rows = normalize(rows, dim=1)
    strong = (sample.x @ rows.T).relu()
    total = torch.zeros(GENES, len(rows)).index_add_(0, sample.gene, strong)
    return Portrait(
        rows.numpy(), (total / torch.bincount(sample.gene, minlength=GENES).clamp(min=1)[:, None]).T.numpy()
    )


WORLDS = [
    World(
        "trainings that are draws", {"again": "stability: features found again by other trainings"},
        "The run's dictionary and those of four further trainings are themselves drawn with the covariance of the same "
        "tokens, as the controls are, so that trainings and controls can change places.",
        stability, (0.1, 0.25, 0.5), "share of the run's directions that a training shares", 1000, 200,
    ),
]  # fmt: skip
