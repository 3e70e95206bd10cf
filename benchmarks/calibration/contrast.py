"""Claims about recipes that move one cell type towards another."""

from functools import cache

import numpy as np
from anndata import AnnData

import cellprism as cp
from calibration.world import UNTOLD, World
from cellprism.report.claims import judgement
from cellprism.report.verdict import FEWEST_DRAWS, SHARE_MATTERS
from cellprism.simulate.linear_model import LAYER, LEVEL, LinearCell, as_counts, linear_sae
from cellprism.steering.settings import ContrastSettings
from cellprism.studies.files import drawn_null

GENES, PROGRAMS, CELLS, TURNED = 40, 30, 60, 3
SCORES = ("latent_progress", "nearer_target", "balanced_correct", "expression_progress")
SETTINGS = ContrastSettings(
    penalties=2, train_cells=16, n_genes=20, null_replicates=FEWEST_DRAWS, random_edits=0, resamples=9, batch_size=120
)


@cache
def network():
    rng = np.random.default_rng(3)
    programs = (rng.random((PROGRAMS, GENES)) < 0.4) * rng.uniform(0.5, 1.5, (PROGRAMS, GENES))
    model = LinearCell(GENES, GENES + 6)
    return programs, model, linear_sae(model, programs)


def two_types(seed: list[int], size: float) -> AnnData:
    """Cells of two types, between which some programs differ by a factor of 1 + size, others by its inverse."""
    programs, model, _ = network()
    rng = np.random.default_rng(seed)
    activity = rng.gamma(4, 0.5, (2 * CELLS, PROGRAMS))
    activity[CELLS:, :TURNED] *= 1 + size
    activity[CELLS:, TURNED : 2 * TURNED] /= 1 + size
    adata = AnnData(as_counts(LEVEL + activity @ programs + 0.1 * rng.standard_normal((2 * CELLS, GENES))))
    adata.var_names, adata.obs_names = list(model.genes), [f"cell{i}" for i in range(2 * CELLS)]
    adata.obs["cell_type"] = ["source"] * CELLS + ["target"] * CELLS
    return adata


def contrast(seed: int, size: float) -> dict[str, str]:
    """Scores of a recipe beside those of recipes that were fitted on permuted labels."""
    _, model, sae = network()
    adata = two_types([seed, 5], size)
    found = cp.contrast(
        model, sae, adata, LAYER, "source", "target", "latent", named=(), settings=SETTINGS, seed=seed
    )  # fmt: skip
    return {name: _verdict(found.summary["scores"][name]) for name in SCORES}


def _verdict(score) -> str:
    if score["value"] is None:
        return UNTOLD
    null = drawn_null("", score["permuted_labels"])
    return judgement(score["value"], None, null, ".2f", SHARE_MATTERS).verdict


WORLDS = [
    World(
        "two types alike", {name: f"contrast: {name}, against permuted labels" for name in SCORES},
        "Cells of both types are drawn alike, and those that judge are apart from those that are learned from: the "
        "true labels are one permutation among the others.",
        contrast, (0.5, 1.0, 2.0), "three of thirty programs are 1 + size times as active in the target (1: two "
        "standard deviations more), three others as much less", 200, 25,
    ),
]  # fmt: skip
