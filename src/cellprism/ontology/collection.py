"""A collection of gene sets: programs by name, each with the source of its genes.

Notable choices

- A collection is a mapping from term to genes, so that a plain dictionary does wherever a collection does.
- Genes change their names. Counts aligned to old annotations spell some genes otherwise than a collection
  does; ``respelled`` brings a collection to the data's spelling and never the other way round.
- A collection knows the files that it was read from, each with its release and checksum, and says so in every table
  that is made with it.
"""

from collections.abc import Collection as AnyCollection
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from cellprism.display import Shown
from cellprism.equations.information import information_content


@dataclass(frozen=True)
class Origin:
    """A file that gene sets come from."""

    file: str
    """Its name, without folders."""
    release: str
    """Its release, such as 2022-11-03; empty where neither the file nor anybody says it."""
    sha256: str
    """Checksum of its bytes as they lie on disk."""


@dataclass(frozen=True, eq=False, repr=False)
class Collection(Mapping[str, tuple[str, ...]], Shown):
    """Named gene sets. Iterates over terms; ``collection[term]`` is a tuple of genes."""

    name: str
    terms: dict[str, tuple[str, ...]]
    """Genes of each term, each gene once, in the order given."""
    source: dict[str, str] = field(default_factory=dict)
    """Where each term's genes come from; a term may be missing."""
    repeats: int = 0
    """Genes that a term listed more than once, counted over all terms and kept once."""
    information: dict[str, float] = field(default_factory=dict)
    """Information content of each term in the ontology that it comes from, in nats; empty where there is none."""
    origins: tuple[Origin, ...] = ()
    """The files."""
    made: str = ""
    """How terms got their genes, in words; empty where the file lists them."""

    def __getitem__(self, term: str) -> tuple[str, ...]:
        return self.terms[term]

    def __iter__(self) -> Iterator[str]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def shown(self) -> Mapping[str, Any]:
        """Facts in words, by name."""
        genes = {gene for members in self.terms.values() for gene in members}
        return {"name": self.name, "gene sets": f"{len(self.terms):,}", "genes": f"{len(genes):,}"}

    def respelled(self, genes: AnyCollection[str], alias: Mapping[str, str]) -> "Collection":
        """The same terms with genes spelled as in ``genes``.

        Args:
            genes: the spelling to arrive at, for example ``adata.var_names`` or a model's genes.
            alias: other spelling -> spelling in ``genes``. A gene that ``genes`` holds as it is stays as it
                is; a gene unknown to both stays too, and the enrichment test then counts it as outside the
                background.
        """
        known = set(genes)

        def spelled(gene: str) -> str:
            other = alias.get(gene, gene)
            return gene if gene in known or other not in known else other

        new = {gene: spelled(gene) for gene in {gene for members in self.terms.values() for gene in members}}
        terms = {term: tuple(dict.fromkeys(map(new.__getitem__, members))) for term, members in self.terms.items()}
        return replace(self, terms=terms)

    def sized(self, smallest: int = 1, largest: int = 0) -> "Collection":
        """The terms with at least ``smallest`` and at most ``largest`` genes; 0 sets no upper limit."""
        limit = largest or np.inf
        return replace(self, terms={t: genes for t, genes in self.terms.items() if smallest <= len(genes) <= limit})


def information_of(collection: Mapping[str, Iterable[str]]) -> dict[str, float]:
    """Information content of every term, in nats.

    Of a collection from an ontology it is that in the ontology, whatever limits the sizes of terms have. Of gene sets
    without one, their genes in all take the place of the root's.
    """
    if isinstance(collection, Collection) and collection.information:
        return collection.information
    counts = np.array([len(set(genes)) for genes in collection.values()], dtype=np.int64)
    total = len({gene for genes in collection.values() for gene in genes})
    return dict(zip(collection, information_content(counts, np.full(counts.shape, total)).tolist(), strict=True))


def record_of(collection: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """What every table that is made with a collection says of it: its name, how it was made, and its files with release
    and checksum; nothing of gene sets that come from no file."""
    if not isinstance(collection, Collection):
        return {}
    return {
        "name": collection.name, "made": collection.made, "files": [asdict(origin) for origin in collection.origins],
    }  # fmt: skip
