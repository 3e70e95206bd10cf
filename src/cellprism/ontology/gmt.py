"""GMT files: one gene set a line, as ``term <tab> source <tab> gene <tab> gene ...``.

Notable choices

- Everything that is wrong with a file is listed at once, with line numbers; a damaged file is never half
  read.
- A file without its second column would lose the first gene of each set: where that column holds genes, it is refused.
- Lines that begin with # are remarks; quotes around names are taken off.
- Entries that fill a row up, such as NA, are no genes; several genes in one column are refused.
- Enrichr's habits are understood: an empty second column, trailing tabs, weights as in ``GENE,1.0``.
- A term given twice with the same genes counts once; with other genes it is an error, since one would be
  lost.
- Names resolve to what is on disk. Nothing is fetched here: a missing library's message says where to get it.
"""

import difflib
import os
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from cellprism.cells.unpack import what_it_is
from cellprism.errors import ConfigError, DamagedError
from cellprism.ontology.collection import Collection, Origin
from cellprism.ontology.text import decoded, listed, unpacked
from cellprism.store.identity import hash_of
from cellprism.store.public_file import DATA_DIR

BUNDLED = {"blood": "blood.gmt", "go-bp": "go-bp.toml"}
"""Name of a collection that is shipped -> its file."""
SUFFIXES = ("", ".gmt", ".gmt.gz", ".txt", ".txt.gz", ".toml")
ENRICHR = "https://maayanlab.cloud/Enrichr/geneSetLibrary?mode=text&libraryName="
NO_GENE = ("", "-", "na", "nan", "n/a", "#n/a", "null", "none")
"""What other programs fill rows up with, in lower case."""
SEVERAL = re.compile(r"[\s;|]|//")
"""What stands between several genes, never within the name of one."""
GENE_SHAPED = re.compile(r"[A-Z][A-Z0-9]*[0-9-][A-Z0-9-]*|[A-Z]{2,7}[0-9]?")


def read_gmt(source: str | Path) -> Collection:
    """Read a collection of gene sets.

    Args:
        source: ``"blood"`` for the bundled blood and immune programs; the path of a GMT file, plain or
            gzipped; or the name of a library, such as ``"GO_Biological_Process_2021"``, that lies in the
            folder named by the environment variable CELLPRISM_DATA_DIR.

    Raises:
        ConfigError: no such bundled collection, file or library.
        DamagedError: the file is truncated, no text, or holds lines that are no gene sets.

    >>> import cellprism as cp
    >>> blood = cp.read_gmt("blood")
    >>> [name for name, genes in blood.terms.items() if "CD79A" in genes]
    ['B cell receptor signalling', 'B cell identity', 'B cell precursors']
    """
    path = collection_file(source)
    found = parse_gmt(unpacked(path), stem(path), str(path))
    return replace(found, origins=(Origin(path.name, "", hash_of(path)),))


def collection_file(source: str | Path) -> Path:
    """The file that a source of gene sets stands for; bundled ones lie in the installed package.

    Raises:
        ConfigError: as ``read_gmt``.
    """
    if source in BUNDLED:
        return Path(str(files("cellprism.ontology") / BUNDLED[str(source)]))
    return _found(Path(source).expanduser())


def parse_gmt(content: bytes, name: str, place: str) -> Collection:
    """Gene sets from the bytes of a GMT file; ``place`` names them in messages.

    Raises:
        DamagedError: as ``read_gmt``.
    """
    terms: dict[str, tuple[str, ...]] = {}
    first_line: dict[str, int] = {}
    source: dict[str, str] = {}
    problems: list[str] = []
    repeats = 0
    for number, line in enumerate(decoded(content, place).split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _gene_set(line)
        if isinstance(found, str):
            problems.append(f"line {number}: {found}")
            continue
        term, origin, genes = found
        members = tuple(dict.fromkeys(genes))
        repeats += len(genes) - len(members)
        if term in terms and set(members) != set(terms[term]):
            problems.append(f"line {number}: {term!r} was on line {first_line[term]} with other genes; rename one")
        elif term not in terms:
            terms[term], source[term], first_line[term] = members, origin, number
    if genes := _genes_as_source(source, terms):
        problems.append(
            f"the second column holds genes ({', '.join(genes[:5])}), so these sets lack their column of sources and "
            "would lose their first genes; put an empty column after the terms"
        )
    if not terms and not problems:
        problems.append("it holds no gene sets")
    if problems:
        raise DamagedError(
            f"{place} is not a readable GMT file (term, source and genes, separated by tabs):\n{listed(problems)}\n"
            "Fetch it again or correct these lines."
        )
    return Collection(name, terms, source, repeats)


def _gene_set(line: str) -> tuple[str, str, list[str]] | str:
    """Term, source and genes of a line, or what is wrong with it."""
    columns = [column.strip().strip("\"'").strip() for column in line.split("\t")]
    if len(columns) < 3:
        return f"expected at least 3 columns separated by tabs, found {len(columns)}: {line.strip()[:60]!r}"
    term, origin, *entries = columns
    if not term:
        return "the term has no name"
    if not term.isprintable():
        return f"the term {term[:60]!r} holds characters that cannot be printed"
    genes = []
    for entry in entries:
        gene, _, weight = entry.partition(",")
        if entry.lower() in NO_GENE:
            continue
        if not gene or not gene.isprintable() or SEVERAL.search(gene) or not _is_weight(weight):
            return f"{entry[:60]!r} is no gene"
        genes.append(gene)
    return (term, origin, genes) if genes else f"{term!r} has no genes"


def _genes_as_source(source: dict[str, str], terms: dict[str, tuple[str, ...]]) -> list[str]:
    """What stands in place of the sources of most terms, if it looks like genes; else nothing.

    Genes of other sets of the file are genes. Else, sources that all differ and are spelt as genes are, many with
    digits, but not numbered identifiers of one kind, such as R-HSA-1 or M5890.
    """
    given = [text for text in source.values() if text]
    if not given or 2 * len(given) < len(source):
        return []
    genes = {gene for members in terms.values() for gene in members}
    if len(set(given)) > 1 and 2 * sum(text in genes for text in given) > len(given):
        return given
    spelt = all(GENE_SHAPED.fullmatch(text) for text in given)
    spelt = spelt and 2 * sum(any(map(str.isdigit, text)) for text in given) >= len(given)
    different = len(given) > 1 and len(set(given)) == len(given)
    stems = {re.sub(r"[\d-]+$", "", text) for text in given}
    return given if spelt and different and len(stems) > 1 else []


def _is_weight(text: str) -> bool:
    try:
        float(text or 1)
    except ValueError:
        return False
    return True


def _found(source: Path) -> Path:
    """The file that a path or a library's name stands for."""
    if source.is_file():
        return source
    if source.exists():
        raise ConfigError(f"{source} is {what_it_is(source)}; give a GMT file")
    if len(source.parts) > 1 or source.name.endswith((".gmt", ".gz", ".toml")):
        raise ConfigError(f"there is no file {source}; check the path, or use the bundled collection 'blood'")
    folder = os.environ.get(DATA_DIR, "")
    held = sorted(Path(folder).iterdir()) if folder and Path(folder).is_dir() else []
    for suffix in SUFFIXES:
        if (path := Path(folder) / f"{source.name}{suffix}") in held and path.is_file():
            return path
    near = difflib.get_close_matches(source.name, [*BUNDLED, *map(stem, held)], n=3)
    raise ConfigError(
        f"no collection {source.name!r}: it is not bundled ({', '.join(BUNDLED)}), it is no file here, and "
        + (f"{DATA_DIR}={folder} does not hold it. " if folder else f"{DATA_DIR} is not set. ")
        + (f"Did you mean {', '.join(near)}? " if near else "")
        + f"Libraries of Enrichr: save {ENRICHR}{source.name} as {source.name}.gmt and give that file, or "
        f"set {DATA_DIR} to its folder and give the name."
    )


def stem(path: Path) -> str:
    """What a file of gene sets is called: its name without its endings."""
    return path.name.removesuffix(".gz").removesuffix(".gmt").removesuffix(".txt").removesuffix(".toml")
