"""Tables in place of OBO and GAF: a row a term with its parents, and a row an annotation. Tabs or, in a .csv, commas.

- Of terms: ``go_id``, ``name``, ``namespace`` and ``is_a_parents``; ``part_of_parents`` where part_of is asked for.
  Several parents stand apart by ``|``.
- Of annotations: ``symbol`` and ``go_id``; where there, also ``evidence`` (codes) or ``experimental`` (1 or 0),
  ``qualifier`` and ``taxon``.

A table does not say its release; whoever names it does.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cellprism.errors import ConfigError, DamagedError
from cellprism.ontology.annotations import HUMAN, NO_DATA, NOT, Annotations, codes_of
from cellprism.ontology.collection import Origin
from cellprism.ontology.graph import Ontology, Term, check_relations, make_ontology
from cellprism.ontology.text import text_of
from cellprism.store.identity import hash_of

GRAPH = ("go_id", "name", "namespace")
ANNOTATIONS = ("symbol", "go_id")


def read_graph_table(path: Path, relations: Sequence[str] = ("is_a",), release: str = "") -> Ontology:
    """Read an ontology from a table.

    Args:
        path: the table, plain or gzipped.
        relations: what leads from a term to its parents; each has a column, such as ``is_a_parents``.
        release: what the table itself does not say.

    Raises:
        ConfigError: an unknown relation, or one without its column.
        DamagedError: as ``make_ontology``, or columns are missing.
    """
    check_relations(relations)
    table = _table(path, GRAPH, "a table of terms")
    columns = [f"{relation}_parents" for relation in relations]
    if missing := [column for column in columns if column not in table]:
        raise ConfigError(
            f"{path} has no column {' or '.join(missing)}, so it does not hold these relations; set relations to those "
            f"that it has, or name an OBO file (its columns: {', '.join(table.columns)})"
        )
    parents = ["|".join(filter(None, row)) for row in table[columns].itertuples(index=False)]
    terms = [
        Term(id, name, namespace, tuple(dict.fromkeys(above.split("|"))) if above else ())
        for id, name, namespace, above in zip(*(table[c] for c in GRAPH), parents, strict=True)
    ]
    return make_ontology(terms, {}, relations, Origin(path.name, release, hash_of(path)), str(path))


def read_annotation_table(
    path: Path, taxon: int = HUMAN, evidence: Sequence[str] = (), release: str = ""
) -> Annotations:
    """Read annotations from a table.

    Args:
        path: the table, plain or gzipped.
        taxon: the species that counts, where the table has a column of species.
        evidence: as in ``read_gaf``; a table with ``experimental`` alone knows that word alone.
        release: what the table itself does not say.

    Raises:
        ConfigError: another species, or evidence that the table does not state.
        DamagedError: columns or values are missing.
    """
    codes = codes_of(evidence)
    table = _table(path, ANNOTATIONS, "a table of annotations")
    left_out: dict[str, int] = {}
    kept = np.ones(len(table), dtype=bool)

    def leave_out(rows: pd.Series, reason: str) -> None:
        nonlocal kept
        if count := int((kept & rows).sum()):
            left_out[reason] = count
        kept &= ~rows.to_numpy()

    if "taxon" in table:
        species = table["taxon"].str.removeprefix("taxon:").str.partition("|")[0]
        if not (species == str(taxon)).any():
            raise ConfigError(
                f"{path} annotates genes of taxon {species.mode()[0]}, and none of {taxon}; name the annotations of "
                "your cells' species, or set taxon to that of the table"
            )
        leave_out(species != str(taxon), "other species")
    if "qualifier" in table:
        leave_out(table["qualifier"].str.split("|").map(lambda words: "NOT" in words), NOT)
    if "evidence" in table:
        leave_out(table["evidence"] == "ND", NO_DATA)
        leave_out(~table["evidence"].isin(list(codes)) & bool(codes), "other evidence")
    elif tuple(evidence) == ("experimental",) and "experimental" in table:
        leave_out(table["experimental"] != "1", "other evidence")
    elif evidence:
        raise ConfigError(
            f"{path} has no column evidence, so annotations cannot be chosen by {', '.join(evidence)}; leave evidence "
            "out, or name a GAF file" + (", or set evidence = ['experimental']" if "experimental" in table else "")
        )
    rows = table[kept]
    origin = Origin(path.name, release, hash_of(path))
    return Annotations(rows["symbol"].tolist(), rows["go_id"].tolist(), origin, left_out, tuple(evidence))


def _table(path: Path, columns: Sequence[str], kind: str) -> pd.DataFrame:
    """A table of text with some columns that must be there and filled."""
    text = text_of(path, kind)
    mark = "," if path.name.removesuffix(".gz").endswith(".csv") else "\t"
    try:
        table = pd.read_csv(
            io.StringIO(text), sep=mark, dtype=str, keep_default_na=False, na_filter=False,
            quoting=csv.QUOTE_MINIMAL if mark == "," else csv.QUOTE_NONE,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DamagedError(f"{path} is not a readable table ({error}); fetch it again or correct it") from error
    if missing := [name for name in columns if name not in table]:
        raise DamagedError(
            f"{path} is not {kind}: it has no column {', '.join(missing)}; expected {', '.join(columns)}, found "
            f"{', '.join(map(str, table.columns[:8]))}"
        )
    empty = (table[list(columns)] == "").any(axis=1).to_numpy()
    if empty.any() or not len(table):
        where = f"line {int(np.flatnonzero(empty)[0]) + 2} lacks a value" if empty.any() else "it has no rows"
        raise DamagedError(
            f"{path} is not a readable table: {where} in {', '.join(columns)}; fetch it again or correct it"
        )
    return table
