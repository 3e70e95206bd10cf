"""How a model shows itself: its name, what it reads and predicts, its size; not its layers."""

from collections.abc import Mapping
from typing import Any

from cellprism.display import Shown


class ShownModel(Shown):
    """A ``CellModel`` that says in a few words what it is."""

    def shown(self) -> Mapping[str, Any]:
        """Facts in words, by name; of a model that does not know its cells yet only its name."""
        model: Any = self
        names = {"name": "name", "revision": "revision", "blocks": "n_layers", "dimensions": "d_model"}
        facts = {
            name: getattr(model, field) for name, field in names.items() if getattr(model, field, None) is not None
        }
        genes = len(getattr(model, "genes", ()) or ())
        predicts = {"predicts": str(model.predicts).replace("_", " ")} if getattr(model, "predicts", None) else {}
        return {**facts, **({"genes": f"{genes:,}"} if genes else {}), "tokens": model.tokens, **predicts}
