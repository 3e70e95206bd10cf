"""A collection of gene sets: programs by name, each with the source of its genes.

Notable choices

- A collection is a mapping from term to genes, so that a plain dictionary does wherever a collection does.
- Genes change their names. Counts aligned to old annotations spell some genes otherwise than a collection
  does; ``respelled`` brings a collection to the data's spelling and never the other way round.
"""

from collections.abc import Collection as AnyCollection
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Collection(Mapping[str, tuple[str, ...]]):
    """Named gene sets. Iterates over terms; ``collection[term]`` is a tuple of genes."""

    name: str
    terms: dict[str, tuple[str, ...]]
    """Genes of each term, each gene once, in the order given."""
    source: dict[str, str] = field(default_factory=dict)
    """Where each term's genes come from; a term may be missing."""
    repeats: int = 0
    """Genes that a term listed more than once, counted over all terms and kept once."""

    def __getitem__(self, term: str) -> tuple[str, ...]:
        return self.terms[term]

    def __iter__(self) -> Iterator[str]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

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

        terms = {term: tuple(dict.fromkeys(map(spelled, members))) for term, members in self.terms.items()}
        return Collection(self.name, terms, self.source, self.repeats)
