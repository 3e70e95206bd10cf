"""Make the notebooks from the scripts beside this file, run them, and keep what they show.

    python docs/notebooks/make.py RUN

RUN is a finished run, as ``cellprism demo`` writes it; the notebooks see it as ``demo``. Needs the extra ``notebooks``.
A script is cut into cells at ``# %%``; a cell that begins with ``# %% [markdown]`` is text.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("first_look", "your_cells", "your_model", "reading_a_page")


def cells_of(script: str) -> list[tuple[str, str]]:
    """Kind (``code`` or ``markdown``) and text of each cell of a script."""
    found = []
    for part in re.split(r"^# %%", script, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        if "[markdown]" in head:
            found.append(("markdown", re.sub(r"^# ?", "", body.strip(), flags=re.MULTILINE)))
        else:
            found.append(("code", body.strip()))
    return found


def made(name: str, folder: Path) -> str:
    """The notebook of a script, run in a folder, as JSON."""
    import nbformat
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    makers = {"code": new_code_cell, "markdown": new_markdown_cell}
    cells = cells_of((HERE / f"{name}.py").read_text(encoding="utf-8"))
    notebook = new_notebook(cells=[makers[kind](text, id=f"{name}-{n}") for n, (kind, text) in enumerate(cells)])
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.clear()
        cell.pop("execution_count", None)
    notebook.metadata = {
        "language_info": {"name": "python"},
        "kernelspec": {"name": "python3", "display_name": "Python"},
    }
    for number, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
        cell["execution_count"] = number + 1
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = number + 1
    return nbformat.writes(notebook) + "\n"


def main(run: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(run, Path(scratch) / "demo")
        for name in NAMES:
            (HERE / f"{name}.ipynb").write_text(made(name, Path(scratch)), encoding="utf-8")
            print(HERE / f"{name}.ipynb")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
