"""The ontology and the annotations that cellprism knows how to get, with their release and checksum.

- The checksums of release 2022-11-03 are not stated by the Gene Ontology. They are those against which a public project
  checks its own download of the same addresses (containers of paulsengroup/2022-mcf10a-cancer-progression, MIT).
- Any other release is fetched by its date together with a checksum that the user states.
"""

import re
from dataclasses import replace
from pathlib import Path

from cellprism.errors import ConfigError
from cellprism.store.public_file import PublicFile, local_file

RELEASE = "2022-11-03"
ARCHIVE = "https://release.geneontology.org/{release}/{path}"
PATHS = {"go": "ontology/go.obo", "goa_human": "annotations/goa_human.gaf.gz"}
"""Name of a file -> where it is in a release."""
PUBLISHED: dict[str, PublicFile] = {
    f.name: f
    for f in (
        PublicFile(
            name="go",
            description=f"the Gene Ontology, all terms and relations, release {RELEASE}",
            origin="The Gene Ontology Consortium",
            licence="CC BY 4.0",
            filename=f"go-{RELEASE}.obo",
            sha256="e351a37a24168f106fca574accad4d27f20622e2b718db698a7e38515f0dba09",
            url=ARCHIVE.format(release=RELEASE, path=PATHS["go"]),
        ),
        PublicFile(
            name="goa_human",
            description=f"annotations of human genes with the Gene Ontology's terms, release {RELEASE}",
            origin="The Gene Ontology Consortium, UniProt-GOA",
            licence="CC BY 4.0",
            filename=f"goa_human-{RELEASE}.gaf.gz",
            sha256="01fd1d5e1603f5714c62feefa2f853cf50ed2be63da60c803ac00b262b0490d8",
            url=ARCHIVE.format(release=RELEASE, path=PATHS["goa_human"]),
        ),
    )
}


def released(file: PublicFile, release: str, sha256: str) -> PublicFile:
    """The same file of another release.

    Args:
        file: one of ``PUBLISHED``.
        release: date of the release, such as ``2024-01-17``.
        sha256: checksum that it must have.

    Raises:
        ConfigError: no date, or no checksum.
    """
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", release):
        raise ConfigError(f"release {release!r} is no date of a release of the Gene Ontology, such as 2024-01-17")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise ConfigError(
            f"release {release} of {file.name} has no checksum here (pinned is {RELEASE}); give it as --sha256, 64 "
            "hexadecimal digits, for example from sha256sum of a copy that you trust"
        )
    return replace(
        file, sha256=sha256.lower(), filename=file.filename.replace(RELEASE, release),
        url=ARCHIVE.format(release=release, path=PATHS[file.name]),
    )  # fmt: skip


def published_file(file: PublicFile) -> Path:
    """The file on this machine, checked against its checksum; never fetches.

    Raises:
        ConfigError: it is not on this machine; the message says how to get it.
        DamagedError: it is there with other contents.
    """
    found = local_file(file)
    if found is None:
        raise ConfigError(f"{file.name} is {file.not_here()}")
    return found
