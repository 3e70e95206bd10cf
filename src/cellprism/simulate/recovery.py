"""How much of a world's hidden variables a set of features recovers, variable by variable.

Notable choices

- Features are chosen for variables on one half of the samples and scored on the other: the best of a thousand
  features looks good by chance on the samples that chose it.
- A variable is *in superposition* where a linear probe reads it off the vectors although there are fewer dimensions
  than variables; what a probe cannot read, no feature can be blamed for.
- Chance is the same procedure with the answers of the samples permuted.

Departs from Schuster 2025: there signed correlations are averaged and categories are correlated as integers; here the
size of the correlation counts, and a category is one binary variable per value.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cellprism.equations.recovery import auroc, correlations, explained, f1, f1_cut, one_to_one
from cellprism.simulate.dictionaries import supervised_dictionary
from cellprism.simulate.world import HiddenVariable

SHARED = 0.5  # size of a correlation from which a feature counts as one that follows a variable
RECOVERED = 0.7  # size of a held-out correlation from which a variable counts as recovered: half of its variance


def halves(n: int, seed: int) -> tuple[Int[np.ndarray, " some"], Int[np.ndarray, " others"]]:
    """Samples that features are chosen on, and samples that they are scored on."""
    order = np.random.default_rng([seed, 11]).permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def recovery_table(
    codes: Float[np.ndarray, "sample feature"],
    hidden: Sequence[HiddenVariable],
    choose: Int[np.ndarray, " some"],
    judge: Int[np.ndarray, " others"],
) -> pd.DataFrame:
    """One row per hidden variable and column.

    Returns:
        variable, column, kind, distance; ``best`` and ``matched``: size of the correlation, on the judging samples, of
        the feature with the largest one on the choosing samples, and of the feature in the one-to-one match with this
        variable's columns (0 where none is left); ``feature`` and ``sign`` of the match; ``redundancy``: features whose
        correlation, in size at least .5, is larger with this column than with the variable's others; ``auroc`` and
        ``f1`` of the matched feature for columns of zeros and ones, in the direction and from the value chosen, else
        NaN.
    """
    found = zip(hidden, _chosen(codes, hidden, choose, judge), strict=True)
    return pd.concat([_rows(codes, *each, choose, judge) for each in found], ignore_index=True)


class _Chosen(NamedTuple):
    """Features of a variable's columns, and how well they do on the judging samples."""

    first: Float[np.ndarray, "feature column"]
    """Correlations on the choosing samples."""
    feature: Int[np.ndarray, " column"]
    """The one-to-one match; -1 where none is left."""
    best: Float[np.ndarray, " column"]
    matched: Float[np.ndarray, " column"]


def _chosen(
    codes: Float[np.ndarray, "sample feature"],
    hidden: Sequence[HiddenVariable],
    choose: Int[np.ndarray, " some"],
    judge: Int[np.ndarray, " others"],
) -> Iterator[_Chosen]:
    """Each variable's; the codes are standardised once for all."""
    values = np.concatenate([variable.values for variable in hidden], axis=1)
    ends = np.cumsum([variable.values.shape[1] for variable in hidden])[:-1]
    first, second = (np.split(correlations(codes[rows], values[rows]), ends, axis=1) for rows in (choose, judge))
    for chosen, judged in zip(first, second, strict=True):
        size, judged = np.abs(chosen), np.abs(judged)
        columns, match = np.arange(size.shape[1]), one_to_one(size)
        best = judged[size.argmax(axis=0), columns]
        yield _Chosen(chosen, match, best, np.where(match >= 0, judged[np.maximum(match, 0), columns], 0.0))


def _rows(
    codes: Float[np.ndarray, "sample feature"],
    variable: HiddenVariable,
    chosen: _Chosen,
    choose: Int[np.ndarray, " some"],
    judge: Int[np.ndarray, " others"],
) -> pd.DataFrame:
    """One variable's rows of the table."""
    size, matched = np.abs(chosen.first), chosen.feature
    columns = np.arange(size.shape[1])
    follows = (size.argmax(axis=1)[:, None] == columns) & (size >= SHARED)
    sign = np.where(chosen.first[np.maximum(matched, 0), columns] < 0, -1, 1)
    table = pd.DataFrame(
        {
            "variable": variable.name, "column": columns, "kind": variable.kind, "distance": variable.distance,
            "best": chosen.best, "matched": chosen.matched, "feature": matched,
            "sign": np.where(matched >= 0, sign, 0), "redundancy": follows.sum(axis=0),
        }
    )  # fmt: skip
    scores = np.full((2, len(columns)), np.nan)
    if variable.kind != "number":
        for column in columns[matched >= 0]:
            values = sign[column] * codes[:, matched[column]]
            scores[:, column] = _binary(values, variable.values[:, column] > 0, choose, judge)
    return table.assign(auroc=scores[0], f1=scores[1])


def _binary(values: np.ndarray, actual: np.ndarray, choose: np.ndarray, judge: np.ndarray) -> tuple[float, float]:
    """AUROC and F1 of one feature on the judging samples, its cut chosen on the others."""
    cut = f1_cut(values[choose], actual[choose])
    return auroc(values[judge][:, None], actual[judge][:, None]).item(), f1(values[judge] >= cut, actual[judge])


def probe_table(
    vectors: Float[np.ndarray, "sample latent"],
    hidden: Sequence[HiddenVariable],
    choose: Int[np.ndarray, " some"],
    judge: Int[np.ndarray, " others"],
) -> pd.DataFrame:
    """variable, column, kind, distance and ``probe``: held-out R^2 of a ridge regression on the vectors."""
    import torch

    x, parts = torch.from_numpy(vectors), []
    for variable in hidden:
        probe = supervised_dictionary(x[choose], variable.values[choose])
        r2 = explained(variable.values[judge].astype(np.float64), probe(x[judge]))
        parts.append(
            pd.DataFrame(
                {
                    "variable": variable.name, "column": np.arange(len(r2)), "kind": variable.kind,
                    "distance": variable.distance, "probe": r2,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def by_variable(table: pd.DataFrame) -> pd.DataFrame:
    """Means over each variable's columns, nearest the data first; ``recovered``: share with a match of .7 or more."""
    recovered = table.assign(recovered=(table["matched"] >= RECOVERED).astype(float))
    measures = ["best", "matched", "recovered", "redundancy", "auroc", "f1"]
    means = recovered.groupby(["distance", "variable", "kind"], sort=True)[measures].mean()
    return means.reset_index()


def chance_match(
    codes: Float[np.ndarray, "sample feature"],
    hidden: Sequence[HiddenVariable],
    choose: Int[np.ndarray, " some"],
    judge: Int[np.ndarray, " others"],
    replicates: int,
    seed: int,
) -> pd.DataFrame:
    """variable, replicate and ``matched`` (mean over columns) of answers that were dealt to other samples."""
    rng = np.random.default_rng([seed, 13])
    rows = []
    for replicate in range(replicates):
        order = rng.permutation(len(codes))
        dealt = [variable.part(order) for variable in hidden]
        for variable, chosen in zip(dealt, _chosen(codes, dealt, choose, judge), strict=True):
            rows.append((variable.name, replicate, chosen.matched.mean()))
    return pd.DataFrame(rows, columns=pd.Index(["variable", "replicate", "matched"]))


def dead_share(codes: Float[np.ndarray, "sample feature"]) -> float:
    """Share of features that never fire."""
    return float((codes == 0).all(axis=0).mean())
