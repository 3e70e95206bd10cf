"""Loss recovered: an autoencoder spliced into the model, and what that costs the model's own task.

Some genes of every cell are hidden and predicted from the rest, as in the model's pretraining; of a model of a cell's
counts, some of the counts. The residual stream at the site is left as it is, replaced by the autoencoder's
reconstruction, or ablated, at the tokens of present genes.

Notable choices

- Three ablations, from easy to hard to beat: zero; the mean vector of all tokens; each gene's own mean vector.
  A reconstruction that knows only which gene it looks at recovers nothing against the last. Where the cell is the one
  token there are the first two.
- Every count of a cell is hidden or read by itself (binomial thinning), so that what is predicted is independent of
  what was read but for the cell's composition.
- Several autoencoders are compared in one call: the untouched loss and those of the ablations are the same for all and
  computed once.
- The same genes, or counts, of the same cells are hidden in every comparison. Genes are drawn for each forward pass by
  its number, so that passes can be made anywhere and in any order.
- Intervals are bootstraps over cells; cells of one donor are no replicates of donors.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Bool, Float
from torch import Tensor

from cellprism.cells.columns import columns_of
from cellprism.equations.effects import loss_recovered as recovered
from cellprism.equations.likelihood import nats_per_count
from cellprism.errors import ModelError
from cellprism.features.origin import check_site, forced_past
from cellprism.features.tokens.residuals import genes_of, residual_tokens
from cellprism.models.latent.assess import both_counted, thinned
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.centre import group_means
from cellprism.store.seed import check_seed
from cellprism.types import CellBatch, CellModel, ExpectsCounts, HidesGenes, PredictsShares

DRAWS = 1_000  # bootstrap draws of cells
ABLATIONS = ("zero", "mean", "gene_mean")
MASKED, NATS = "masked error", "nats per count"


@dataclass(frozen=True)
class LossRecovered:
    """Losses, and what of the site's worth the reconstruction keeps."""

    loss: str
    """``MASKED``: mean squared error of the hidden genes' predicted log1p counts per ten thousand; ``NATS``: negative
    log-likelihood of the hidden counts' genes, per count."""
    cells: int
    """Cells measured."""
    share_hidden: float
    """Share of each cell's present genes, or of its counts, that was hidden."""
    original: float
    """Mean loss over cells, the model as it is."""
    spliced: float
    """The same with the reconstruction in place."""
    ablated: dict[str, float]
    """The same with each ablation."""
    recovered: dict[str, float]
    """Loss recovered against each ablation."""
    interval: dict[str, tuple[float, float]]
    """95 % bootstrap interval of each over cells."""
    forced: str = ""
    """What the autoencoder was trained on that is not at hand, in words, where it was used all the same."""


@dataclass(frozen=True, eq=False)
class Splicing:
    """Some cells, and what takes the place of their residual stream."""

    model: CellModel
    adata: AnnData
    layer: int
    saes: Mapping[str, SparseAutoencoder]
    means: Float[Tensor, "gene d_model"]
    """Mean vector of each gene over all of the cells."""
    share: float
    seed: int
    batch_size: int

    def cells(self, number: int) -> tuple[int, int]:
        """First and last of the cells of a pass; the last is not included."""
        return number * self.batch_size, min((number + 1) * self.batch_size, self.adata.n_obs)


Errors = dict[str, np.ndarray]
Each = Callable[[Splicing, Sequence[int]], Iterable[Errors]]
"""Gives the ``masked_errors`` of passes by their numbers, in order."""


def one_by_one(splicing: Splicing, passes: Sequence[int]) -> Iterable[Errors]:
    """Made here, one after the other."""
    return (masked_errors(splicing, number) for number in passes)


@torch.no_grad()
def masked_errors(splicing: Splicing, number: int) -> Errors:
    """Masked error of each cell of a pass, by what stands at the site."""
    model, layer = splicing.model, splicing.layer
    assert isinstance(model, HidesGenes), "others have no masked error"
    first, last = splicing.cells(number)
    (batch,) = model.batches(splicing.adata[first:last], splicing.batch_size)
    hidden = _hidden(batch, splicing.share, np.random.default_rng([splicing.seed, number]))
    masked = model.mask(batch, hidden)
    x = model.residual(masked, layer)
    errors = {}
    for name, replaced in _replacements(splicing).items():
        predicted = model.resume(masked, layer, replaced(x, masked)).expression
        assert predicted is not None, "a model that predicts expression gives it"
        if isinstance(model, ExpectsCounts):
            predicted = model.as_counted(masked, predicted)
        errors[name] = _error_per_cell(predicted, batch, hidden)
    return errors


@torch.no_grad()
def loss_recovered(
    model: CellModel,
    saes: Mapping[str, SparseAutoencoder],
    adata: AnnData,
    layer: int,
    *,
    share: float = 0.3,
    seed: int = 0,
    batch_size: int = 32,
    force: bool = False,
    each: Each = one_by_one,
) -> dict[str, LossRecovered]:
    """Loss of a model with each autoencoder spliced in at a site, against ablations of the site.

    Args:
        model: a cell model that predicts hidden genes' expression, or one of a cell's counts (scVI, DGD).
        saes: autoencoders trained at this site, by name.
        adata: cells as ``read_cells`` returns them (raw counts).
        layer: block whose output is replaced, from 0.
        share: of each cell's present genes, or of its counts, that are hidden.
        seed: decides which.
        batch_size: cells per forward pass.
        force: use autoencoders that were trained on another model, layer or order of genes.
        each: makes the forward passes of a model that hides genes; here, one after the other, unless said otherwise.

    Raises:
        ModelError: the model cannot hide genes or does not predict expression, or one of the autoencoders does not fit
            it, was trained on something else, or is a transcoder, which has nothing to put in the site's place.
    """
    check_seed(seed)
    if any(sae.is_transcoder for sae in saes.values()):
        raise ModelError("a transcoder reconstructs another layer than it reads; splice in an autoencoder instead")
    for sae in saes.values():
        check_site(model, sae, layer, force)
    forced = {name: forced_past(model, sae, layer) for name, sae in saes.items()}
    if isinstance(model, PredictsShares):
        return _summaries(NATS, forced, _nats_per_cell(model, saes, adata, share, seed, batch_size), share, seed)
    if not isinstance(model, HidesGenes) or model.predicts != "expression":
        lacks = "does not predict expression" if isinstance(model, HidesGenes) else "has no value for a hidden gene"
        raise ModelError(
            f"{model.name!r} {lacks}, so there is no masked error to recover; use the explained variance instead"
        )
    pairs: Iterator = ((t.x, t.gene) for t in residual_tokens(model, adata, layer, batch_size))
    means = group_means(pairs, len(model.genes))
    splicing = Splicing(model, adata, layer, saes, means, share, seed, batch_size)
    parts = list(each(splicing, range(-(-adata.n_obs // batch_size))))
    per_cell = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _summaries(MASKED, forced, per_cell, share, seed)


def _nats_per_cell(
    model: PredictsShares,
    saes: Mapping[str, SparseAutoencoder],
    adata: AnnData,
    share: float,
    seed: int,
    batch_size: int,
) -> dict[str, Float[np.ndarray, " cell"]]:
    """Each cell's loss on its hidden counts; cells of which all or nothing was hidden are left out."""
    counts = sp.csr_matrix(adata.X, dtype=np.float32)
    hidden, read = thinned(counts, share, np.random.default_rng(seed))
    both = both_counted(hidden, read)
    seen = AnnData(read[both], var=pd.DataFrame(index=adata.var_names))
    truth = torch.from_numpy(hidden[both].toarray()).double()
    columns = torch.from_numpy(columns_of(adata, model.gene_table, model.name))
    z = torch.cat([model.residual(batch, 0)[:, 0] for batch in model.batches(seen, batch_size)])
    replaced = {
        "original": z,
        "zero": torch.zeros_like(z),
        "mean": z.mean(dim=0).expand_as(z),
        **{_spliced(name): sae.decode(sae.encode(z)).to(z.dtype) for name, sae in saes.items()},
    }
    losses = {}
    for name, vectors in replaced.items():
        log_shares = torch.cat([model.log_shares(part)[:, columns] for part in vectors.split(batch_size)])
        losses[name] = nats_per_count(truth, log_shares.cpu().double().log_softmax(dim=1)).numpy()
    return losses


def _replacements(splicing: Splicing) -> dict[str, Callable[[Tensor, CellBatch], Tensor]]:
    """What stands at the site in each comparison; each takes the residual stream and gives another."""
    means, overall = splicing.means, splicing.means.mean(dim=0)

    def at_present(
        new: Callable[[Tensor, Tensor], Tensor],
    ) -> Callable[[Tensor, CellBatch], Tensor]:
        def replaced(x: Tensor, batch: CellBatch) -> Tensor:
            gene = genes_of(batch)[batch.present]
            changed = x.clone()
            changed[batch.present] = new(x[batch.present], gene).to(x.dtype)
            return changed

        return replaced

    def reconstruction(sae: SparseAutoencoder, x: Tensor, gene: Tensor) -> Tensor:
        group = None if sae.centre is None else gene
        return sae.decode(sae.encode(x, group), group)

    return {
        "original": lambda x, batch: x,
        "zero": at_present(lambda x, gene: torch.zeros_like(x)),
        "mean": at_present(lambda x, gene: overall.expand_as(x)),
        "gene_mean": at_present(lambda x, gene: means[gene]),
        **{_spliced(name): at_present(partial(reconstruction, sae)) for name, sae in splicing.saes.items()},
    }


def _hidden(batch: CellBatch, share: float, rng: np.random.Generator) -> Bool[Tensor, "cell token"]:
    """The same share of every cell's present genes, drawn uniformly."""
    chance = torch.from_numpy(rng.random(tuple(batch.values.shape))).to(batch.values.device)
    chance[~batch.present] = 2.0
    count = (share * batch.present.sum(dim=1)).round().long()
    return chance.argsort(dim=1).argsort(dim=1) < count[:, None]


def _error_per_cell(
    predicted: Float[Tensor, "cell gene"], batch: CellBatch, hidden: Bool[Tensor, "cell token"]
) -> Float[np.ndarray, " cell"]:
    tokens = batch.gene >= 0
    squared = (predicted - batch.values[:, tokens]).square() * hidden[:, tokens]
    return (squared.sum(dim=1) / hidden.sum(dim=1).clamp(min=1)).double().cpu().numpy()


def _spliced(name: str) -> str:
    """Name of the comparison in which an autoencoder stands at the site."""
    return f"spliced: {name}"


def _summaries(
    loss: str, forced: Mapping[str, str], per_cell: dict[str, Float[np.ndarray, " cell"]], share: float, seed: int
) -> dict[str, LossRecovered]:
    """Each autoencoder's losses beside those that all share; ``forced`` says of each what was gone past by force."""
    shared = {name: losses for name, losses in per_cell.items() if name in ("original", *ABLATIONS)}
    return {
        name: replace(_summary(loss, {**shared, "spliced": per_cell[_spliced(name)]}, share, seed), forced=said)
        for name, said in forced.items()
    }


def _summary(loss: str, per_cell: dict[str, Float[np.ndarray, " cell"]], share: float, seed: int) -> LossRecovered:
    ablations = [name for name in ABLATIONS if name in per_cell]
    n_cells = len(per_cell["original"])
    draws = np.random.default_rng(seed).integers(n_cells, size=(DRAWS, n_cells))
    mean = {name: float(error.mean()) for name, error in per_cell.items()}
    drawn = {name: error[draws].mean(axis=1) for name, error in per_cell.items()}
    interval = {}
    for name in ablations:
        values = [recovered(*losses) for losses in zip(drawn["original"], drawn["spliced"], drawn[name], strict=True)]
        low, high = np.nanquantile(values, [0.025, 0.975]) if np.isfinite(values).any() else (np.nan, np.nan)
        interval[name] = (float(low), float(high))
    return LossRecovered(
        loss=loss,
        cells=n_cells,
        share_hidden=share,
        original=mean["original"],
        spliced=mean["spliced"],
        ablated={name: mean[name] for name in ablations},
        recovered={name: recovered(mean["original"], mean["spliced"], mean[name]) for name in ablations},
        interval=interval,
    )
