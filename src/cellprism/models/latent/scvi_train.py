"""Train scVI with scvi-tools itself, on one's own counts, and hand back a model that no longer needs it.

- Training is scvi-tools' own, with its defaults but for what ``ScviTraining`` says. The weight of the KL term rises
  over the first half of the epochs; scvi-tools' 400 epochs of rising would outlast the run.
- Held-out cells are set aside before scvi-tools sees the data, so that no split of its own takes place.
- torch's random state is the only one that training draws from; it is put back afterwards.
- scvi-tools keeps no optimiser state that a killed run could go on from, and a run takes minutes: there is no resuming.
"""

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from anndata import AnnData

from cellprism.cells.genes import GeneTable
from cellprism.errors import ConfigError, ModelError
from cellprism.models.latent.scvi import ScviModel
from cellprism.models.latent.scvi_convert import from_scvi
from cellprism.models.latent.training import TrainingCells
from cellprism.store.seed import check_seed


@dataclass(frozen=True)
class ScviTraining:
    """Settings of a training run; names and defaults are scvi-tools', but for ours."""

    d_model: int = 10
    """Latent dimensions (n_latent)."""
    hidden: int = 128
    """Width of the hidden layers (n_hidden)."""
    layers: int = 1
    """Hidden layers of encoder and of decoder (n_layers)."""
    likelihood: Literal["zinb", "nb", "poisson"] = "nb"
    """Distribution of counts (gene_likelihood); nb instead of scvi-tools' zinb, as UMI counts ask for."""
    epochs: int = 100
    """Passes over the training cells."""
    batch_size: int = 128
    """Cells per step."""
    learning_rate: float = 1e-3
    """Learning rate of Adam."""
    held_out: float = 0.1
    """Share of cells never trained on."""
    seed: int = 0
    """Seed of weights, split, order and draws."""

    def __post_init__(self):
        for name in ("d_model", "hidden", "layers", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: expected at least 1")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"held_out is {self.held_out}: expected a share between 0 and 1, such as 0.1")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"learning_rate is {self.learning_rate}: expected a positive number, such as 1e-3")
        check_seed(self.seed)


def train_scvi(
    adata: AnnData,
    genes: GeneTable,
    settings: ScviTraining | None = None,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    device: torch.device | str = "cpu",
) -> ScviModel:
    """Train on ``adata`` (raw counts; columns in the order of ``genes``) but for a held-out share of the cells.

    Args:
        adata: cells.
        genes: the genes to model.
        settings: the run; the defaults where not given.
        progress: called after every epoch with its number, from 1, and its figures (nats a cell).
        device: where to compute.

    Returns:
        The model, converted, on ``device``; ``card`` holds the settings and the curve.

    Raises:
        ModelError: scvi-tools is not installed.
        ConfigError: the columns are not the genes of the list.
        CellsError: a cell has no counts.
    """
    settings = settings or ScviTraining()
    cells = TrainingCells.of(adata, genes, settings.held_out, settings.seed)
    curve: list[dict[str, int | float]] = []

    def note(epoch: int, figures: dict[str, float]) -> None:
        curve.append({"epoch": epoch, **figures})
        if progress is not None:
            progress(epoch, figures)

    with _quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        trained = _train(AnnData(cells.matrix), settings, note, torch.device(device))
    return from_scvi(trained, genes, card={"settings": asdict(settings), "curve": curve}).to(device)


def _train(
    cells: AnnData, settings: ScviTraining, note: Callable[[int, dict[str, float]], None], device: torch.device
) -> Any:
    from lightning.pytorch.callbacks import LambdaCallback
    from scvi.model import SCVI

    def after_epoch(trainer: Any, _: Any) -> None:
        note(trainer.current_epoch + 1, {"elbo": -float(trainer.callback_metrics["elbo_train"])})

    SCVI.setup_anndata(cells)
    model = SCVI(
        cells,
        n_latent=settings.d_model,
        n_hidden=settings.hidden,
        n_layers=settings.layers,
        gene_likelihood=settings.likelihood,
    )
    model.train(
        max_epochs=settings.epochs,
        batch_size=settings.batch_size,
        plan_kwargs={"lr": settings.learning_rate, "n_epochs_kl_warmup": max(1, settings.epochs // 2)},
        train_size=1.0,
        shuffle_set_split=False,
        datasplitter_kwargs={"drop_last": cells.n_obs % settings.batch_size == 1},  # no batch norm over one cell
        accelerator="cpu" if device.type == "cpu" else "gpu",
        devices=1 if device.index is None else [device.index],
        enable_progress_bar=False,
        logger=False,
        callbacks=[LambdaCallback(on_train_epoch_end=after_epoch)],
    )
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither the libraries' talk of hardware and services nor their warnings to their own developers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import scvi  # noqa: F401 - sets levels of loggers
        except ImportError as error:
            raise ModelError(f"training scVI needs scvi-tools ({error}); pip install 'cellprism[scvi]'") from error
        talk = logging.getLogger("lightning.pytorch")
        before = talk.level
        talk.setLevel(logging.ERROR)
        try:
            yield
        finally:
            talk.setLevel(before)
