"""Steered features as claims and figures see them."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cellprism.report.claims import Null
from cellprism.report.frames import where
from cellprism.steering.settings import CONTROL, LIST
from cellprism.studies.files import number_of, require
from cellprism.studies.steer.tables import JUDGED, SUMMARY, Experiment, null_of_draws

CONTROL_WORDS = "features of random dictionaries, chosen alike (equal firing and edit size)"


@dataclass(frozen=True)
class Ranked:
    """A number beside the same number for what chance would give."""

    value: float
    controls: Null
    """Features of random dictionaries, chosen as the steered one was and alike in firing, edit and list, at equal norm
    and on their own genes."""
    competitor: float | None
    """The difference of means at equal norm."""


@dataclass(frozen=True)
class SteeredFeature:
    """One feature, turned up and down; effects are mean changes of what the model says of genes."""

    feature: int
    program: str
    direction: int
    """Where its genes go when it is turned up, if it does what it stands for: 1, or -1 for a feature that is strong
    where they are low. Responses are counted that way."""
    judged_at: float
    """Distance d from the neutral 1: the feature is judged at 1 + d and 1 - d."""
    response: Ranked
    """Effect on its genes minus that on others of which the model says as much, half of up minus down, in its
    direction."""
    direct: float | None
    """The same read where the model sees the genes, whose own tokens may be edited."""
    propagated: Ranked | None
    """The response where tokens of its genes, and of those matched to them, stay as they are: what reached them came
    through other tokens. None where that is the response itself, since the edit does not act at these tokens where they
    are read."""
    lists: Null
    """What the same edit does to lists of other features, of about as many genes and as high."""
    no_effect: str
    """Why there is nothing to judge: it moves no gene by as much as counts; empty where it does."""
    held_out: Ranked | None
    """The same on genes of the program that are not the feature's own, where there are any."""
    antisymmetry: Ranked | None
    """1: turning down mirrors turning up exactly."""
    plausible: tuple[float, float]
    """The lowest and the highest strength, of those tried, up to which the cells still look like cells to the
    model."""
    edit_ratio: float
    """Size of the edit over that of the residual stream."""
    edited: float | None
    """Mean absolute effect, at the strength above 1 at which it is judged, on genes whose own token is edited where it
    is seen."""
    elsewhere: float | None
    """The same on all other genes, which the edit reaches through other tokens alone."""
    doses: pd.DataFrame
    """alpha, on_target, off_target, response: mean effects on its genes, on matched ones, their
    difference."""
    genes: pd.DataFrame
    """gene, alpha, effect, rises, falls, baseline, on_target."""
    types: pd.DataFrame
    """alpha, cell_type, cells, on_target, off_target, response."""
    terms: pd.DataFrame
    """alpha, direction, genes, term, padj: programs of the genes that moved most."""

    @property
    def moves(self) -> str:
        """What it does to its genes when turned up, if it does what it stands for."""
        return "moves" if self.direction > 0 else "lowers"

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
            tables = {"genes": experiment.effects, "doses": experiment.doses, "types": experiment.types,
                      "terms": experiment.terms}  # fmt: skip
            own = {name: where(table, table["feature"] == row["feature"]) for name, table in tables.items()}
            at = f"{experiment.name}/{SUMMARY}, feature {row['feature']}"
            found.append((place, _steered(row, experiment.nulls, own, at)))
    return found


def too_far(experiment: Experiment) -> list[str]:
    """What must be said of features that are judged at strengths beyond their plausible ones, a sentence each."""
    said = []
    for _, steered in features_of(experiment):
        low, high = steered.plausible
        if steered.down < low or steered.up > high:
            said.append(
                f"feature {steered.feature} is judged at strengths {steered.down:g} and {steered.up:g}, but beyond "
                f"{low:g} to {high:g} its cells no longer look like cells to the model: do not believe what it says "
                "there, or judge nearer to 1 (steer.doses.judged_at)"
            )
    return said


def unjudged_of(experiment: Experiment) -> list[tuple[int | None, str, str]]:
    """What could not be steered or judged: the feature where there is one, its program, and the reason."""
    found = []
    for row in experiment.summary["features"]:
        why = row["status"] if row["feature"] is not None else row.get("why", row["status"])
        if row["status"] == JUDGED:
            why = "no genes to compare" if row["response"]["value"] is None else ""
        if why:
            found.append((row["feature"], row["program"], why))
    return found


def _steered(row: dict[str, Any], nulls: pd.DataFrame, own: dict[str, pd.DataFrame], place: str) -> SteeredFeature:
    require(row, [
        "direction", "judged_at", "plausible", "edit_ratio", "response", "direct", "antisymmetry", "effect_edited",
        "effect_elsewhere",
    ], place)  # fmt: skip
    response = _ranked(row, "response", nulls)
    assert response is not None, "features without a response are not judged"
    return SteeredFeature(
        feature=row["feature"],
        program=row["program"],
        direction=int(row["direction"]),
        judged_at=float(row["judged_at"]),
        plausible=(float(row["plausible"][0]), float(row["plausible"][1])),
        response=response,
        direct=number_of(row["direct"]),
        propagated=_ranked(row, "propagated", nulls),
        lists=null_of_draws(
            "the same edit, read on lists of other features", response.value, nulls, row["feature"], LIST, "response"
        ),
        no_effect=row["no_effect"],
        held_out=_ranked(row, "held_out", nulls),
        antisymmetry=_ranked(row, "antisymmetry", nulls),
        edit_ratio=float(row["edit_ratio"]),
        edited=number_of(row["effect_edited"]),
        elsewhere=number_of(row["effect_elsewhere"]),
        **own,
    )


def _ranked(row: dict[str, Any], column: str, nulls: pd.DataFrame) -> Ranked | None:
    found = row.get(column)
    if found is None or found["value"] is None:
        return None
    value = float(found["value"])
    controls = null_of_draws(CONTROL_WORDS, value, nulls, row["feature"], CONTROL, column)
    return Ranked(value, controls, number_of(found.get("difference_of_means")))
