"""Judges from outside: a linear model made by others, classifiers of other cells, a measured response.

Notable choices

- A judge is used only where it tells the *predicted* expression of unsteered test cells of the two types apart (AUROC
  of at least ``TRUSTED``): one that does not has nothing to say of a model's predictions.
- Its way is 0 at the unsteered source's mean score and 1 at the target's, both as the model predicts them.
- The linear judge's score is the largest of the target's classes minus the largest of the source's; genes that are not
  spoken of count as 0 after scaling. It is given with and without the genes that are named.
- A classifier of other cells (another donor's, or labelled by their proteins) learns from log counts of genes scaled by
  their own spread; predictions are shifted gene by gene to the mean of the counts it was fitted on, since platforms and
  models shift gene means.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Float
from scipy.stats import pearsonr, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from cellprism.cells.expression import log1p_cp10k
from cellprism.equations.ratio import varies
from cellprism.errors import ConfigError
from cellprism.steering.nulls import plain
from cellprism.steering.screen.scalars import INTERCEPT, MEAN, SCALE
from cellprism.steering.site_cache import Prediction
from cellprism.studies.pareto.tables import Judge, Response
from cellprism.studies.pareto.unit import Unit

TRUSTED = 0.8
CAP = 10.0  # of a scaled gene, as the judge's makers have it
FEWEST = 5  # cells of either type that a classifier is fitted on
LEAST = 20  # genes of a measured response from which a correlation says anything

Score = Callable[[Float[np.ndarray, "cell gene"]], Float[np.ndarray, " cell"]]
"""Predicted expression to a score that is higher in the target."""


@dataclass(frozen=True, eq=False)
class Outside:
    """The judges of a unit, each with whether it may judge."""

    judges: list[Judge]
    scores: list[Score]
    unit: Unit

    def ways(self, after: Prediction) -> dict[str, float]:
        """``way of NAME``: how far each trusted judge sees steered test cells go."""
        found = {}
        for judge, score in zip(self.judges, self.scores, strict=True):
            if judge.trusted:
                at, low, high = (score(v).mean() for v in (after.values, *_ends(self.unit)))
                found[f"way of {judge.name}"] = float((at - low) / (high - low)) if high != low else np.nan
        return found


def outside_judges(
    unit: Unit, table: pd.DataFrame | None, toward: str, against: str, named: Sequence[str],
    elsewhere: Mapping[str, AnnData], types: tuple[str, str],
) -> Outside:  # fmt: skip
    """Every judge that there is: ``table`` of a linear model, and classifiers of cells from ``elsewhere``, by what they
    are called."""
    genes, asked = unit.cache.genes, []
    if table is not None:
        for name, left in (("the outside judge", ()), ("the outside judge without the named genes", named)):
            asked.append((name, linear_score(table, genes, toward, against, left)))
    for name, cells in elsewhere.items():
        asked.append((f"a classifier of {name}", classifier_score(unit, cells, types)))
    judges = []
    for name, score in asked:
        low, high = (score(v) for v in _ends(unit))
        truth = np.arange(len(low) + len(high)) >= len(low)
        auroc = float(roc_auc_score(truth, np.concatenate([low, high])))
        judges.append(Judge(name, auroc, auroc >= TRUSTED))
    return Outside(judges, [score for _, score in asked], unit)


def _ends(unit: Unit) -> tuple[Float[np.ndarray, "cell gene"], Float[np.ndarray, "cell gene"]]:
    judge = unit.judge["test"]
    return judge.before.values, judge.target.values


def linear_score(table: pd.DataFrame, genes: pd.Index, toward: str, against: str, without: Sequence[str] = ()) -> Score:
    """The score of a linear model of expression, of the genes that are spoken of.

    Raises:
        ConfigError: it lacks a column, a group of classes, or all of the genes.
    """
    missing = [column for column in (MEAN, SCALE) if column not in table.columns]
    classes = [str(column) for column in table.columns if column not in (MEAN, SCALE)]
    groups = [[c for c in classes if c.startswith(start)] for start in (toward, against)]
    missing += [f"a class that begins with {start!r}" for start, found in zip((toward, against), groups, strict=True)
                if not found]  # fmt: skip
    both = [g for g in genes if g in table.index and g not in set(without)]
    if missing or not both:
        what = " or ".join(missing) or "any gene that the model speaks of"
        raise ConfigError(f"pareto.judge has not {what}; give a row a gene, with columns mean, scale and one a class")
    rows, columns = table.loc[both], genes.get_indexer(pd.Index(both))
    mean, scale = (rows[name].to_numpy(dtype=float) for name in (MEAN, SCALE))
    slopes = [rows[group].to_numpy(dtype=float) for group in groups]
    starts = [table[group].reindex([INTERCEPT]).fillna(0.0).to_numpy(dtype=float)[0] for group in groups]

    def score(values: Float[np.ndarray, "cell gene"]) -> Float[np.ndarray, " cell"]:
        x = np.minimum((np.nan_to_num(values[:, columns]) - mean) / scale, CAP)
        best = [(x @ slope + start).max(axis=1) for slope, start in zip(slopes, starts, strict=True)]
        return best[0] - best[1]

    return score


def classifier_score(unit: Unit, elsewhere: AnnData, types: tuple[str, str]) -> Score:
    """The score of a logistic regression fitted on the counts of other cells of both types, in the genes they share.

    Raises:
        ConfigError: they share none that varies, or there are too few of either type.
    """
    kinds = elsewhere.obs["cell_type"].astype(str).to_numpy()
    cells = elsewhere[np.isin(kinds, types)]
    target = cells.obs["cell_type"].astype(str).to_numpy() == types[1]
    if min(target.sum(), (~target).sum()) < FEWEST:
        raise ConfigError(f"a classifier needs {FEWEST} cells each of {types[0]!r} and {types[1]!r}; give more cells")
    place = elsewhere.var_names.get_indexer(unit.cache.genes)
    shared = np.flatnonzero(place >= 0)
    counts = sp.csr_matrix(log1p_cp10k(cells))[:, place[shared]].toarray()
    mean, scale = counts.mean(axis=0), counts.std(axis=0)
    used = varies(counts)
    if not used.any():
        raise ConfigError("these cells share no gene that varies with those of the run, so no classifier can be fitted")
    method: Any = LogisticRegression(C=0.01, max_iter=1000)
    method.fit(((counts - mean) / np.where(used, scale, 1))[:, used], target)
    ends = _ends(unit)
    centre = np.nan_to_num((ends[0].mean(axis=0) + ends[1].mean(axis=0)) / 2)[shared]

    def score(values: Float[np.ndarray, "cell gene"]) -> Float[np.ndarray, " cell"]:
        x = (np.nan_to_num(values)[:, shared] - centre)[:, used] / scale[used]
        return np.asarray(method.decision_function(x))

    return score


def measured_response(
    response: Float[np.ndarray, " gene"], genes: pd.Index, table: pd.DataFrame, name: str, draws: int, seed: int
) -> Response:
    """How a recipe's change of genes goes with a measured one: rank and Pearson correlation over genes, the first with
    the 95 % interval of resampled genes."""
    change = table["log2_fold_change"].reindex(genes).to_numpy(dtype=float)
    known = np.isfinite(change) & np.isfinite(response) & (response != 0)
    n = int(known.sum())
    if n < LEAST:
        return Response(name, None, None, None, None, n)
    one, other = response[known], change[known]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(draws):
        some = rng.integers(0, n, n)
        drawn.append(np.asarray(spearmanr(one[some], other[some]))[0])
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    r, pearson = float(np.asarray(spearmanr(one, other))[0]), float(np.asarray(pearsonr(one, other))[0])
    return Response(name, plain(r), plain(float(low)), plain(float(high)), plain(pearson), n)
