"""Which gene is annotated with which term, as files state it: before anything is passed on to terms above.

Notable choices

- What is left out is counted by reason, and said wherever the annotations are used.
- An annotation with NOT says that a gene does *not* belong to a term; one by ND says that nothing is known. Neither
  annotates.
- Evidence is asked for by code, or by a group of codes: ``experimental``, or ``manual`` for all but those that no
  curator has seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cellprism.errors import ConfigError
from cellprism.ontology.collection import Origin

EXPERIMENTAL = ("EXP", "IDA", "IPI", "IMP", "IGI", "IEP", "HTP", "HDA", "HMP", "HGI", "HEP")
CODES = (
    *EXPERIMENTAL, "IBA", "IBD", "IKR", "IRD", "ISS", "ISO", "ISA", "ISM", "IGC", "RCA", "TAS", "NAS", "IC", "IEA",
)  # fmt: skip
"""Evidence codes of the Gene Ontology; ND, no data, annotates nothing."""
GROUPS = {"experimental": EXPERIMENTAL, "manual": tuple(code for code in CODES if code != "IEA")}
HUMAN = 9606  # in NCBI's taxonomy
NO_DATA, NOT = "no data (ND)", "NOT"


@dataclass(frozen=True, eq=False)
class Annotations:
    """Pairs of a gene and a term; the same pair may come several times."""

    genes: list[str]
    terms: list[str]
    """Id of the term, for each gene of ``genes``."""
    origin: Origin
    left_out: dict[str, int]
    """Rows of the file that are no pair, by reason."""
    evidence: tuple[str, ...] = ()
    """What was asked for; empty: any."""


def codes_of(evidence: Sequence[str]) -> frozenset[str]:
    """The evidence codes that count; empty where none is asked for, so that all do.

    Raises:
        ConfigError: neither a code nor a group of codes.
    """
    unknown = [name for name in evidence if name not in GROUPS and name not in CODES]
    if unknown:
        raise ConfigError(
            f"evidence names {', '.join(map(repr, unknown))}: expected {' or '.join(map(repr, GROUPS))}, or codes of "
            f"the Gene Ontology ({', '.join(CODES)})"
        )
    return frozenset(code for name in evidence for code in GROUPS.get(name, (name,)))
