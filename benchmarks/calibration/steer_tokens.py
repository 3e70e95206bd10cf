"""Claims that a feature moves its genes through other tokens alone, in a model whose tokens hear of each other."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from calibration.steer import FEATURES, GENES, NAMES, NOISE, PROGRAMS, planted_programs, verdicts_of
from calibration.world import UNTOLD, World
from cellprism.features.dictionaries import TokenSample, control_dictionary
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.simulate.linear_model import COUNTS_OF_ONE, LAYER, LEVEL, LinearCell, as_counts
from cellprism.types import CellBatch, CellOutput

CELLS, DICTIONARIES = 41, 6
EVERYWHERE = 0.3  # how strongly a program shows at tokens of genes that are not its own, which count from .7 to 1.3


class HearingCell(LinearCell):
    """A token for each gene: x_g = (y_g - LEVEL) e_g + sum over programs p of z_p (EVERYWHERE + P_pg) w_p, with all e
    and w orthonormal, and y_hat_g = LEVEL + x_g e_g + sum over p of P_pg times the mean over tokens of x w_p: a gene
    hears of its programs from the tokens of all genes."""

    tokens = "genes"

    def __init__(self, programs: Float[np.ndarray, "program gene"]):
        super().__init__(GENES, GENES + 6)
        self.d_model = GENES + PROGRAMS + 5
        square = np.random.default_rng(29).standard_normal((self.d_model, self.d_model))
        rows = torch.from_numpy(np.linalg.qr(square)[0]).float()
        self.own, self.shared = rows[:GENES], rows[GENES : GENES + PROGRAMS]
        self.programs, self.inverse = (torch.from_numpy(m).float() for m in (programs, np.linalg.pinv(programs)))

    def batches(self, adata: AnnData, size: int):
        """A token for each gene."""
        counts = sp.csr_matrix(adata.X)
        for start in range(0, adata.n_obs, size):
            values = torch.from_numpy(counts[start : start + size].toarray()).float() / COUNTS_OF_ONE
            present = torch.ones(values.shape, dtype=torch.bool)
            yield CellBatch(values, torch.arange(GENES), present, torch.arange(start, start + len(values)))

    def residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        """x."""
        z = (batch.values - LEVEL) @ self.inverse
        shown = z[:, None] * (EVERYWHERE + self.programs.T)
        return (batch.values - LEVEL)[..., None] * self.own + shown @ self.shared

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """y_hat; the embedding is the mean of x."""
        heard = x.mean(dim=1) @ self.shared.T.to(x)
        said = LEVEL + (x * self.own.to(x)).sum(-1) + heard @ self.programs.to(x)
        return CellOutput(said, x.mean(dim=1))


def propagated(seed: int, size: float) -> dict[str, str]:
    """The best feature of a program in a dictionary ``size`` of the way from a random one to the programs' own, beside
    the best features of other programs in random dictionaries."""
    rng = np.random.default_rng([seed, 31])
    programs = planted_programs(rng)
    activity = rng.gamma(2, 1, (CELLS, PROGRAMS)) * (rng.random((CELLS, PROGRAMS)) < 0.3)
    adata = AnnData(as_counts(LEVEL + activity @ programs + NOISE * rng.standard_normal((CELLS, GENES))))
    adata.var_names, adata.obs_names = NAMES, [f"cell{i}" for i in range(CELLS)]
    model = HearingCell(programs)
    (batch,) = model.batches(adata, CELLS)
    x = model.residual(batch, LAYER).flatten(0, 1)
    sample = TokenSample(x, torch.arange(GENES).repeat(CELLS), torch.arange(CELLS).repeat_interleave(GENES))
    wide = torch.zeros(FEATURES, model.d_model)
    shape = SparseAutoencoder(wide.T, torch.zeros(FEATURES), wide, x.mean(dim=0), k=4)
    drawn = [control_dictionary("covariance", sample, shape, 1000 * seed + i) for i in range(DICTIONARIES + 1)]
    rows = drawn[0].W_dec.clone()
    rows[:PROGRAMS] = normalize((1 - size) * rows[:PROGRAMS] + size * model.shared, dim=1)
    ours = replace(drawn[0], W_enc=rows.T.contiguous(), W_dec=rows)
    return {"propagated": verdicts_of(model, adata, ours, drawn[1:], rng).get("propagated", UNTOLD)}


WORLDS = [
    World(
        "random dictionary, tokens of genes",
        {"propagated": "steer: a feature's effect through other tokens alone, against control features"},
        "The steered feature is the best of its program in a dictionary that nobody trained, in a model whose genes "
        "hear of programs from all tokens; so are its controls in other such dictionaries.",
        propagated, (0.3, 0.6, 1.0), "share of the programs' own directions in as many features", 200, 25,
    ),
]  # fmt: skip
