"""Gene or state: how the variance of every feature splits, and what known of the cells goes with it.

Notable choices

- Shares of variance between genes come from the study ``programs``, over all cells; whether a feature's genes agree on
  the cells, which tells state from noise, is read on some of them.
- Features are followed by their mean activation in each cell. Where cells have types they are followed within types
  too: depth, for one, differs between types, and so does what a feature of a type follows.
"""

from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Bool, Float, Int

from cellprism.enrich.labels import UNLABELLED
from cellprism.equations.common_pattern import gene_or_state
from cellprism.equations.ratio import varies
from cellprism.features.common_pattern import common_pattern
from cellprism.studies.files import read_h5ad
from cellprism.studies.programs.tables import CELLS, read_genes
from cellprism.studies.state.covariates import Covariate, cell_cycle, covariates
from cellprism.studies.state.following import Following, follow
from cellprism.studies.state.settings import StateSettings
from cellprism.studies.state.tables import FOLLOWED, Followed, Found, State
from cellprism.studies.workbench import Workbench

FEWEST = 8  # cells of a type, to follow features within it


def work(bench: Workbench, settings: StateSettings) -> Found:
    """Split the variance of features, and follow them over cells."""
    seed = bench.config.seed
    rng = np.random.default_rng([seed, 59])
    rows = np.sort(rng.permutation(np.flatnonzero(bench.tokens.counts))[: settings.cells])
    cells = bench.cells[rows].copy()
    known, absent = covariates(cells, settings.columns, cell_cycle(bench))
    genes = read_genes(bench.folder_of("programs"))
    with bench.bar("whether the genes of a feature agree", None):
        common = common_pattern(bench.tokens, bench.sae, rows) if bench.tokens.are_genes else None
    features = variance_table(genes, common)
    every: Any = sp.csr_matrix(read_h5ad(bench.folder_of("programs") / CELLS).X)[rows]
    activation = np.asarray(every.todense(), dtype=np.float64)
    live = varies(activation)
    types = strata(cells)
    followed = []
    with bench.bar("what goes with features", len(known)) as advance:
        for number, covariate in enumerate(known if live.any() else ()):
            row, columns = followed_by(activation, live, covariate, types, settings.permutations, [seed, 61, number])
            followed.append(row)
            features = pd.concat([features, columns], axis=1)
            advance(number + 1)
    state = State(
        len(rows), int(live.sum()), 0 if types is None else len(set(types[types >= 0])), settings.permutations,
        bench.results("programs").rates["residual_variance"],
        float(genes.uns["cellprism"]["gene_share_by_chance"]) if common is not None else None, followed, absent,
    )  # fmt: skip
    return Found(state, features)


def variance_table(genes: AnnData, common: Float[np.ndarray, " feature"] | None) -> pd.DataFrame:
    """How each feature's variance splits; missing values where tokens are no genes.

    Args:
        genes: features x genes of the study ``programs``.
        common: mean correlation between two of a feature's genes; None where tokens are no genes.
    """
    obs = cast(pd.DataFrame, genes.obs)
    missing = np.full(genes.n_obs, np.nan)
    gene = state = rest = score = missing
    if common is not None:
        split = gene_or_state(obs["gene_share"].to_numpy(float), genes.uns["cellprism"]["gene_share_by_chance"], common)
        gene, state, rest, score = *split, split.score
    return pd.DataFrame({
        "feature": [int(name) for name in genes.obs_names], "firing_rate": obs["firing_rate"].to_numpy(float),
        "of_gene": gene, "of_state": state, "of_rest": rest, "score": score,
        "common": missing if common is None else common,
    })  # fmt: skip


def strata(cells: AnnData) -> Int[np.ndarray, " cell"] | None:
    """Number of each cell's type, -1 of cells without one or of a type with few cells; None without types."""
    if "cell_type" not in cells.obs:
        return None
    labels = cells.obs["cell_type"].astype(str).to_numpy()
    names, number, counts = np.unique(labels, return_inverse=True, return_counts=True)
    kept = (counts >= FEWEST) & (names != UNLABELLED)
    if not kept.any():
        return None
    return np.where(kept, np.cumsum(kept) - 1, -1)[number]


def followed_by(
    activation: Float[np.ndarray, "cell feature"],
    live: Bool[np.ndarray, " feature"],
    covariate: Covariate,
    types: Int[np.ndarray, " cell"] | None,
    permutations: int,
    seed: list[int],
) -> tuple[Followed, pd.DataFrame]:
    """How many features go with a covariate, over all cells and within types, and by how much each does."""
    z = activation[:, live]
    whole = follow(z, covariate, np.zeros(len(z), dtype=np.int64), permutations, [*seed, 0])
    found = [whole]
    if types is not None:
        inside = types >= 0
        some = Covariate(covariate.name, covariate.origin, *(
            None if a is None else a[inside] for a in (covariate.value, covariate.group)
        ))  # fmt: skip
        found.append(follow(z[inside], some, types[inside], permutations, [*seed, 1]))
    groups = 0 if covariate.group is None else int(covariate.group.max()) + 1
    within = found[1].followers if len(found) > 1 else None
    return Followed(covariate.name, covariate.origin, groups, whole.followers, within), _columns(covariate, live, found)


def _columns(covariate: Covariate, live: Bool[np.ndarray, " feature"], found: list[Following]) -> pd.DataFrame:
    """r and q of every feature, over all cells and, where there are types, within them."""
    values = [column for one in found for column in (one.r, one.q)]
    table = {}
    for kind, column in zip(FOLLOWED, values, strict=False):
        every = np.full(len(live), np.nan)
        every[live] = column
        table[f"{covariate.name}_{kind}"] = every
    return pd.DataFrame(table)
