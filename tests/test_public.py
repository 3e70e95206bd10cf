"""The public surface: every name is there and says what it is, and importing the package costs nothing."""

import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import pytest

import cellprism

HEAVY = ("torch", "scanpy", "anndata", "pandas", "sklearn", "plotly")


def loaded_after(code: str) -> set[str]:
    """Top-level packages in ``sys.modules`` after running some code in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*{{m.split('.')[0] for m in sys.modules}})"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", cellprism.__all__)
def test_every_public_name_resolves_and_has_a_docstring(name):
    found = getattr(cellprism, name)
    assert callable(found) or set(dir(found)) == set(found.__all__), "a function, a class, or a module of these"
    assert len(found.__doc__.strip()) > 20
    assert not found.__doc__.startswith(f"{name}("), "the docstring that dataclass makes up"


def test_steer_is_a_function_even_after_its_package_was_imported():
    import_module("cellprism.steering.dose")
    with pytest.raises(TypeError, match=r"missing.* required.* argument.*'model'"):
        cellprism.steer()


def test_the_names_promised_for_good_are_public():
    promised = {"load_model", "read_cells", "train_sae", "fit_sae", "SaeConfig", "SparseAutoencoder", "feature_genes"}
    assert promised | {"over_representation", "steer", "contrast"} <= set(cellprism.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'train_SAE'"):
        cellprism.train_SAE  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    loaded = loaded_after("import cellprism")
    assert "cellprism" in loaded
    assert loaded.isdisjoint((*HEAVY, "numpy", "cyclopts"))


def test_the_report_is_written_without_torch():
    loaded = loaded_after("import cellprism.report.page, cellprism.workflow.publish")
    assert "plotly" in loaded
    assert "torch" not in loaded


def test_the_version_is_that_of_the_installed_package():
    assert cellprism.__version__ == version("cellprism")


def test_completion_sees_every_name_and_loads_nothing():
    code = (
        "import rlcompleter, cellprism as cp\n"
        "found = rlcompleter.Completer({'cp': cp}).attr_matches('cp.')\n"
        "names = {n.removeprefix('cp.').rstrip('()') for n in found}\n"
        "assert names >= set(cp.__all__), set(cp.__all__) - names"
    )
    assert loaded_after(code).isdisjoint((*HEAVY, "numpy"))


def test_dir_is_the_public_names():
    assert set(dir(cellprism)) == {*cellprism.__all__, "__version__"}
