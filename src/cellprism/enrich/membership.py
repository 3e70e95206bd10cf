"""Which gene is in which set: gene lists and terms as sparse tables over a declared background.

Notable choices

- The background is the universe: genes outside it are dropped from lists and from terms alike, and counted.
- A term is tested when enough of its genes are in the background. A term with none there cannot be hit by any
  list and is not counted as a test.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from cellprism.errors import ConfigError
from cellprism.ontology.collection import information_of


class Lists(NamedTuple):
    """Gene lists over a background."""

    member: csr_array
    """[list gene], 1 where the gene is in the list."""
    size: Int[np.ndarray, " list"]
    """Genes of each list that are in the background."""
    outside: int
    """Entries dropped because the background does not hold them."""


class Terms(NamedTuple):
    """The terms of a collection that a background lets us test."""

    names: tuple[str, ...]
    gene: dict[str, int]
    """Column of each background gene."""
    member: csr_array
    """[term gene], 1 where the gene is in the term."""
    size: Int[np.ndarray, " term"]
    """Genes of each term that are in the background."""
    outside: int
    """Entries of the collection dropped because the background does not hold them."""

    @property
    def background_size(self) -> int:
        """Number of genes in the background."""
        return len(self.gene)


def term_table(collection: Mapping[str, Iterable[str]], background: Iterable[str], min_term_size: int = 1) -> Terms:
    """The testable terms of a collection.

    Args:
        collection: term -> genes.
        background: the genes that could have been in a list; repeats count once.
        min_term_size: terms with fewer background genes are not tested. At least 1.

    Raises:
        ConfigError: an empty background, or no term left to test.
    """
    gene = {name: column for column, name in enumerate(dict.fromkeys(background))}
    if not gene:
        raise ConfigError("the background holds no genes; give all genes that could have been in a list")
    if min_term_size < 1:
        raise ConfigError(f"min_term_size is {min_term_size}; a term needs at least 1 gene in the background")
    names = tuple(collection)
    member, size, outside = _incidence(collection.values(), gene)
    tested = np.flatnonzero(size >= min_term_size)
    if not len(tested):
        raise ConfigError(
            f"none of the {len(names)} terms has {min_term_size} or more of its genes in the background of "
            f"{len(gene)} genes; the background writes genes like {_some(gene)}, the collection like "
            f"{_some(g for genes in collection.values() for g in genes)}. Use the same gene names in both"
        )
    return Terms(tuple(names[i] for i in tested), gene, member[tested], size[tested], outside)


def information_in(terms: Terms, collection: Mapping[str, Iterable[str]]) -> Float[np.ndarray, " term"]:
    """Information content, in nats, of the terms of a collection that a background lets us test."""
    information = information_of(collection)
    return np.array([information[name] for name in terms.names])


def list_table(lists: Iterable[Iterable[str]], terms: Terms) -> Lists:
    """Gene lists over the background of ``terms``; empty lists stay, as rows without a gene.

    Raises:
        ConfigError: the lists hold genes, yet none of them is in the background.
    """
    kept = [list(genes) for genes in lists]
    member, size, outside = _incidence(kept, terms.gene)
    if outside and not size.any():
        raise ConfigError(
            f"no gene of the {len(kept)} lists is in the background; the lists write genes like "
            f"{_some(g for genes in kept for g in genes)}, the background like {_some(terms.gene)}"
        )
    return Lists(member, size, outside)


def _incidence(
    sets: Iterable[Iterable[str]], gene: Mapping[str, int]
) -> tuple[csr_array, Int[np.ndarray, " set"], int]:
    columns: list[int] = []
    start = [0]
    outside = 0
    for members in sets:
        once = dict.fromkeys(members)
        found = [gene[name] for name in once if name in gene]
        outside += len(once) - len(found)
        columns += found
        start.append(len(columns))
    shape = (len(start) - 1, len(gene))
    ones = np.ones(len(columns), dtype=np.int32)
    member = csr_array((ones, np.array(columns, dtype=np.int32), np.array(start, dtype=np.int32)), shape=shape)
    return member, np.diff(np.array(start, dtype=np.int64)), outside


def _some(genes: Iterable[str]) -> str:
    return ", ".join(sorted(dict.fromkeys(genes))[:3]) or "none"
