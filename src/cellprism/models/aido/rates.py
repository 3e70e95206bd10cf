"""What a model trained on split counts has beside the published family: factors of a cell, and a rate for each gene.

- The factors are the best linear guess of a cell's state from whatever genes it shows: hidden and absent genes have no
  weight. They enter the residual stream at every token before the first block, so that the transformer corrects a
  linear prediction instead of finding one, and so that all that the model knows of a cell passes through the stream.
- The output is the logarithm of a rate. Its softplus is log1p of the expected counts per ten thousand: what would be
  measured at endless depth, not what is measured at the cell's own.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from cellprism.equations.factors import factor_posterior
from cellprism.models.aido.settings import AidoConfig

USUAL_DEPTH = 3.5  # log10 counts of a cell, about which means and noise are written


class CellFactors(nn.Module):
    """y_g = m_g + t n_g + <L_g, s> + noise, t the cell's depth; the posterior mean of s, mapped into the stream."""

    def __init__(self, config: AidoConfig):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(config.n_genes))
        self.mean_by_depth = nn.Parameter(torch.zeros(config.n_genes))
        self.log_noise = nn.Parameter(torch.zeros(config.n_genes))
        self.log_noise_by_depth = nn.Parameter(torch.zeros(1))
        self.loading = nn.Parameter(torch.randn(config.n_genes, config.factors) / config.factors**0.5)
        self.into = nn.Linear(config.factors, config.hidden, bias=False)

    def forward(
        self,
        values: Float[Tensor, "cell gene"],
        seen: Float[Tensor, "cell gene"],
        gene: Int[Tensor, " gene"],
        depth: Float[Tensor, " cell"],
    ) -> Float[Tensor, "cell d_model"]:
        """What each cell adds to the stream at all its tokens, from the values where ``seen`` is 1."""
        return self.into(self.posterior(values, seen, gene, depth))

    def posterior(
        self,
        values: Float[Tensor, "cell gene"],
        seen: Float[Tensor, "cell gene"],
        gene: Int[Tensor, " gene"],
        depth: Float[Tensor, " cell"],
    ) -> Float[Tensor, "cell k"]:
        """Each cell's factors; always in float32, since they are the solution of a linear system."""
        with torch.autocast(values.device.type, enabled=False):
            by_depth = (depth - USUAL_DEPTH)[:, None]
            expected = self.mean[gene] + by_depth * self.mean_by_depth[gene]
            precision = seen * torch.exp(-self.log_noise[gene] - by_depth * self.log_noise_by_depth)
            return factor_posterior(values - expected, precision, self.loading[gene])


class GeneRates(nn.Module):
    """What each gene adds to the head's output, and how far its counts scatter: log r of a negative binomial."""

    def __init__(self, config: AidoConfig):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(config.n_genes))
        self.readout = nn.Parameter(torch.zeros(config.n_genes, config.hidden))
        self.log_dispersion = nn.Parameter(torch.ones(config.n_genes))

    def forward(
        self,
        said: Float[Tensor, "cell gene"],
        x: Float[Tensor, "cell gene d_model"],
        gene: Int[Tensor, " gene"],
    ) -> Float[Tensor, "cell gene"]:
        """softplus(h_g + b_g + <w_g, x>), h what the head said: linear in the stream x before the softplus, so that a
        direction of it moves each gene by its own amount."""
        own = self.bias[gene] + torch.einsum("cgd,gd->cg", x.float(), self.readout[gene])
        return F.softplus(said.float() + own)


def log_rate(expression: Float[Tensor, "cell gene"]) -> Float[Tensor, "cell gene"]:
    """The logarithm of the expected counts per ten thousand, back from their log1p."""
    some = expression.clamp(min=1e-6)
    return some + torch.log(-torch.expm1(-some))
