"""How well an autoencoder, or a transcoder, fits the residuals of some cells."""

from collections.abc import Iterator

import torch
from anndata import AnnData

from cellprism.features.collect import check_site
from cellprism.features.tokens.residuals import genes_of, residuals_at
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.evaluate import SaeMeasures, evaluate
from cellprism.sae.stream import Vectors
from cellprism.types import CellModel, Site


def evaluate_at(
    model: CellModel, sae: SparseAutoencoder, adata: AnnData, layer: int, batch_size: int = 32
) -> SaeMeasures:
    """Measure an autoencoder on the present tokens of some cells; a transcoder on the layer that it writes to.

    Raises:
        ModelError: the layer does not exist, or the autoencoder does not fit the model.
        InputError: there are no cells.
    """
    check_site(model, sae, layer)
    return evaluate(sae, _vectors(model, sae, adata, layer, batch_size))


@torch.no_grad()
def _vectors(
    model: CellModel, sae: SparseAutoencoder, adata: AnnData, layer: int, batch_size: int
) -> Iterator[Vectors]:
    layers = [layer]
    if sae.is_transcoder:
        layers.append(Site(int(sae.metadata["target_layer"]), model.n_layers).layer)
    for batch in model.batches(adata, batch_size):
        parts = [x[batch.present] for x in residuals_at(model, batch, layers)]
        gene = None if sae.centre is None else genes_of(batch)[batch.present]
        yield Vectors(parts[0], gene, parts[1] if sae.is_transcoder else None)
