"""Gene sets by name: settings of an ontology, what they name, and what is refused before anything is read."""

from dataclasses import fields
from pathlib import Path

import pytest

from cellprism.errors import ConfigError, DamagedError
from cellprism.ontology.collection import Origin
from cellprism.ontology.gmt import DATA_DIR, collection_file
from cellprism.ontology.published import PUBLISHED, RELEASE, released
from cellprism.ontology.read import collection_files, read_collection
from cellprism.ontology.settings import OntologySettings, read_settings
from cellprism.store.atomic import sha256
from ontology.made_up import OBO, gaf

BOTH = 'ontology = "go.obo"\nannotations = "goa.gaf"\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    (tmp_path / "go.obo").write_text(OBO)
    (tmp_path / "goa.gaf").write_text(gaf())
    return tmp_path


def test_a_pair_of_files_is_one_collection_with_the_origin_of_both(folder, monkeypatch):
    (folder / "mine.toml").write_text(BOTH + 'relations = ["is_a", "part_of"]\nmin_size = 2\nmax_size = 4\n')
    monkeypatch.chdir("/")  # files are seen from the settings' folder
    found = read_collection(folder / "mine.toml")
    assert found.name == "mine, release 2024-01-17"
    assert found.terms == {
        "immune process (GO:0000002)": ("CD4", "CD8A", "FYN"),
        "signalling (GO:0000003)": ("CD4", "CD8A", "INS", "LCK"),
        "T cell signalling, 3'-end {of a kind} (GO:0000004)": ("CD4", "CD8A"),
    }
    assert found.origins == (
        Origin("go.obo", "2024-01-17", sha256(folder / "go.obo")),
        Origin("goa.gaf", "2024-01-18", sha256(folder / "goa.gaf")),
    )
    assert found.respelled(["CD4"], {}).origins == found.origins
    assert collection_files(folder / "mine.toml") == [folder / name for name in ("mine.toml", "go.obo", "goa.gaf")]


def test_a_library_of_the_data_folder_goes_by_name_and_a_gmt_file_knows_its_origin(folder):
    (folder / "data" / "Mine.toml").write_text(BOTH.replace('"go', '"../go') + "min_size = 1\n")
    assert "T cell killing (GO:0000005)" in read_collection("Mine")
    (folder / "data" / "Sets.gmt").write_text("a\t\tCD4\n")
    (origin,) = read_collection("Sets").origins
    assert origin == Origin("Sets.gmt", "", sha256(folder / "data" / "Sets.gmt"))
    assert read_collection("blood").origins[0].file == "blood.gmt"


def test_stated_releases_count_where_files_do_not_say_theirs(folder):
    (folder / "goa.gaf").write_text(gaf(header="!gaf-version: 2.1\n"))
    (folder / "mine.toml").write_text(BOTH + 'ontology_release = "1999"\nannotations_release = "2001"\nmin_size = 1\n')
    assert [origin.release for origin in read_collection(folder / "mine.toml").origins] == ["2024-01-17", "2001"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ontology = go.obo", r"mine\.toml is not TOML"),
        (BOTH + "min_sise = 2", r"unknown key 'min_sise'; did you mean 'min_size'\?"),
        ('ontology = "go.obo"', r"does not say how gene sets are made: missing value for field \"annotations\""),
        (BOTH + 'taxon = "human"', r"wrong value type for field \"taxon\""),
        (BOTH + "taxon = 0", r"taxon is 0: expected a number of NCBI's taxonomy"),
        (BOTH + "min_size = 9\nmax_size = 3", r"max_size is 3: expected 0, or a number of at least min_size"),
        (BOTH + 'obsolete = "drop"', r"obsolete is 'drop': expected 'refuse', 'replace', 'leave out'"),
        (BOTH + 'relations = ["part"]', r"relations is \['part'\]: expected \['is_a'\]"),
        (BOTH + 'evidence = ["best"]', r"evidence names 'best'"),
        (BOTH.replace("go.obo", "no.obo"), r"ontology = 'no\.obo': there is no such file"),
        (BOTH.replace("go.obo", "mine.toml"), r"the kind of .*mine\.toml does not show in its name; expected"),
        (BOTH.replace('"go.obo"', '"go"'), r"go is not on this machine .*fetch it: cellprism data fetch go, or pass"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_refused_before_anything_is_read(folder, text, said):
    (folder / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        collection_files(folder / "mine.toml")


def test_what_is_shipped_needs_its_files_fetched_and_takes_no_others(folder):
    settings = read_settings(collection_file("go-bp"))
    assert (settings.ontology, settings.annotations) == tuple(PUBLISHED)
    with pytest.raises(ConfigError, match="cellprism data fetch go"):
        read_collection("go-bp")
    for file in PUBLISHED.values():
        (folder / "data" / file.filename).write_text(OBO)
    with pytest.raises(DamagedError, match=r"is not the published go \(SHA-256 .*cellprism data fetch go"):
        read_collection("go-bp")


def test_another_release_has_its_own_file_and_needs_a_checksum():
    file = released(PUBLISHED["goa_human"], "2024-01-17", "AB" * 32)
    assert file.url == "https://release.geneontology.org/2024-01-17/annotations/goa_human.gaf.gz"
    assert file.filename == "goa_human-2024-01-17.gaf.gz"
    assert file.sha256 == "ab" * 32
    with pytest.raises(ConfigError, match=rf"has no checksum here \(pinned is {RELEASE}\); give it as --sha256"):
        released(PUBLISHED["go"], "2024-01-17", "")
    with pytest.raises(ConfigError, match=r"release 'latest' is no date"):
        released(PUBLISHED["go"], "latest", "ab" * 32)


def test_what_is_published_states_origin_licence_and_checksum():
    for file in PUBLISHED.values():
        assert file.licence == "CC BY 4.0"
        assert RELEASE in file.url
        assert len(file.sha256) == 64


def test_every_key_of_the_settings_stands_in_the_docs():
    text = (Path(__file__).parents[2] / "docs" / "ontology.md").read_text(encoding="utf-8")
    assert [item.name for item in fields(OntologySettings) if f"`{item.name}`" not in text] == []
