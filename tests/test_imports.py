"""No module needs one that needs it, not even from inside a function."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src"


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted((ROOT / "cellprism").rglob("*.py"))}


def for_types_alone(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def nodes(tree: ast.AST):
    """All of a tree but what only checkers of types read."""
    for child in ast.iter_child_nodes(tree):
        if for_types_alone(child):
            continue
        yield child
        yield from nodes(child)


def imported(source: str, known: dict[str, object]) -> set[str]:
    """The known modules that some source imports anywhere: by name, and where a name is a module itself, that."""
    found: set[str] = set()
    for node in nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= submodules & known.keys() or {str(node.module)}
            if {alias.name for alias in node.names} - {s.rpartition(".")[2] for s in submodules & known.keys()}:
                found.add(str(node.module))
    return found & known.keys()


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; empty where none do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_modules_do_not_import_each_other_in_a_circle():
    graph = {name: imported(path.read_text(encoding="utf-8"), MODULES) - {name} for name, path in MODULES.items()}
    assert sum(map(len, graph.values())) > 500
    assert cycle(graph) == []


def test_a_circle_through_a_function_is_found_and_one_for_types_alone_is_not():
    known = {"p.a": None, "p.b": None, "p.c": None}
    sources = {
        "p.a": "from p.b import thing",
        "p.b": "def f():\n    from p import c",
        "p.c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import thing",
    }
    graph = {name: imported(source, known) for name, source in sources.items()}
    assert graph == {"p.a": {"p.b"}, "p.b": {"p.c"}, "p.c": set()}
    assert cycle(graph) == []
    graph["p.c"] = imported("def g():\n    import p.a", known)
    assert set(cycle(graph)) == {"p.a", "p.b", "p.c"}
