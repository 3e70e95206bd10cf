"""Train a deep generative decoder: decoder, mixture and one vector a cell, together, by gradient descent.

- Vectors start at standardised principal components and the mixture at their k-means clusters. From small random
  vectors one component takes 99 % of PBMC3K, and the fit is worse after more epochs.
- Free vectors and a decoder can trade scale: the smaller the vectors, the denser the prior. Priors on the components'
  means (normal) and spreads (log-normal) hold the scale. They are averaged over components and counted once a cell, so
  that they mean the same for any number of either. The prior of the component weights is flat.
- A run takes seconds to minutes, so there are no checkpoints to go on from. The same arguments give the same model on
  one machine and number of threads.

Departs from Schuster and Krogh 2023: vectors start at principal components instead of zero and move at every step
instead of every epoch; component means have a normal prior instead of a soft ball.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Float
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from torch import Tensor, nn

from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.genes import GeneTable
from cellprism.equations.likelihood import negative_binomial
from cellprism.equations.ratio import is_spread
from cellprism.errors import ConfigError
from cellprism.models.latent.dgd import START_SPREAD, DgdModel, DgdSizes
from cellprism.models.latent.training import TrainingCells
from cellprism.store.seed import check_seed

SPREAD_TOLERANCE = 0.3  # of the log of a component's spread around that of START_SPREAD
WARMUP = 50
VECTOR_RATE = 0.05
DECODER_BETAS, VECTOR_BETAS = (0.9, 0.95), (0.8, 0.9)


@dataclass(frozen=True)
class DgdTraining:
    """Settings of a training run."""

    d_model: int = 20
    """Dimensions of a cell's vector."""
    components: int = 20
    """Components of the mixture."""
    hidden: int = 100
    """Width of the decoder's hidden layers."""
    layers: int = 2
    """Hidden layers of the decoder."""
    epochs: int = 40
    """Passes over the training cells."""
    batch_size: int = 128
    """Cells per step."""
    learning_rate: float = 2e-3
    """Peak of AdamW's learning rate for the decoder: linear warm-up, then cosine to zero."""
    weight_decay: float = 0.05
    """AdamW's weight decay, on the decoder."""
    held_out: float = 0.1
    """Share of cells never trained on."""
    seed: int = 0
    """Seed of weights, start, split and order."""

    def __post_init__(self):
        for name in ("d_model", "components", "hidden", "layers", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected at least 1")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"held_out is {self.held_out}: expected a share between 0 and 1, such as 0.1")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"learning_rate is {self.learning_rate}: expected a positive number, such as 1e-3")
        check_seed(self.seed)


def train_dgd(
    adata: AnnData,
    genes: GeneTable,
    settings: DgdTraining | None = None,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    device: torch.device | str = "cpu",
) -> DgdModel:
    """Train on ``adata`` (raw counts; columns in the order of ``genes``) but for a held-out share of the cells.

    Args:
        adata: cells.
        genes: the genes to model.
        settings: the run; the defaults where not given.
        progress: called after every epoch with its number, from 1, and its figures (nats a cell).
        device: where to compute; the start is made on the processor.

    Returns:
        The model, on ``device``; ``card`` holds the settings and the curve.

    Raises:
        ConfigError: the columns are not the genes, or there are too few cells or genes for ``d_model``.
        CellsError: a cell has no counts.
    """
    settings = settings or DgdTraining()
    cells = TrainingCells.of(adata, genes, settings.held_out, settings.seed)
    smallest = min(len(cells), len(genes), len(cells) if settings.components <= len(cells) else 0)
    if settings.d_model >= smallest:
        raise ConfigError(f"d_model {settings.d_model} and components {settings.components} are too many for "
                          f"{len(cells)} training cells and {len(genes)} genes; lower them")  # fmt: skip
    sizes = DgdSizes(len(genes), settings.d_model, settings.components, settings.hidden, settings.layers)
    model = DgdModel.random(sizes, genes, settings.seed).train().requires_grad_(True)
    vectors = nn.Embedding.from_pretrained(start(model, cells, settings.seed), freeze=False, sparse=True)
    model, vectors = model.to(device), vectors.to(device)
    curve = _fit(model, vectors, cells, settings, progress)
    model.card = {"settings": asdict(settings), "curve": curve}
    return model.eval().requires_grad_(False)


def start(model: DgdModel, cells: TrainingCells, seed: int) -> Float[Tensor, "cell d_model"]:
    """Give decoder bias and mixture their start, and return the vectors' start."""
    pca = PCA(model.d_model, svd_solver="arpack", random_state=seed)
    expression = log1p_cp10k(AnnData(cells.matrix))
    scores = pca.fit_transform(expression)
    there = is_spread(scores.var(axis=0), expression.power(2).sum() / len(scores))
    scores = scores / np.where(there, scores.std(axis=0), 1)  # components beyond the cells' rank stay at rounding
    clusters = KMeans(model.sizes.components, n_init="auto", random_state=seed)
    members = np.bincount(clusters.fit_predict(scores), minlength=model.sizes.components)
    share = np.maximum(members, 1) / len(scores)  # cells that are all alike leave clusters empty
    total = np.asarray(cells.matrix.sum(axis=0), dtype=np.float64).ravel() + 1  # 1: no gene has probability 0
    with torch.no_grad():
        model.output.bias.copy_(torch.from_numpy(np.log(total / total.sum())))
        model.mixture.mean.copy_(torch.from_numpy(clusters.cluster_centers_))
        model.mixture.logit.copy_(torch.from_numpy(np.log(share)))
    return torch.from_numpy(scores).float()


def loss(
    model: DgdModel, z: Float[Tensor, "cell d_model"], counts: Float[Tensor, "cell gene"]
) -> tuple[Float[Tensor, " cell"], Float[Tensor, " cell"]]:
    """Negative log likelihood of each cell's counts, and negative log density of its vector and of the mixture."""
    log_mean = model.log_shares(z) + counts.sum(dim=1, keepdim=True).log()
    off = (model.mixture.log_spread - math.log(START_SPREAD)) / SPREAD_TOLERANCE
    prior = 0.5 * (off.square() + model.mixture.mean.square()).sum(dim=1).mean()
    fit = negative_binomial(counts, log_mean, model.log_dispersion).sum(dim=1)
    return -fit, prior - model.mixture.log_density(z)


def _fit(
    model: DgdModel,
    vectors: nn.Embedding,
    cells: TrainingCells,
    settings: DgdTraining,
    progress: Callable[[int, dict[str, float]], None] | None,
) -> list[dict[str, int | float]]:
    decoder = [*model.hidden.parameters(), *model.output.parameters()]
    shape = [model.log_dispersion, *model.mixture.parameters()]
    rate = settings.learning_rate
    groups = [
        {"params": decoder, "weight_decay": settings.weight_decay, "peak": rate},
        {"params": shape, "weight_decay": 0.0, "peak": 5 * rate},
    ]
    dense = torch.optim.AdamW(groups, betas=DECODER_BETAS)
    sparse = torch.optim.SparseAdam([{"params": list(vectors.parameters()), "peak": VECTOR_RATE}], betas=VECTOR_BETAS)
    steps = settings.epochs * -(-len(cells) // settings.batch_size)
    curve: list[dict[str, int | float]] = []
    step = 0
    for epoch in range(settings.epochs):
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(cells))
        figures = {"likelihood": 0.0, "prior": 0.0}
        for rows in np.array_split(order, -(-len(order) // settings.batch_size)):
            for group in (*dense.param_groups, *sparse.param_groups):
                group["lr"] = group["peak"] * _share(step, steps)
            fit, prior = loss(
                model, vectors(torch.from_numpy(rows).to(model.device)), cells.dense(rows).to(model.device)
            )
            (fit + prior).mean().backward()
            for optimiser in (dense, sparse):
                optimiser.step()
                optimiser.zero_grad()
            step += 1
            figures["likelihood"] -= fit.sum().item() / len(order)
            figures["prior"] -= prior.sum().item() / len(order)
        curve.append({"epoch": epoch + 1, **figures})
        if progress is not None:
            progress(epoch + 1, figures)
    return curve


def _share(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine to zero."""
    return min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))
