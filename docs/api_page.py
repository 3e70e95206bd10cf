"""The page of the Python interface, from signatures and docstrings: ``python docs/generate.py`` writes it."""

import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import cellprism

GROUPS = {
    "A finished run": ("open_run", "feature_card", "encode", "export", "get", "tl", "pl"),
    "Cells and models": ("read_cells", "load_model", "save_model", "pretrain", "PretrainConfig"),
    "Autoencoders": (
        "SaeConfig", "train_sae", "train_saes", "SaeJob", "fit_sae", "fit_saes", "activations", "residual_tokens",
        "SparseAutoencoder", "load_sae", "save_sae",
    ),
    "Features and programs": ("feature_genes", "over_representation", "read_gmt", "read_collection"),
    "Steering": ("steer", "edited", "contrast", "Add", "Clamp", "Ablate"),
}  # fmt: skip
HEADINGS = ("Args", "Returns", "Raises")
TITLE = """# Python interface

Written from the docstrings by `python docs/generate.py`. Every name is reached as `cp.NAME` after `import cellprism as cp`, and
loaded when it is first used. The examples run in the tests; `demo` in them is a finished run.
"""


def api_page() -> str:
    """The whole page."""
    parts = [TITLE]
    for group, names in GROUPS.items():
        parts.append(f"## {group}\n")
        for name in names:
            parts += _entry(f"cp.{name}", getattr(cellprism, name), depth=3)
    return "\n".join(parts).rstrip() + "\n"


def _entry(name: str, thing: Any, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} `{name}`\n"
    if isinstance(thing, ModuleType):
        yield _text(thing)
        for inner in thing.__all__:
            yield from _entry(f"{name}.{inner}", getattr(thing, inner), depth + 1)
        return
    if not inspect.isclass(thing) or name in ("cp.Add", "cp.Clamp", "cp.SaeJob"):
        yield f"```text\n{name}{_signature(thing)}\n```\n"
    yield _text(thing)
    if inspect.isclass(thing):
        methods = [
            f"- `{method}{_signature(member, bound=True)}`: {_first(member)}"
            for method, member in vars(thing).items()
            if inspect.isfunction(member) and member.__doc__ and method[0] != "_" and method != "shown"
        ]
        yield "\n".join([*methods, ""]) if methods else ""


def _signature(thing: Any, bound: bool = False) -> str:
    """Names and defaults, without types."""
    shown = []
    keyword_only = False
    for place, (name, parameter) in enumerate(inspect.signature(thing).parameters.items()):
        if bound and not place:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            shown.append("*")
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_default(parameter.default)}"
        shown.append(f"{star}{name}{default}")
    line = f"({', '.join(shown)})"
    return line if len(line) < 100 else "(\n    " + ", ".join(shown) + "\n)"


def _default(value: Any) -> str:
    return "..." if repr(value).startswith("<") else repr(value)


def _first(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()).replace("``", "`")


def _text(thing: Any) -> str:
    """A docstring as Markdown: arguments as a list, examples as code."""
    lines: list[str] = []
    inside = code = False
    for line in (inspect.getdoc(thing) or "").replace("``", "`").splitlines():
        if line.startswith(">>>") and not code:
            lines.append("```pycon")
            code = True
        if code:
            lines.append(re.sub(r"\s+# doctest:.*", "", line))
            continue
        if (heading := line.rstrip(":")) in HEADINGS and line.endswith(":"):
            lines += [f"*{heading}*", ""]
            inside = True
        elif inside and (found := re.match(r"    (\w+(?:, \w+)*): (.*)", line)):
            lines.append(f"- `{found[1]}`: {found[2]}")
        elif inside and line.startswith("     "):
            lines.append(f"  {line.strip()}")
        else:
            inside = inside and (not line or line.startswith(" "))
            lines.append(line.strip() if not line.startswith("=") else line)
    return "\n".join([*lines, *(["```"] if code else []), ""])
