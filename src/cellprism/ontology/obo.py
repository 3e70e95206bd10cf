"""OBO files: an ontology as the Gene Ontology publishes it, 1.2 and 1.4.

Notable choices

- Of a term its id, name, namespace, parents, ids of old, and what replaces it where it is obsolete are read; the rest
  of the format is passed over.
- ``relationship: part_of`` leads to a parent only where it is asked for; parents through other relations never do.
- Terms of other ontologies that are not in the file and lie at the other end of ``part_of`` are left out: the larger
  editions of the Gene Ontology point to them.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from cellprism.errors import DamagedError
from cellprism.ontology.collection import Origin
from cellprism.ontology.graph import Obsolete, Ontology, Term, check_relations, make_ontology
from cellprism.ontology.text import listed, text_of
from cellprism.store.identity import hash_of

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
Stanza = dict[str, list[str]]
"""Tag -> its values, in the order of the file."""
SINGLE = ("id", "name", "namespace")


def read_obo(path: Path, relations: Sequence[str] = ("is_a",), release: str = "") -> Ontology:
    """Read an ontology.

    Args:
        path: an OBO file, plain or gzipped.
        relations: what leads from a term to its parents: ``is_a``, and ``part_of`` where asked for.
        release: its release where the file does not say it.

    Raises:
        ConfigError: an unknown relation, or the file may not be read.
        DamagedError: it is no OBO file (a web page, OWL), is cut off, or leads in a circle.
    """
    check_relations(relations)
    text = text_of(path, "an OBO file")
    header, stanzas = _header(text), list(_terms(text))
    if "format-version" not in header and not stanzas:
        raise DamagedError(
            f"{path} is not an OBO file: it has neither a format-version nor a [Term]; expected a file such as go.obo, "
            "for example from cellprism data fetch go"
        )
    if problems := [p for p in (_problem(stanza, number) for number, stanza in stanzas) if p]:
        raise DamagedError(f"{path} is not a readable OBO file:\n{listed(problems)}\nFetch it again or correct these.")
    namespace = header.get("default-namespace", [""])[0]
    ids = {stanza["id"][0] for _, stanza in stanzas}
    terms, obsolete = [], {}
    for _, stanza in stanzas:
        if stanza.get("is_obsolete") == ["true"]:
            obsolete[stanza["id"][0]] = Obsolete(
                stanza["name"][0], tuple(stanza.get("replaced_by", ())), tuple(stanza.get("consider", ()))
            )
        else:
            terms.append(_term(stanza, relations, namespace, ids))
    said = DATE.search(" ".join(header.get("data-version", [])))
    origin = Origin(path.name, said[0] if said else release, hash_of(path))
    return make_ontology(terms, obsolete, relations, origin, str(path))


def _header(text: str) -> Stanza:
    """The tags before the first stanza."""
    found: Stanza = {}
    for line in text.partition("\n[")[0].split("\n"):
        tag, mark, value = line.partition(":")
        if mark:
            found.setdefault(tag.strip(), []).append(value.strip())
    return found


def _terms(text: str) -> Iterator[tuple[int, Stanza]]:
    """Every [Term] with the number of its line; remarks and modifiers are taken off its values."""
    stanza: Stanza | None = None
    start = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("["):
            if stanza is not None:
                yield start, stanza
            stanza, start = ({} if line.strip() == "[Term]" else None), number
        elif stanza is not None:
            tag, mark, value = line.partition(": ")
            if mark and not line.startswith("!"):
                stanza.setdefault(tag, []).append(_value(tag, value))
    if stanza is not None:
        yield start, stanza


def _value(tag: str, value: str) -> str:
    """A value without the remark after it and without trailing modifiers in braces; names keep both signs."""
    if tag == "name":
        return re.sub(r"\\(.)", r"\1", value.strip())
    return value.partition(" !")[0].partition(" {")[0].strip()


def _problem(stanza: Stanza, number: int) -> str:
    """What is wrong with a term; empty where nothing is."""
    if any(len(set(stanza.get(tag, ()))) > 1 for tag in SINGLE):
        return f"line {number}: a term with more than one id, name or namespace; an empty line may be missing"
    missing = [tag for tag in ("id", "name") if not stanza.get(tag, [""])[0]]
    of = f" of {stanza['id'][0]}" if "name" in missing and stanza.get("id") else ""
    return f"line {number}: the term{of} has no {' and no '.join(missing)}" if missing else ""


def _term(stanza: Stanza, relations: Sequence[str], namespace: str, ids: set[str]) -> Term:
    parents = list(stanza.get("is_a", ())) if "is_a" in relations else []
    for value in stanza.get("relationship", ()) if "part_of" in relations else ():
        relation, _, parent = value.partition(" ")
        foreign = parent not in ids and parent.partition(":")[0] != stanza["id"][0].partition(":")[0]
        if relation == "part_of" and not foreign:
            parents.append(parent)
    return Term(
        stanza["id"][0], stanza["name"][0], stanza.get("namespace", [namespace])[0], tuple(dict.fromkeys(parents)),
        tuple(stanza.get("alt_id", ())),
    )  # fmt: skip
