"""What a steered feature stands beside: features that nobody trained, chosen as it was, and lists of other features.

Notable choices

- Any feature moves the genes at which it fires, and a feature that was chosen for its program is not like one that was
  drawn. So a control is a feature of a dictionary that nobody trained, chosen by the rule by which the steered one was,
  and read on its own genes. The caller chooses; here those nearest in firing rate, size of the edit, length of the list
  and level of its genes are taken.
- What is left of a difference in size is removed by scaling a control's strength: per cell in which it fires its edit
  has the norm of the steered feature's.
- A control is read at the genes that it is judged on and no others, which saves most of its cost where the model can
  leave the rest out. So mirror symmetry is that of these genes.
- Lists of other features are read under the steered feature's own edit: genes that belong together, of the same number
  and level, which it is not said to hold. Genes of its own list are left out of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from cellprism.equations.ratio import varies
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.dose_cells import DoseCells
from cellprism.steering.dose_work import Each, Found, Sweeping
from cellprism.steering.nulls import difference_of_means, moved_along, shared_vector
from cellprism.steering.response import GeneGroup, Mirror, Sweep
from cellprism.steering.settings import CONTROL, DIFFERENCE, LEAST_CELLS, LIST

LISTS = 99
"""Lists of other features beside each; they cost no pass of the model."""


@dataclass(frozen=True)
class Control:
    """A feature of a dictionary that nobody trained, and what it was chosen for."""

    dictionary: int
    """Which one."""
    feature: int
    program: str
    genes: Sequence[str]
    """Its own list."""
    held_out: Sequence[str]
    """Genes of its program that are not in the list."""
    low: bool = False
    """Whether it is strong where its genes are low."""


@dataclass(frozen=True, eq=False)
class Beside:
    """What steered features stand beside, by their numbers; none of it shares the feature's program."""

    dictionaries: Sequence[SparseAutoencoder] = ()
    """Those that nobody trained."""
    controls: Mapping[int, Sequence[Control]] = field(default_factory=dict)
    """Of which those most like the feature are taken."""
    lists: Mapping[int, Sequence[Sequence[str]]] = field(default_factory=dict)
    """Gene lists of other features of the same autoencoder."""


def acts_directly(dose_cells: DoseCells, sweep: Sweep) -> bool:
    """Whether a feature, turned, changes tokens of the genes that it is judged on where these are read."""
    at = dose_cells.edited[sweep.feature][sweep.own.genes]
    return dose_cells.cache.read == "visible" and bool((at > 0).any())


class Matched(NamedTuple):
    """A control beside a swept feature."""

    feature: int
    """The swept one."""
    replicate: int
    control: Control
    step: float
    """How far from 1 it is turned, such that both edits are of one size."""
    through: bool
    """Whether what is passed on through other tokens is read as well."""


def feature_mirror(
    dose_cells: DoseCells, feature: int, distance: float, genes: Int[np.ndarray, " some"], spare: bool = False
) -> Mirror:
    """Effects of one feature at strengths 1 + d and 1 - d on some genes; with ``spare`` their own tokens stay as they
    are, so that the effects came through other tokens."""
    ends = (dose_cells.turned(feature, 1 + sign * distance, genes if spare else None) for sign in (1, -1))
    up, down = (dose_cells.effect_at(residuals, genes) for residuals in ends)
    return Mirror(up, down, dose_cells.level)


def null_table(
    sweeping: Sweeping,
    sweeps: Sequence[Sweep],
    beside: Beside,
    groups: Mapping[int, Bool[np.ndarray, " cell"]],
    each: Each,
) -> pd.DataFrame:
    """What some features stand beside, one row a draw.

    Columns: feature; kind (control feature, list of another feature, difference of means); replicate; dictionary and
    matched_control (of a control, else -1); program (its); response (of its own genes, of the list, or of the feature's
    genes), held_out and propagated (the response where tokens of the compared genes stay as they are; of controls of
    features that act at these directly), all in the direction that the control, or the feature, stands for;
    antisymmetry (NaN of lists).
    """
    dose_cells, distance = sweeping.dose_cells, sweeping.settings.judged_at
    matched = [
        one for sweep in sweeps for one in _matched(sweeping, sweep, beside.controls.get(sweep.feature, ()))
    ]  # fmt: skip
    found = each(sweeping, control_effect, matched)
    rows = [_control_row(one, values) for one, values in zip(matched, found, strict=True)]
    for sweep in sweeps:
        mirror = sweep.mirror(distance)
        lists = _lists(dose_cells, sweep, beside.lists.get(sweep.feature, ()), sweeping.settings.matched_genes)
        for i, group in enumerate(lists):
            rows.append(_row(sweep.feature, LIST, i, sweep.direction * mirror.response(group)))
        if sweep.feature in groups:
            moved = _difference_mirror(dose_cells, sweep, groups[sweep.feature], distance)
            own, held = (
                sweep.direction * moved.response(group) if group else np.nan for group in (sweep.own, sweep.held_out)
            )
            rows.append(_row(sweep.feature, DIFFERENCE, 0, own, held, moved.antisymmetry(sweep.own)))
    table = pd.DataFrame(rows)
    return table.sort_values(["feature", "kind", "replicate"], ignore_index=True) if rows else table


def _row(
    feature: int, kind: str, replicate: int, response: float, held_out: float = np.nan, antisymmetry: float = np.nan,
    control: Control | None = None, propagated: float = np.nan,
) -> dict[str, object]:  # fmt: skip
    return {
        "feature": feature, "kind": kind, "replicate": replicate,
        "dictionary": control.dictionary if control else -1, "matched_control": control.feature if control else -1,
        "program": control.program if control else "",
        "response": response, "propagated": propagated, "held_out": held_out, "antisymmetry": antisymmetry,
    }  # fmt: skip


def _control_row(one: Matched, found: Found) -> dict[str, object]:
    response, held_out, antisymmetry, propagated = found["values"].tolist()
    return _row(one.feature, CONTROL, one.replicate, response, held_out, antisymmetry, one.control, propagated)


def control_effect(sweeping: Sweeping, one: Matched) -> Found:
    """What a control does, read by its dictionary: response, held_out, antisymmetry and propagated, see
    ``null_table``."""
    read, per_gene = sweeping.read_by(one.control.dictionary), sweeping.settings.matched_genes
    places = _places(read, one.control.genes)
    held = np.setdiff1d(_places(read, one.control.held_out), places)
    known = np.union1d(places, held)
    own, held_out = (GeneGroup.of(some, known, read.level, per_gene) if some.size else None for some in (places, held))
    assert own is not None, "controls without genes are left out"
    feature, direction = one.control.feature, -1 if one.control.low else 1
    mirror = feature_mirror(read, feature, one.step, _genes(own, held_out))
    through = feature_mirror(read, feature, one.step, own.genes, True).response(own) if one.through else np.nan
    other = mirror.response(held_out) if held_out else np.nan
    directed = direction * np.array([mirror.response(own), other, through])
    return {"values": np.array([*directed[:2], mirror.antisymmetry(own), directed[2]])}


def _genes(own: GeneGroup, held_out: GeneGroup | None) -> Int[np.ndarray, " some"]:
    """All that a feature is judged on."""
    return np.union1d(own.genes, held_out.genes) if held_out else own.genes


def _matched(sweeping: Sweeping, sweep: Sweep, controls: Sequence[Control]) -> list[Matched]:
    """The controls that are most like a swept feature, the nearest first, of those that fire in enough cells and whose
    genes are among the cells'."""
    dose_cells, distance = sweeping.dose_cells, sweeping.settings.judged_at
    through = acts_directly(dose_cells, sweep)
    size, found, measures = dose_cells.edit_size(sweep.feature), [], []
    for control in controls:
        own, read = _places(dose_cells, control.genes), sweeping.read_by(control.dictionary)
        if own.size and read.rows(control.feature).size >= LEAST_CELLS:
            its_size = read.edit_size(control.feature)
            found.append((control, distance * (size / its_size)))
            firing = np.log(read.firing[control.feature])
            measures.append([firing, np.log(its_size), *_list_measures(dose_cells, own)])
    ours = [np.log(dose_cells.firing[sweep.feature]), np.log(size), *_list_measures(dose_cells, sweep.own.chosen)]
    nearest = _nearest(ours, measures)[: sweeping.settings.controls]
    chosen = enumerate(found[place] for place in nearest)
    return [Matched(sweep.feature, i, control, step, through) for i, (control, step) in chosen]


def _lists(dose_cells: DoseCells, sweep: Sweep, lists: Sequence[Sequence[str]], per_gene: int) -> list[GeneGroup]:
    """Lists of other features, those most like the swept feature's in length and level first."""
    own = sweep.own.chosen
    some = [np.setdiff1d(_places(dose_cells, genes), own) for genes in lists]
    some = [places for places in some if places.size]
    order = _nearest(_list_measures(dose_cells, own), [_list_measures(dose_cells, places) for places in some])
    return [
        GeneGroup.of(some[i], np.union1d(some[i], own), dose_cells.level, per_gene) for i in order[:LISTS]
    ]  # fmt: skip


def _list_measures(dose_cells: DoseCells, own: Int[np.ndarray, " some"]) -> list[float]:
    """What lists are matched on: logarithm of the length, mean level of the genes."""
    return [float(np.log(own.size)), float(dose_cells.level[own].mean())]


def _nearest(ours: Sequence[float], others: Sequence[Sequence[float]]) -> Int[np.ndarray, " other"]:
    """Places of the others by distance, nearest first; each measure in standard deviations over the others."""
    if not others:
        return np.empty(0, dtype=np.int64)
    table: Float[np.ndarray, "other measure"] = np.array(others)
    away = (table - np.array(ours)) / np.where(varies(table), table.std(axis=0), 1)
    return np.argsort((away**2).sum(axis=1), kind="stable")


def _places(dose_cells: DoseCells, genes: Sequence[str]) -> Int[np.ndarray, " some"]:
    """Where genes stand in the cache; those that it has not are left out."""
    places = dose_cells.cache.genes.get_indexer(pd.Index(genes, dtype=object))
    return np.unique(places[places >= 0])


def _difference_mirror(
    dose_cells: DoseCells, sweep: Sweep, group: Bool[np.ndarray, " cell"], distance: float
) -> Mirror:
    """Effects of adding and of subtracting the mean residual of a group minus that of all other cells, at a feature's
    norm in the cells in which it fires."""
    rows, genes = dose_cells.rows(sweep.feature), _genes(sweep.own, sweep.held_out)
    per_gene = difference_of_means(dose_cells.cache, np.flatnonzero(~group), np.flatnonzero(group))
    vectors, norm = shared_vector(dose_cells.cache, per_gene, rows), dose_cells.edit_norm(sweep.feature, 1 + distance)
    moved = (moved_along(dose_cells.cache, rows, sign * vectors, norm) for sign in (1, -1))
    up, down = (dose_cells.effect_at(residuals, genes) for residuals in moved)
    return Mirror(up, down, dose_cells.level)
