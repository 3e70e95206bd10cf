import csv
import gzip
import re
from collections import Counter

import pytest

from cellprism.ontology.gmt import read_gmt

# Real genes that the annotation behind the PBMC3K counts leaves out: segments of immune receptors, and some
# others.
NOT_IN_PBMC3K = {
    "IGHM",
    "IGHD",
    "IGHG1",
    "IGHA1",
    "IGKC",
    "TRAC",
    "TRBC1",
    "TRBC2",
    "TRDC",
    "TRGC1",
    "TRGC2",
    "CD24",
    "PECAM1",
    "UHRF1",
    "MAP3K14",
    "SEC22B",
    "RAB7B",
    "TPSB2",
}


@pytest.fixture(scope="module")
def blood():
    return read_gmt("blood")


def test_there_are_at_least_sixty_programs_of_eight_to_forty_genes(blood):
    assert len(blood) >= 60
    assert {term: len(genes) for term, genes in blood.items() if not 8 <= len(genes) <= 40} == {}
    assert blood.repeats == 0


def test_programs_have_plain_titles_that_differ_and_no_two_have_the_same_genes(blood):
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9 ,\-]+|mTOR and PI3K signalling|hnRNP and .+", term) for term in blood)
    assert max(Counter(frozenset(genes) for genes in blood.values()).values()) == 1


def test_every_program_names_a_publication_with_its_year(blood):
    assert [t for t in blood if not re.search(r"[A-Z][a-z]+.* (19|20)\d\d [A-Z][A-Za-z ]+$", blood.source[t])] == []


def test_genes_are_written_as_the_nomenclature_committee_writes_them(blood):
    odd = {g for genes in blood.values() for g in genes if not re.fullmatch(r"[A-Z][A-Z0-9]*(orf\d+)?(-[A-Z0-9]+)?", g)}
    assert odd == set()


@pytest.mark.parametrize(
    ("term", "genes"),
    [
        ("Interferon alpha and beta response", "ISG15 IFI6 MX1"),
        ("B cell receptor signalling", "CD79A CD79B BTK"),
        ("Cytotoxicity and lytic granules", "PRF1 GZMB GNLY"),
        ("Antigen presentation on MHC class I", "HLA-A B2M TAP1"),
        ("Antigen presentation on MHC class II", "HLA-DRA CD74"),
        ("Small ribosomal subunit", "RPS3 RPS27A"),
        ("Cell cycle G2 to M", "MKI67 TOP2A CDK1"),
    ],
)
def test_textbook_genes_are_in_their_programs(blood, term, genes):
    assert set(genes.split()) <= set(blood[term])


def test_every_gene_is_a_gene_of_the_pbmc3k_annotation_under_its_old_or_new_name(blood, test_data):
    with gzip.open(test_data / "pbmc3k_gene_map.tsv.gz", "rt") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    known = {row["symbol_hg19"] for row in rows} | {row["symbol_current"] for row in rows}
    unknown = {gene for genes in blood.values() for gene in genes} - known
    assert unknown == NOT_IN_PBMC3K
