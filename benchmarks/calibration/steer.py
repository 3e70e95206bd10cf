"""Claims that a feature moves its genes, and mirrors, more than control features do."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from calibration.world import UNTOLD, World
from cellprism.enrich.over_representation import over_representation
from cellprism.enrich.programs import best_features
from cellprism.features.collect import feature_statistics
from cellprism.features.dictionaries import TokenSample, control_dictionary
from cellprism.report.claims import judgement
from cellprism.report.verdict import EFFECT_MATTERS, SYMMETRY_MATTERS
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.simulate.linear_model import LAYER, LEVEL, LinearCell, as_counts, linear_sae
from cellprism.steering.dose import dose_sweep
from cellprism.steering.dose_nulls import Beside
from cellprism.steering.settings import CONTROL, DoseSettings
from cellprism.studies.programs.gene_lists import firing_lists
from cellprism.studies.steer.beside import Described, controls_of
from cellprism.studies.steer.tables import JUDGED, null_of_draws
from cellprism.types import CellBatch, CellOutput

GENES, PROGRAMS, SIZE, FEATURES, CELLS, DICTIONARIES, ALPHA = 113, 13, 7, 41, 151, 6, 0.05
SCORES = {
    "genes": ("response", EFFECT_MATTERS), "held": ("held_out", EFFECT_MATTERS),
    "mirror": ("antisymmetry", SYMMETRY_MATTERS), "propagated": ("propagated", EFFECT_MATTERS),
}  # fmt: skip
NOISE = 0.6  # standard deviation of a gene beyond the programs
LISTED = 3  # genes of a list: a program has four others
NAMES = [f"G{i}" for i in range(GENES)]
COLLECTION = {f"program {p}": NAMES[p * SIZE : (p + 1) * SIZE] for p in range(PROGRAMS)}
SETTINGS = DoseSettings(strengths=(-3.0, 5.0), matched_genes=3, batch_size=CELLS)
MODEL = LinearCell(GENES, GENES + 6)
BEND = 0.3


class CurvedCell(LinearCell):
    """The same, but that what is no program counts by its square as well: turned down it does not mirror turned up."""

    def __init__(self, programs: Float[np.ndarray, "program gene"]):
        super().__init__(GENES, GENES + 6)
        self.other = torch.from_numpy(np.eye(GENES) - np.linalg.pinv(programs) @ programs).float()

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """y + bend r^2, with r the part of y - level that is no program; the embedding is x."""
        said = super().resume(batch, layer, x)
        rest = (said.expression - LEVEL) @ self.other.to(x)
        return replace(said, expression=said.expression + BEND * rest.square())


def steer(seed: int, size: float) -> dict[str, str]:
    """The effect of the best feature of a program beside those of the best features of other programs in random
    dictionaries."""
    return {key: verdict for key, verdict in _steered(seed, size, False).items() if key in ("genes", "held")}


def mirror(seed: int, size: float) -> dict[str, str]:
    """The mirror symmetry of the best feature of a program beside that of others, in a model that is not linear."""
    return {"mirror": _steered(seed, size, True)["mirror"]}


class Planted(NamedTuple):
    """Cells along planted programs, and dictionaries that nobody trained, the first one a share of the way to them."""

    adata: AnnData
    ours: SparseAutoencoder
    others: list[SparseAutoencoder]


def planted_programs(rng: np.random.Generator) -> Float[np.ndarray, "program gene"]:
    """Weights of genes of their own for every program."""
    programs = np.zeros((PROGRAMS, GENES))
    for p in range(PROGRAMS):
        programs[p, p * SIZE : (p + 1) * SIZE] = rng.uniform(0.7, 1.3, SIZE)
    return programs


def planted_dictionaries(
    rng: np.random.Generator, seed: int, size: float, others: int, curved: bool = False
) -> tuple[LinearCell, Planted]:
    """A linear model, or a curved one, with cells and as many other dictionaries; ``size`` is the share of the
    programs' own directions in the first."""
    programs = planted_programs(rng)
    activity = rng.gamma(2, 1, (CELLS, PROGRAMS)) * (rng.random((CELLS, PROGRAMS)) < 0.3)
    adata = AnnData(as_counts(LEVEL + activity @ programs + NOISE * rng.standard_normal((CELLS, GENES))))
    adata.var_names, adata.obs_names = NAMES, [f"cell{i}" for i in range(CELLS)]
    model = CurvedCell(programs) if curved else MODEL
    (batch,) = model.batches(adata, CELLS)
    sample = TokenSample(model.residual(batch, LAYER)[:, 0], torch.full((CELLS,), -1), batch.cell)
    planted = linear_sae(model, programs)
    wide = torch.zeros(FEATURES, model.d_model)  # what controls are as wide and as sparse as
    shape = SparseAutoencoder(wide.T, torch.zeros(FEATURES), wide, planted.b_dec, k=4)
    drawn = [control_dictionary("covariance", sample, shape, 1000 * seed + i) for i in range(others + 1)]
    rows = drawn[0].W_dec.clone()
    rows[:PROGRAMS] = normalize((1 - size) * rows[:PROGRAMS] + size * planted.W_dec, dim=1)
    ours = replace(drawn[0], W_enc=rows.T.contiguous(), W_dec=rows)
    return model, Planted(adata, ours, drawn[1:])


def _steered(seed: int, size: float, curved: bool) -> dict[str, str]:
    rng = np.random.default_rng([seed, 6])
    model, planted = planted_dictionaries(rng, seed, size, DICTIONARIES, curved)
    found = verdicts_of(model, planted.adata, planted.ours, planted.others, rng)
    return {**dict.fromkeys(SCORES, UNTOLD), **found}


def verdicts_of(
    model: LinearCell, adata: AnnData, ours: SparseAutoencoder, others: list, rng: np.random.Generator
) -> dict[str, str]:
    """Those of the feature's own genes, of these through other tokens where there are any, of the program's other genes
    where it has any, and of mirror symmetry; ``ours`` and ``others`` are dictionaries of the model's only site."""
    own, there = _described(model, adata, ours), [_described(model, adata, other) for other in others]
    best = best_features(own.table, COLLECTION, own.genes, ALPHA)
    if not best:
        return {}
    term = rng.choice(sorted(best))
    feature = int(best[term])

    def beside(features) -> Beside:
        controls = controls_of(there, COLLECTION, set(NAMES), ALPHA, True, term)
        return Beside(others, dict.fromkeys(features, controls))

    genes = own.lists[str(feature)]
    rest = {feature: [gene for gene in COLLECTION[term] if gene not in genes]}
    found = dose_sweep(
        model, ours, adata, LAYER, {feature: genes}, held_out=rest, beside=beside, settings=SETTINGS
    )  # fmt: skip
    row, said = found.summary[0], {}
    if row["status"] != JUDGED or row["no_effect"]:
        return {}
    for key, (column, matters) in SCORES.items():
        if row.get(column):
            value = row[column]["value"]
            null = null_of_draws("", value, found.nulls, feature, CONTROL, column)
            said[key] = judgement(value, None, null, "+.2g", matters).verdict
    return said


def _described(model: LinearCell, adata: AnnData, dictionary: SparseAutoencoder) -> Described:
    genes = feature_statistics(model, dictionary, adata, LAYER).genes
    lists = firing_lists(genes, tuple(NAMES), LISTED)
    return Described(lists, over_representation(lists, COLLECTION, NAMES), genes)


WORLDS = [
    World(
        "random dictionary",
        {
            "genes": "steer: a feature's effect, against control features",
            "held": "steer: its effect on its program's other genes, against control features",
        },
        "The steered feature is the best of its program in a dictionary that nobody trained; so are its controls in "
        "other such dictionaries, for other programs drawn alike.",
        steer, (0.3, 0.6, 1.0), "share of the programs' own directions in as many features", 1000, 100,
    ),
    World(
        "random dictionary, curved model",
        {"mirror": "steer: turning down mirrors turning up, against control features"},
        "The same, in a model that answers to whatever is no program by its square as well, so that no feature mirrors "
        "exactly; the steered feature and its controls are drawn alike.",
        mirror, (0.3, 0.6, 1.0), "share of the programs' own directions, which do mirror, in as many features", 1000,
        100,
    ),
]  # fmt: skip
