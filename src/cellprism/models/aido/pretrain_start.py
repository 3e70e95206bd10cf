"""Where pretraining starts from. Initial scales decide whether anything but gene means is learned in reasonable time.

- Value bins: fixed places, evenly spread over the range of log1p values; what each bin means is learned. When the two
  linear layers that place the bins are trained too, their first steps throw all values into one bin, and the model
  loses sight of its input.
- Gene embeddings: small (0.05), spanned by the leading singular vectors of the training cells' expression and by the
  gene means. From random embeddings the same network needs many times the steps to see past gene means, and larger ones
  drown everything else in the residual stream. What the start alone can do is measured beside the trained model.
"""

import numpy as np
import torch
from jaxtyping import Float
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.parts import ValueEmbedding

LARGEST_VALUE = 7.0  # log1p(1,100 per ten thousand): few genes of few cells lie above
SHARPNESS = 8.0  # a value is spread over bins within 1 / sqrt(8) of it
GENE_SCALE, VALUE_SCALE = 0.05, 0.1


def place_bins(embedding: ValueEmbedding) -> None:
    """Make bin j's score SHARPNESS (v_j x - v_j^2 / 2) + constant, largest for the v_j nearest to x, and freeze it.

    The constant keeps all scores on the linear side of the LeakyReLU and drops out of the softmax.
    """
    centre = torch.linspace(0, LARGEST_VALUE, embedding.config.bins)
    with torch.no_grad():
        embedding.linear1.weight.copy_(SHARPNESS * centre[:, None])
        embedding.linear1.bias.copy_(SHARPNESS * (LARGEST_VALUE**2 - centre**2) / 2)
        embedding.linear2.weight.zero_()
        embedding.linear2.bias.zero_()
        for table in (embedding.lookup_table, embedding.mask_embedding, embedding.pad_embedding):
            table.weight.normal_(0, VALUE_SCALE)
    embedding.linear1.requires_grad_(False)
    embedding.linear2.requires_grad_(False)


def spectral_embeddings(
    expression: Float[np.ndarray, "cell gene"], width: int, seed: int
) -> Float[Tensor, "gene d_model"]:
    """Gene embeddings from the leading singular vectors of scaled expression, and the gene means as one more axis.

    Half of ``width`` axes are filled and then rotated at random, so that no axis of the embedding is special.
    """
    mean, spread = expression.mean(0), expression.std(0)
    scaled = (expression - mean) / (spread + 0.3)  # 0.3: genes that hardly vary are not blown up
    rank = min(width // 2 - 1, min(scaled.shape) - 1)
    _, strength, genes = randomized_svd(scaled, n_components=rank, random_state=seed)
    axes = genes.T * np.sqrt(strength)
    axes = np.column_stack([axes / axes.std(), (mean - mean.mean()) / mean.std()])
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(width, rank + 1)))[0]
    return torch.from_numpy(GENE_SCALE * np.sqrt(2) * axes @ rotation.T).float()


def start(model: AidoCell, expression: Float[np.ndarray, "cell gene"], seed: int) -> None:
    """Give an untrained model the starting point described above, from the training cells' log1p expression."""
    place_bins(model.value_embedding)
    embeddings = spectral_embeddings(expression, model.d_model, seed)
    with torch.no_grad():
        model.position_embedding.weight.normal_(0, GENE_SCALE)
        model.position_embedding.weight[: len(embeddings)] = embeddings
