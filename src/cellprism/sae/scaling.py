"""What training subtracts from centred vectors and divides them by, folded into the weights at the end.

Notable choices

- A TopK autoencoder is homogeneous: with data divided by their spread, the same weights and biases divided by it give
  the same codes divided by it. So scaling changes nothing but what a step of Adam means, which is then the same for
  every model and layer.
- A transcoder's inputs have their mean taken off, folded into the encoder's bias; inputs and targets have a spread
  each.
- Whitening is another metric for the error: with M symmetric, what fits x M in squares fits x in squares of M. Without
  it the first directions, which hold most of the variance, are all that is learned. Dimensions after the ``whitening``
  first are stretched as the last of these is: they may be noise, but no vector is cut.
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

OUTPUTS = ("decoder", "b_dec", "b_out")  # weights in the space of the vectors


@dataclass(frozen=True, eq=False)
class Scaling:
    """Means and spreads of one job's vectors."""

    scale: float
    """Spread of the vectors."""
    target_scale: float
    """Spread of the targets; ``scale`` for an autoencoder."""
    mean: Float[Tensor, " d_model"]
    """Subtracted from a transcoder's vectors; zero for an autoencoder, which learns a bias."""
    stretch: Float[Tensor, "d_model d_model"] | None = None
    """M, where vectors are whitened."""

    @classmethod
    def of(cls, sample: Vectors, config: SaeConfig) -> "Scaling":
        """From a sample of the data."""
        zero = torch.zeros_like(sample.x[0])
        if config.whitening:
            stretch = whitened_by(sample.x, config.whitening, config.shrinkage)
            scale = spread(sample.x @ stretch) if config.scaling else 1.0
            return cls(scale, scale, zero, stretch)
        scale = spread(sample.x) if config.scaling else 1.0
        if sample.target is None:
            return cls(scale, scale, zero)
        return cls(scale, spread(sample.target) if config.scaling else 1.0, sample.x.mean(dim=0))

    def seen(self, vectors: Vectors) -> Vectors:
        """What training is shown."""
        if vectors.target is None:
            x = vectors.x if self.stretch is None else vectors.x @ self.stretch
            return vectors._replace(x=x / self.scale)
        return vectors._replace(x=(vectors.x - self.mean) / self.scale, target=vectors.target / self.target_scale)

    def folded(self, trainer: Trainer, job: Job) -> SparseAutoencoder:
        """The autoencoder for the data as they are, from weights for what training was shown."""
        w, scale = self._unstretched(trainer.weights), self.target_scale
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

    def _unstretched(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same weights for vectors that are not whitened: x M e = x (M e), and z D = x_hat M."""
        if self.stretch is None:
            return weights
        back = torch.linalg.inv(self.stretch.double())
        outputs = {name: (weights[name].double() @ back).to(weights[name]) for name in OUTPUTS if name in weights}
        return weights | outputs | {"encoder": weights["encoder"] @ self.stretch}


def whitened_by(
    sample: Float[Tensor, "token d_model"], components: int, shrinkage: float
) -> Float[Tensor, "d_model d_model"]:
    """The symmetric matrix that brings the first principal components of some vectors to nearly the same spread.

    Formula: M = sum_i v_i v_i^T / sqrt(l_min(i, components) + shrinkage l_mean), of the covariance's eigenvectors v_i
    and eigenvalues l_i, largest first; times a number that leaves the largest component as it is.
    """
    centred = (sample - sample.mean(dim=0)).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    kept = values.flip(0).clamp(min=0)
    kept[components:] = kept[min(components, len(kept)) - 1]
    variance = kept + shrinkage * values.clamp(min=0).mean()
    if not variance[-1] > 0:
        return torch.eye(len(values)).to(sample)
    axes = vectors.flip(1)
    return ((axes * (variance[0] / variance).sqrt()) @ axes.T).to(sample)
