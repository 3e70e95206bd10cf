"""What the page needs to run the model behind the site itself: weights, the autoencoder, and some cells' states there.

Notable choices

- Cells are read as the study ``steer`` reads them: where the model was trained, or as its settings say. Where genes are
  read hidden a cell has ``reading.FOLDS`` passes, each with its own state.
- States, weights and the autoencoder ride along as 32-bit floats: with 16 bits, a feature that only just fires could
  be another one in the page.
- Cell type is read from the embedding by a logistic regression, its accuracy from cells that it was not fitted on; the
  place on the map is the mean of the nearest of some reference cells.
- Only models of the AIDO.Cell family that are small enough are offered; why others are not is said on the page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from cellprism.atlas.cell_map import CellMap
from cellprism.atlas.shards import SiteWriter, packed
from cellprism.errors import InputError
from cellprism.features.collect import centring_of
from cellprism.models.aido.model import AidoCell
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.intervene import check_steerable, read_site
from cellprism.steering.model_output import lacks_genes
from cellprism.steering.reading import FOLDS, reads_at
from cellprism.studies.workbench import Workbench
from cellprism.types import CellBatch

CELLS, A_TYPE, REFERENCE, NEAR, FEWEST = 24, 4, 400, 10, 3
MOST_WORK = 2.5e9
"""Multiplications for one answer, about ten times what a browser does in a second on one core."""
MOST_BYTES = 24 << 20


@dataclass(frozen=True)
class Portable:
    """A model and an autoencoder that the page can run."""

    model: AidoCell
    sae: SparseAutoencoder
    layer: int
    read: str

    @property
    def folds(self) -> int:
        """Passes a cell."""
        return FOLDS if self.read == "hidden" else 1


def write_live(site: SiteWriter, bench: Workbench, places: CellMap | None) -> str:
    """Write ``live/model`` and a shard a cell; returns why there is none, empty where there is one."""
    if places is None:
        return "This run has no matrix of cells, so none to steer."
    try:
        portable = portable_of(bench)
    except InputError as error:
        return f"No live steering here: {error}"
    chosen = some_cells(bench.cells)
    reference = bench.some_cells(REFERENCE)
    embedding = embeddings(portable, reference)
    fires, batch = [], None
    for i, row in enumerate(chosen.tolist()):
        batch, shard, count = cell_shard(portable, bench.cells[[row]].copy())
        site.shard(f"live/cell-{i}", shard)
        fires.append(count)
    assert batch is not None, "a run has cells"
    at = reference_places(bench.cells, reference, places)
    site.shard("live/model", {
        "config": {
            "d": portable.model.d_model, "heads": portable.model.config.heads, "eps": portable.model.config.eps,
            "norm": portable.model.config.norm, "blocks": portable.model.n_layers - portable.layer - 1,
            "rates": portable.model.config.rates,
        },
        "weights": weights(portable, batch), "sae": autoencoder(portable.sae, batch), "tokens": batch.values.shape[1],
        "genes": [portable.model.genes[g] for g in batch.gene.tolist() if g >= 0], "read": portable.read,
        "folds": portable.folds, "precision": "32 bits", "cells": chosen_rows(bench.cells, chosen),
        "fires": packed(np.stack(fires)), **readout(reference, embedding, at),
    })  # fmt: skip
    return ""


def portable_of(bench: Workbench) -> Portable:
    """The run's model, where the page can run it.

    Raises:
        ModelError, ConfigError: the model cannot be steered, or is not here.
        InputError: it is of another family, or too large.
    """
    model, sae, layer = bench.model, bench.sae, bench.config.layer
    check_steerable(model, sae, layer)
    if why := lacks_genes(model):
        raise InputError(why)
    if not isinstance(model, AidoCell):
        raise InputError(f"{model.name!r} is of a family that the page cannot compute; it can AIDO.Cell models.")
    portable = Portable(model, sae, layer, reads_at(model, bench.settings("steer").doses.read))
    work, size = cost(portable, bench.cells.n_vars)
    if work > MOST_WORK or size > MOST_BYTES:
        raise InputError(
            f"one answer of {model.name!r} takes {work:.1e} multiplications and its weights {size / 2**20:.0f} MB, too "
            f"much for a page ({MOST_WORK:.1e}, {MOST_BYTES >> 20} MB); cellprism steer does it in Python."
        )
    return portable


def cost(portable: Portable, n_genes: int) -> tuple[float, int]:
    """Multiplications for an answer, and bytes of weights."""
    config, blocks = portable.model.config, portable.model.n_layers - portable.layer - 1
    tokens, d = (n_genes if config.gene_subset else config.n_genes) + 2, config.hidden
    each = 2 * tokens * d + 4 * d * d + 3 * d * config.intermediate
    work = portable.folds * tokens * (blocks * each + d * portable.sae.n_features / 10 + d * d)
    size = 4 * d * (2 * portable.sae.n_features + 2 * tokens) + 4 * blocks * (4 * d * d + 3 * d * config.intermediate)
    return float(work), int(size)


def some_cells(cells: AnnData, seed: int = 0) -> Int[np.ndarray, " some"]:
    """Rows of some cells of every type, the most frequent types first."""
    order = np.random.default_rng([seed, 107]).permutation(cells.n_obs)
    if "cell_type" not in cells.obs:
        return order[:CELLS]
    kinds = cells.obs["cell_type"].astype(str).to_numpy()
    names, counts = np.unique(kinds, return_counts=True)
    each = max(1, min(A_TYPE, CELLS // len(names)))
    by_count = names[np.argsort(-counts, kind="stable")][:CELLS]
    return np.concatenate([order[kinds[order] == name][:each] for name in by_count])


def chosen_rows(cells: AnnData, rows: Int[np.ndarray, " some"]) -> list[dict[str, Any]]:
    """Name, type and row of the cells that are offered."""
    return [{"name": str(cells.obs_names[row]), "type": _type(cells, row), "row": row} for row in rows.tolist()]


@torch.no_grad()
def cell_shard(portable: Portable, cell: AnnData) -> tuple[CellBatch, dict[str, Any], Int[np.ndarray, " feature"]]:
    """State of one cell at the site in every pass, and what the model says of it unsteered; at how many tokens each
    feature fires."""
    ((site, passes),) = read_site(portable.model, portable.sae, cell, portable.layer, FOLDS, "present", portable.read)
    said = passes.said(portable.model, portable.model.resume(site.batch, portable.layer, site.x), cell.var_names)
    fold = passes.fold_of(portable.model, _gene_tokens(portable, site.batch))
    shard = {
        "x": packed(_numpy(site.x)), "open": packed(site.batch.present.cpu().numpy().astype(np.uint8)),
        "fold": None if fold is None else packed(fold[0].cpu().numpy().astype(np.uint8)),
        "expression": packed(_in_token_order(portable, site.batch, cell, said.values)),
        "embedding": packed(_numpy(said.embedding[0])),
    }  # fmt: skip
    firing = site.code.features[site.code.values != 0].cpu().numpy()
    count = np.bincount(firing, minlength=portable.sae.n_features)
    return site.batch, shard, np.minimum(count, 65535).astype(np.uint16)


def _gene_tokens(portable: Portable, batch: CellBatch) -> pd.Index:
    return pd.Index([portable.model.genes[g] for g in batch.gene.tolist() if g >= 0])


def _in_token_order(
    portable: Portable, batch: CellBatch, cell: AnnData, values: Float[torch.Tensor, "1 gene"]
) -> Float[np.ndarray, " gene"]:
    """What the model says of the cells' genes, in the order of the batch's gene tokens."""
    place = cell.var_names.get_indexer(_gene_tokens(portable, batch))
    return _numpy(values[0])[place]


@torch.no_grad()
def embeddings(portable: Portable, cells: AnnData) -> Float[np.ndarray, "cell d_model"]:
    """Unsteered embeddings, means over a cell's passes."""
    found = []
    for site, passes in read_site(portable.model, portable.sae, cells, portable.layer, 16, "present", portable.read):
        output = portable.model.resume(site.batch, portable.layer, site.x)
        found.append(_numpy(passes.said(portable.model, output, cells.var_names).embedding))
    return np.concatenate(found)


def weights(portable: Portable, batch: CellBatch) -> dict[str, Any]:
    """Blocks behind the site, last norm and head; of gene rates the rows of the batch's genes."""
    found: dict[str, torch.Tensor] = {}
    for place, block in enumerate(list(portable.model.blocks)[portable.layer + 1 :]):
        found |= {f"blocks.{place}.{name}": value for name, value in block.state_dict().items()}
    found |= {f"final_norm.{name}": value for name, value in portable.model.final_norm.state_dict().items()}
    head = portable.model.head
    assert head is not None, "refused without a head"
    found |= {f"head.{name}": v for name, v in head.state_dict().items() if not name.startswith("rates.")}
    if head.rates is not None:
        genes = batch.gene[batch.gene >= 0]
        found |= {"rates.bias": head.rates.bias[genes], "rates.readout": head.rates.readout[genes]}
    return _packed(found)


def autoencoder(sae: SparseAutoencoder, batch: CellBatch) -> dict[str, Any]:
    """The autoencoder, its encoder a row a feature; of centres a row a token."""
    arrays = {"encoder": sae.encoder_rows, "b_enc": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_dec}
    arrays |= {name: v for name in ("threshold", "slope", "shift") if (v := getattr(sae, name)) is not None}
    if sae.centre is not None:
        tokens = batch.gene.clamp(min=0) if centring_of(sae) == "group" else torch.zeros(1, dtype=torch.long)
        arrays["centre"] = sae.centre[tokens.to(sae.centre.device)]
    return {"features": sae.n_features, "k": sae.k, "relu": sae.relu, "arrays": _packed(arrays)}


def readout(
    cells: AnnData, embedding: Float[np.ndarray, "cell d_model"], places: Float[np.ndarray, "cell 2"]
) -> dict[str, Any]:
    """How type and place are read from an embedding: a linear readout, and the reference cells."""
    mean, scale = embedding.mean(axis=0), np.maximum(embedding.std(axis=0), 1e-6)
    z = ((embedding - mean) / scale).astype(np.float32)
    numbers = {"embedding": z, "mean": mean, "scale": scale, "x": places[:, 0], "y": places[:, 1]}
    reference = {"arrays": {k: packed(v.astype(np.float32)) for k, v in numbers.items()}, "near": NEAR, "cells": len(z)}
    return {"reference": reference, "readout": _types(cells, z)}


def _types(cells: AnnData, z: Float[np.ndarray, "cell d_model"]) -> dict[str, Any] | None:
    if "cell_type" not in cells.obs:
        return None
    kinds = cells.obs["cell_type"].astype(str).to_numpy()
    names, counts = np.unique(kinds, return_counts=True)
    kept = np.isin(kinds, names[counts >= FEWEST])
    if len(np.unique(kinds[kept])) < 2:
        return None
    fit = LogisticRegression(C=0.1, max_iter=500)
    folds = StratifiedKFold(FEWEST, shuffle=True, random_state=0)
    unseen = np.asarray(cross_val_predict(fit, z[kept], kinds[kept], cv=folds))
    fit.fit(z[kept], kinds[kept])
    coefficient, bias = np.asarray(fit.coef_), np.asarray(fit.intercept_)
    if len(fit.classes_) == 2:  # scikit-learn keeps one row for two classes
        coefficient, bias = np.concatenate([-coefficient, coefficient]) / 2, np.concatenate([-bias, bias]) / 2
    arrays = {"weight": coefficient.astype(np.float32), "bias": bias.astype(np.float32)}
    return {
        "names": [str(name) for name in fit.classes_], "arrays": {k: packed(v) for k, v in arrays.items()},
        "accuracy": float(np.mean(unseen == kinds[kept])), "largest": float(counts.max() / counts.sum()),
        "cells": int(kept.sum()),
    }  # fmt: skip


def reference_places(cells: AnnData, reference: AnnData, places: CellMap) -> Float[np.ndarray, "cell 2"]:
    """Places of the reference cells, from 0 to 1 as the page draws them."""
    low, high = places.places.min(axis=0), places.places.max(axis=0)
    rows = cells.obs_names.get_indexer(reference.obs_names)
    return (places.places[rows] - low) / np.where(high > low, high - low, 1)


def _packed(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {name: packed(_numpy(value)) for name, value in tensors.items()}


def _numpy(value: torch.Tensor) -> np.ndarray:
    return value.detach().float().cpu().numpy()


def _type(cells: AnnData, row: int) -> str:
    return str(cells.obs["cell_type"].iloc[row]) if "cell_type" in cells.obs else ""
