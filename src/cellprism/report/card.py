"""A feature's card: everything that a run says of one feature, each fact with the file that holds it.

- A card is plain data. It is JSON for programs, and HTML for notebooks, with no script and nothing from elsewhere;
  names that come from the data are escaped.
- What could say more of the feature and was not done stands on it, with the command that does it.
"""

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cellprism.report.theme import DARK, FONT, LIGHT, OURS

Value = str | float | int | bool | None | Sequence[Any]
"""Text, a number, a truth value, or a list of these or of pairs (name, number)."""


@dataclass(frozen=True)
class Fact:
    """One thing that a run says of a feature."""

    name: str
    value: Value
    """None where it cannot be had, such as a cell type without labels."""
    file: str
    """The file of the run folder that holds it."""
    note: str = ""
    """What stands beside it: its q, its control, its verdict."""


@dataclass(frozen=True, repr=False)
class FeatureCard:
    """What a run says of one feature; a notebook shows it as tables."""

    feature: int
    run: str
    """Name of the run folder: the number means nothing outside it."""
    model: str
    place: str
    """The site in words."""
    facts: dict[str, list[Fact]]
    """By study, in the order of the page."""
    absent: dict[str, str]
    """Studies that would say something of a feature and were not done -> how to do them."""

    def fact(self, study: str, name: str) -> Fact:
        """One fact; ``KeyError`` where the card does not have it."""
        for fact in self.facts.get(study, ()):
            if fact.name == name:
                return fact
        raise KeyError(f"feature {self.feature} has no {name!r} of {study!r} on its card")

    def __repr__(self) -> str:
        facts = sum(map(len, self.facts.values()))
        return f"FeatureCard(feature {self.feature} of run {self.run}: {facts} facts of {', '.join(self.facts)})"

    def to_json(self, indent: int | None = 2) -> str:
        """The card as JSON."""
        return json.dumps(asdict(self, dict_factory=_without_nan), indent=indent, ensure_ascii=False, allow_nan=False)

    def _repr_html_(self) -> str:
        """The card as a notebook shows it."""
        parts = [_part(study, facts) for study, facts in self.facts.items() if facts]
        missing = "".join(f"<li>{_text(name)}: {_text(how)}</li>" for name, how in self.absent.items())
        if missing:
            parts.append(f"<h4>Not measured</h4><ul>{missing}</ul>")
        origin = " · ".join(text for text in (self.run, self.model, self.place) if text)
        head = f"<h3>Feature {self.feature}</h3><p>{_text(origin)}</p>"
        return f'<div class="cellprism-card"><style>{_STYLE}</style>{head}{"".join(parts)}</div>'


def _without_nan(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of a record; what is missing is null, as JSON knows it."""
    return {name: None if isinstance(value, float) and value != value else value for name, value in pairs}


_STYLE = f"""
.cellprism-card {{ font: 13px/1.45 {FONT}; color: {LIGHT["ink"]}; background: {LIGHT["card"]}; max-width: 760px;
  border: 1px solid {LIGHT["line"]}; border-radius: 8px; padding: 14px 18px; --muted: {LIGHT["muted"]};
  --grid: {LIGHT["grid"]}; }}
@media (prefers-color-scheme: dark) {{ .cellprism-card {{ color: {DARK["ink"]}; background: {DARK["card"]};
  border-color: {DARK["line"]}; --muted: {DARK["muted"]}; --grid: {DARK["grid"]}; }} }}
.cellprism-card h3 {{ margin: 0; font-size: 18px; color: {OURS}; }}
.cellprism-card h4 {{ margin: 14px 0 4px; font-size: 13px; }}
.cellprism-card p {{ margin: 2px 0 0; color: var(--muted); }}
.cellprism-card ul {{ margin: 0; padding-left: 18px; color: var(--muted); }}
.cellprism-card table {{ border-collapse: collapse; width: 100%; font: inherit; color: inherit; }}
.cellprism-card td {{ border-top: 1px solid var(--grid); padding: 3px 12px 3px 0; text-align: left; vertical-align: top;
  background: none; }}
.cellprism-card td:first-child {{ width: 34%; }}
.cellprism-card td:last-child {{ width: 24%; color: var(--muted); font-size: 11px; padding-right: 0; }}
.cellprism-card small {{ color: var(--muted); }}
"""


def _part(study: str, facts: Sequence[Fact]) -> str:
    rows = "".join(
        f"<tr><td>{_text(f.name)}</td><td>{_text(shown(f.value))}{f' <small>{_text(f.note)}</small>' if f.note else ''}"
        f"</td><td>{_text(f.file)}</td></tr>"
        for f in facts
    )
    return f"<h4>{_text(study)}</h4><table>{rows}</table>"


def shown(value: Any) -> str:
    """A value in words: three digits of a number, names with their numbers in brackets, a dash for nothing."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}".replace("-", "−")
    if isinstance(value, str | int):
        return str(value)
    return ", ".join(_pair(item) for item in value) or "–"


def _pair(item: Any) -> str:
    if isinstance(item, tuple | list):
        name, number = item
        return f"{shown(name)} ({shown(number)})"
    return shown(item)


def _text(words: str) -> str:
    return html.escape(str(words), quote=True)
