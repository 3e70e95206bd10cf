"""Gene dictionaries: plain pickles are read, everything else is refused before it can run."""

import json
import os
import pickle
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from cellprism.cells.genes import GeneTable
from cellprism.errors import CellsError, DamagedError, ModelError
from cellprism.models.geneformer.dictionaries import CONVERTED, Dictionary, find, read_converted, read_pickle
from cellprism.store.atomic import sha256, write_json

TOKENS = {"<pad>": 0, "<mask>": 1, "ENSG00000000101": 3, "ENSG00000000102": 2}
MEDIANS = {"ENSG00000000101": 1.5, "ENSG00000000102": 2}


class Attack:
    """Makes a folder when unpickled."""

    def __init__(self, place: Path):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_dictionaries_are_read_in_every_pickle_protocol(tmp_path, protocol):
    path = tmp_path / "medians.pkl"
    path.write_bytes(pickle.dumps(MEDIANS, protocol=protocol))
    assert read_pickle(path, float) == MEDIANS


@pytest.mark.parametrize("hide", [lambda a: a, lambda a: {"ENSG00000000101": a}, lambda a: [1, (2, {3: a})]])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, hide):
    path, place = tmp_path / "token_dictionary.pkl", tmp_path / "made"
    path.write_bytes(pickle.dumps(hide(Attack(place))))
    with pytest.raises(ModelError, match=r"token_dictionary.pkl was not read: it names \w+.mkdir, which could run"):
        read_pickle(path, int)
    assert not place.exists()
    pickle.loads(path.read_bytes())
    assert place.exists(), "the attack is a real one"


def test_numpy_numbers_are_refused_by_name(tmp_path):
    path = tmp_path / "medians.pkl"
    path.write_bytes(pickle.dumps({"ENSG00000000101": np.float64(1.5)}))
    with pytest.raises(ModelError, match=r"names numpy\.\S*scalar.*or write the dictionary as gene_dictionary.json"):
        read_pickle(path, float)


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        ([1, 2], int, "holds a list; expected a dictionary from text to int"),
        ({1: 2}, int, "holds 1: 2; expected"),
        ({"a": "b"}, int, "holds 'a': 'b'; expected"),
        ({"a": True}, int, "holds 'a': True; expected"),
        ({"a": 1.5}, int, "holds 'a': 1.5; expected"),
        ({"a": 1}, str, "expected a dictionary from text to str"),
        ({"a": None}, float, "expected a dictionary from text to float"),
    ],
)
def test_other_types_are_refused_with_what_was_found(tmp_path, value, kind, found):
    path = tmp_path / "some.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(ModelError, match=found):
        read_pickle(path, kind)


def test_a_truncated_or_altered_pickle_is_damaged(tmp_path):
    path = tmp_path / "some.pkl"
    whole = pickle.dumps(TOKENS)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError, match="some.pkl is not a readable pickle"):
            read_pickle(path, int)
    rng = np.random.default_rng(0)
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= int(rng.integers(1, 256))
        path.write_bytes(flipped)
        with suppress(DamagedError, ModelError):  # no other error, whatever the byte
            read_pickle(path, int)


def test_a_pointer_of_large_file_storage_is_named_as_such(tmp_path):
    path = tmp_path / "token_dictionary.pkl"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(DamagedError, match="is a Git LFS pointer.*git lfs pull"):
        read_pickle(path, int)


def test_genes_are_in_the_order_of_their_tokens_by_symbol_id_or_alias():
    symbols = {"FIRST": "ENSG00000000102", "SECOND": "ENSG00000000102", "OTHER": "ENSG00000000999"}
    successors = {"ENSG00000000007": "ENSG00000000101", "ENSG00000000008": "ENSG00000000999"}
    successors["ENSG00000000102"] = "ENSG00000000101"  # has a token of its own, so its counts stay its own
    dictionary = Dictionary(TOKENS, MEDIANS, symbols, successors)
    table = dictionary.gene_table()
    assert dictionary.genes == table.ensembl == ("ENSG00000000102", "ENSG00000000101")
    assert table.symbol == ("FIRST", "ENSG00000000101")
    assert table.alias == {"SECOND": "FIRST", "ENSG00000000007": "ENSG00000000101"}
    assert not dictionary.special


def test_symbols_can_be_given():
    given = GeneTable.of(["NEW", "STRANGER"], ["ENSG00000000101", "ENSG00000000999"], [["OLD"], []])
    table = Dictionary(TOKENS, MEDIANS, {"FIRST": "ENSG00000000101"}).named(given).gene_table()
    assert table.symbol == ("ENSG00000000102", "NEW")
    assert table.alias == {"OLD": "NEW"}


@pytest.mark.parametrize(
    ("tokens", "medians", "problem"),
    [
        (TOKENS | {"<pad>": 1}, MEDIANS, "token ids are not 0 to 3, each once"),
        ({"<mask>": 1, "ENSG00000000101": 0}, MEDIANS, "no token '<pad>'"),
        (TOKENS | {"<cls>": 4}, MEDIANS, "only one of '<cls>'"),
        ({"<pad>": 0}, {}, "no genes"),
        (TOKENS, {"ENSG00000000101": 1.5}, "1 genes without a median above 0, such as 'ENSG00000000102'"),
        (TOKENS, MEDIANS | {"ENSG00000000101": 0.0}, "1 genes without a median above 0, such as 'ENSG00000000101'"),
        (TOKENS, MEDIANS | {"ENSG00000000101": float("nan")}, "1 genes without a median above 0"),
    ],
)
def test_a_dictionary_that_cannot_rank_is_refused(tokens, medians, problem):
    with pytest.raises(ModelError, match=problem):
        Dictionary(tokens, medians, source={"where.pkl": "it came from"})


def test_the_converted_dictionary_is_the_pickles_with_their_hashes(repository, tmp_path):
    for published in repository.values():
        found = find(published.folder, len(published.tokens))
        assert (found.tokens, found.medians) == (published.tokens, published.medians)
        assert found.special == (published.version == "V2")
        pickles = sorted(published.dictionaries.glob("*.pkl"))
        assert found.source == {path.name: sha256(path) for path in pickles}
        assert len(found.source) == 4
        found.save(tmp_path / "one.json")
        assert read_converted(tmp_path / "one.json") == found


def test_no_pickle_is_opened_where_there_is_a_converted_dictionary(tmp_path):
    (tmp_path / "token_dictionary.pkl").write_bytes(b"no pickle")
    Dictionary(TOKENS, MEDIANS).save(tmp_path / CONVERTED)
    assert find(tmp_path, 4).tokens == TOKENS


def test_a_converted_dictionary_is_checked(tmp_path):
    path = tmp_path / CONVERTED
    Dictionary(TOKENS, MEDIANS).save(path)
    whole = path.read_text()
    path.write_text(whole[:60])
    with pytest.raises(DamagedError, match="not readable JSON"):
        find(tmp_path, 4)
    found = json.loads(whole)
    for broken, message in (
        ({k: v for k, v in found.items() if k != "medians"}, "not a converted gene dictionary; expected tokens, med"),
        (found | {"tokens": {"a": "b"}}, "tokens holds 'a': 'b'"),
        ([], "not a converted gene dictionary"),
    ):
        write_json(path, broken)
        with pytest.raises(ModelError, match=message):
            read_converted(path)


def test_the_dictionary_of_the_models_size_is_found_and_others_are_listed(repository, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(ModelError, match=r"no gene dictionary of 31 tokens for .*found none. Copy token_dictionary"):
        find(folder, 31)
    for published in repository.values():
        shutil.copytree(published.dictionaries, folder, dirs_exist_ok=True)
    assert len(find(folder, 31).tokens) == 31
    with pytest.raises(ModelError, match=r"token_dictionary_gc104M.pkl with 33, token_dictionary_gc30M.pkl with 31"):
        find(folder, 37)
    (folder / "gene_median_dictionary_gc30M.pkl").unlink()
    with pytest.raises(ModelError, match=r"has no gene_median_dictionary_gc30M.pkl beside it"):
        find(folder, 31)
    for optional in ("gene_name_id_dict", "ensembl_mapping_dict"):
        (folder / f"{optional}_gc104M.pkl").unlink()
    bare = find(folder, 33)
    assert bare.gene_table().symbol == bare.genes


def test_a_dictionary_can_be_made_from_cells_and_says_so():
    counts = np.array([[1, 0, 3, 0], [0, 0, 5, 0], [2, 0, 2, 0]], dtype=np.float32)
    adata = AnnData(sp.csr_matrix(counts), var=pd.DataFrame(index=["A", "B", "C", "D"]))
    adata.var["gene_ids"] = ["ENSG00000000101", "ENSG00000000102", "", "ENSG00000000104"]
    made = Dictionary.of_cells(adata)
    assert made.genes == ("ENSG00000000101", "C")
    assert made.gene_table().symbol == ("A", "C")
    assert made.gene_table().ensembl == ("ENSG00000000101", "")
    assert made.medians == pytest.approx({"ENSG00000000101": 3750.0, "C": 7500.0})
    assert made.source == {"made here": "medians over 3 cells of an AnnData, no corpus"}
    assert made.special
    assert not Dictionary.of_cells(adata, special=False).special
    adata.obs["total_counts"] = [40.0, 50.0, 40.0]
    assert Dictionary.of_cells(adata).medians == pytest.approx({"ENSG00000000101": 375.0, "C": 750.0})
    adata.obs["total_counts"] = [40.0, 0.0, 40.0]
    with pytest.raises(CellsError, match="1 cells have no counts; drop them first"):
        Dictionary.of_cells(adata)
