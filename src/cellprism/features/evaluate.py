"""How well an autoencoder, or a transcoder, fits the residuals of some cells."""

from collections.abc import Iterator
from dataclasses import replace

from anndata import AnnData

from cellprism.features.origin import check_site, forced_past, target_layer
from cellprism.features.tokens.cell_tokens import CellTokens, tokens_at
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.evaluate import SaeMeasures, evaluate
from cellprism.sae.stream import Vectors
from cellprism.types import CellModel, Site


def evaluate_at(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    batch_size: int = 32,
    tokens: CellTokens | None = None,
    force: bool = False,
) -> SaeMeasures:
    """Measure an autoencoder on the present tokens of some cells; a transcoder on the layer that it writes to.

    ``tokens`` are those of the cells, where several measures are taken of them: the model runs once for all.
    ``force`` takes an autoencoder that was trained on another model, layer or order of genes.

    Raises:
        ModelError: no such layer, or the autoencoder does not fit the model or was trained on something else.
        InputError: there are no cells.
        ConfigError: the tokens are not of these cells and layers.
    """
    check_site(model, sae, layer, force)
    found = evaluate(sae, _vectors(model, sae, adata, layer, batch_size, tokens))
    return replace(found, forced=forced_past(model, sae, layer))


def _vectors(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    batch_size: int,
    tokens: CellTokens | None,
) -> Iterator[Vectors]:
    layers = [layer]
    if sae.is_transcoder:
        layers.append(Site(target_layer(sae), model.n_layers).layer)
    for held in tokens_at(model, adata, layers, batch_size, tokens):
        x = [part.to(sae.W_dec.device) for part in held.x]
        gene = None if sae.centre is None else held.gene.long().to(sae.W_dec.device)
        yield Vectors(x[0], gene, x[1] if sae.is_transcoder else None)
