"""From a source to a model: names, paths, the hub, and families that other packages bring."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cellprism.cells.genes import GeneTable, write_gene_table
from cellprism.cells.read import read_cells
from cellprism.errors import ModelError
from cellprism.models.conformance import FAILS, conformance, some_cells
from cellprism.models.registry import (
    BUNDLED,
    Family,
    families,
    family,
    fetch_model,
    load_model,
    model_location,
    recognised,
)
from cellprism.types import CellModel
from models.conftest import REDUCED
from models.hub_server import Hub, serving
from models.plugins import guide_example, install

BUILT_IN = {"aido", "dgd", "geneformer", "obsm", "scgpt", "scvi"}
LIKES_EVERYTHING = "def recognises(path): return True\ndef load(path): raise RuntimeError('not meant')\n"


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A folder of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def meanfield(site, tmp_path, monkeypatch) -> Path:
    """The guide's example, installed as a package, and a folder with a model of it."""
    monkeypatch.delitem(sys.modules, "meanfield", raising=False)
    install(site, "cell-meanfield", {"meanfield": "meanfield"}, {"meanfield": guide_example()[0]})
    folder = tmp_path / "my-model"
    folder.mkdir()
    genes = list(read_cells("bundled:pbmc68k").var_names[::2])
    draw = torch.Generator().manual_seed(0)
    shapes = {"gene": (len(genes), 13), "value": (13,), "own": (3, 13, 13), "cell": (3, 13, 13), "readout": (13,)}
    weights = {name: torch.randn(shape, generator=draw) / 4 for name, shape in shapes.items()}
    save_file(weights, folder / "meanfield.safetensors")
    write_gene_table(folder / "genes.tsv", GeneTable.of(genes))
    return folder


def test_a_file_and_a_folder_are_loaded(tmp_path):
    path = REDUCED / "aido_tiny_2blocks.safetensors"
    assert load_model(path).n_layers == load_model(str(path)).n_layers == 2
    (tmp_path / "model.safetensors").write_bytes(path.read_bytes())
    assert load_model(tmp_path).d_model == 64


def test_an_unknown_model_is_told_what_there_is():
    words = (
        r"no model 'mimi': expected one of pbmc2, mini, a model folder, or a .safetensors.*"
        r"hf://owner/name@COMMIT.*aido, dgd"
    )
    with pytest.raises(ModelError, match=words):
        load_model("mimi")


def test_every_bundled_name_has_a_folder_in_the_package():
    for name in BUNDLED:
        assert (Path(model_location(name)) / "model.safetensors").is_file()


def test_a_bundled_name_goes_before_a_folder_of_that_name_and_anything_else_is_a_path(tmp_path, monkeypatch):
    (tmp_path / "mini").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Path(model_location("mini")).parent.name == "models"
    assert model_location(tmp_path / "mini") == str(tmp_path / "mini")


def test_a_location_is_what_decides_a_models_contents(tmp_path):
    assert model_location(f"aido:{tmp_path}") == str(tmp_path)
    source = f"hf://owner/name@{'3f' * 20}"
    assert model_location(source) == source
    assert model_location("obsm:X_pca+ridge") == "obsm:X_pca+ridge"


# --- families


def test_ours_come_through_the_door_that_is_open_to_all():
    found = families()
    assert found.keys() >= BUILT_IN
    assert {found[name].dist.name for name in BUILT_IN} == {"cellprism"}


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_each_of_ours_is_a_family_and_says_what_it_looks_for(name):
    one = family(name)
    assert isinstance(one, Family)
    assert len(one.LOOKS_FOR) > 10


def test_a_family_is_imported_without_its_heavy_libraries():
    code = (
        "from cellprism.models.registry import families, family\n"
        f"[family(name) for name in {sorted(BUILT_IN)}]\nimport sys\n"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint({"transformers", "scvi", "lightning", "pyro", "jax"})


def test_an_unknown_family_is_told_which_there_are():
    with pytest.raises(ModelError, match=r"no model family 'aidos'; installed are aido, dgd"):
        family("aidos")


def test_a_family_of_another_package_loads_and_holds(meanfield):
    model = load_model(meanfield)
    assert isinstance(model, CellModel)
    assert (model.name, model.n_layers, model.d_model) == ("my-model", 3, 13)
    outcomes = conformance(model, some_cells("bundled:pbmc68k", model, 5))
    assert [o.check for o in outcomes if o.verdict == FAILS] == []
    assert load_model(f"meanfield:{meanfield}").name == "my-model"


def test_what_follows_a_familys_name_need_not_be_a_path(site):
    source = (
        "from cellprism.models.aido.model import AidoCell\n"
        "def recognises(path): return False\n"
        "def load(path, layers=2): return AidoCell.random(['A', 'B', 'C'], hidden=int(str(path)), layers=layers)\n"
    )
    install(site, "cell-sized", {"sized": "sized"}, {"sized": source})
    assert load_model("sized:14").d_model == 14
    assert load_model("sized:14", layers=3).n_layers == 3


def test_an_embedding_of_the_cells_is_a_model_by_name():
    assert load_model("obsm:X_pca+ridge").name == "obsm:X_pca+ridge"
    assert load_model("obsm:X_scVI").name == "obsm:X_scVI"
    with pytest.raises(ModelError, match=r"obsm:X_pca\+lasso: no decoder 'lasso'; expected obsm:X_pca or obsm:X_pca"):
        load_model("obsm:X_pca+lasso")


def test_a_folder_that_nobody_knows_lists_what_was_found_and_what_was_looked_for(meanfield, tmp_path):
    folder = tmp_path / "sae"
    folder.mkdir()
    for name in ("cfg.json", "sae_weights.safetensors.index"):
        (folder / name).write_text("{}")
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    said = str(caught.value)
    assert said.startswith(f"no model family recognises {folder}: found cfg.json, sae_weights.safetensors.index; each")
    assert "\n  - meanfield: a folder with meanfield.safetensors and genes.tsv" in said
    assert {line.split(":")[0].strip(" -") for line in said.splitlines()[1:]} >= {"meanfield", *BUILT_IN}


def test_long_folders_and_files_are_described_in_few_words(tmp_path):
    for i in range(17):
        (tmp_path / f"{i:02d}").touch()
    with pytest.raises(ModelError, match=r"found 00, 01, .* 11 and 5 more; each"):
        load_model(tmp_path)
    (tmp_path / "00").write_bytes(b"x" * 1_234)
    with pytest.raises(ModelError, match=r"found a file of 1,234 bytes"):
        load_model(tmp_path / "00")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"found an empty folder"):
        load_model(tmp_path / "empty")


def test_a_folder_that_two_families_claim_asks_which(meanfield, site):
    install(site, "cell-greedy", {"greedy": "greedy"}, {"greedy": LIKES_EVERYTHING})
    words = re.escape(f"could be of the families greedy and meanfield; say which: greedy:{meanfield} or meanfield:")
    with pytest.raises(ModelError, match=words):
        load_model(meanfield)
    assert load_model(f"meanfield:{meanfield}").name == "my-model"
    assert load_model("mini").name == "mini", "bundled models ask nobody"


def test_a_missing_library_names_the_extra_that_brings_it(site, tmp_path):
    source = "def recognises(path): return True\ndef load(path):\n    import not_installed_anywhere\n"
    install(site, "cell-heavy", {"heavy": "heavy"}, {"heavy": source}, extras=("heavy",))
    words = r"""'heavy' of cell-heavy needs not_installed_anywhere, .*: pip install "cell-heavy\[heavy\]"$"""
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path)


def test_a_family_that_cannot_be_imported_is_told_of_only_where_it_matters(meanfield, site, tmp_path):
    install(site, "cell-early", {"early": "early"}, {"early": "import not_installed_anywhere\n"})
    assert load_model(meanfield).name == "my-model"
    (tmp_path / "unknown").mkdir()
    with pytest.raises(ModelError, match=r"early: did not look \(.* needs not_installed_anywhere, .*pip install not_"):
        load_model(tmp_path / "unknown")
    with pytest.raises(ModelError, match="pip install not_installed_anywhere$"):
        load_model("early:anything")


def test_a_family_that_is_broken_stops_nobody_else(meanfield, site):
    install(site, "cell-broken", {"broken": "broken_family"}, {"broken_family": "1 / 0"})
    assert load_model(meanfield).name == "my-model"
    words = r"'broken' cannot be imported \(ZeroDivisionError: division by zero\); update or uninstall cell-broken"
    with pytest.raises(ModelError, match=words):
        family("broken")


def test_a_family_whose_own_module_is_gone_is_to_be_installed_again(site):
    install(site, "cell-gone", {"gone": "cell_gone_module"}, {})
    with pytest.raises(ModelError, match="cell_gone_module of model family 'gone' is not there; install cell-gone ag"):
        family("gone")


def test_an_entry_point_that_is_no_family_is_refused(site):
    install(site, "cell-half", {"half": "half"}, {"half": "def load(path): ...\n"})
    with pytest.raises(ModelError, match=r"half of cell-half is registered .* lacks recognises\(path\) or load\("):
        family("half")


def test_two_packages_with_one_familys_name_are_refused(site):
    install(site, "cell-one", {"same": "same_one"}, {"same_one": LIKES_EVERYTHING})
    install(site, "cell-two", {"same": "same_two"}, {"same_two": LIKES_EVERYTHING})
    with pytest.raises(ModelError, match="cell-(one|two) and cell-(one|two) both register a model family 'same'"):
        families()


# --- the hub


@pytest.fixture
def hub_model(meanfield, tmp_path, monkeypatch):
    """A hub that holds the guide's model, and an empty cache."""
    made = Hub(meanfield, repository="someone/meanfield", card={"license": "cc0-1.0"})
    with serving(made) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("CELLPRISM_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield made


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_model_of_the_hub_is_fetched_recognised_and_loaded(hub_model):
    source = f"hf://someone/meanfield@{hub_model.revision}"
    with pytest.raises(ModelError, match="not in the cache"):
        load_model(source, offline=True)
    told = []
    model = load_model(source, progress=lambda *step: told.append(step))
    assert model.d_model == 13
    assert {name for name, _, _ in told} >= {"meanfield.safetensors", "genes.tsv"}
    hub_model.status = 500
    assert load_model(source, offline=True).n_layers == 3
    assert recognised(fetch_model(source, offline=True)) == "meanfield"


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_what_a_family_needs_besides_is_fetched_with_it(hub_model, site):
    fetched = "def fetch_extras(folder, offline, progress):\n    import os\n    os.environ['EXTRAS'] = str(offline)\n"
    (site / "meanfield.py").write_text(guide_example()[0] + "\n\n" + fetched)
    source = f"hf://someone/meanfield@{hub_model.revision}"
    try:
        load_model(source)
        assert os.environ.pop("EXTRAS") == "False"
        load_model(source, offline=True)
        assert "EXTRAS" not in os.environ, "what is missing may be given as an option"
        fetch_model(source, offline=True)
        assert os.environ["EXTRAS"] == "True"
    finally:
        os.environ.pop("EXTRAS", None)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_branch_is_refused_before_anybody_is_asked(hub_model):
    with pytest.raises(ModelError, match="'main' is no pinned revision"):
        load_model("hf://someone/meanfield@main")
    assert hub_model.asked == []
