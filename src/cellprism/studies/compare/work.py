"""Features that differ between two conditions, over donors.

Notable choices

- The donor is the unit: pseudobulk mean of each feature per donor and condition, then a t test over donors. Cells as
  replicates are not on offer: cells of a donor are alike, and donors differ by themselves.
- Features of one autoencoder go together. Whether conditions differ at all is therefore asked once, of all features:
  how many have a q below the level, beside every other way to deal donors to conditions, features kept together.
  (Counting p < .05 instead finds less: correlated features pass that together by chance.)
"""

from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import false_discovery_control

from cellprism.equations.donors import Difference, other_signs, other_splits, paired, unpaired
from cellprism.equations.effects import permutation_p
from cellprism.equations.ratio import varies
from cellprism.errors import ConfigError
from cellprism.studies.compare.donors import Donors, donors_of
from cellprism.studies.compare.settings import CompareSettings
from cellprism.studies.compare.tables import COLUMNS, Compare, Summary
from cellprism.studies.files import read_h5ad
from cellprism.studies.programs.tables import CELLS, Programs, signed_term
from cellprism.studies.workbench import Workbench


def work(bench: Workbench, settings: CompareSettings) -> Compare:
    """Compare the run's features between two conditions."""
    z = read_h5ad(bench.folder_of("programs") / CELLS)
    obs = cast(pd.DataFrame, bench.cells.obs)
    donors = donors_of(obs, z.X, settings)
    programs: Programs = bench.results("programs")
    return compared(donors, settings, programs.features, bench.config.seed)


def compared(donors: Donors, settings: CompareSettings, programs: pd.DataFrame, seed: int) -> Compare:
    """Differences of every feature over donors, and how many there are beside permuted donors.

    Args:
        donors: pseudobulk means.
        settings: levels.
        programs: feature, best_term, sign, top_genes of every feature.
        seed: of permutations that are drawn.

    Raises:
        ConfigError: no feature varies over donors.
    """
    kept = np.flatnonzero(varies(donors.means))
    if not len(kept):
        raise ConfigError("no feature differs between any two donors, so that there is nothing to compare")
    means = donors.means[:, kept]
    found = _difference(means, donors)
    drawn, exact = permuted(means, donors, settings.permutations, seed)
    q, others = false_discovery_control(found.p), false_discovery_control(drawn.p, axis=1)
    share, shares = float((q < settings.alpha).mean()), (others < settings.alpha).mean(axis=1)
    span = np.quantile(shares, [0.025, 0.975])
    summary = Summary(
        settings.condition, settings.donor, donors.case, donors.control, settings.cell_type, donors.paired,
        _counts(donors), (sum(a for a, _ in donors.cells), sum(b for _, b in donors.cells)), len(kept),
        settings.alpha, int((q < settings.alpha).sum()), share, float(shares.mean()), (float(span[0]), float(span[1])),
        permutation_p(share, shares), len(shares), exact, donors.left_out,
    )  # fmt: skip
    return Compare(summary, _rows(kept, found, q, drawn, donors, programs), _donor_rows(donors))


def _counts(donors: Donors) -> tuple[int, int]:
    n = int(donors.is_case.sum())
    return (n, n) if donors.paired else (n, len(donors.names) - n)


def _difference(means: Float[np.ndarray, "donor feature"], donors: Donors) -> Difference:
    return paired(means) if donors.paired else unpaired(means, donors.is_case)


def permuted(
    means: Float[np.ndarray, "donor feature"], donors: Donors, most: int, seed: int
) -> tuple[Difference, bool]:
    """The difference of every feature under other ways to deal donors to conditions, arrays [permutation feature]; and
    whether these are all."""
    rng = np.random.default_rng([seed, 67])
    if donors.paired:
        signs, exact = other_signs(len(means), most, rng)
        each = [paired(row[:, None] * means) for row in signs]
    else:
        splits, exact = other_splits(donors.is_case, most, rng)
        each = [unpaired(means, row) for row in splits]
    return Difference(*(np.stack(part) for part in zip(*each, strict=True))), exact


def _rows(
    kept: np.ndarray, found: Difference, q: np.ndarray, drawn: Difference, donors: Donors, programs: pd.DataFrame
) -> pd.DataFrame:
    by_feature = programs.set_index("feature").reindex(kept)
    size, others = np.abs(found.t), np.abs(drawn.t)
    p = (1 + (others >= size - 1e-9).sum(axis=0)) / (1 + len(others))
    terms = [signed_term(str(t), str(s)) for t, s in zip(by_feature["best_term"], by_feature["sign"], strict=True)]
    table = pd.DataFrame({
        "feature": kept, "difference": found.mean, "low": found.low, "high": found.high, "t": found.t, "p": found.p,
        "q": q, "permuted_p": p, "level": donors.level[kept], "term": terms,
        "top_genes": by_feature["top_genes"].to_numpy(dtype=str),
    })  # fmt: skip
    return cast(pd.DataFrame, table[list(COLUMNS["features"])]).sort_values(["p", "feature"], ignore_index=True)


def _donor_rows(donors: Donors) -> pd.DataFrame:
    """Who was compared."""
    both = f"{donors.case} and {donors.control}"
    rows: list[tuple[Any, ...]] = [
        (name, both if donors.paired else donors.case if case else donors.control, a, b)
        for name, case, (a, b) in zip(donors.names, donors.is_case, donors.cells, strict=True)
    ]
    return pd.DataFrame(rows, columns=pd.Index(list(COLUMNS["donors"])))
