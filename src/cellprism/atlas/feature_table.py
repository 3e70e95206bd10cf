"""The table of features: a column a number, each with the file that holds it and the control that it stands beside."""

from typing import Any

import numpy as np
import pandas as pd

from cellprism.atlas.shards import packed
from cellprism.atlas.tables import RunTables
from cellprism.report.figure import small_text
from cellprism.report.frames import records, where
from cellprism.studies.naming.card import label_of
from cellprism.studies.programs.tables import FEATURES, signed_term


def labels_of(tables: RunTables) -> list[str]:
    """Each feature's label: its program with its sign, else its strongest genes, else that it is silent."""
    found = []
    for row in records(tables.programs.features):
        term = signed_term(str(row.best_term), str(row.sign))
        genes = ", ".join(str(row.top_genes).split(", ")[:3])
        found.append(term or genes or "silent")
    return found


def feature_table(tables: RunTables) -> list[dict[str, Any]]:
    """Columns: key, name, help, file, control (in words; empty where a number has none), and values, texts or packed
    32-bit numbers of which NaN is missing; in the order of features."""
    frame, at = tables.programs.features, f"programs/{FEATURES}"
    columns = [
        _text("label", "label", labels_of(tables), at, _lists_by_chance(tables)),
        _text("genes", "strongest genes", [", ".join(g.split(", ")[:8]) for g in frame["top_genes"].astype(str)], at),
        _number("fires", "fires at", frame["firing_rate"], at, "share of tokens at which it fires", form="%"),
        _number("breadth", "breadth", frame["participation_ratio"], at, "participation ratio: its effective genes"),
        _number("padj", "q of its best term", frame["best_padj"], at, "over-representation, corrected in the feature",
                _lists_by_chance(tables), "p"),
        _number("terms", "terms", frame["n_terms"], at, "terms with q below the level", _lists_by_chance(tables), "d"),
        _text("sign", "sign", frame["sign"], at, "",
              "low: strong in cells in which its own genes are low, by correlation over cells"),
        _text("type", "strongest in", frame["top_cell_type"], at),
        _number("auroc", "AUROC", frame.get("auroc", np.nan), at,
                "of that type against other cells", "0.5 for a type named beforehand, more for the best of several"),
        _number("typed", "between types", frame["type_share"], at, "share of its variance between cell types",
                _types_by_chance(tables), "%"),
    ]  # fmt: skip
    columns += [*_naming(tables), *_stability(tables), *_state(tables), *_screen(tables), *_map(tables)]
    return [column for column in columns if column is not None]


def _naming(tables: RunTables) -> list[dict[str, Any] | None]:
    found, at = tables.found("naming"), "naming/features.parquet"
    if found is None:
        return []
    frame = found.features.set_index("feature").reindex(range(tables.n_features))
    shown = (frame["shown"] == True).to_numpy()  # noqa: E712  (missing ones are not shown)
    named = [label_of(row) if ok else "" for ok, (_, row) in zip(shown, frame.iterrows(), strict=True)]
    labels = found.labels
    control = "" if labels.chance is None else f"median {labels.auroc:.2f}, of labels like theirs {labels.chance:.2f}"
    return [
        _text(
            "named", "label that foretells it", named, at, control, "in cells on which it was not chosen; q below .05"
        ),
        _number("foretold", "foretold", frame["auroc"], at, "AUROC of its label in other cells", control),
    ]


def _stability(tables: RunTables) -> list[dict[str, Any] | None]:
    found, at = tables.found("stability"), "stability/features.parquet"
    if found is None:
        return []
    again = found.agreement.again if found.agreement else None
    chance = f"by chance {again.by_chance:.1%} of features" if again else ""
    frame = found.features
    return [
        _text("grade", "grade", frame["grade"], at, chance, "A found again by trainings, B as a mixture, C neither"),
        _number("again", "found again", frame["found_again"], at, "share of trainings that find it again", chance, "%"),
    ]  # fmt: skip


def _state(tables: RunTables) -> list[dict[str, Any] | None]:
    found, at = tables.found("state"), "state/features.parquet"
    if found is None:
        return []
    frame, columns = found.features, []
    columns.append(
        _number("state", "state or gene", frame["score"], at, "1 a state of cells, -1 a gene, 0 noise", "0 for noise")
    )
    for one in found.state.followed:
        within = one.within_types is not None
        kind = "r_within" if within else "r"
        counted = one.within_types or one.over_cells
        control = f"{counted.share:.0%} of features go with it, by chance {counted.null:.0%}"
        columns.append(_number(
            f"with {one.name}", f"with {one.name}", frame[f"{one.name}_{kind}"], at,
            f"rank correlation{' within cell types' if within else ''}: {one.origin}", control,
        ))  # fmt: skip
    return columns


def _screen(tables: RunTables) -> list[dict[str, Any] | None]:
    found, at = tables.found("screen"), "screen/cards.parquet"
    if found is None or found.cards is None:
        return []
    frame = found.cards.set_index("feature").reindex(range(tables.n_features))
    control = "features of dictionaries that nobody trained, scaled to its edit; p and q on its page"
    return [
        _number("effect", "effect", frame["effect"], at, "root mean square change of genes per unit of edit"),
        _number("reach", "genes moved", frame["reach"], at, "genes that move at strength 5", "", "d"),
        _number("response", "moves its genes", frame["response"], at, "own genes against others as high", control),
        _number("responseq", "q of that", frame["q"], at, "over all features", control, "p"),
    ]  # fmt: skip


def _map(tables: RunTables) -> list[dict[str, Any] | None]:
    found, at = tables.found("map"), "map/features.parquet"
    if found is None:
        return []
    frame = found.features
    control = (
        f"modularity {found.summary.modules.modularity:.2f}, of shuffled features {found.summary.modules.shuffled:.2f}"
    )
    return [
        _number("module", "module", frame["module"].where(frame["module"] >= 0), at, "by activity", control, "d"),
        _number("x", "map x", frame["x"], at, "place on the map of decoder rows"),
        _number("y", "map y", frame["y"], at, "place on the map of decoder rows"),
    ]  # fmt: skip


def _lists_by_chance(tables: RunTables) -> str:
    """What random lists match, in words."""
    nulls = tables.programs.nulls
    rows = where(nulls, nulls["measure"] == "annotated_rate") if "mean" in nulls else nulls.iloc[:0]
    parts = [f"{str(row.null).replace('_', ' ')} {row.mean:.1%}" for row in records(rows)]
    return "lists made by chance that match some term: " + ", ".join(parts) if parts else ""


def _types_by_chance(tables: RunTables) -> str:
    found = tables.programs.specificity
    return f"shuffled labels: one feature in twenty above {small_text(found.chance_share)}" if found else ""


def _text(key: str, name: str, values: Any, file: str, control: str = "", help: str = "") -> dict[str, Any]:
    return {"key": key, "name": name, "help": help, "file": file, "control": control, "texts": [str(v) for v in values]}


def _number(
    key: str, name: str, values: Any, file: str, help: str = "", control: str = "", form: str = "g"
) -> dict[str, Any] | None:
    numbers = np.asarray(pd.to_numeric(values), dtype=np.float32) if not np.isscalar(values) else None
    if numbers is None or not np.isfinite(numbers).any():
        return None
    return {
        "key": key, "name": name, "help": help, "file": file, "control": control, "form": form,
        "values": packed(numbers),
    }  # fmt: skip
