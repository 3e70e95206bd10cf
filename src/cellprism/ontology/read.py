"""Gene sets by name or file: GMT files, and ontologies with annotations by the settings that name them.

read_collection(source)     gene sets: "blood", "go-bp", a GMT file, a .toml of an ontology, or a library's name
read_ontology(settings)     the ontology with its genes, for information content and similarities
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cellprism.errors import ConfigError
from cellprism.ontology.annotated import AnnotatedOntology, annotate
from cellprism.ontology.collection import Collection
from cellprism.ontology.gaf import read_gaf
from cellprism.ontology.gmt import collection_file, read_gmt, stem
from cellprism.ontology.obo import read_obo
from cellprism.ontology.published import PUBLISHED, published_file
from cellprism.ontology.settings import OntologySettings, read_settings
from cellprism.ontology.tables import read_annotation_table, read_graph_table

ONTOLOGIES = {".obo": read_obo, **dict.fromkeys((".tsv", ".csv", ".txt"), read_graph_table)}
ANNOTATIONS = {".gaf": read_gaf, **dict.fromkeys((".tsv", ".csv", ".txt"), read_annotation_table)}
"""Ending of a file's name, without .gz -> what reads it."""


def read_collection(source: str | Path) -> Collection:
    """Read a collection of gene sets.

    Args:
        source: ``"blood"`` for the bundled blood programs; ``"go-bp"`` for the biological processes of the Gene
            Ontology, once its files are fetched; the path of a GMT file, or of a .toml that names an ontology and
            annotations (``OntologySettings``); or the name of either in the folder named by CELLPRISM_DATA_DIR.

    Raises:
        ConfigError: there is no such collection or file, or it cannot be used as it is, with the reason.
        DamagedError: a file is truncated, no text, or of another kind.

    >>> import cellprism as cp
    >>> cp.read_collection("blood").name
    'blood'
    """
    path = collection_file(source)
    if path.suffix != ".toml":
        return read_gmt(source)
    settings = read_settings(path)
    found = read_ontology(settings)
    release = next((origin.release for origin in found.origins if origin.release), "")
    name = f"{stem(path)}, release {release}" if release else stem(path)
    return found.collection(name, settings.namespace, settings.min_size, settings.max_size)


def collection_files(source: str | Path) -> list[Path]:
    """Every file that ``read_collection`` reads for a source.

    Raises:
        ConfigError: as ``read_collection``, as far as it shows without reading the files themselves.
        DamagedError: a fetched file has other contents than it should.
    """
    path = collection_file(source)
    return [path, *ontology_files(read_settings(path))] if path.suffix == ".toml" else [path]


def ontology_files(settings: OntologySettings) -> tuple[Path, Path]:
    """The files of ontology and annotations, in this order; a fetched one is checked against its checksum.

    Raises:
        ConfigError: one is not there, with how to get it, or is of no known kind by its name.
        DamagedError: a fetched file has other contents than it should.
    """
    files = _file(settings.ontology, "ontology"), _file(settings.annotations, "annotations")
    for path, readers in zip(files, (ONTOLOGIES, ANNOTATIONS), strict=True):
        _reader(path, readers)
    return files


def read_ontology(settings: OntologySettings) -> AnnotatedOntology:
    """Terms, genes and information content, before any limit on namespace and size.

    Raises:
        ConfigError, DamagedError: as the readers, and ``annotate``.
    """
    terms, genes = ontology_files(settings)
    ontology = _reader(terms, ONTOLOGIES)(terms, settings.relations, settings.ontology_release)
    annotations = _reader(genes, ANNOTATIONS)(genes, settings.taxon, settings.evidence, settings.annotations_release)
    return annotate(ontology, annotations, settings.obsolete)


def _reader(path: Path, readers: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    ending = Path(path.name.removesuffix(".gz")).suffix
    if ending not in readers:
        raise ConfigError(
            f"the kind of {path} does not show in its name; expected {', '.join(readers)}, or these with .gz: rename it"
        )
    return readers[ending]


def _file(name: str, key: str) -> Path:
    if name in PUBLISHED:
        return published_file(PUBLISHED[name])
    path = Path(name)
    if not path.is_file():
        raise ConfigError(
            f"{key} = {name!r}: there is no such file beside the settings that name it; check the path, or use "
            f"{' or '.join(map(repr, PUBLISHED))} after cellprism data fetch"
        )
    return path
