"""The card in a model's settings: what its makers say of it, in plain JSON; checked, for it goes into results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cellprism.errors import ModelError

TEXTS = ("name", "revision", "licence")


def card_of(settings: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    """The card in the settings of a model at ``path``; None where there is none.

    Raises:
        ModelError: it is no object, or holds something else than text where a text is used.
    """
    if "card" not in settings:
        return None
    card = settings["card"]
    if not isinstance(card, dict):
        raise ModelError(f"the card in the settings of {path} is {_kind(card)}, expected an object; write it anew")
    for name in TEXTS:
        if not isinstance(card.get(name, ""), str):
            raise ModelError(f"the card of {path} says {name} = {card[name]!r:.80}, expected text; write it anew")
    limits = card.get("limits", [])
    if not isinstance(limits, list) or not all(isinstance(limit, str) for limit in limits):
        raise ModelError(f"the card of {path} says limits = {limits!r:.80}, expected a list of texts; write it anew")
    return card


def _kind(value: Any) -> str:
    return {list: "a list", str: "text", type(None): "null"}.get(type(value), "a number")
