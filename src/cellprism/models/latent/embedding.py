"""Any embedding of cells in ``obsm`` as a cell model: its vectors are the activations, with or without a decoder.

- An embedding without a decoder can be read and learned from, but it predicts nothing: ``expression`` is None.
- The ridge decoder is ours and no part of the method that made the embedding. It is linear, so whatever is steered
  through it moves expression in straight lines; what it says of non-linear embeddings (UMAP) is worth little.
- A source string names the embedding alone. Width, genes and ridge weights come from the cells: see ``fitted``.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Float
from scipy.sparse import csc_matrix
from sklearn.linear_model import Ridge
from torch import Tensor

from cellprism.cells.embedding import embedding_values
from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.genes import GeneTable
from cellprism.equations.ratio import varies
from cellprism.errors import CellsError, ModelError
from cellprism.models.latent.counts_model import as_one_token, vectors_of
from cellprism.models.shown import ShownModel
from cellprism.types import CellBatch, CellOutput, OutputKind, Site

LOOKS_FOR = "nothing on disk: obsm:KEY names an embedding that the cells bring, obsm:KEY+ridge gives it a decoder"
TOKENS = "cells"
NAMES_NO_PATH = True
PENALTY = 1.0  # on standardised dimensions; of no weight where cells far outnumber dimensions
CHUNK = 1_000  # genes made dense at a time

Decoder = Callable[[Tensor], Tensor]


class EmbeddingModel(ShownModel):
    """The vectors in ``adata.obsm[key]`` behind the ``CellModel`` protocol.

    Args:
        key: name in ``obsm``, such as ``X_pca``.
        decoder: None; ``"ridge"`` to fit a linear decoder on the cells; or any function from vectors [cell, d_model]
            to log1p counts per ten thousand [cell, gene], genes in the order of the cells' columns.

    Raises:
        ModelError: a decoder of another name.
    """

    n_layers = 1
    tokens: Literal["cells"] = "cells"
    trained_at: Literal["visible"] = "visible"

    def __init__(self, key: str, decoder: str | Decoder | None = None):
        if isinstance(decoder, str) and decoder != "ridge":
            raise ModelError(f"unknown decoder {decoder!r} for obsm:{key}; expected 'ridge', a function, or none")
        self.key = key
        self.decoder: str | Decoder | None = decoder
        self.name = f"obsm:{key}" + ("" if decoder is None else "+ridge" if decoder == "ridge" else "+decoder")
        self.revision, self.licence = "local", "that of the cells"
        self.d_model = 0
        self.gene_table: GeneTable | None = None
        self.card: dict[str, Any] = {}
        self.device = torch.device("cpu")
        self._decode: Decoder | None = None

    @property
    def predicts(self) -> OutputKind:
        """Expression, where there is a decoder."""
        return "nothing" if self.decoder is None else "expression"

    def to(self, device: torch.device) -> "EmbeddingModel":
        """Make batches on ``device``; a decoder of the user's own is called with vectors that lie there."""
        self.device = device
        return self

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the cells' columns; empty before ``fitted``."""
        return () if self.gene_table is None else self.gene_table.symbol

    def fitted(self, adata: AnnData) -> "EmbeddingModel":
        """The model for cells with this embedding: it takes width and genes from them and fits a ridge decoder.

        Args:
            adata: cells as ``read_cells`` returns them (raw counts), with the embedding in ``obsm``.

        Raises:
            CellsError: no such embedding, or its values are not finite.
        """
        values = _embedding(adata, self.key)
        model = EmbeddingModel(self.key, self.decoder).to(self.device)
        model.d_model = values.shape[1]
        ensembl = [str(e) for e in adata.var["ensembl"]] if "ensembl" in adata.var else None
        model.gene_table = GeneTable.of(list(adata.var_names), ensembl)
        if self.decoder == "ridge":
            weight, bias = ridge_decoder(values, adata)
            model._decode = lambda z: torch.nn.functional.linear(z, weight.to(z.device), bias.to(z.device))
            model.card = {"decoder": {"kind": "ridge", "penalty": PENALTY, "cells": adata.n_obs, "genes": adata.n_vars}}
        elif callable(self.decoder):
            model._decode = self.decoder
        return model

    def batches(self, adata: AnnData, size: int) -> Iterator[CellBatch]:
        """Cut the embedding into batches of at most ``size`` cells.

        Raises:
            ModelError: the model has not been fitted.
            CellsError: no such embedding, or one of another width.
        """
        self._need_cells()
        values = torch.from_numpy(_embedding(adata, self.key).astype(np.float32))
        if values.shape[1] != self.d_model:
            found = f"obsm[{self.key!r}] has {values.shape[1]} dimensions, but {self.name} was fitted on {self.d_model}"
            raise CellsError("the AnnData", [f"{found}; use cells embedded together with those it was fitted on"])
        for start in range(0, adata.n_obs, size):
            yield as_one_token(values[start : start + size], start).to(self.device)

    def residual(self, batch: CellBatch, layer: int) -> Float[Tensor, "cell token d_model"]:
        """The embedding itself; ``layer`` must be 0."""
        Site(layer, self.n_layers)
        self._need_cells()
        return vectors_of(batch, self.d_model, self.name)[:, None]

    def resume(self, batch: CellBatch, layer: int, x: Float[Tensor, "cell token d_model"]) -> CellOutput:
        """What the decoder, if there is one, predicts of all genes; predictions of the ridge decoder may be negative.

        Raises:
            ModelError: the decoder's output does not have one column a gene.
        """
        Site(layer, self.n_layers)
        self._need_cells()
        z = x[:, 0]
        expression = None if self._decode is None else self._decode(z)
        if expression is not None and expression.shape != (len(z), len(self.genes)):
            raise ModelError(
                f"the decoder of {self.name} gave shape {tuple(expression.shape)} for {len(z)} cells; "
                f"expected one column for each of {len(self.genes)} genes, in the order of the cells' columns"
            )
        return CellOutput(expression, embedding=z, token=x)

    def _need_cells(self) -> None:
        if self.gene_table is None:
            raise ModelError(
                f"{self.name} is known by name only: its width and genes come from cells; call fitted(cells) first"
            )


def recognises(path: Path) -> bool:
    """No folder or file is an embedding: it comes with the cells."""
    return False


def load(path: Path) -> EmbeddingModel:
    """The model for ``KEY`` or ``KEY+ridge``, known by name only; see ``EmbeddingModel.fitted``.

    Raises:
        ModelError: a decoder of another kind.
    """
    key, plus, decoder = str(path).partition("+")
    if key.strip() in ("", "."):
        raise ModelError("obsm: names no embedding; expected obsm:KEY, such as obsm:X_pca")
    if plus and decoder != "ridge":
        raise ModelError(f"obsm:{path}: no decoder {decoder!r}; expected obsm:{key} or obsm:{key}+ridge")
    return EmbeddingModel(key, "ridge" if plus else None)


def ridge_decoder(
    values: Float[np.ndarray, "cell d_model"], adata: AnnData
) -> tuple[Float[Tensor, "gene d_model"], Float[Tensor, " gene"]]:
    """Weights and intercepts that predict log1p counts per ten thousand from an embedding, by ridge regression.

    The penalty acts on standardised dimensions, so it means the same for any scale of the embedding. Totals are
    ``obs["total_counts"]`` where present, else sums over the columns.
    """
    columns = csc_matrix(log1p_cp10k(adata))
    centre, spread = values.mean(axis=0), np.where(varies(values), values.std(axis=0), 1)
    weight, bias = [], []
    for start in range(0, adata.n_vars, CHUNK):
        some = cast(Any, columns[:, start : start + CHUNK]).toarray()
        fit = Ridge(alpha=PENALTY).fit((values - centre) / spread, some)
        weight.append(np.asarray(fit.coef_).reshape(-1, values.shape[1]) / spread)
        bias.append(fit.intercept_ - weight[-1] @ centre)
    return torch.from_numpy(np.concatenate(weight)).float(), torch.from_numpy(np.concatenate(bias)).float()


def _embedding(adata: AnnData, key: str) -> Float[np.ndarray, "cell d_model"]:
    held: Mapping[str, Any] = adata.obsm
    if key not in held:
        names = ", ".join(map(repr, held)) or "none"
        raise CellsError("the AnnData", [f"no embedding {key!r} in obsm; found {names}"])
    return embedding_values("the AnnData", key, held[key], adata.n_obs)
