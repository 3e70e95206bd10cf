"""A small ontology with everything that can be in one, as files."""

OBO = """format-version: 1.2
data-version: releases/2024-01-17
ontology: go

[Term]
id: GO:0008150
name: biological_process
namespace: biological_process

[Term]
id: GO:0000002
name: immune process
namespace: biological_process
alt_id: GO:0000022
is_a: GO:0008150 ! biological_process

[Term]
id: GO:0000003
name: signalling
namespace: biological_process
is_a: GO:0008150 {source="made up"} ! biological_process

[Term]
id: GO:0000004
name: T cell signalling, 3'-end {of a kind}
namespace: biological_process
is_a: GO:0000002 ! immune process
is_a: GO:0000003 ! signalling
relationship: regulates GO:0000005 ! T cell killing

[Term]
id: GO:0000005
name: T cell killing
namespace: biological_process
is_a: GO:0000002
relationship: part_of GO:0000004 ! T cell signalling

[Term]
id: GO:0003674
name: molecular_function
namespace: molecular_function

[Term]
id: GO:0000011
name: kinase activity
namespace: molecular_function
is_a: GO:0003674 ! molecular_function
relationship: part_of GO:0000003 ! signalling

[Term]
id: GO:0000090
name: obsolete rosette forming
namespace: biological_process
is_obsolete: true
replaced_by: GO:0000005

[Term]
id: GO:0000091
name: obsolete budding
namespace: biological_process
is_obsolete: true
consider: GO:0000002
consider: GO:0000003

[Typedef]
id: part_of
name: part of
"""

ROWS = [  # symbol, qualifier, term, evidence, taxon
    ("CD4", "involved_in", "GO:0000004", "IDA", "taxon:9606"),
    ("CD8A", "involved_in", "GO:0000005", "IMP", "taxon:9606|taxon:11676"),
    ("CD8A", "involved_in", "GO:0000004", "IEA", "taxon:9606"),
    ("LCK", "enables", "GO:0000011", "IDA", "taxon:9606"),
    ("LCK", "involved_in", "GO:0000003", "IEA", "taxon:9606"),
    ("FYN", "involved_in", "GO:0000022", "TAS", "taxon:9606"),
    ("ALB", "NOT|involved_in", "GO:0000005", "IDA", "taxon:9606"),
    ("INS", "involved_in", "GO:0008150", "ND", "taxon:9606"),
    ("INS", "involved_in", "GO:0000003", "IEA", "taxon:9606"),
]
HEADER = "!gaf-version: 2.2\n!generated-by: GOC\n!date-generated: 2024-01-18T10:00\n"
COLUMNS = 17


def gaf(rows=ROWS, header: str = HEADER) -> str:
    """A GAF file of rows of symbol, qualifier, term, evidence and taxon."""
    lines = []
    for symbol, qualifier, term, evidence, taxon in rows:
        row = ["UniProtKB", "P0", symbol, qualifier, term, "PMID:1", evidence, "", "P", "", "", "protein", taxon]
        lines.append("\t".join([*row, "20240101", "UniProt", "", ""]))
    return header + "\n".join(lines) + "\n"
