"""What training subtracts from centred vectors and divides them by, folded into the weights at the end.

Notable choices

- A TopK autoencoder is homogeneous: with data divided by their spread, the same weights and biases divided by it give
  the same codes divided by it. So scaling changes nothing but what a step of Adam means, which is then the same for
  every model and layer.
- A transcoder's inputs have their mean taken off, folded into the encoder's bias; inputs and targets have a spread
  each.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cellprism.equations.sparse import preactivations
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.config import SaeConfig
from cellprism.sae.initial import spread
from cellprism.sae.job import Job
from cellprism.sae.stream import Vectors
from cellprism.sae.trainer import Trainer


@dataclass(frozen=True, eq=False)
class Scaling:
    """Means and spreads of one job's vectors."""

    scale: float
    """Spread of the vectors."""
    target_scale: float
    """Spread of the targets; ``scale`` for an autoencoder."""
    mean: Float[Tensor, " d_model"]
    """Subtracted from a transcoder's vectors; zero for an autoencoder, which learns a bias."""

    @classmethod
    def of(cls, sample: Vectors, config: SaeConfig) -> "Scaling":
        """From a sample of the data."""
        zero = torch.zeros_like(sample.x[0])
        scale = spread(sample.x) if config.scaling else 1.0
        if sample.target is None:
            return cls(scale, scale, zero)
        return cls(scale, spread(sample.target) if config.scaling else 1.0, sample.x.mean(dim=0))

    def seen(self, vectors: Vectors) -> Vectors:
        """What training is shown."""
        if vectors.target is None:
            return vectors._replace(x=vectors.x / self.scale)
        return vectors._replace(x=(vectors.x - self.mean) / self.scale, target=vectors.target / self.target_scale)

    def folded(self, trainer: Trainer, job: Job) -> SparseAutoencoder:
        """The autoencoder for the data as they are, from weights for what training was shown."""
        w, scale = trainer.weights, self.target_scale
        encoder = w["encoder"] * (scale / self.scale)
        W_enc, b_enc, b_dec = encoder.T, w["b_enc"] * scale, w["b_dec"] * scale
        centre, target_centre, mean = job.centre, job.target_centre, self.mean
        if centre is not None and len(centre) == 1:  # one mean for all is a bias
            added = target_centre if target_centre is not None else centre
            b_dec, mean = b_dec + added[0], mean + centre[0]
            centre = target_centre = None
        if job.is_transcoder:
            b_enc = preactivations(-mean[None], W_enc, b_enc)[0]
        fields = {
            "centre": centre, "target_centre": target_centre, "is_transcoder": job.is_transcoder,
            "architecture": job.config.architecture, "metadata": dict(job.metadata),
            **trainer.architecture.selection(w, scale),
        }  # fmt: skip
        if "b_out" not in w:
            return SparseAutoencoder(W_enc, b_enc, w["decoder"], b_dec, **fields)
        b_out = b_dec + w["b_out"] * scale
        if job.is_transcoder:
            return SparseAutoencoder(W_enc, b_enc, w["decoder"], b_out, **fields)
        return SparseAutoencoder.with_two_biases(W_enc, b_enc, w["decoder"], b_dec, b_out, **fields)
