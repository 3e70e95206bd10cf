"""Which genes an autoencoder reconstructs: its fit per class of genes, in one pass over the tokens.

Ribosomal and mitochondrial genes make up much of a cell's counts, and receptors and histocompatibility genes much of
what differs between blood cells; an average over all tokens can hide that one of them is all that is fitted.
"""

import re

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from anndata import AnnData
from jaxtyping import Int

from cellprism.equations.ratio import share
from cellprism.errors import ModelError
from cellprism.features.origin import check_site, forced_past
from cellprism.features.tokens.cell_tokens import CellTokens, tokens_at
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.types import CellModel

NAMED = {
    "ribosomal": r"RP[LS]\d+[AXYL]?\d*$|RPLP\d$|RPSA$",
    "mitochondrial": r"MT-",
    "histocompatibility": r"HLA-|B2M$|CD74$",
    "immune receptors": r"IG[HKL][VDJCAGM]|TR[ABDG][VDJC]",
}
"""Classes by symbol; the first that fits counts."""
LEVELS = ("others, low", "others, middle", "others, high")
"""The rest, in thirds by mean expression."""


def gene_classes(adata: AnnData) -> pd.Series:
    """Class of each gene of ``adata.var``, by symbol, else by its third of mean expression (raw counts)."""
    mean = np.asarray(sp.csr_matrix(adata.X).mean(axis=0)).ravel()
    named = [next((c for c, pattern in NAMED.items() if re.match(pattern, g)), None) for g in adata.var_names]
    rest = np.array([name is None for name in named])
    level = pd.Series(mean[rest]).rank(method="first", pct=True)
    thirds = iter(np.array(LEVELS)[np.minimum((level.to_numpy() * 3).astype(int), 2)])
    return pd.Series([name or next(thirds) for name in named], index=adata.var_names, name="class")


@torch.no_grad()
def fit_by_class(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    batch_size: int = 32,
    tokens: CellTokens | None = None,
    force: bool = False,
) -> pd.DataFrame:
    """Explained variance and shares of variance and error, per class of genes.

    Formula: with m the mean of the (centred) vectors of all tokens, a class has the variance sum |x - m|^2 and
    the error sum |x - x_hat|^2 over its tokens; explained is 1 - error / variance. ``tokens`` are those of the cells,
    where several measures are taken of them. ``force`` takes an autoencoder that was trained on another model, layer or
    order of genes.

    Returns:
        A row per class: ``class``, ``genes``, ``tokens``, ``variance_share``, ``error_share`` (of all tokens'),
        ``explained_variance``, NaN where nothing varies. ``attrs["forced"]`` says what ``force`` went past.

    Raises:
        ModelError: the layer does not exist, the autoencoder does not fit the model, was trained on something else
            or is a transcoder, or the model reads a cell as a whole.
    """
    check_site(model, sae, layer, force)
    if model.tokens != "genes":
        raise ModelError(
            f"{model.name!r} reads a cell as a whole: no token is a gene, so there are no classes of genes"
        )
    if sae.is_transcoder:
        raise ModelError("a transcoder rebuilds another layer than it reads; classes of genes need an autoencoder")
    classes = gene_classes(adata)
    order = [name for name in (*NAMED, *LEVELS) if (classes == name).any()]
    device = sae.W_dec.device
    of_gene = torch.full((len(model.genes),), -1)
    places = pd.Index(model.genes).get_indexer(adata.var_names)
    of_gene[torch.from_numpy(places)] = torch.from_numpy(pd.Index(order).get_indexer(pd.Index(classes)))
    n, of_gene = len(order), of_gene.to(device)
    count, error = torch.zeros(n, dtype=torch.long, device=device), torch.zeros(n, dtype=torch.float64, device=device)
    squares, size, total = torch.zeros_like(error), torch.zeros_like(error), error.new_zeros(n, sae.d_model)
    for held in tokens_at(model, adata, [layer], batch_size, tokens):
        x, gene = held.x[0].to(device), held.gene.long().to(device)
        group = None if sae.centre is None else gene
        near = (sae.centred(x.float(), group) - sae.b_dec).double()
        off = (sae.decode(sae.encode(x, group), group) - x.float()).double().square().sum(dim=1)
        which: Int[torch.Tensor, " token"] = of_gene[gene]
        count += torch.bincount(which, minlength=n)
        error.index_add_(0, which, off)
        squares.index_add_(0, which, near.square().sum(dim=1))
        size.index_add_(0, which, x.double().square().sum(dim=1))
        total.index_add_(0, which, near)
    mean = total.sum(dim=0) / count.sum()
    variance = squares - 2 * total @ mean + count * mean.square().sum()
    error, variance, size = (sums.cpu().numpy() for sums in (error, variance, size))
    table = pd.DataFrame(
        {
            "class": order,
            "genes": [int((classes == name).sum()) for name in order],
            "tokens": count.cpu().numpy(),
            "variance_share": share(variance, variance.sum(), size.sum()),
            "error_share": share(error, error.sum(), 0),
            "explained_variance": 1 - share(error, variance, size),
        }
    )
    table.attrs["forced"] = forced_past(model, sae, layer)
    return table
