"""Gene lists that chance would make: as many as the observed lists and of the same sizes.

Notable choices

- Uniform (E0): every list anew, each background gene equally likely. What the hypergeometric test assumes.
- Popularity (E1) is two things, and each is matched by a null of its own.
- ``popularity_lists`` matches popularity among terms: some genes are in hundreds of terms, most in few, and a
  list of popular genes hits something by chance. Genes are ranked by the number of tested terms that hold
  them, cut into groups of 20 neighbours (ties in random order) and permuted within groups; one permutation
  renames the genes of all lists. Kept exactly: the size of every list, how many genes any two lists share,
  and the gene x term table with both its margins. Kept up to the spread within a group: in how many terms
  each gene of each list is. Broken: which gene stands where.
- ``gene_use_lists`` matches popularity among lists: features favour the same genes, ribosomal ones for
  example, and many lists of favoured genes hit the term of these genes whatever the features do. Lists are paired at
  random, trade genes at random within each pair, and are paired anew. Kept exactly: the size of every list, how
  many lists hold each gene, the gene x term table. Broken: which genes stand together. The more the lists share,
  the stricter it is.
- Lists drawn with probability in proportion to popularity match nothing: their genes are in far more terms
  than those of the lists observed.
- Co-expression (E3): a random gene and its top correlates in log1p CP10k over the cells. No model is
  involved: what a feature has beyond this is what the model, or the autoencoder, adds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from anndata import AnnData
from jaxtyping import Bool, Float, Int

from cellprism.cells.expression import log1p_blocks
from cellprism.enrich.membership import Terms
from cellprism.equations.ratio import is_spread
from cellprism.errors import ConfigError

GROUP = 20  # genes of like popularity that may stand in for each other
ROUNDS = 20  # of trades; each list takes part in every one, but for one where their number is odd
CELLS_AT_ONCE = 1024
KEPT = 50  # genes of a module that is kept: as many as the longest lists of one length
Seed = int | Sequence[int]  # what numpy.random.default_rng takes


class Modules(NamedTuple):
    """Co-expression modules: every gene with its top correlates, itself first."""

    genes: tuple[str, ...]
    order: Int[np.ndarray, "gene rank"]


class GeneTable(NamedTuple):
    """Gene lists as numbers: drawing and scoring them thousands of times makes no Python objects."""

    gene: Int[np.ndarray, "list place"]
    """Numbers of the genes; what lies beyond a list's size is -1."""
    size: Int[np.ndarray, " list"]

    @property
    def inside(self) -> Bool[np.ndarray, "list place"]:
        """Places that hold a gene."""
        return np.arange(self.gene.shape[1]) < self.size[:, None]

    def named(self, names: Iterable[Any], pool: Sequence[str]) -> dict[Any, tuple[str, ...]]:
        """The lists by their names, of genes by theirs."""
        genes = np.array(pool, dtype=object)
        return {name: tuple(genes[row[:n]]) for name, row, n in zip(names, self.gene, self.size, strict=True)}


def gene_table(lists: Iterable[Iterable[str]], place: Mapping[str, int]) -> GeneTable:
    """Lists as numbers; genes without a place are dropped."""
    inside = [[place[g] for g in dict.fromkeys(genes) if g in place] for genes in lists]
    size = np.array([len(genes) for genes in inside], dtype=np.int64)
    table = np.full((len(inside), int(size.max(initial=0))), -1)
    for row, genes in zip(table, inside, strict=True):
        row[: len(genes)] = genes
    return GeneTable(table, size)


def uniform_lists(
    lists: Mapping[Any, Iterable[str]], background: Iterable[str], seed: Seed = 0
) -> dict[Any, tuple[str, ...]]:
    """E0: lists of the same sizes, drawn from the background without replacement.

    Genes of ``lists`` outside the background do not count towards a list's size.
    """
    place = _places(background)
    return uniform_table(gene_table(lists.values(), place), len(place), seed).named(lists, list(place))


def uniform_table(lists: GeneTable, genes: int, seed: Seed) -> GeneTable:
    """``uniform_lists`` in numbers, from so many genes."""
    rng, drawn = np.random.default_rng(seed), np.full_like(lists.gene, -1)
    for row, size in zip(drawn, lists.size, strict=True):
        row[:size] = rng.choice(genes, size, replace=False)
    return GeneTable(drawn, lists.size)


def popularity_lists(lists: Mapping[Any, Iterable[str]], terms: Terms, seed: Seed = 0) -> dict[Any, tuple[str, ...]]:
    """E1 among terms: the observed lists with every gene renamed to one that is in about as many terms.

    Genes of ``lists`` outside the background of ``terms`` are dropped.
    """
    return popularity_table(gene_table(lists.values(), terms.gene), terms, seed).named(lists, list(terms.gene))


def popularity_table(lists: GeneTable, terms: Terms, seed: Seed) -> GeneTable:
    """``popularity_lists`` in numbers."""
    permutation = matched_permutation(np.asarray(terms.member.sum(axis=0)).ravel(), np.random.default_rng(seed))
    return GeneTable(np.where(lists.gene < 0, -1, permutation[lists.gene]), lists.size)


def gene_use_lists(
    lists: Mapping[Any, Iterable[str]], background: Iterable[str], seed: Seed = 0
) -> dict[Any, tuple[str, ...]]:
    """E1 among lists: two lists at a time pool the genes that only one of them has and share them out anew.

    Source of the algorithm: Strona et al. 2014, "curveball"; all pairs at once: Carstens et al. 2018, "global
    curveball". Genes of ``lists`` outside the background are dropped.
    """
    place = _places(background)
    return gene_use_table(gene_table(lists.values(), place), len(place), seed).named(lists, list(place))


def gene_use_table(lists: GeneTable, genes: int, seed: Seed) -> GeneTable:
    """``gene_use_lists`` in numbers, from so many genes."""
    rng, table, size = np.random.default_rng(seed), lists.gene.copy(), lists.size
    for _ in range(ROUNDS):
        a, b = np.split(rng.permutation(len(table))[: 2 * (len(table) // 2)], 2)
        table[a], table[b] = _traded(table[a], table[b], size[a], size[b], genes, rng)
    return GeneTable(table, size)


def _traded(
    a: Int[np.ndarray, "pair place"],
    b: Int[np.ndarray, "pair place"],
    size_a: Int[np.ndarray, " pair"],
    size_b: Int[np.ndarray, " pair"],
    genes: int,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, "pair place"], Int[np.ndarray, "pair place"]]:
    """Pairs of lists after each has traded; what both lists of a pair have stays in both. -1 fills up short lists."""
    pairs, length = a.shape
    both = np.concatenate([a, b], axis=1)
    holds = np.zeros((2, pairs, genes + 1), dtype=bool)
    rows = np.arange(pairs)[:, None]
    holds[0, rows, a], holds[1, rows, b] = True, True
    shared = (holds[0] & holds[1])[rows, both]
    key = rng.random(both.shape)
    key[:, :length][shared[:, :length]] = -1  # the first list's copies come first, the second's last
    key[:, length:][shared[:, length:]] = 2
    key[both < 0] = 3
    ranked = np.take_along_axis(both, np.argsort(key, axis=1), axis=1)
    step = np.arange(length)
    after = np.take_along_axis(ranked, np.minimum(size_a[:, None] + step, 2 * length - 1), axis=1)
    return np.where(step < size_a[:, None], ranked[:, :length], -1), np.where(step < size_b[:, None], after, -1)


def matched_permutation(popularity: Int[np.ndarray, " gene"], rng: np.random.Generator) -> Int[np.ndarray, " gene"]:
    """A permutation that moves genes only among neighbours in popularity, ties ordered at random."""
    ranked = np.lexsort((rng.random(len(popularity)), popularity))
    permutation = np.empty_like(ranked)
    for start in range(0, len(ranked), GROUP):
        group = ranked[start : start + GROUP]
        permutation[group] = rng.permutation(group)
    return permutation


def coexpression_modules(adata: AnnData, background: Iterable[str], size: int, longer: int = 0) -> Modules:
    """Each background gene's top correlates (Pearson, log1p CP10k) in the counts.

    Args:
        adata: cells x genes, raw counts in X.
        background: genes to correlate. Genes that are not measured or never vary have no module.
        size: genes per module, the gene itself included.
        longer: genes per module where so many vary.

    Raises:
        ConfigError: fewer than ``size`` genes vary.
    """
    columns = np.flatnonzero(adata.var_names.isin(list(background)))
    correlation, varying = _correlation(lambda: (block[:, columns] for block in log1p_blocks(adata)), adata.n_obs)
    if varying.sum() < size:
        raise ConfigError(
            f"co-expression modules of {size} genes need as many that vary between cells; the background "
            f"has {varying.sum()} in these cells. Give more cells or a larger background"
        )
    correlation = correlation[np.ix_(varying, varying)]
    np.fill_diagonal(correlation, np.inf)
    genes, length = adata.var_names[columns[varying]], min(max(size, longer), int(varying.sum()))
    return Modules(tuple(genes), np.array([_highest(row, length) for row in correlation]))


def _highest(values: Float[np.ndarray, " gene"], size: int) -> Int[np.ndarray, " rank"]:
    """Places of the highest values, highest first, and of equal ones the first: fewer are the beginning of more."""
    least = np.partition(values, len(values) - size)[len(values) - size]
    at = np.flatnonzero(values >= least)
    return at[np.argsort(-values[at], kind="stable")[:size]]


class ModulesOnce:
    """``coexpression_modules`` made once for all that asks for them with the same cells and background: correlating
    all genes takes longer than all lists that are drawn from it."""

    def __init__(self):
        self._made: tuple[AnnData, tuple[str, ...], Modules] | None = None

    def __call__(self, adata: AnnData, background: Iterable[str], size: int) -> Modules:
        """Modules of ``size`` genes."""
        genes, made = tuple(background), self._made
        if made is None or made[0] is not adata or made[1] != genes or made[2].order.shape[1] < size:
            made = self._made = adata, genes, coexpression_modules(adata, genes, size, KEPT)
        return made[2]._replace(order=made[2].order[:, :size])


MakesModules = Callable[[AnnData, Iterable[str], int], Modules]


def coexpression_lists(
    lists: Mapping[Any, Iterable[str]],
    modules: Modules,
    background: Iterable[str],
    seed: Seed = 0,
) -> dict[Any, tuple[str, ...]]:
    """E3: for each list a random gene, no gene twice while genes last, with its top correlates up to the
    list's size.

    Raises:
        ConfigError: a list is longer than the modules.
    """
    place = _places(background)
    drawn = coexpression_table(gene_table(lists.values(), place), modules, place, seed)
    return drawn.named(lists, list(place))


def coexpression_table(lists: GeneTable, modules: Modules, place: Mapping[str, int], seed: Seed) -> GeneTable:
    """``coexpression_lists`` in numbers; ``place`` has the number of each gene.

    Raises:
        ConfigError: a list is longer than the modules.
    """
    rng, number = np.random.default_rng(seed), np.array([place[gene] for gene in modules.genes])
    longest = lists.gene.shape[1]
    if longest > modules.order.shape[1]:
        raise ConfigError(
            f"a list has {longest} genes, the modules {modules.order.shape[1]}; make modules at least as long"
        )
    rounds = -(-len(lists.size) // len(number))
    centres = np.concatenate([rng.permutation(len(number)) for _ in range(rounds)] or [np.empty(0, dtype=np.int64)])
    drawn = number[modules.order[centres[: len(lists.size)], :longest]]
    return GeneTable(np.where(lists.inside, drawn, -1), lists.size)


def _correlation(
    values: Callable[[], Iterator[Any]], n_cells: int
) -> tuple[Float[np.ndarray, "gene gene"], np.ndarray]:
    """Pearson correlation of sparse columns, of which ``values`` gives some cells at a time, and which columns vary."""
    mean = np.sum([np.asarray(some.sum(axis=0)).ravel() for some in values()], axis=0) / n_cells
    product = np.zeros((len(mean), len(mean)))
    for some in values():
        for start in range(0, some.shape[0], CELLS_AT_ONCE):
            block = some[start : start + CELLS_AT_ONCE].toarray() - mean
            product += block.T @ block
    deviations = np.diag(product)
    varying = is_spread(deviations, deviations + n_cells * mean**2)
    scale = np.sqrt(np.where(varying, deviations, 1))
    return product / scale[:, None] / scale, varying


def _places(background: Iterable[str]) -> dict[str, int]:
    return {gene: i for i, gene in enumerate(dict.fromkeys(background))}
