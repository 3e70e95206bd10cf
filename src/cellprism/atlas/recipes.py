"""Recipes of the run, as tables that one can edit."""

from typing import Any

from cellprism.atlas.shards import SiteWriter, plain
from cellprism.atlas.tables import RunTables

SCORES = ("value", "low", "high")


def write_recipes(site: SiteWriter, tables: RunTables) -> list[dict[str, str]]:
    """Write the shard ``recipes``; returns each recipe's objective, source and target."""
    found = tables.found("contrast")
    recipes = [_recipe(one) for one in found.recipes] if found is not None else []
    if recipes:
        site.shard("recipes", plain(recipes))
    return [{key: str(one[key]) for key in ("objective", "source", "target")} for one in recipes]


def _recipe(one: Any) -> dict[str, Any]:
    said, rows = one.summary, one.recipe
    columns = [name for name in ("feature", "strength", "firing_rate", "edit_share") if name in rows]
    place = f"contrast/{said['objective']}"
    return {
        "objective": said["objective"], "source": said["source"], "target": said["target"], "read": said["read"],
        "file": f"{place}/recipe.parquet", "columns": columns,
        "rows": [[int(row[0]), *row[1:]] for row in rows[columns].itertuples(index=False)],
        "scores": [_score(name, row) for name, row in said["scores"].items()], "scores_file": f"{place}/summary.json",
        "genes": one.genes.to_dict("records"), "genes_file": f"{place}/genes.parquet",
    }  # fmt: skip


def _score(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """A score, with what permuted labels and random recipes reach."""
    controls = {key: row[key] for key in ("permuted_labels", "random_recipe") if isinstance(row.get(key), dict)}
    return {"name": name.replace("_", " "), **{key: row[key] for key in SCORES}, "controls": controls}
