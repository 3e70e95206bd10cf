"""From features to gene lists: which genes could be in a list at all, and which are.

Notable choices

- The genes that pass the filter are also the background of the enrichment test: a gene that could never have
  been in a list must not count as one that was missed.
- Paper and code of Yanovsky and Chernomoretz 2026 filter genes differently; both rules are here, by name.
- A gene at which a feature has no positive mean activation is never in its list, however long the list should
  be.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from anndata import AnnData
from jaxtyping import Float
from scipy.sparse import csr_array

from cellprism.cells.expression import cell_blocks, log1p_blocks
from cellprism.equations.footprint import gene_set_size, participation_ratio
from cellprism.errors import ConfigError

FILTERS = ("paper", "code", "all")


def background_genes(adata: AnnData, preset: str = "paper") -> tuple[str, ...]:
    """Genes that may be in a list, and so the background.

    Args:
        adata: cells x genes, raw counts in X; ``obs["total_counts"]`` is used where it is there.
        preset: ``paper`` drops a gene that is zero in more than 50 % of cells or whose mean log1p CP10k is
            below 0.01; ``code`` keeps a gene whose mean count is above 0.01 or which is seen in more than 0.5
            % of cells; ``all`` keeps every gene.

    Raises:
        ConfigError: unknown preset, or no gene passes.
    """
    if preset not in FILTERS:
        raise ConfigError(f"unknown gene filter {preset!r}; choose one of {', '.join(FILTERS)}")
    kept = np.ones(adata.n_vars, dtype=bool)
    if preset != "all":
        counts: Any = csr_array(adata.X)
        parts = (counts[rows.start : rows.stop] for rows in cell_blocks(adata.n_obs))
        sums = np.sum([[(part > 0).sum(axis=0), part.sum(axis=0)] for part in parts], axis=0)
        seen, mean = sums / adata.n_obs
        if preset == "code":
            kept = (mean > 0.01) | (seen > 0.005)
        else:
            logged = sum(np.asarray(part.sum(axis=0)).ravel() for part in log1p_blocks(adata)) / adata.n_obs
            kept = (seen >= 0.5) & (logged >= 0.01)
    if not kept.any():
        raise ConfigError(
            f"no gene of {adata.n_vars} passes the filter {preset!r}; use 'code' or 'all' for sparse counts"
        )
    return tuple(adata.var_names[kept])


def gene_sets(
    F: AnnData,
    rule: str | int = "pr",
    clamp: tuple[int, int] | None = None,
    background: Iterable[str] | None = None,
) -> dict[str, tuple[str, ...]]:
    """Each feature's top genes, strongest first.

    Args:
        F: features x genes, mean activation in X.
        rule: ``"pr"`` takes round(participation ratio) genes; a whole number takes that many.
        clamp: smallest and largest list under ``"pr"``; the public code of Yanovsky and Chernomoretz 2026 has
            (10, 100).
        background: only these genes take part, in the ratio too; all genes of F where not given.

    Returns:
        Feature name -> genes. A feature that never fires gets no genes. Equal activations rank in gene order.

    Raises:
        ConfigError: unknown rule, a clamp that is no range, or no background gene in F.
    """
    if isinstance(rule, str) and rule != "pr":
        raise ConfigError(f"unknown rule for gene sets {rule!r}; use 'pr' or a number of genes")
    if isinstance(rule, int) and (rule < 1 or clamp is not None):
        raise ConfigError(
            f"a gene set of {rule} genes with clamp {clamp}: give at least 1 gene, and a clamp only with 'pr'"
        )
    if clamp is not None and not 1 <= clamp[0] <= clamp[1]:
        raise ConfigError(f"clamp {clamp} is no range; give the smallest and the largest size, for example (10, 100)")
    genes = F.var_names.to_numpy()
    if background is not None:
        inside = F.var_names.isin(list(background))
        if not inside.any():
            raise ConfigError(f"none of the {F.n_vars} genes of F ({', '.join(genes[:3])}) is in the background")
        genes, F = genes[inside], F[:, inside]
    values = dense(F)
    size = gene_set_size(participation_ratio(values), clamp) if rule == "pr" else np.full(F.n_obs, int(rule))
    ranked = np.argsort(-values, axis=1, kind="stable")
    size = np.minimum(size, np.count_nonzero(values > 0, axis=1))
    return {name: tuple(genes[ranked[i, : size[i]]]) for i, name in enumerate(F.obs_names)}


def dense(F: AnnData) -> Float[np.ndarray, "row column"]:
    """X as a dense float64 array."""
    return F.to_df().to_numpy(dtype=np.float64)
