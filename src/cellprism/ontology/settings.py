"""Gene sets from an ontology: a small TOML file that names its files and says what is made of them.

```toml
ontology = "go.obo"                 # OBO or a table; or "go", once fetched
annotations = "goa_human.gaf.gz"    # GAF or a table; or "goa_human", once fetched
```

Files are looked for beside that file; ``~`` is the home folder.
"""

import difflib
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path

import dacite

from cellprism.errors import ConfigError
from cellprism.ontology.annotated import OBSOLETE
from cellprism.ontology.annotations import HUMAN, codes_of
from cellprism.ontology.graph import check_relations
from cellprism.ontology.published import PUBLISHED
from cellprism.store.place import beside

LARGEST = 100_000  # bytes


@dataclass(frozen=True)
class OntologySettings:
    """How an ontology and annotations become gene sets."""

    ontology: str
    """The terms: an OBO file, a table, or the name of a fetched file."""
    annotations: str
    """Which gene has which term: a GAF file, a table, or the name of a fetched file."""
    relations: tuple[str, ...] = ("is_a",)
    """Along which annotations are passed on to terms above: ``is_a``, or ``is_a`` and ``part_of``."""
    namespace: str = "BP"
    """Terms that become gene sets: ``BP``, ``MF``, ``CC``, or ``all``."""
    min_size: int = 3
    """Terms with fewer genes are left out."""
    max_size: int = 500
    """Terms with more genes are left out; 0 sets no limit."""
    evidence: tuple[str, ...] = ()
    """Evidence codes that count, or ``experimental``, or ``manual`` (all but IEA); empty: all."""
    taxon: int = HUMAN
    """Species of the genes, by its number in NCBI's taxonomy; 10090 is mouse."""
    obsolete: str = "refuse"
    """Annotations with obsolete terms: ``refuse``, ``replace`` by what replaces them, or ``leave out``."""
    ontology_release: str = ""
    """Its release, such as ``2024-01-17``, where the file does not say it."""
    annotations_release: str = ""
    """Their release, where the file does not say it."""

    def __post_init__(self):
        check_relations(self.relations)
        codes_of(self.evidence)
        for name, fits, expected in (
            ("namespace", bool(self.namespace), "BP, MF, CC or all"),
            ("min_size", self.min_size >= 1, "a whole number of at least 1"),
            ("max_size", self.max_size == 0 or self.max_size >= self.min_size, "0, or a number of at least min_size"),
            ("taxon", self.taxon > 0, "a number of NCBI's taxonomy, such as 9606"),
            ("obsolete", self.obsolete in OBSOLETE, ", ".join(map(repr, OBSOLETE))),
        ):
            if not fits:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: expected {expected}")


def read_settings(path: Path) -> OntologySettings:
    """Read such a file; those that it names are seen from where it lies.

    Raises:
        ConfigError: no TOML, an unknown key, or a value of the wrong type or out of range.
    """
    if path.stat().st_size > LARGEST:
        raise ConfigError(f"{path} is too large to say how gene sets are made; it should be a TOML file of a few lines")
    try:
        asked = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    known = [item.name for item in fields(OntologySettings)]
    if unknown := [key for key in asked if key not in known]:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(known)}"
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; {hint}")
    try:
        found = dacite.from_dict(OntologySettings, asked, dacite.Config(cast=[tuple], strict=True))
    except dacite.DaciteError as error:
        raise ConfigError(
            f"{path} does not say how gene sets are made: {error}; docs/ontology.md says what belongs in it"
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return replace(found, **{name: _seen(getattr(found, name), path.parent) for name in ("ontology", "annotations")})


def _seen(name: str, folder: Path) -> str:
    """A file as seen from the settings' folder; names of fetched files stay."""
    return name if name in PUBLISHED else beside(name, folder)
