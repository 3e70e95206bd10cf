"""Turn features up or down inside a cell model and read what it predicts then.

Notable choices

- Only tokens of present genes are edited. Depth tokens and genes that the data set did not measure stay as
  they are; ``positions="all"`` edits every token but padding, as the public code of Yanovsky and Chernomoretz 2026
  does. A model that reads a cell as a whole has one token a cell, which is edited.
- The model is read where it was trained (``reading``): where that is at hidden genes, each cell passes several times
  with other genes hidden, visible tokens are edited and hidden genes are read.
- A cell is read up to the site once a pass; each further strength costs only the blocks after it.
- Beside every effect stands how large the edit was in units of the residual stream: a model pushed far out of
  its distribution says little about cells.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Float
from torch import Tensor

from cellprism.cells.values import refuse_changed
from cellprism.equations.ratio import share
from cellprism.equations.steering import steered
from cellprism.errors import ConfigError, InputError, ModelError
from cellprism.features.origin import check_site, forced_past
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.edits import Ablate, Add, Change, Clamp, FeatureEdit, encode_site, feature_edit, open_tokens
from cellprism.steering.model_output import EXPRESSION, NOTHING
from cellprism.steering.reading import FOLDS, Passes, passes_of, reads_at
from cellprism.store.whole_number import whole_number
from cellprism.types import CellBatch, CellModel, Site, SparseCode


def check_steerable(model: CellModel, sae: SparseAutoencoder, layer: int, force: bool = False) -> Site:
    """The site, if what the autoencoder reads there can be changed along its features.

    Raises:
        ModelError: as ``features.origin.check_site``; or a transcoder, whose features are read at one layer and written
            at another.
    """
    site = check_site(model, sae, layer, force)
    if sae.is_transcoder:
        written = sae.metadata.get("target_layer", "another")
        raise ModelError(
            f"this transcoder's features are read after block {layer} and written after block {written}: turned up "
            f"after block {layer}, one would change what it is itself read from; steer an autoencoder that was trained "
            f"on block {written} (without target_layer)"
        )
    return site


def edited(
    x: Float[Tensor, "cell token d_model"],
    code: SparseCode,
    strengths: Float[Tensor, " feature"],
    W_dec: Float[Tensor, "feature d_model"],
) -> Float[Tensor, "cell token d_model"]:
    """``equations.steering.steered`` over all tokens of a batch; ``code`` has its rows cell after cell."""
    return steered(x.reshape(-1, x.shape[-1]), code, strengths, W_dec).view_as(x)


@dataclass(frozen=True)
class SiteCells:
    """Some cells at the site, read once: what every further strength starts from."""

    batch: CellBatch
    x: Float[Tensor, "cell token d_model"]
    """Residual stream at the site."""
    code: SparseCode
    """Its sparse code, one row per cell and token; values are 0 at tokens that may not be edited."""


@torch.no_grad()
def read_site(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    batch_size: int,
    positions: str = "present",
    where: str = "visible",
) -> Iterator[tuple[SiteCells, Passes]]:
    """Run all passes of the cells up to the site, batch by batch, and encode them there.

    ``where``: from ``reading.reads_at``. Each row's ``batch.cell`` is that of the cells, whose passes are rows.

    Raises:
        InputError: there are no cells.
        ConfigError: ``batch_size`` is no whole number of at least 1.
    """
    if not adata.n_obs:
        raise InputError("there are no cells to steer; the AnnData has 0 rows")
    whole = whole_number(batch_size, "batch_size")
    cells = whole if where == "visible" else max(1, whole // FOLDS)
    for batch in model.batches(adata, cells):
        passes = passes_of(model, batch, where)
        rows = replace(passes.batch, cell=batch.cell.repeat_interleave(passes.folds))
        x = model.residual(rows, layer)
        yield SiteCells(rows, x, encode_site(sae, x, rows, positions)), passes


@torch.no_grad()
def steer(
    model: CellModel,
    sae: SparseAutoencoder,
    adata: AnnData,
    layer: int,
    strengths: Mapping[int, Change],
    positions: str = "present",
    batch_size: int = 32,
    read: str = "",
    force: bool = False,
    *,
    genes: str | Sequence[str] | None = None,
    cells: Sequence[int] | np.ndarray | None = None,
) -> AnnData:
    """What the model predicts of every cell as it is and with some features turned up or down.

    Args:
        model: the cell model.
        sae: autoencoder trained at this site.
        adata: cells as ``read_cells`` returns them (raw counts).
        layer: block whose output is edited, from 0.
        strengths: strength alpha per feature; 1 does nothing, 0 removes the feature, negative turns it
            around. In place of a number, ``edits.Add``, ``edits.Clamp`` or ``edits.Ablate``.
        positions: ``present`` (default) edits tokens of measured genes only, ``all`` every token, which leaves none to
            be read hidden.
        batch_size: cells per forward pass, or passes where a cell needs several; the result does not depend on it
            beyond rounding.
        read: where to read genes, ``hidden`` or ``visible``; empty: where the model was trained. At hidden genes every
            cell passes ``reading.FOLDS`` times, and costs as much more.
        force: use an autoencoder that was trained on another model, layer or order of genes.
        genes: a gene or genes at whose tokens alone features are changed; all by default.
        cells: cells in which alone they are, by row number, or by one true or false a cell; all by default.

    Returns:
        AnnData, cells x genes, with layers ``baseline`` and ``steered`` (predicted log1p of counts per ten
        thousand), obsm ``embedding_baseline`` and ``embedding_steered``, and per cell ``edit_norm``,
        ``residual_norm`` (Frobenius, over the tokens open to the edit) and ``edit_ratio``, the first over the
        second (NaN where that is 0). Where genes are read hidden there is one more layer, ``direct``: the change,
        steered minus baseline, of each gene where the model sees it and the edit may act on its own token; norms are
        then root mean squares over a cell's passes, embeddings means. A model that predicts which gene stands at a
        place, not how much of it, has ``token_logit_`` before the names of its layers (logit of each gene's own token,
        NaN where a cell does not express the gene), a model without a decoder has none. ``uns["cellprism"]["steer"]``
        says which, in ``output_kind``, where genes were read, in ``read``, and what ``force`` went past, in ``forced``.

    Raises:
        ModelError: the layer does not exist, the autoencoder has another width, was trained on something else or is a
            transcoder, or the model came without its head, or cannot hide genes.
        ConfigError: a feature or gene does not exist or a strength is not finite, or no token is left to be read.
        CellsError: the cells are no counts any more.

    >>> import cellprism as cp
    >>> model = cp.load_model("pbmc2")
    >>> cells = cp.read_cells("bundled:pbmc68k", model=model)[:20].copy()
    >>> config = cp.SaeConfig(k=4, centring="group", epochs=1)
    >>> sae = cp.train_sae(model, cells, layer=1, config=config)
    >>> out = cp.steer(model, sae, cells, layer=1, strengths={3: 5.0})
    >>> sorted(out.layers)
    ['baseline', 'steered']
    """
    site = check_steerable(model, sae, layer, force)
    edit = feature_edit(model, sae, strengths, genes=genes, cells=cells, positions=positions)
    refuse_changed(adata)
    parts, said, where = [], model.predicts, reads_at(model, read)
    if positions == "all" and where == "hidden":
        raise ConfigError(
            f"positions='all' edits every token, and {model.name!r} is read at tokens that are hidden and never "
            "edited; use positions='present', or read='visible' to do as the public code does"
        )
    for read_cells, passes in read_site(model, sae, adata, layer, batch_size, positions, where):
        parts.append(_before_and_after(model, read_cells, passes, layer, edit, adata))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    obs = pd.DataFrame(adata.obs).assign(edit_norm=whole["edit_norm"], residual_norm=whole["residual_norm"])
    obs["edit_ratio"] = share(whole["edit_norm"], whole["residual_norm"], 0.0)
    recipe = {
        "model": model.name,
        "layer": layer,
        "site": str(site),
        "positions": positions,
        "output_kind": said,
        "read": where,
        "forced": forced_past(model, sae, layer),
        "strengths": {str(feature): _said(change) for feature, change in strengths.items()},
    }
    out = AnnData(obs=obs, var=pd.DataFrame(adata.var), uns={"cellprism": {"steer": recipe}})
    for name in ("baseline", "steered", "direct"):
        if said != NOTHING and name in whole:
            out.layers[name if said == EXPRESSION else f"{said}_{name}"] = whole[name]
        if f"embedding_{name}" in whole:
            out.obsm[f"embedding_{name}"] = whole[f"embedding_{name}"]
    return out


def _before_and_after(
    model: CellModel,
    cells: SiteCells,
    passes: Passes,
    layer: int,
    edit: FeatureEdit,
    adata: AnnData,
) -> dict[str, np.ndarray]:
    """Predictions of one batch without and with the edit, and the sizes of edit and residual."""
    changed = edit.changed(cells.x, cells.code, edit.mask(cells.x, cells.batch))
    before, after = (
        passes.said(model, model.resume(cells.batch, layer, x), adata.var_names) for x in (cells.x, changed)
    )
    open_ = open_tokens(cells.batch, edit.positions, cells.x)[..., None]
    values = {
        "baseline": before.values,
        "steered": after.values,
        "embedding_baseline": before.embedding,
        "embedding_steered": after.embedding,
        "edit_norm": _norm(changed - cells.x, passes.folds),
        "residual_norm": _norm(cells.x * open_, passes.folds),
    }
    if before.direct is not None and after.direct is not None:
        values["direct"] = after.direct - before.direct
    return {name: value.float().cpu().numpy() for name, value in values.items()}


def _said(change: Change) -> float | str:
    """A change as a record has it: a strength is a number."""
    if isinstance(change, Add):
        return f"+{change.amount:g}"
    if isinstance(change, Clamp):
        return f"={change.value:g}"
    return 0.0 if isinstance(change, Ablate) else float(change)


def _norm(x: Float[Tensor, "row token d_model"], folds: int) -> Float[Tensor, " cell"]:
    """Frobenius norm, root mean square over the rows of each cell."""
    return x.flatten(1).norm(dim=1).unflatten(0, (-1, folds)).square().mean(dim=1).sqrt()
