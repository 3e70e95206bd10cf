"""An ontology with its genes: annotations passed on to every term above, and how specific each term is.

Notable choices

- A gene that is annotated with a term is annotated with all that the term is a part of. One sparse product of direct
  annotations and ancestors does it for all genes.
- Information content counts genes under the root of a term's own namespace: all genes annotated with anything there.
  It is that of the whole ontology, whichever terms are kept afterwards.
- Annotations with obsolete terms are refused, replaced or left out, as asked; ids that the ontology does not know come
  of another release, and are left out as long as they are few.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csc_array, csr_array

from cellprism.equations.information import information_content, lin_similarity
from cellprism.errors import ConfigError
from cellprism.ontology.annotations import Annotations
from cellprism.ontology.collection import Collection, Origin
from cellprism.ontology.graph import Ontology
from cellprism.ontology.text import listed

OBSOLETE = ("refuse", "replace", "leave out")
MOST_UNKNOWN = 0.01  # of the annotations
ALL = "all"


@dataclass(frozen=True, eq=False)
class AnnotatedOntology:
    """Terms, genes, and which gene belongs to which term."""

    ontology: Ontology
    genes: tuple[str, ...]
    """In alphabetical order."""
    member: csc_array
    """[gene term], True where the gene is annotated with the term or with one below it."""
    information: Float[np.ndarray, " term"]
    """Information content in nats; NaN for a term without genes."""
    origins: tuple[Origin, ...]
    left_out: dict[str, int]
    """Annotations that are not used, by reason."""
    made: str
    """How genes came to terms, in words."""

    def collection(self, name: str, namespace: str = ALL, smallest: int = 1, largest: int = 0) -> Collection:
        """The terms as gene sets, each called by its name with its id in brackets.

        Args:
            name: what to call the collection.
            namespace: only terms of this namespace (BP, MF or CC), or ``all``.
            smallest: terms with fewer genes are left out.
            largest: terms with more genes are left out; 0 sets no limit.

        Raises:
            ConfigError: no such namespace, or no term is left.
        """
        spaces = np.array(self.ontology.namespaces)
        if namespace != ALL and namespace not in spaces:
            raise ConfigError(
                f"{self.ontology.origin.file} has no namespace {namespace!r}; choose {', '.join(sorted(set(spaces)))} "
                f"or {ALL}"
            )
        size = np.diff(self.member.indptr)
        kept = (size >= max(smallest, 1)) & (size <= (largest or np.inf)) & ((spaces == namespace) | (namespace == ALL))
        if not kept.any():
            raise ConfigError(
                f"no term of {self.ontology.origin.file} in {namespace} has {smallest} to {largest or 'any number of'} "
                "genes; widen the limits"
            )
        genes, onto = np.array(self.genes, dtype=object), self.ontology
        terms, source, information = {}, {}, {}
        for i in np.flatnonzero(kept):
            term = f"{onto.names[i]} ({onto.ids[i]})"
            terms[term] = tuple(genes[self.member.indices[self.member.indptr[i] : self.member.indptr[i + 1]]])
            source[term], information[term] = onto.ids[i], float(self.information[i])
        limits = f"{namespace} terms of {max(smallest, 1)} to {largest or 'any number of'} genes"
        return Collection(name, terms, source, 0, information, self.origins, f"{self.made}; {limits}")

    def resnik(self, one: Iterable[str], other: Iterable[str]) -> Float[np.ndarray, "one other"]:
        """Information content, in nats, of the most informative common ancestor of each pair of terms; 0 where they
        have none.

        Args:
            one: ids of terms.
            other: ids of terms.

        Raises:
            ConfigError: an id is unknown or obsolete.

        Source: Resnik 1995.
        """
        onto = self.ontology
        return self._shared(onto.find(one), onto.find(other))

    def lin(self, one: Iterable[str], other: Iterable[str]) -> Float[np.ndarray, "one other"]:
        """How alike each pair of terms is, from 0 to 1: what they share of their information. A term and itself are 1.

        Raises:
            ConfigError: an id is unknown or obsolete, or a term has no genes and so no information content.

        Source: Lin 1998.
        """
        a, b = self.ontology.find(one), self.ontology.find(other)
        if bare := [self.ontology.ids[i] for i in (*a, *b) if np.isnan(self.information[i])]:
            raise ConfigError(
                f"no gene is annotated with {', '.join(bare[:5])}, so there is no information content; leave them out"
            )
        shape = (len(a), len(b))
        first, second = (np.broadcast_to(self.information[p], shape) for p in (a[:, None], b[None, :]))
        return np.where(a[:, None] == b[None, :], 1.0, lin_similarity(self._shared(a, b), first, second))

    def _shared(self, a: Int[np.ndarray, " one"], b: Int[np.ndarray, " other"]) -> Float[np.ndarray, "one other"]:
        """Information of the best common ancestor: ancestors one after the other, from the least to the most
        informative, each overwriting what lies below it."""
        above = self.ontology.ancestors
        below_a, below_b = csc_array(above[a]), csc_array(above[b])
        common = np.flatnonzero((np.diff(below_a.indptr) > 0) & (np.diff(below_b.indptr) > 0))
        found = np.zeros((len(a), len(b)))
        for i in common[np.argsort(np.nan_to_num(self.information[common]))]:
            rows, columns = (t.indices[t.indptr[i] : t.indptr[i + 1]] for t in (below_a, below_b))
            found[np.ix_(rows, columns)] = np.nan_to_num(self.information[i])
        return found


def annotate(ontology: Ontology, annotations: Annotations, obsolete: str = "refuse") -> AnnotatedOntology:
    """Pass annotations on to all terms above.

    Args:
        ontology: the terms.
        annotations: of genes with terms.
        obsolete: what becomes of annotations with obsolete terms: ``refuse`` stops, ``replace`` takes the one term that
            the ontology names in its place, ``leave out`` drops them. What cannot be replaced is left out.

    Raises:
        ConfigError: annotations with obsolete terms under ``refuse``, too many with unknown ones, or none that is left.
    """
    if obsolete not in OBSOLETE:
        raise ConfigError(f"obsolete is {obsolete!r}: expected {', '.join(map(repr, OBSOLETE))}")
    place, left_out = _places(ontology, annotations, obsolete)
    column = np.array([place.get(id, -1) for id in annotations.terms], dtype=np.int64)
    known = np.flatnonzero(column >= 0)
    if not len(known):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        raise ConfigError(
            f"no annotation of {annotations.origin.file} is left ({reasons}); ask for other evidence, or name another "
            "file"
        )
    genes = tuple(sorted({annotations.genes[i] for i in known}))
    row_of = {gene: i for i, gene in enumerate(genes)}
    row = np.array([row_of[annotations.genes[i]] for i in known], dtype=np.int64)
    shape = (len(genes), len(ontology.ids))
    direct = csr_array((np.ones(len(known), dtype=bool), (row, column[known])), shape=shape)
    member = csc_array(direct @ ontology.ancestors)
    member.sort_indices()
    words = " and ".join(ontology.relations)
    chosen = f", evidence {', '.join(annotations.evidence)}" if annotations.evidence else ""
    without = "".join(f"; left out: {count:,} {reason}" for reason, count in left_out.items())
    return AnnotatedOntology(
        ontology, genes, member, _information(ontology, member), (ontology.origin, annotations.origin), left_out,
        f"annotations passed on along {words}{chosen}{without}",
    )  # fmt: skip


def _information(ontology: Ontology, member: csc_array) -> Float[np.ndarray, " term"]:
    """Information content of every term within its namespace."""
    spaces, space = np.unique(np.array(ontology.namespaces), return_inverse=True)
    totals = [len(np.unique(member[:, space == i].indices)) for i in range(len(spaces))]
    return information_content(np.diff(member.indptr).astype(np.int64), np.array(totals)[space])


def _places(ontology: Ontology, annotations: Annotations, obsolete: str) -> tuple[Mapping[str, int], dict[str, int]]:
    """Where each id of the annotations leads, and how many annotations are left out, by reason."""
    place = dict(ontology.place)
    rows = Counter(annotations.terms)
    old = {id: ontology.obsolete[id] for id in rows if id not in place and id in ontology.obsolete}
    unknown = [id for id in rows if id not in place and id not in old]
    if old and obsolete == "refuse":
        problems = [f"{id} ({old[id].name}), {rows[id]:,} annotations: {old[id].advice()}" for id in old]
        raise ConfigError(
            f"{annotations.origin.file} annotates genes with {len(old):,} terms that are obsolete in "
            f"{ontology.origin.file}:\n{listed(problems)}\nTake annotations and ontology of one release, or set "
            "obsolete = 'replace' (by the term that replaces it, where there is one) or 'leave out'."
        )
    if obsolete == "replace":
        place |= {
            id: ontology.place[term.replaced_by[0]]
            for id, term in old.items()
            if len(term.replaced_by) == 1 and term.replaced_by[0] in ontology.place
        }
    lost = sum(rows[id] for id in unknown)
    if lost > MOST_UNKNOWN * rows.total():
        raise ConfigError(
            f"{ontology.origin.file} lacks {len(unknown):,} of the {len(rows):,} terms that {annotations.origin.file} "
            f"names ({', '.join(unknown[:5])}), in {lost:,} of {rows.total():,} annotations; take both of one release "
            "of one ontology"
        )
    counts = {
        **annotations.left_out,
        "with obsolete terms": sum(rows[id] for id in old if id not in place),
        "with terms that the ontology does not know": lost,
    }
    return place, {reason: count for reason, count in counts.items() if count}
