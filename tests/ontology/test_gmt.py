import gzip
import os

import pytest

from cellprism.errors import ConfigError, DamagedError
from cellprism.ontology.gmt import DATA_DIR, parse_gmt, read_gmt

GOOD = b"T cells\tHGNC\tCD3D\tCD3E\nB cells\tHGNC\tCD79A\tCD79B\tMS4A1\n"


@pytest.fixture(autouse=True)
def no_data_dir(monkeypatch):
    monkeypatch.delenv(DATA_DIR, raising=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_DIR, str(tmp_path))
    return tmp_path


def parse(text: bytes):
    return parse_gmt(text, "made up", "made_up.gmt")


def test_a_plain_file_gives_terms_genes_and_sources(tmp_path):
    (tmp_path / "cells.gmt").write_bytes(GOOD)
    collection = read_gmt(tmp_path / "cells.gmt")
    assert collection.name == "cells"
    assert collection.terms == {"T cells": ("CD3D", "CD3E"), "B cells": ("CD79A", "CD79B", "MS4A1")}
    assert collection.source["B cells"] == "HGNC"


def test_a_gzipped_file_reads_the_same_whatever_its_name(tmp_path):
    for name in ("cells.gmt.gz", "cells.gmt"):
        (tmp_path / name).write_bytes(gzip.compress(GOOD))
        collection = read_gmt(str(tmp_path / name))
        assert collection.name == "cells"
        assert collection.terms == parse(GOOD).terms


def test_enrichr_files_with_an_empty_second_column_weights_and_trailing_tabs_are_understood():
    collection = parse(b"\xef\xbb\xbfa (GO:1)\t\tCD3D,1.0\tHLA-DRA,0.25\t\t\r\n\r\nb (GO:2)\t\tCD4\t\r\n")
    assert collection.terms == {"a (GO:1)": ("CD3D", "HLA-DRA"), "b (GO:2)": ("CD4",)}
    assert collection.source == {"a (GO:1)": "", "b (GO:2)": ""}


def test_repeated_genes_count_once_and_are_reported():
    collection = parse(b"a\t\tCD4\tCD8A\tCD4\tCD4\n")
    assert collection["a"] == ("CD4", "CD8A")
    assert collection.repeats == 2


def test_a_term_given_twice_with_the_same_genes_counts_once():
    assert parse(b"a\tx\tCD4\tCD8A\na\ty\tCD8A\tCD4\n").terms == {"a": ("CD4", "CD8A")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            b"CD4 CD8A CD3D",
            r"line 3: expected at least 3 columns separated by tabs, found 1: 'CD4 CD8A CD3D'",
        ),
        (b"term\tsource", r"line 3: expected at least 3 columns separated by tabs, found 2"),
        (b"\tsource\tCD4", r"line 3: the term has no name"),
        (b"term\tsource\t\t", r"line 3: 'term' has no genes"),
        (b"term\tsource\tCD4 CD8A", r"line 3: 'CD4 CD8A' is no gene"),
        (b"term\tsource\tCD4,high", r"line 3: 'CD4,high' is no gene"),
        (b"term\tsource\t,1.0", r"line 3: ',1.0' is no gene"),
        (b"term\tsource\tCD\x004", r"line 3: 'CD\\x004' is no gene"),
        (b"T cells\tsource\tCD4", r"line 3: 'T cells' was on line 1 with other genes; rename one"),
        (b"term\tsource\tCD\xff4", r"line 3: not UTF-8 text \(invalid start byte\)"),
    ],
)
def test_a_damaged_line_is_named_with_what_is_wrong(line, message):
    with pytest.raises(DamagedError, match=message):
        parse(GOOD + line + b"\n")


def test_all_damaged_lines_are_listed_up_to_a_limit():
    with pytest.raises(
        DamagedError, match=r"(?s)made_up.gmt is not a readable.*line 1:.*line 8:.*and 3 more.*Fetch it"
    ):
        parse(b"nonsense\n" * 11)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_is_refused(content):
    with pytest.raises(DamagedError, match="it holds no gene sets"):
        parse(content)


def test_a_web_page_saved_in_place_of_a_library_is_refused():
    with pytest.raises(DamagedError, match=r"line 1: expected at least 3 columns.*<!DOCTYPE html>"):
        parse(b"<!DOCTYPE html>\n<html></html>\n")


def test_a_truncated_or_altered_gzip_file_is_refused(tmp_path):
    packed = gzip.compress(GOOD * 50)
    path = tmp_path / "made_up.gmt"
    for content in (packed[:-12], packed[:30] + bytes([packed[30] ^ 0xFF]) + packed[31:]):
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=r"made_up.gmt is a damaged gzip file .*; fetch it again"):
            read_gmt(path)


def test_a_gzip_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.gmt.gz"
    path.write_bytes(gzip.compress(b"term\tsource\tCD4\n" * 5_000_000, 1))
    with pytest.raises(DamagedError, match="is gzipped and becomes more than .* MB, over 100 times its size"):
        read_gmt(path)


@pytest.mark.parametrize("kind", ["a FIFO", "a device"])
def test_what_is_no_file_is_named_and_not_opened(tmp_path, folder, kind):
    path = tmp_path / "sets.gmt"
    if kind == "a FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match=f"is {kind}.*; give a GMT file"):
        read_gmt(path)
    with pytest.raises(ConfigError, match="no collection 'sets'"):
        read_gmt("sets")


@pytest.mark.parametrize(
    "text",
    [
        b"T\tCD3D\tCD3E\tCD8A\nB\tCD79A\tMS4A1\tCD19\nBeta\tINS\tIAPP\n",
        b"a\tCD4\tCD3D\tCD3E\nb\tCD3D\tCD4\tCD8A\nc\tCD3E\tCD4\n",
        b"one\tGZMB\tPRF1\tNKG7\ntwo\tNKG7\tGZMB\tGNLY\n",
    ],
)
def test_a_file_without_its_second_column_is_refused_before_it_loses_genes(text):
    with pytest.raises(DamagedError, match=r"second column holds genes \(\w+, .*put an empty column after the terms"):
        parse(text)


@pytest.mark.parametrize(
    "sources", [("HGNC", "HGNC"), ("HGNC", "GO"), ("M5890", "M5891"), ("R-HSA-1", "R-HSA-29"), ("http://a/1", "x y"),
                ("", ""), ("GO:0001", "GO:0002"), ("hsa04110", "hsa04115"), ("na", "na")]
)  # fmt: skip
def test_sources_are_no_genes(sources):
    text = f"T cells\t{sources[0]}\tCD3D\tCD3E\nB cells\t{sources[1]}\tCD79A\tMS4A1\n".encode()
    assert parse(text).terms == {"T cells": ("CD3D", "CD3E"), "B cells": ("CD79A", "MS4A1")}


def test_remarks_are_skipped_and_quotes_taken_off():
    assert parse(b"# made by hand\n\"T\"\t''\t\"CD3D\"\t'CD3E'\n").terms == {"T": ("CD3D", "CD3E")}


def test_a_library_is_found_by_name_in_the_data_folder(folder):
    (folder / "GO_Biological_Process_2021.gmt.gz").write_bytes(gzip.compress(GOOD))
    (folder / "Made_Up_2020").write_bytes(GOOD)
    assert read_gmt("GO_Biological_Process_2021").name == "GO_Biological_Process_2021"
    assert len(read_gmt("Made_Up_2020")) == 2


def test_a_missing_library_says_where_to_get_it_and_where_to_put_it():
    with pytest.raises(ConfigError) as raised:
        read_gmt("GO_Biological_Process_2021")
    message = str(raised.value)
    assert "no collection 'GO_Biological_Process_2021'" in message
    assert f"{DATA_DIR} is not set" in message
    assert "libraryName=GO_Biological_Process_2021 as GO_Biological_Process_2021.gmt" in message


def test_a_misspelt_name_gets_near_matches(folder):
    (folder / "GO_Biological_Process_2021.gmt").write_bytes(GOOD)
    with pytest.raises(ConfigError, match="Did you mean GO_Biological_Process_2021"):
        read_gmt("GO_Biological_Proces_2021")
    with pytest.raises(ConfigError, match="Did you mean blood"):
        read_gmt("bloood")


def test_a_wrong_path_and_a_folder_are_said_to_be_that(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no file .*absent.gmt; check the path"):
        read_gmt(tmp_path / "absent.gmt")
    with pytest.raises(ConfigError, match="is a folder; give a GMT file"):
        read_gmt(tmp_path)


def test_the_gene_ontology_library_reads_whole(test_data, monkeypatch):
    monkeypatch.setenv(DATA_DIR, str(test_data))
    collection = read_gmt("GO_Biological_Process_2021")
    assert len(collection) == 6036
    assert collection.repeats == 0
    assert "CD79A" in collection["B cell receptor signaling pathway (GO:0050853)"]


@pytest.mark.parametrize("entry", ["CD4;CD8A", "CD4///CD8A", "CD4|CD8A", "CD4 CD8A"])
def test_several_genes_in_one_column_are_refused(entry):
    with pytest.raises(DamagedError, match="is no gene"):
        parse_gmt(f"T1\tsource\tLYZ\t{entry}\n".encode(), "x", "x.gmt")


@pytest.mark.parametrize("term", ["T\0", "T\x1b[31m", "T\u202e", "\ufeffT"])
def test_a_term_with_characters_that_cannot_be_printed_is_refused(term):
    content = f"first\tsource\tLYZ\n{term}\tsource\tCD4\n".encode()
    with pytest.raises(DamagedError, match="holds characters that cannot be printed"):
        parse_gmt(content, "x", "x.gmt")


def test_what_fills_a_row_up_is_no_gene():
    held = parse_gmt(b"T1\tsource\tCD4\tNA\t\t-\tNaN\tnull\tCD8A\n", "x", "x.gmt")
    assert held.terms == {"T1": ("CD4", "CD8A")}
