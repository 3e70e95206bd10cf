"""Steered features as claims and figures see them."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cellprism.report.claims import Null
from cellprism.report.frames import where
from cellprism.studies.files import null_of, number_of, require
from cellprism.studies.steer.tables import JUDGED, SUMMARY, Experiment


@dataclass(frozen=True)
class Ranked:
    """A number beside the same number for edits that chance would make."""

    value: float
    random_feature: Null
    """Random features that fire alike, at equal norm."""
    random_direction: Null
    """Random directions at the same tokens, of equal norm."""
    p: float | None
    """One-sided Monte-Carlo p against random features."""
    n: int
    """How many random features were drawn."""
    competitor: float | None
    """The difference of means at equal norm."""


@dataclass(frozen=True)
class SteeredFeature:
    """One feature, turned up and down; effects are mean changes of what the model says of genes."""

    feature: int
    program: str
    judged_at: float
    """Distance d from the neutral 1: the feature is judged at 1 + d and 1 - d."""
    response: Ranked
    """Effect on its genes minus that on others of which the model says as much, half of up minus down."""
    direct: float | None
    """The same read where the model sees the genes, whose own tokens may be edited."""
    its_own: Null
    """The same for what random features do to their own strongest genes."""
    held_out: Ranked | None
    """The same on genes of the program that are not the feature's own, where there are any."""
    antisymmetry: Ranked | None
    """1: turning down mirrors turning up exactly."""
    edit_ratio: float
    """Size of the edit over that of the residual stream."""
    doses: pd.DataFrame
    """alpha, on_target, off_target, response: mean effects on its genes, on matched ones, their
    difference."""
    genes: pd.DataFrame
    """gene, alpha, effect, baseline, on_target."""
    terms: pd.DataFrame
    """alpha, direction, genes, term, padj: programs of the genes that moved most."""

    @property
    def up(self) -> float:
        """The strength above 1 at which it is judged."""
        return 1 + self.judged_at

    @property
    def down(self) -> float:
        """The strength below 1 at which it is judged."""
        return 1 - self.judged_at


def features_of(experiment: Experiment) -> list[tuple[int, SteeredFeature]]:
    """The features that were judged, each with its place in the summary."""
    found = []
    for place, row in enumerate(experiment.summary["features"]):
        if row["status"] == JUDGED and row["response"]["value"] is not None:
            tables = (experiment.effects, experiment.doses, experiment.terms)
            genes, doses, terms = (where(table, table["feature"] == row["feature"]) for table in tables)
            at = f"{experiment.name}/{SUMMARY}, feature {row['feature']}"
            found.append((place, _steered(row, genes, doses, terms, at)))
    return found


def silent_of(experiment: Experiment) -> list[str]:
    """Programs that could not be steered or judged, each with the reason."""
    said = []
    for row in experiment.summary["features"]:
        if row["status"] != JUDGED:
            said.append(f"{row['program']}: {row.get('why') or row['status']}")
        elif row["response"]["value"] is None:
            said.append(f"{row['program']}: no genes to compare")
    return said


def _steered(
    row: dict[str, Any], genes: pd.DataFrame, doses: pd.DataFrame, terms: pd.DataFrame, place: str
) -> SteeredFeature:
    require(row, ["judged_at", "edit_ratio", "response", "direct", "antisymmetry"], place)
    response = _ranked(row["response"], place)
    assert response is not None, "features without a response are not judged"
    own = row["response"].get("its_own") or {"mean": None, "low": None, "high": None}
    return SteeredFeature(
        feature=row["feature"],
        program=row["program"],
        judged_at=float(row["judged_at"]),
        response=response,
        direct=number_of(row["direct"]),
        its_own=null_of("random features on their own genes", own),
        held_out=_ranked(row.get("held_out"), place),
        antisymmetry=_ranked(row["antisymmetry"], place),
        edit_ratio=float(row["edit_ratio"]),
        doses=doses,
        genes=genes,
        terms=terms,
    )


def _ranked(row: dict[str, Any] | None, place: str) -> Ranked | None:
    if row is None or row["value"] is None:
        return None
    require(row, ["random_feature", "random_direction"], place)
    features, directions = row["random_feature"], row["random_direction"]
    return Ranked(
        value=float(row["value"]),
        random_feature=null_of("random features of equal firing and edit size", features),
        random_direction=null_of("random directions of equal norm", directions),
        p=features["p"],
        n=features["n"],
        competitor=number_of(row.get("difference_of_means")),
    )
