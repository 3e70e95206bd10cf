"""Where training on split counts starts from: gene rates, and the factors of a linear model of the cells.

- Factors are the leading eigenvectors of the cross-covariance between two random halves of the same cells' counts, each
  gene in units of its noise. Noise of the halves is independent, so that nothing of it is taken for a factor.
- How a gene's mean follows depth is measured between a small and a large part of the same cells: between cells it would
  be mixed with what deep cells are.
- Each gene's rate follows its loading by as much as its counts do (one number a gene, fitted as a Poisson rate).
- Values and gene identities start at right angles to the directions by which the factors enter the stream, and blocks
  start by adding next to nothing, so that the first predictions are the linear model's.
"""

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float
from scipy.sparse.linalg import eigsh
from torch import Tensor

from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.pretrain_split import gene_log_rates, split_counts
from cellprism.models.aido.rates import USUAL_DEPTH, CellFactors, GeneRates

FACTOR_SCALE = 0.15  # length of what one standard deviation of a factor adds to the stream
LOW, HALF, HIGH = 0.3, 0.5, 0.85
LEAST_NOISE, LEAST_STRENGTH = 0.01, 1e-4
BLOCK_SCALE = 0.1  # of what blocks add to the stream, over torch's own start
ROUNDS, PRIOR, ENOUGH = 8, 5.0, 1_500  # of Newton's method, precision that holds slopes near 0, and cells
Matrix = Float[np.ndarray, "cell gene"]


def start_rates(model: AidoCell, counts: sp.csr_matrix, totals: Float[np.ndarray, " cell"], seed: int) -> None:
    """Set biases, and factors where the model has them, from the counts of the training cells."""
    assert model.head is not None, "a fresh model has a head"
    assert model.head.rates is not None, "asked for models with rates"
    rates = model.head.rates
    with torch.no_grad():
        model.head.decoder.weight.zero_()
        model.head.decoder.bias.zero_()
        rates.bias.copy_(torch.from_numpy(gene_log_rates(counts, totals)))
        if model.factors is not None:
            rng = np.random.default_rng([seed, 0xFAC])
            _fit_factors(model.factors, counts, totals, rng)
            directions = _enter(model, model.factors, rng)
            _fit_readout(rates, model.factors, directions, counts, totals, rng)


def _part(
    counts: sp.csr_matrix, totals: Float[np.ndarray, " cell"], share: float, rng: np.random.Generator
) -> tuple[Matrix, Float[np.ndarray, " cell"], sp.csr_matrix, Float[np.ndarray, " cell"]]:
    """A random part of the counts as the model reads it, its depth about the usual, and the rest with its totals."""
    part, depth = split_counts(counts, totals, np.full(len(totals), share), rng)
    depth = np.maximum(depth, 1)
    values = np.log1p(part.toarray() / depth[:, None] * 1e4).astype(np.float32)
    rest = sp.csr_matrix(counts - part)
    return values, (np.log10(depth) - USUAL_DEPTH).astype(np.float32), rest, np.maximum(totals - depth, 1)


def _fit_factors(
    factors: CellFactors, counts: sp.csr_matrix, totals: Float[np.ndarray, " cell"], rng: np.random.Generator
) -> None:
    small, small_depth, _, _ = _part(counts, totals, LOW, rng)
    large, large_depth, _, _ = _part(counts, totals, HIGH, rng)
    slope = (large.mean(0) - small.mean(0)) / (large_depth.mean() - small_depth.mean())
    one, one_depth, rest, rest_totals = _part(counts, totals, HALF, rng)
    other = np.log1p(rest.toarray() / rest_totals[:, None] * 1e4).astype(np.float32)
    one -= one_depth[:, None] * slope
    other -= (np.log10(rest_totals) - USUAL_DEPTH).astype(np.float32)[:, None] * slope
    mean = (one.mean(0) + other.mean(0)) / 2
    one -= mean
    other -= mean
    noise = np.maximum(((one - other) ** 2).mean(0) / 2, LEAST_NOISE)
    loading = _shared_axes(one / np.sqrt(noise), other / np.sqrt(noise), factors.loading.shape[1], rng)
    for parameter, value in (
        (factors.mean, mean),
        (factors.mean_by_depth, slope),
        (factors.log_noise, np.log(noise)),
        (factors.loading, loading * np.sqrt(noise)[:, None]),
    ):
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def _shared_axes(one: Matrix, other: Matrix, k: int, rng: np.random.Generator) -> Float[np.ndarray, "gene k"]:
    """Leading eigenvectors of the cross-covariance, each as long as the root of its eigenvalue."""
    n_cells, n_genes = one.shape
    product = one.T @ other / n_cells
    start = rng.normal(size=n_genes).astype(np.float32)
    strength, axes = eigsh((product + product.T) / 2, k=min(k, n_genes - 1), which="LA", v0=start)
    order = np.argsort(-strength)
    found = axes[:, order] * np.sqrt(np.maximum(strength[order], LEAST_STRENGTH))
    return np.pad(found, ((0, 0), (0, k - found.shape[1])))


def _enter(model: AidoCell, factors: CellFactors, rng: np.random.Generator) -> Float[Tensor, "d_model k"]:
    """Orthogonal directions by which the factors enter the stream, cleared of values and gene identities."""
    width, k = factors.into.weight.shape
    directions = torch.from_numpy(np.linalg.qr(rng.normal(size=(width, k)))[0]).float()
    factors.into.weight.copy_(FACTOR_SCALE * directions)
    embedding = model.value_embedding
    for table in (
        model.position_embedding, embedding.lookup_table, embedding.mask_embedding, embedding.pad_embedding
    ):  # fmt: skip
        table.weight -= table.weight @ directions @ directions.T
    for name, last in model.blocks.named_parameters():
        if name.endswith((".out.weight", ".down.weight")):
            last *= BLOCK_SCALE
        elif name.endswith((".out.bias", ".down.bias")):
            last.zero_()
    return directions


def _fit_readout(
    rates: GeneRates, factors: CellFactors, directions: Float[Tensor, "d_model k"], counts: sp.csr_matrix,
    totals: Float[np.ndarray, " cell"], rng: np.random.Generator,
) -> None:  # fmt: skip
    """Bias and slope along the loading, per gene, by Newton's method on the rest of the counts."""
    some = rng.permutation(len(totals))[:ENOUGH]
    values, depth, rest, rest_totals = _part(counts[some], totals[some], (LOW + HIGH) / 2, rng)
    shown = torch.from_numpy(values)
    every = torch.arange(len(factors.mean))
    state = factors.posterior(shown, torch.ones_like(shown), every, torch.from_numpy(depth) + USUAL_DEPTH)
    along = (state @ factors.loading.T).numpy()
    truth, exposure = rest.toarray(), np.log(rest_totals / 1e4).astype(np.float32)[:, None]
    bias, slope = rates.bias.numpy().copy(), np.zeros(len(every), dtype=np.float32)
    for _ in range(ROUNDS):
        mean = np.exp(np.clip(exposure + bias + slope * along, -20, 8))
        off, bent = truth - mean, mean * along
        first, second, whole = bent.sum(0), (bent * along).sum(0) + PRIOR, mean.sum(0) + 1e-3
        level, lean = off.sum(0), (off * along).sum(0) - PRIOR * slope
        determinant = whole * second - first**2
        bias += np.clip((second * level - first * lean) / determinant, -1, 1)
        slope += np.clip((whole * lean - first * level) / determinant, -1, 1)
    rates.bias.copy_(torch.from_numpy(bias))
    weights = torch.from_numpy(slope)[:, None] * factors.loading
    rates.readout.copy_(weights @ directions.T / FACTOR_SCALE)
