"""Terms and what they are a part of: a directed graph without cycles, from any file that holds one.

Notable choices

- A term's ancestors are itself and all that its relations lead to. They are found for all terms at once, by squaring
  the table of parents until nothing is added.
- What is wrong with a graph is refused when it is made: parents that are not there, and ways that lead back to where
  they began, each with the terms by name.
- An id that a term had before it was merged (``alt_id``) stands for the term. An obsolete one stands for nothing; the
  message says what the ontology puts in its place.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int
from scipy.sparse import csr_array, eye_array
from scipy.sparse.csgraph import connected_components

from cellprism.errors import ConfigError, DamagedError
from cellprism.ontology.collection import Origin
from cellprism.ontology.text import listed, some

RELATIONS = ("is_a", "part_of")
NAMESPACES = {"biological_process": "BP", "molecular_function": "MF", "cellular_component": "CC"}
"""Names of the Gene Ontology's namespaces -> ours, which are those of everyday speech."""


@dataclass(frozen=True)
class Term:
    """One term as a file tells it."""

    id: str
    name: str
    namespace: str
    parents: tuple[str, ...] = ()
    """Ids of the terms that the relations asked for lead to."""
    alternative: tuple[str, ...] = ()
    """Ids that stand for this term too."""


@dataclass(frozen=True)
class Obsolete:
    """A term that is no longer used."""

    name: str
    replaced_by: tuple[str, ...] = ()
    """What takes its place."""
    consider: tuple[str, ...] = ()
    """What may take its place, to be decided by somebody."""

    def advice(self) -> str:
        """What to use instead, in words."""
        if self.replaced_by:
            return f"use {' and '.join(self.replaced_by)}, which replaces it"
        return f"consider {' or '.join(self.consider)}" if self.consider else "nothing replaces it"


@dataclass(frozen=True, eq=False)
class Ontology:
    """Terms in the order of their file, with their parents by some relations."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    namespaces: tuple[str, ...]
    """BP, MF or CC; of other ontologies what the file says."""
    parents: csr_array
    """[term parent], True where a relation leads from one to the other."""
    relations: tuple[str, ...]
    """Those that lead to parents."""
    obsolete: dict[str, Obsolete]
    place: dict[str, int]
    """Id, or id of old -> the term's place."""
    origin: Origin

    @cached_property
    def ancestors(self) -> csr_array:
        """[term ancestor], True for a term itself and for all that it is a part of."""
        found = csr_array(self.parents + eye_array(len(self.ids), dtype=bool, format="csr"))
        while (more := csr_array(found @ found)).nnz > found.nnz:
            found = more
        return found

    def find(self, ids: Iterable[str]) -> Int[np.ndarray, " id"]:
        """Places of terms by id.

        Raises:
            ConfigError: an id is obsolete, with what to use instead, or unknown, with what is like it.
        """
        ids = list(ids)
        if missing := [id for id in ids if id not in self.place]:
            raise ConfigError(f"{self.origin.file}: " + "; ".join(map(self._missing, missing[:3])))
        return np.array([self.place[id] for id in ids], dtype=np.int64)

    def _missing(self, id: str) -> str:
        if id in self.obsolete:
            return f"{id} ({self.obsolete[id].name}) is obsolete: {self.obsolete[id].advice()}"
        near = difflib.get_close_matches(id, self.ids, n=3)
        return f"there is no term {id!r}" + (f"; did you mean {', '.join(near)}?" if near else "")


def make_ontology(
    terms: Sequence[Term], obsolete: Mapping[str, Obsolete], relations: Sequence[str], origin: Origin, path: str
) -> Ontology:
    """An ontology from the terms of a file; ``path`` names it in messages.

    Raises:
        DamagedError: no terms, an id given twice, parents that are not there, or a way that leads back to its start.
    """
    if not terms:
        raise DamagedError(f"{path} holds no terms; expected a whole ontology: fetch it again")
    place = {term.id: i for i, term in enumerate(terms)}
    _refuse_twice(terms, place, path)
    _refuse_orphans(terms, place, obsolete, path)
    row = np.repeat(np.arange(len(terms)), [len(term.parents) for term in terms])
    column = np.array([place[parent] for term in terms for parent in term.parents], dtype=np.int64)
    parents = csr_array((np.ones(len(row), dtype=bool), (row, column)), shape=(len(terms), len(terms)))
    _refuse_cycles(terms, parents, relations, path)
    of_old = {other: place[term.id] for term in terms for other in term.alternative}
    return Ontology(
        tuple(term.id for term in terms),
        tuple(term.name for term in terms),
        tuple(NAMESPACES.get(term.namespace, term.namespace) for term in terms),
        parents, tuple(relations), dict(obsolete), {**of_old, **place}, origin,
    )  # fmt: skip


def check_relations(relations: Sequence[str]) -> None:
    """Refuse relations that annotations do not pass along.

    Raises:
        ConfigError: an unknown relation, or none.
    """
    unknown = [name for name in relations if name not in RELATIONS]
    if unknown or not relations:
        raise ConfigError(
            f"relations is {list(relations)!r}: expected ['is_a'] or ['is_a', 'part_of']; along others, such as "
            "regulates, what is true of a term need not be true of the terms above it"
        )


def _refuse_twice(terms: Sequence[Term], place: Mapping[str, int], path: str) -> None:
    twice = sorted({term.id for i, term in enumerate(terms) if place[term.id] != i})
    if twice:
        raise DamagedError(
            f"{path} holds {some(twice)} more than once; keep one entry of each, or fetch the file again"
        )


def _refuse_orphans(
    terms: Sequence[Term], place: Mapping[str, int], obsolete: Mapping[str, Obsolete], path: str
) -> None:
    problems = [
        f"{term.id} ({term.name}) has the parent {parent}, which is "
        + (f"obsolete: {obsolete[parent].advice()}" if parent in obsolete else "not in the file")
        for term in terms
        for parent in term.parents
        if parent not in place
    ]
    if problems:
        raise DamagedError(
            f"{path} is no whole ontology:\n{listed(problems)}\n"
            "The file is cut off, or a part of a larger one; fetch it again, or name the whole ontology."
        )


def _refuse_cycles(terms: Sequence[Term], parents: csr_array, relations: Sequence[str], path: str) -> None:
    """Every cycle lies in one strongly connected component; one of them is named."""
    group = connected_components(parents, connection="strong")[1]
    within = np.bincount(group)[group] > 1
    bad = np.flatnonzero(within | (parents.diagonal() > 0))
    if not len(bad):
        return
    way = [int(bad[0])]
    while way.count(way[-1]) == 1:
        above = parents.indices[parents.indptr[way[-1]] : parents.indptr[way[-1] + 1]]
        way.append(int(next(p for p in above if group[p] == group[way[-1]])))
    way = way[way.index(way[-1]) :]
    fix = ", or leave part_of out of relations" if "part_of" in relations else ""
    raise DamagedError(
        f"{path}: {' and '.join(relations)} lead in a circle of {len(way) - 1} terms, "
        f"{' → '.join(terms[i].id for i in way)} ({terms[way[0]].name}); no term can be a part of itself. Correct one "
        f"of these relations, or fetch the file again{fix}"
    )
