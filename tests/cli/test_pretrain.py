"""Latent models trained from the command line: what is printed, what is kept, and that the result loads."""

import json
import sys

import pytest

from cellprism.cli.app import call
from cellprism.models.latent.dgd import DgdModel
from cellprism.models.latent.scvi import ScviModel
from cellprism.models.registry import load_model

DGD = ["--dgd.d-model=3", "--dgd.components=2", "--dgd.hidden=7", "--dgd.epochs=2", "--dgd.held-out=0.3"]
SCVI = ["--scvi.d-model=3", "--scvi.hidden=7", "--scvi.epochs=2", "--scvi.held-out=0.3"]


def test_a_dgd_is_trained_measured_and_loads(asked, tmp_path, capsys):
    out = tmp_path / "mine"
    words = ["pretrain", asked["cells"], "--out", str(out), "--family", "dgd", "--data-licence", "CC BY", *DGD]
    assert call(words) == 0
    said = capsys.readouterr().err
    assert "nats a count gained on the gene means" in said
    assert "cell types read by logistic regression on 11 held-out cells" in said
    assert "gene mean            +0.0000  [+0.0000, +0.0000]" in said
    model = load_model(out)
    assert isinstance(model, DgdModel)
    assert (model.name, model.licence, model.d_model) == ("mine", "CC BY", 3)
    assert model.card["settings"]["epochs"] == len(model.card["curve"]) == 2
    assert model.card["assessment"]["reconstruction"].keys() > {"model", "gene mean"}
    assert len(model.card["limits"]) == 3
    assert call(["models", "info", str(out)]) == 0
    assert json.loads((out / "config.json").read_text())["card"]["revision"] == model.revision
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for other in (words, ["pretrain", asked["cells"], "--out", str(out), "--steps=1"]):
        assert call(other) == 2
        assert f"{out} holds a model already; choose another --out" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_an_scvi_is_trained_measured_and_loads(asked, tmp_path):
    pytest.importorskip("scvi", reason="scvi-tools is not installed", exc_type=ImportError)
    assert call(["pretrain", asked["cells"], "--out", str(tmp_path / "mine"), "--family", "scvi", *SCVI]) == 0
    model = load_model(tmp_path / "mine")
    assert isinstance(model, ScviModel)
    assert model.card["settings"]["epochs"] == 2


def test_without_scvi_tools_the_extra_is_named(asked, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "scvi", None)  # what Python itself does to refuse an import
    assert call(["pretrain", asked["cells"], "--out", str(tmp_path / "mine"), "--family", "scvi"]) == 2
    assert "cellprism[scvi]" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("family", "words", "message"),
    [
        ("dgd", ["--seed=3"], "of the AIDO.Cell family are given, but --family is dgd; its own are --dgd.NAME"),
        ("scvi", ["--dgd.seed=3"], "settings of dgd are given, but --family is scvi; its own are --scvi.NAME"),
        ("aido", ["--scvi.seed=3"], "settings of scvi are given, but --family is aido; its own are --NAME"),
    ],
)
def test_settings_of_another_family_are_refused(asked, tmp_path, capsys, family, words, message):
    assert call(["pretrain", asked["cells"], "--out", str(tmp_path / "mine"), "--family", family, *words]) == 2
    assert message in capsys.readouterr().err
