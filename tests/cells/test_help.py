"""What somebody sees who asks for help."""

import pydoc
import subprocess
import sys

import cellprism.cells


def test_help_shows_what_is_where_and_every_public_name():
    text = pydoc.render_doc(cellprism.cells, renderer=pydoc.plaintext)
    assert "read_cells(source, model)     an AnnData with raw counts in the model's genes" in text
    assert "===" not in text
    for name in ("check_cells", "read_cells", "split_cells", "class GeneTable", "class CellsReport"):
        assert f"    {name}" in text
    assert "counts: which matrix of an AnnData holds raw counts" in text


def test_public_names_are_listed_and_lead_somewhere():
    assert dir(cellprism.cells) == sorted(cellprism.cells.__all__)
    for name in cellprism.cells.__all__:
        assert getattr(cellprism.cells, name) is not None


def test_importing_the_package_loads_nothing_else():
    code = (
        "import sys, cellprism.cells; print([m for m in sys.modules if m.startswith(('pandas', 'anndata', 'numpy'))])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
