"""From raw counts to a small cell model with a card that says what it can do, beside simpler methods."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.genes import GeneTable, read_gene_table
from cellprism.cells.read import read_cells
from cellprism.errors import RunError
from cellprism.models.aido.assess import assess
from cellprism.models.aido.files import WEIGHTS
from cellprism.models.aido.pretrain import Counts, PretrainConfig, fresh_model, pretrain
from cellprism.models.aido.pretrain_state import CHECKPOINT, history
from cellprism.models.held_out import held_out_cells
from cellprism.models.latent.assess import assess as assess_latent
from cellprism.models.latent.dgd_train import DgdTraining, train_dgd
from cellprism.models.latent.scvi_train import ScviTraining, train_scvi
from cellprism.models.registry import holds_model, save_model
from cellprism.store.atomic import sha256
from cellprism.store.inside import check_plain

MOST_VARIABLE, LEAST_CELLS = 2_000, 15
MARKERS = (
    "CD3D",
    "CD8A",
    "CD4",
    "GNLY",
    "NKG7",
    "MS4A1",
    "CD79A",
    "LYZ",
    "CD14",
    "FCGR3A",
    "FCER1A",
    "PPBP",
    "ISG15",
    "HLA-DRA",
)
LIMITS = (
    "It was trained on {n_cells:,} cells of one data set; what it has learned is not known to hold in other tissues, "
    "donors or diseases.",
    "It reads {n_genes:,} genes. Genes outside its list do not exist for it.",
    "It predicts expression from expression; nothing in its training tells regulation from co-expression.",
)


def pretrain_model(
    cells: str,
    out: Path,
    settings: PretrainConfig,
    *,
    genes: Path | None = None,
    labels: str | None = None,
    name: str,
    data_licence: str = "not stated",
    progress: Callable[[int, dict[str, float]], None] | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Train (or go on training) a model in ``out``, measure it on held-out cells, save it, and return its card.

    Args:
        cells: raw counts, as ``read_cells`` takes them.
        out: folder for weights, configuration, gene list, card, checkpoint and curves.
        settings: the training run.
        genes: gene table to train on; default: the most variable genes.
        labels: obs column with cell types, used only to measure the result.
        name: the model's name.
        data_licence: licence and origin of the cells, for the card.
        progress: called after every step with its number and figures.
        device: where to train and to measure.

    Raises:
        CellsError: the cells or the gene table cannot be used.
        RunError: ``out`` holds a checkpoint of other settings or cells, or a model without one.
    """
    check_plain(out)
    if not (out / CHECKPOINT).is_file():
        _refuse_another(out)
    adata, table = _training_cells(cells, genes, labels)
    model = pretrain(adata, table, settings, out, progress, device)
    train, held_out = held_out_cells(adata.n_obs, settings.held_out, settings.seed)
    start = fresh_model(settings, table, Counts.of(adata), train).to(device).eval().requires_grad_(False)
    assessment = assess(model, adata, train, held_out, start=start, markers=MARKERS, seed=settings.seed)
    model.name, model.licence = name, data_licence
    card = {
        **_origin(adata, name, data_licence),
        "trained_at": model.trained_at,
        "settings": asdict(settings),
        "parameters": sum(p.numel() for p in model.parameters()),
        "curve": history(out),
        "gene_means": gene_means(adata, train),
        "assessment": asdict(assessment),
    }
    save_model(model, out, card)
    card["revision"] = f"sha256:{sha256(out / WEIGHTS)[:16]}"
    save_model(model, out, card)
    return card


def pretrain_latent(
    cells: str,
    out: Path,
    settings: ScviTraining | DgdTraining,
    *,
    genes: Path | None = None,
    labels: str | None = None,
    name: str,
    data_licence: str = "not stated",
    progress: Callable[[int, dict[str, float]], None] | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Train a model with one vector a cell, measure it on held-out cells, save it in ``out``, and return its card.

    Arguments are those of ``pretrain_model``; ``progress`` is called after every epoch. There is no going on with an
    interrupted training: it takes minutes.

    Raises:
        CellsError: the cells or the gene table cannot be used.
        ConfigError: the settings do not fit the cells.
        ModelError: scVI is asked for and scvi-tools is not installed.
        RunError: ``out`` holds a model.
    """
    check_plain(out)
    _refuse_another(out)
    adata, table = _training_cells(cells, genes, labels)
    if isinstance(settings, ScviTraining):
        model = train_scvi(adata, table, settings, progress, device)
    else:
        model = train_dgd(adata, table, settings, progress, device)
    train, held_out = held_out_cells(adata.n_obs, settings.held_out, settings.seed)
    assessment = assess_latent(model, adata, train, held_out, seed=settings.seed)
    model.name, model.licence = name, data_licence
    card = {
        **_origin(adata, name, data_licence),
        **model.card,  # settings and curve
        "parameters": sum(p.numel() for p in model.parameters()),
        "assessment": assessment,
    }
    save_model(model, out, card)
    return {**card, "revision": model.revision}


def _refuse_another(out: Path) -> None:
    """A model that is there is never written over."""
    if holds_model(out):
        raise RunError(f"{out} holds a model already; choose another --out, or move that model away")


def gene_means(adata: AnnData, rows: np.ndarray) -> list[float]:
    """Each gene's mean log1p counts per ten thousand over the cells that a model was trained on: on other cells its
    predictions stand beside these."""
    return np.asarray(log1p_cp10k(adata[rows]).mean(axis=0)).ravel().round(5).tolist()


def _origin(adata: AnnData, name: str, data_licence: str) -> dict[str, Any]:
    """What the cards of all kinds of models say alike."""
    return {
        "name": name,
        "licence": data_licence,
        "data": f"{adata.n_obs:,} cells, {adata.n_vars:,} genes, {data_licence}",
        "command": shlex.join(["cellprism", *sys.argv[1:]]),
        "limits": [limit.format(n_cells=adata.n_obs, n_genes=adata.n_vars) for limit in LIMITS],
    }


def _training_cells(cells: str, genes: Path | None, labels: str | None) -> tuple[AnnData, GeneTable]:
    """The cells in the genes to train on, and these genes."""
    wanted = read_gene_table(genes) if genes else None
    adata = read_cells(cells, genes=wanted, labels=labels) if wanted else _most_variable(cells, labels)
    return adata, gene_table_of(adata, wanted)


def gene_table_of(adata: AnnData, wanted: GeneTable | None) -> GeneTable:
    """The genes that were measured, in the columns' order, with the aliases of the wanted table."""
    alias = {} if wanted is None else {a: s for a, s in wanted.alias.items() if s in adata.var_names}
    return GeneTable(tuple(adata.var_names), tuple(adata.var["ensembl"]), alias)


def _most_variable(cells: str, labels: str | None) -> AnnData:
    adata = read_cells(cells, labels=labels)
    expression = log1p_cp10k(adata)
    mean = np.asarray(expression.mean(axis=0)).ravel()
    variance = np.asarray(expression.power(2).mean(axis=0)).ravel() - mean**2
    seen = np.bincount(expression.indices, minlength=adata.n_vars)
    variance[seen < LEAST_CELLS] = 0
    return adata[:, np.sort(np.argsort(-variance, kind="stable")[:MOST_VARIABLE])].copy()
