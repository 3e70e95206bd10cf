"""What a setting is, from the text below it: for the command line's help and the page of keys."""

import ast
import inspect
import textwrap


def field_help(settings: type) -> dict[str, str]:
    """The docstring below each field of a dataclass, on one line; those of the classes that it builds on too."""
    found: dict[str, str] = {}
    for kind in reversed(settings.__mro__[:-1]):
        found |= _own_help(kind)
    return found


def _own_help(kind: type) -> dict[str, str]:
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):  # made while running, so there is no text
        return {}
    body = ast.parse(textwrap.dedent(source)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for item, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(item, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            assert isinstance(item.target, ast.Name)
            found[item.target.id] = " ".join(str(text.value.value).split())
    return found
