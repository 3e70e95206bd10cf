"""Names in a configuration lead beside it, wherever both are moved, and name no folder of the machine."""

from pathlib import Path

import pytest

from cellprism.store.place import as_given, beside


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("home/cells.h5ad", "asked/cells.h5ad", "asked/data/own.h5ad", "cwd/cells.h5ad", "cwd/only.h5ad"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cells.h5ad", "{here}/asked/cells.h5ad"),
        ("data/own.h5ad", "{here}/asked/data/own.h5ad"),
        ("../cwd/only.h5ad", "{here}/asked/../cwd/only.h5ad"),
        ("~/cells.h5ad", "{here}/home/cells.h5ad"),
        ("{here}/cwd/cells.h5ad", "{here}/cwd/cells.h5ad"),
        ("only.h5ad", "only.h5ad"),
        ("bundled:pbmc68k", "bundled:pbmc68k"),
        ("obsm:X_pca", "obsm:X_pca"),
        ("", ""),
    ],
)
def test_a_name_leads_beside_the_configuration(home, name, found):
    here = str(home.parent)
    assert beside(name.replace("{here}", here), home.parent / "asked") == found.replace("{here}", here)


def test_what_is_kept_leads_to_the_same_file_after_both_were_moved(home, tmp_path):
    folder = tmp_path / "asked"
    given = as_given(str(folder / "data" / "own.h5ad"), folder)
    assert given == "data/own.h5ad"
    folder.rename(tmp_path / "moved")
    assert Path(beside(given, tmp_path / "moved")).read_text() == "asked/data/own.h5ad"


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("{home}/x/cells.h5ad", "~/x/cells.h5ad"),
        ("/data/cells.h5ad", "/data/cells.h5ad"),
        ("cells.h5ad", "../cwd/cells.h5ad"),
        ("../asked/data/own.h5ad", "data/own.h5ad"),
        ("../home/cells.h5ad", "~/cells.h5ad"),
        ("pbmc3k", "pbmc3k"),
        ("", ""),
    ],
)
def test_what_is_kept_does_not_name_the_user(home, tmp_path, path, given):
    assert as_given(path.replace("{home}", str(home)), tmp_path / "asked") == given


def test_what_was_given_from_the_working_directory_is_found_from_anywhere(home, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path / "asked" / "data")
    for folder in (tmp_path / "asked", tmp_path / "link"):
        given = as_given("only.h5ad", folder)
        monkeypatch.chdir("/")
        assert Path(beside(given, folder)).read_text() == "cwd/only.h5ad"
        monkeypatch.chdir(tmp_path / "cwd")
