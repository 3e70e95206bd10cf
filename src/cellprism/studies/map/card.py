"""Where one feature lies on the map."""

from collections.abc import Sequence

from cellprism.report.card import Fact
from cellprism.report.claims import Claim
from cellprism.report.frames import ordered, where
from cellprism.studies.map.tables import FEATURES, NEIGHBOURS, Found

KINDS = {
    "decoder": ("nearest by what it writes", "cosine of decoder rows"),
    "genes": ("nearest by genes", "overlap of gene lists"),
    "activity": ("nearest by activity", "correlation over cells"),
}


def facts(found: Found, claims: Sequence[Claim], feature: int) -> list[Fact]:
    """Its component, module and neighbours; whether it is dead or a duplicate."""
    row, at = found.features.set_index("feature").loc[feature], f"map/{FEATURES}"
    said = [Fact("dead", bool(row["dead"]), at)]
    if row["dead"]:
        return said
    double = int(row["duplicate_of"])
    said += [
        Fact("duplicate of", None if double < 0 else double, at),
        Fact("module", int(row["module"]), at, "features active in the same cells, the largest 0"),
        Fact(
            "component", None if row["component"] < 0 else int(row["component"]), at,
            f"features that hang together by shared genes: {int(row['component_size'])}",
        ),
    ]  # fmt: skip
    near = ordered(where(found.neighbours, found.neighbours["feature"] == feature), "rank")
    for kind, (name, note) in KINDS.items():
        some = where(near, near["by"] == kind)
        pairs = [[int(n), float(v)] for n, v in zip(some["neighbour"], some["value"], strict=True)]
        said.append(Fact(name, pairs, f"map/{NEIGHBOURS}", note))
    return said
