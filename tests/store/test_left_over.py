"""What a killed command leaves beside its result goes when the same command is given again, refused or not."""

import shutil

import pytest
from anndata import AnnData

from cellprism.cli.app import call
from cellprism.dictionary import folder as dictionary_folder
from cellprism.errors import DiskError
from cellprism.workflow.share import share


def left_over(path):
    """A scratch folder as a killed writer of this path leaves it."""
    scratch = path.with_name(f".{path.name}.abcd1234.part")
    scratch.mkdir(parents=True)
    (scratch / path.name).write_text("half")
    return scratch


def test_simulated_cells_half_of_which_are_there_are_made_again(tmp_path, capsys):
    words = ["simulate", str(tmp_path / "s"), "--preset", "small"]
    assert call(words) == 0
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "s.h5ad").unlink()  # it comes last
    scratch = left_over(tmp_path / "s.h5ad")
    assert call(words) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole
    (tmp_path / "s.h5ad").unlink()
    (tmp_path / "s.gmt").write_text("mine")
    capsys.readouterr()
    assert call(words) == 2
    assert "s.gmt would be written over" in capsys.readouterr().err
    assert not scratch.exists()


def test_a_refused_first_configuration_clears_what_was_left(tmp_path, capsys):
    (tmp_path / "c.toml").write_text("mine")
    left_over(tmp_path / "c.toml")
    assert call(["config", "init", "bundled:pbmc68k", "--out", str(tmp_path / "c.toml")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["c.toml"]


def test_a_refused_encoding_clears_what_was_left(tmp_path, capsys):
    AnnData().write_h5ad(tmp_path / "f.h5ad")
    for name in ("f.h5ad", ".f.h5ad.shards"):
        left_over(tmp_path / name)
    assert call(["encode", "bundled:pbmc68k", "--with", "none", "--out", str(tmp_path / "f.h5ad")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["f.h5ad"]


def test_a_dictionary_is_there_whole_or_not_at_all(finished, tmp_path, monkeypatch):
    out = tmp_path / "dictionary"
    left_over(out)

    def full(path, value):
        raise DiskError(f"{path} cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr(dictionary_folder, "write_json", full)
        with pytest.raises(DiskError):
            share(finished, out)
    assert list(tmp_path.iterdir()) == []
    out.mkdir()
    (tmp_path / "link").symlink_to(out, target_is_directory=True)
    share(finished, tmp_path / "link")
    names = {path.name for path in out.iterdir()}
    shutil.rmtree(out)
    share(finished, out)
    assert {path.name for path in out.iterdir()} == names >= {"dictionary.json", "features.tsv", "cfg.json"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dictionary", "link"]
