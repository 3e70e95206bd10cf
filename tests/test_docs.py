"""The documents keep up with the code: their Python runs, and all keys, options, equations and folders are in them."""

import importlib.util
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

import cellprism
from cellprism.cli.app import VERBS, app, call
from cellprism.studies.study import studies
from cellprism.workflow.config import read_config

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")), REPOSITORY / "CONTRIBUTING.md"]
BLOCKS = [
    (page.name, number, code)
    for page in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
]
TYPES, N_GENES = ("CD4+/CD45RO+ Memory", "CD8+ Cytotoxic T"), 53


def few(cells: AnnData) -> AnnData:
    """Twelve cells each of two types, in genes that many cells have."""
    rows = np.concatenate([np.flatnonzero(cells.obs["cell_type"] == kind)[:12] for kind in TYPES])
    seen = np.asarray((cells.X > 0).sum(axis=0)).ravel()
    return cells[rows, np.sort(np.argsort(-seen)[:N_GENES])].copy()


def test_there_are_code_blocks_to_run():
    assert len([name for name, _, _ in BLOCKS if name == "README.md"]) >= 2


@pytest.mark.parametrize(("page", "number", "code"), BLOCKS, ids=[f"{name}-{number}" for name, number, _ in BLOCKS])
def test_python_blocks_run_on_a_slice_of_the_bundled_cells(page, number, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    read = r'cp\.read_cells\("bundled:pbmc68k", model=model\)'
    assert "read_cells" not in code or re.search(read, code), (
        f"{page}, block {number} reads cells that cannot be sliced"
    )
    exec(compile(re.sub(read, r"few(\g<0>)", code), f"{page}, block {number}", "exec"), {"few": few})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_table_of_keys_is_that_of_the_settings():
    spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    text = generate.PAGE.read_text(encoding="utf-8")
    assert text == generate.page(text), "docs/configuration.md is out of date; run: python docs/generate.py"


def test_the_page_of_the_python_interface_is_that_of_the_docstrings(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "docs")
    from api_page import GROUPS, api_page

    assert sorted(name for names in GROUPS.values() for name in names) == cellprism.__all__
    text = (REPOSITORY / "docs" / "api.md").read_text(encoding="utf-8")
    assert text == api_page(), "docs/api.md is out of date; run: python docs/generate.py"


def keys_of(settings: type, section: str):
    for item in fields(settings):
        if is_dataclass(item.type):
            yield from keys_of(item.type, f"{section}.{item.name}")
        else:
            yield section, item.name


@pytest.mark.parametrize("study", list(studies()))
def test_every_key_of_a_study_stands_in_the_page_of_keys_below_its_section(study):
    text = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^## `\[([\w.]+)\]`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    wanted = list(keys_of(studies()[study].Settings, study))
    assert [key for key in wanted if f"| `{key[1]}` |" not in parts.get(key[0], "")] == []


def test_the_example_configuration_is_valid(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", (REPOSITORY / "docs" / "configuration.md").read_text(), re.DOTALL)
    (tmp_path / "config.toml").write_text(example)
    assert read_config(tmp_path / "config.toml").contrast.target == "CD8 T cells"


def help_of(words, capsys, monkeypatch) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    assert call([*words, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_long_option_is_in_the_page_of_commands(verb, capsys, monkeypatch):
    text = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    inner = [name for name in app[verb] if not name.startswith("-")]
    commands = [[verb, name] for name in inner] if inner else [[verb]]
    assert [words for words in commands if f"`cellprism {' '.join(words)}" not in text] == []
    helps = "".join(help_of(words, capsys, monkeypatch) for words in commands)
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", helps))
    keys = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8") if verb == "do" else ""
    documented = {name for name in options if f"`{name[2:].replace('-', '_')}`" in keys or f".{name[2:]}]`" in keys}
    assert sorted(name for name in options - documented if f"`{name}`" not in text) == []


def test_every_equation_is_in_the_page_of_equations():
    text = (REPOSITORY / "docs" / "equations.md").read_text(encoding="utf-8")
    files = [p for p in (REPOSITORY / "src" / "cellprism" / "equations").glob("*.py") if p.name != "__init__.py"]
    functions = {f for p in files for f in re.findall(r"^def ([a-z]\w*)", p.read_text(encoding="utf-8"), re.MULTILINE)}
    assert len(functions) > 20
    assert sorted(f for f in functions if f"`{f}`" not in text) == []
    assert sorted(p.name for p in files if f"`equations/{p.name}`" not in text) == []


def test_every_folder_of_the_package_is_in_the_readme():
    tree = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    folders = [p.parent.name for p in (REPOSITORY / "src" / "cellprism").glob("*/__init__.py")]
    assert [f for f in folders if f"  {f}/ " not in tree] == []
