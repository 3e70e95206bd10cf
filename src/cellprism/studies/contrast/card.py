"""What recipes do with one feature."""

from collections.abc import Sequence

from cellprism.report.card import Fact
from cellprism.report.claims import Claim
from cellprism.studies.contrast.tables import Contrasts


def facts(found: Contrasts, claims: Sequence[Claim], feature: int) -> list[Fact]:
    """Its strength in each recipe; 1 where a recipe leaves it alone."""
    said = []
    for made in found.recipes:
        s, own = made.summary, made.recipe.loc[made.recipe["feature"] == feature, "strength"].tolist()
        name = f"strength from {s['source']} to {s['target']}, {s['objective']}"
        value = float(own[0]) if own else 1.0
        said.append(Fact(name, value, f"contrast/{s['objective']}/recipe.parquet", "1 leaves it alone"))
    return said
