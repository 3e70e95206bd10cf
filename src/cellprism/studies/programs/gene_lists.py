"""Gene lists of features and controls: which genes may be in one, and lists that are all of one length.

- Lists of a fixed length are exactly as long: a feature or control with fewer genes takes no part there.
- Two rules: the genes at which a feature is strongest, and those that vary with it over cells.
"""

from collections.abc import Mapping

import numpy as np
from anndata import AnnData

from cellprism.enrich.correlated import correlated_lists
from cellprism.enrich.gene_sets import background_genes, gene_sets

FIXED_SIZES = (20, 50)
BY_TOKEN, BY_CELL = "{} genes each", "{} genes by correlation"  # how lists of a fixed length are made
Lists = dict[str, tuple[str, ...]]


def list_background(F: AnnData, cells: AnnData, gene_filter: str) -> tuple[str, ...]:
    """Genes that may be in a list: they pass the filter, and enough cells express them to have a place in ``F``."""
    passing = background_genes(cells, gene_filter)
    if "expressed" not in F.var:
        return passing
    there = set(F.var_names[np.asarray(F.var["expressed"], dtype=bool)])
    return tuple(gene for gene in passing if gene in there)


def firing_lists(F: AnnData, background: tuple[str, ...], rule: str | int = "pr") -> Lists:
    """Gene lists of the features (or neuron tails) that fire anywhere; those that never fire are left out."""
    return gene_sets(F[(F.obs["firing_rate"] > 0).to_numpy()], rule, background=background)


def fixed_lists(
    tables: Mapping[str, AnnData], over_cells: Mapping[str, AnnData], cells: AnnData, background: tuple[str, ...]
) -> dict[str, dict[str, Lists]]:
    """Rule -> features or a control -> lists of one length.

    Args:
        tables: features x genes, of the features and of controls; lists hold the genes at which each is strongest.
        over_cells: cells x features; lists hold the genes that correlate most with each over cells.
        cells: their counts.
        background: genes that may be in a list.
    """
    longest = max(FIXED_SIZES)
    made = {
        BY_TOKEN: {name: firing_lists(F, background, longest) for name, F in tables.items()},
        BY_CELL: {name: correlated_lists(A, cells, background, longest) for name, A in over_cells.items()},
    }
    return {
        rule.format(size): {name: first_genes(some, size) for name, some in lists.items()}
        for size in FIXED_SIZES
        for rule, lists in made.items()
    }


def first_genes(lists: Lists, size: int) -> Lists:
    """The first genes of the lists that have so many: shorter ones match less easily, and controls may have more of
    them."""
    return {name: genes[:size] for name, genes in lists.items() if len(genes) >= size}


def as_many(ours: Lists, theirs: Lists, rng: np.random.Generator) -> tuple[Lists, Lists]:
    """Of both as many lists as either has, at random where there are more."""
    n = min(len(ours), len(theirs))
    return _some(ours, n, rng), _some(theirs, n, rng)


def _some(lists: Lists, n: int, rng: np.random.Generator) -> Lists:
    names = list(lists)
    return lists if len(names) == n else {names[i]: lists[names[i]] for i in np.sort(rng.permutation(len(names))[:n])}
