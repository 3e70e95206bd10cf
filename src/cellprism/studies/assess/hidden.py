"""Genes hidden from the model and predicted, on cells of the run, beside methods that were fitted on others of them.

- Each mask hides the same genes in every cell, so that a ridge regression from the others is fitted to the same task.
- The model is judged twice: as it is, and with each gene's mean put right from cells that are not judged, since
  platforms shift means. Only the second can be compared with methods that were fitted on these cells.
- Differences are paired by cell: one bootstrap of cells for all methods.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from anndata import AnnData
from jaxtyping import Bool, Float

from cellprism.cells.expression import log1p_cp10k
from cellprism.equations.agreement import gene_correlations, recentred
from cellprism.equations.ratio import is_spread, share
from cellprism.errors import ModelError
from cellprism.features.tokens.residuals import genes_of
from cellprism.models.simple_predictors import ridge_prediction, type_means
from cellprism.steering.model_output import gene_columns, gene_values
from cellprism.studies.assess.settings import AssessSettings
from cellprism.studies.assess.split import Split
from cellprism.studies.assess.tables import HiddenGenes, MaskedError, Measure
from cellprism.types import CellModel, ExpectsCounts, HidesGenes

DRAWS, CORRELATION_DRAWS = 2_000, 500  # of the bootstraps over cells
PLACES = 6
"""Errors are kept to so many places: what differs by float32's rounding alone is the same."""
Matrix = Float[np.ndarray, "cell gene"]
PerCell = Float[np.ndarray, " cell"]


def lacks_hidden_genes(model: CellModel) -> str:
    """Why nothing can be hidden from a model and predicted by it in amounts; empty where it can."""
    if not isinstance(model, HidesGenes):
        return f"{model.name} has no value for a hidden gene, so that its predictions cannot be tested on hidden genes."
    if model.predicts != "expression":
        return f"{model.name} does not predict amounts, so that there is no error on hidden genes."
    return ""


def hidden_genes(
    model: CellModel, split: Split, settings: AssessSettings, seed: int, size: int, masks: int
) -> HiddenGenes | None:
    """Errors of the model and of simpler methods on hidden genes, and the model's agreement with the counts; None where
    the hidden genes do not vary over the cells, so that their means make no error.

    Args:
        model: one that hides genes and predicts expression.
        split: the cells.
        settings: how much is hidden.
        seed: of masks and bootstraps.
        size: cells a pass.
        masks: times that other genes are hidden.
    """
    cells, test = split.cells, split.test
    expression = log1p_cp10k(cells).toarray().astype(np.float32)
    rng = np.random.default_rng([seed, 32])
    weights = np.vstack(
        [np.ones(len(test)), rng.multinomial(len(test), np.ones(len(test)) / len(test), CORRELATION_DRAWS)]
    )
    weights /= len(test)
    errors: dict[str, list[PerCell]] = {}
    squares: list[PerCell] = []
    agreement: dict[str, list[np.ndarray]] = {"hidden": [], "visible": []}
    for _ in range(masks):
        hidden = np.zeros(cells.n_vars, dtype=bool)
        hidden[rng.choice(cells.n_vars, max(1, round(settings.hidden * cells.n_vars)), replace=False)] = True
        output = output_with(model, cells[np.concatenate([split.asked, test])], hidden, size)
        asked, said = output[: len(split.asked)], output[len(split.asked) :]
        correlation = gene_correlations(said.astype(np.float64), expression[test].astype(np.float64), weights)
        agreement["hidden"].append(correlation[:, hidden])
        agreement["visible"].append(correlation[:, ~hidden])
        truth = expression[np.ix_(test, hidden)]
        squares.append((truth**2).mean(axis=1))
        own = expression[np.ix_(split.fit, hidden)].mean(axis=0, dtype=np.float64)
        predictions = {
            "model": recentred(said[:, hidden], asked[:, hidden].mean(axis=0), own),
            "model as it is": said[:, hidden],
            **_simple(model, split, expression, hidden, rng),
        }
        for name, predicted in predictions.items():
            errors.setdefault(name, []).append(((predicted - truth) ** 2).mean(axis=1))
    per_cell = {name: np.asarray(np.mean(parts, axis=0, dtype=np.float64)) for name, parts in errors.items()}
    size_of = np.asarray(np.mean(squares, axis=0, dtype=np.float64))
    if not is_spread(per_cell["gene mean"].mean(), size_of.mean()):
        return None
    draws = rng.integers(len(test), size=(DRAWS, len(test)))
    return HiddenGenes(
        methods=paired_errors(per_cell, size_of, draws),
        over_training_means=_over(per_cell, size_of, "model as it is", "training gene mean", draws),
        agreement={name: found for name, parts in agreement.items() if (found := median_correlation(parts))},
    )


@torch.no_grad()
def output_with(model: CellModel, cells: AnnData, hidden: Bool[np.ndarray, " gene"], size: int) -> Matrix:
    """What the model predicts to be counted of every column of some cells when those marked are hidden."""
    assert isinstance(model, HidesGenes), "asked before"
    asked_for = torch.zeros(len(model.genes) + 1, dtype=torch.bool)  # the last stands for tokens that are no genes
    asked_for[torch.from_numpy(np.flatnonzero(np.isin(model.genes, cells.var_names[hidden])))] = True
    said = []
    last = model.n_layers - 1
    for batch in model.batches(cells, size):
        masked = model.mask(batch, asked_for.to(batch.values.device)[genes_of(batch)] & batch.present)
        output = model.resume(masked, last, model.residual(masked, last))
        if isinstance(model, ExpectsCounts) and output.expression is not None:
            output = replace(output, expression=model.as_counted(masked, output.expression))
        columns = gene_columns(model, masked, output, cells.var_names)
        if (columns < 0).any():
            raise ModelError(
                f"{model.name!r} says nothing of {int((columns < 0).sum())} genes of the cells that it reads"
            )
        said.append(gene_values(output, masked, columns).float().cpu().numpy())
    return np.concatenate(said)


def _simple(
    model: CellModel, split: Split, expression: Matrix, hidden: Bool[np.ndarray, " gene"], rng: np.random.Generator
) -> dict[str, Float[np.ndarray, "test_cell hidden_gene"]]:
    """What simpler methods predict of the hidden genes of the test cells."""
    shape = (len(split.test), int(hidden.sum()))
    found = {"ridge": ridge_prediction(expression, split.fit, split.test, hidden, rng)}
    if split.labels is not None:
        found["type mean"] = type_means(expression, split.fit, split.test, hidden, split.labels)
    found["gene mean"] = np.broadcast_to(expression[np.ix_(split.fit, hidden)].mean(axis=0, dtype=np.float64), shape)
    if "gene_means" in model.card:
        known = dict(zip(model.genes, model.card["gene_means"], strict=True))
        means = np.array([known[gene] for gene in split.cells.var_names[hidden]])
        found["training gene mean"] = np.broadcast_to(means, shape)
    return found


def paired_errors(per_cell: Mapping[str, PerCell], squares: PerCell, draws: np.ndarray) -> dict[str, MaskedError]:
    """Errors as shares of the gene means', with intervals from the same draws of cells for all methods.

    Args:
        per_cell: mean squared error of each method in each cell.
        squares: mean square of what is predicted there.
        draws: rows of cells; one whose gene means make no error says nothing.
    """
    floor = per_cell["gene mean"]
    found = {}
    for name, error in per_cell.items():
        value = round(float(error.mean() / floor.mean()), PLACES)
        ratio, behind = (_drawn(part, floor, squares, draws) for part in (error, error - per_cell["model"]))
        found[name] = MaskedError(value, _interval(ratio, value), 1 - value, _interval(behind))
    return found


def _drawn(part: PerCell, whole: PerCell, squares: PerCell, draws: np.ndarray) -> Float[np.ndarray, " draw"]:
    """Ratio of two mean errors in each draw of cells; NaN where the second is none."""
    return share(*(values[draws].mean(axis=1) for values in (part, whole, squares)))


def _over(
    per_cell: Mapping[str, PerCell], squares: PerCell, name: str, other: str, draws: np.ndarray
) -> Measure | None:
    if other not in per_cell or not is_spread(per_cell[other].mean(), squares.mean()):
        return None
    value = float(per_cell[name].mean() / per_cell[other].mean())
    return Measure(value, _interval(_drawn(per_cell[name], per_cell[other], squares, draws), value))


def median_correlation(parts: list[np.ndarray]) -> Measure | None:
    """Median over genes of ``gene_correlations``, of which the first row is that of all cells; genes that do not vary
    are left out, and where none does there is nothing to say."""
    whole = np.concatenate(parts, axis=1)
    whole = whole[:, np.isfinite(whole[0])]
    if not whole.size:
        return None
    medians = np.nanmedian(whole, axis=1)
    return Measure(float(medians[0]), _interval(medians[1:], float(medians[0])))


def _interval(draws: np.ndarray, value: float | None = None) -> tuple[float, float]:
    """95 % of the draws; the estimate lies in it."""
    low, high = (round(float(q), PLACES) for q in np.nanquantile(draws, [0.025, 0.975]))
    return (low, high) if value is None else (min(low, value), max(high, value))
