"""``cellprism models``: families in the list, what the hub says before a fetch, and adapters that break a promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from models.hub_server import Hub, serving
from models.plugins import guide_example, install
from safetensors.torch import save_file

from cellprism.cells.genes import write_gene_table
from cellprism.cli.app import call
from cellprism.models.conformance import CHECKS, FAILS, HOLDS, MEANINGLESS
from cellprism.models.registry import load_model

WIDTH = 13
PINNED = f"hf://someone/meanfield@{'3f' * 20}"
BROKEN = """
whole = MeanField.resume
def resume(self, batch, layer, x):
    return whole(self, batch, max(layer - 1, 0), x)
MeanField.resume = resume
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A model folder of the guide's family, which is installed."""
    site, folder = tmp_path / "site", tmp_path / "my-model"
    folder.mkdir()
    monkeypatch.delitem(sys.modules, "meanfield", raising=False)
    install(site, "cell-meanfield", {"meanfield": "meanfield"}, {"meanfield": guide_example()[0]})
    monkeypatch.syspath_prepend(str(site))
    genes = load_model("mini").gene_table
    draw = torch.Generator().manual_seed(0)
    shapes = {"gene": (len(genes), WIDTH), "value": (WIDTH,), "own": (3, WIDTH, WIDTH), "cell": (3, WIDTH, WIDTH),
              "readout": (WIDTH,)}  # fmt: skip
    weights = {name: torch.randn(shape, generator=draw) / 4 for name, shape in shapes.items()}
    save_file(weights, folder / "meanfield.safetensors")
    write_gene_table(folder / "genes.tsv", genes)
    return folder


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    """A hub that holds the model, and an empty cache."""
    made = Hub(folder, repository="someone/meanfield", card={"license": "cc0-1.0"})
    with serving(made) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("CELLPRISM_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield made


def test_bundled_models_and_families_are_listed(folder, capsys):
    assert call(["models", "list"]) == 0
    rows = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines())
    assert "PBMC3K" in rows["mini"]
    assert rows["meanfield:"] == "a folder with meanfield.safetensors and genes.tsv"
    assert rows.keys() >= {"aido:", "geneformer:", "scgpt:", "scvi:", "dgd:", "obsm:"}


def test_a_family_that_lacks_a_library_is_listed_with_what_brings_it(tmp_path, monkeypatch, capsys):
    install(tmp_path, "cell-lacking", {"lacking": "lacking"}, {"lacking": "import not_installed_anywhere"})
    monkeypatch.syspath_prepend(str(tmp_path))
    assert call(["models", "list"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("lacking:"))
    assert row.endswith("pip install not_installed_anywhere")


def test_the_bundled_model_holds(capsys):
    assert call(["models", "check", "mini", "--count", "3"]) == 0
    out, err = capsys.readouterr()
    assert [line.split("  ")[0] for line in out.splitlines()[1 : len(CHECKS) + 1]] == [c.name for c in CHECKS]
    assert FAILS not in out
    assert "mini holds, on 3 cells" in err


def test_a_model_of_another_package_is_checked_by_its_folder(folder, capsys):
    assert call(["models", "check", str(folder), "--count", "3", "--json"]) == 0
    out, err = capsys.readouterr()
    verdicts = {row["check"]: row["verdict"] for row in json.loads(out)}
    assert {verdicts.pop(name) for name in ("residuals", "between blocks", "some genes")} == {MEANINGLESS}
    assert set(verdicts.values()) == {HOLDS}
    assert f"{folder} holds, on 3 cells" in err


def test_a_broken_promise_is_exit_code_1_with_what_was_expected(folder, tmp_path, capsys):
    module = tmp_path / "site" / "meanfield.py"
    module.write_text(module.read_text() + BROKEN)
    assert call(["models", "check", str(folder), "--count", "3"]) == 1
    out, err = capsys.readouterr()
    row = next(line for line in out.splitlines() if line.startswith("same at every cut"))
    assert FAILS in row
    assert "same at every cut: results differ by" in out
    assert "expected the same output from every layer, bit for bit" in out
    assert f"error: {folder} breaks 1 of {len(CHECKS)} promises: same at every cut" in err


def test_cells_of_ones_own_can_be_used(asked, capsys):
    assert call(["models", "check", asked["model"], "--cells", asked["cells"], "--count", "5"]) == 0
    assert f"{asked['model']} holds, on 5 cells" in capsys.readouterr().err


def test_two_cells_are_too_few(capsys):
    assert call(["models", "check", "mini", "--count", "2"]) == 2
    assert "2 cells; the checks compare batch sizes and need 3 or more" in capsys.readouterr().err


def test_an_embedding_is_checked_on_cells_that_hold_it(capsys):
    assert call(["models", "check", "obsm:X_pca"]) == 2
    assert "conformance(model.fitted(cells), cells)" in capsys.readouterr().err


def test_an_adapter_without_half_of_its_members_is_a_failure_and_no_traceback(tmp_path):
    source = "def recognises(path): return False\ndef load(path): return object()\n"
    install(tmp_path, "cell-empty", {"empty": "empty_family"}, {"empty_family": source})
    code = (  # in a process of its own, without the tests' type checks, which would speak before our own message
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from cellprism.cli.app import main; main(['models', 'check', 'empty:anything'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "members: no name, revision" in done.stdout
    assert "Traceback" not in done.stderr


# --- the hub


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_size_licence_and_files_are_shown_and_nothing_is_fetched(hub, capsys):
    assert call(["models", "info", PINNED]) == 0
    out, err = capsys.readouterr()
    assert f"{PINNED}, licence: cc0-1.0" in out
    assert "2 files, 0.2 MB" in out
    assert "meanfield.safetensors" in out
    assert f"next: cellprism models fetch {PINNED}" in err
    assert hub.fetched() == []


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_fetch_says_the_licence_first_and_prints_the_folder(hub, capsys):
    assert call(["models", "fetch", PINNED]) == 0
    out, err = capsys.readouterr()
    fetched = Path(out.strip())
    assert (fetched / "meanfield.safetensors").is_file()
    assert err.index("licence: cc0-1.0") < err.index("next: cellprism models check")
    hub.status = 500
    assert call(["models", "fetch", PINNED, "--offline"]) == 0
    assert capsys.readouterr().out.strip() == str(fetched)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_after_a_fetch_info_has_the_sizes_and_a_check_needs_no_network(hub, capsys):
    assert call(["models", "fetch", PINNED]) == 0
    hub.status = 500
    capsys.readouterr()
    assert call(["models", "info", PINNED, "--offline"]) == 0
    out = capsys.readouterr().out
    assert "in the cache: " in out
    assert "3 blocks, d_model 13, 1,953 genes" in out
    assert call(["models", "check", PINNED, "--offline", "--count", "3"]) == 0


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_gated_model_says_so_before_a_fetch(hub, capsys):
    hub.token = "secret"
    assert call(["models", "info", PINNED]) == 0
    assert "gated: needs HF_TOKEN" in capsys.readouterr().out
    assert call(["models", "fetch", PINNED]) == 2
    assert "HF_TOKEN is not set" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["info", "fetch", "check"])
def test_offline_and_never_fetched_is_exit_code_2(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CELLPRISM_CACHE", str(tmp_path))
    assert call(["models", verb, PINNED, "--offline"]) == 2
    assert "is not in the cache" in capsys.readouterr().err


@pytest.mark.parametrize(("source", "words"), [("mini", "'mini' is no model of the hub and needs no fetching"),
                                               ("hf://someone/meanfield@main", "no pinned revision")])  # fmt: skip
def test_only_pinned_models_of_the_hub_are_fetched(source, words, capsys):
    assert call(["models", "fetch", source]) == 2
    assert words in capsys.readouterr().err
