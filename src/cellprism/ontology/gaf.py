"""GAF files: annotations of genes with terms, version 2.0 to 2.2, of one species.

Notable choices

- A gene is its symbol (column 3). Several products of one gene are one gene.
- Of a product that acts in another species the first taxon is its own.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cellprism.errors import ConfigError, DamagedError
from cellprism.ontology.annotations import HUMAN, NO_DATA, NOT, Annotations, codes_of
from cellprism.ontology.collection import Origin
from cellprism.ontology.obo import DATE
from cellprism.ontology.text import listed, text_of
from cellprism.store.identity import hash_of

COLUMNS = 17
SYMBOL, QUALIFIER, TERM, EVIDENCE, TAXON = 2, 3, 4, 6, 12
SPECIES = {
    "9606": "human", "10090": "mouse", "10116": "rat", "7955": "zebrafish", "7227": "fruit fly", "6239": "worm",
    "559292": "yeast",
}  # fmt: skip
HEADER = 20_000  # characters that hold it
RELEASE = re.compile(r"^!\s*(?:go[- ]version|date-generated|generated)\s*:(.*)$", re.MULTILINE | re.IGNORECASE)


def read_gaf(path: Path, taxon: int = HUMAN, evidence: Sequence[str] = (), release: str = "") -> Annotations:
    """Read the annotations of one species.

    Args:
        path: a GAF file, plain or gzipped.
        taxon: number of the species in NCBI's taxonomy.
        evidence: codes that count, or ``experimental`` or ``manual``; empty: all.
        release: their release where the file does not say it.

    Raises:
        ConfigError: the file is about another species, or unknown evidence.
        DamagedError: it is no GAF file of version 2 (a web page), or lines are damaged.
    """
    codes = codes_of(evidence)
    text = text_of(path, "a GAF file")
    _check_version(text, path)
    genes, terms, problems = [], [], []
    left_out, taxa = Counter(), Counter()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line or line[0] == "!":
            continue
        row = line.split("\t")
        if problem := _problem(row):
            problems.append(f"line {number}: {problem}")
            continue
        own = row[TAXON].partition("|")[0].removeprefix("taxon:")
        taxa[own] += 1
        if own != str(taxon):
            left_out["other species"] += 1
        elif "NOT" in row[QUALIFIER].split("|"):
            left_out[NOT] += 1
        elif row[EVIDENCE] == "ND":
            left_out[NO_DATA] += 1
        elif codes and row[EVIDENCE] not in codes:
            left_out["other evidence"] += 1
        else:
            genes.append(row[SYMBOL])
            terms.append(row[TERM])
    if problems:
        raise DamagedError(f"{path} is not a readable GAF file:\n{listed(problems)}\nFetch it again or correct these.")
    _check_species(taxa, taxon, path)
    return Annotations(
        genes, terms, Origin(path.name, _release(text) or release, hash_of(path)), dict(left_out), tuple(evidence)
    )


def _check_version(text: str, path: Path) -> None:
    version = re.search(r"^!\s*gaf-version:\s*(\S+)", text, re.MULTILINE)
    if version is None:
        found = "GPAD, which has no symbols" if re.search("^!gpad?-version", text[:HEADER], re.MULTILINE) else "no GAF"
        raise DamagedError(
            f"{path} has no line !gaf-version, so it is {found}; expected a file such as goa_human.gaf.gz, for example "
            "from cellprism data fetch goa_human"
        )
    if not version[1].startswith("2"):
        raise DamagedError(f"{path} is GAF {version[1]}; expected GAF 2.0 to 2.2: fetch a newer release")


def _problem(row: list[str]) -> str:
    """What is wrong with a row; empty where nothing is."""
    if len(row) != COLUMNS:
        return f"expected {COLUMNS} columns separated by tabs, found {len(row)}: {row[0][:40]!r}"
    if not row[SYMBOL] or not row[TERM] or not row[TAXON].startswith("taxon:"):
        return f"it has no symbol, no term or no taxon ({row[SYMBOL]!r}, {row[TERM]!r}, {row[TAXON]!r})"
    return ""


def _release(text: str) -> str:
    """The first date in the header: when the file was made, or the version of the Gene Ontology that it is made for."""
    dates = (DATE.search(line) for line in RELEASE.findall(text[:HEADER]))
    return next((date[0] for date in dates if date), "")


def _check_species(taxa: Counter[str], taxon: int, path: Path) -> None:
    if not taxa:
        raise DamagedError(f"{path} holds no annotations; fetch it again")
    if str(taxon) in taxa:
        return
    (most, _), *_ = taxa.most_common(1)
    found, wanted = (f"taxon {t} ({SPECIES[t]})" if t in SPECIES else f"taxon {t}" for t in (most, str(taxon)))
    raise ConfigError(
        f"{path} annotates genes of {found}, and none of {wanted}; fetch the annotations of your cells' species, or "
        f"set taxon = {most} if that is theirs"
    )
