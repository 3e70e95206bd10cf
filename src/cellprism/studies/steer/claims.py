"""Claims about steering single features."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import EFFECT_MATTERS, SYMMETRY_MATTERS
from cellprism.report.words import Words
from cellprism.studies.steer.tables import SUMMARY, Experiment, Steering
from cellprism.studies.steer.view import SteeredFeature, features_of, unjudged_of

SECTION = "Steering"
PUBLISHED_BY_WORD = {
    "interferon": "antisymmetry-antiviral",
    "antiviral": "antisymmetry-antiviral",
    "b cell": "antisymmetry-b-cell",
}


def claims(found: Steering, context: Context) -> list[Claim]:
    """For each steered feature its effects beside those of control features and on lists of other features; then all
    features of the run together."""
    said = []
    for experiment in found.experiments:
        for number, steered in features_of(experiment):
            said += _feature_claims(experiment, number, steered, context.words)
        for feature, program, why in unjudged_of(experiment):
            if feature is not None:
                said.append(_unjudged(experiment, feature, program, why, context.words))
        if experiment.summary["together"]:
            said.append(_together(experiment))
    return said


def _feature_claims(experiment: Experiment, number: int, steered: SteeredFeature, words: Words) -> list[Claim]:
    what = f"Feature {steered.feature} ({steered.program}), turned up and down by {steered.judged_at:g},"
    own = steered.response
    genes = f"{steered.moves} its genes{words.within}, more than others {words.alike},"
    beyond, unit, form = "beyond features of random dictionaries chosen alike", words.unit, "+.2g"
    rows = [
        ("genes", f"{what} {genes} {beyond}", own.value, own.controls, "response"),
        (
            "lists",
            f"{what} {genes} beyond what it does to lists of other features",
            own.value,
            steered.lists,
            "response",
        ),
    ]
    if passed_on := steered.propagated:
        other = f"{what} {genes} {beyond} through other tokens alone"
        rows.append(("propagated", other, passed_on.value, passed_on.controls, "propagated"))
    if held := steered.held_out:
        other = f"{what} {steered.moves} other genes of that program{words.within} {beyond}"
        rows.append(("held-out", other, held.value, held.controls, "held_out"))
    claims = [_ranked(experiment, number, steered, *row, unit=unit, form=form, matters=EFFECT_MATTERS) for row in rows]
    if mirror := steered.antisymmetry:
        said = f"Turning feature {steered.feature} ({steered.program}) down mirrors turning it up, {beyond}"
        claims.append(
            _ranked(
                experiment, number, steered, "mirror", said, mirror.value, mirror.controls, "antisymmetry",
                unit="symmetry, 1 = exact mirror image", form="+.2f", matters=SYMMETRY_MATTERS,
            )
        )  # fmt: skip
    return claims


def _ranked(
    experiment: Experiment, number: int, steered: SteeredFeature, kind: str, statement: str, value: float, null: Null,
    field: str, *, unit: str, form: str, matters: float,
) -> Claim:  # fmt: skip
    """One score of one feature, ranked among those that chance gives. The model is deterministic, so the value is
    exact."""
    lists = kind == "lists"
    return judged(
        id_of(experiment, steered.feature, kind),
        SECTION,
        statement,
        value,
        unit=unit,
        format=form,
        published=_published(steered.program) if kind == "mirror" else None,
        null=null,
        test=Test(
            "half of up minus down, ranked among " + ("lists of other features" if lists else "control features"),
            "two-sided",
            null.name,
            "none",
            "lists of other features" if lists else "features (cells are not replicates: the model is deterministic)",
            null.draws,
            matters,
        ),
        source=Source(f"steer/{experiment.name}/{SUMMARY}", f"features.{number}.{field}.value"),
        barred=steered.no_effect,
    )


def _unjudged(experiment: Experiment, feature: int, program: str, why: str, words: Words) -> Claim:
    """A feature that was to be steered and cannot be judged."""
    return judged(
        id_of(experiment, feature, "genes"),
        SECTION,
        f"Feature {feature} ({program}), turned up and down, moves its genes{words.within}",
        None,
        unit=words.unit,
        format="+.2g",
        test=Test("half of up minus down, ranked among control features"),
        source=None,
        why=why,
    )


def id_of(experiment: Experiment, feature: int, kind: str) -> str:
    """Id of a claim about one feature; ``kind`` is genes, lists, propagated, held-out or mirror."""
    return f"steer-{_slug(experiment.name)}-{feature}-{kind}"


def _together(experiment: Experiment) -> Claim:
    found = experiment.summary["together"]
    n = found["features"]
    return judged(
        f"steer-{_slug(experiment.name)}-features-beat-controls",
        SECTION,
        f"Of {n} features chosen by content, those that move their genes beyond features of random dictionaries",
        found["share"],
        unit="of steered features",
        format=".0%",
        interval=(found["interval"][0], found["interval"][1]),
        published=NUMBERS["steering-beats-random"],
        null=Null(
            "control features, one in forty above the others by construction",
            found["null"],
            (found["null_interval"][0], found["null_interval"][1]),
        ),
        test=Test("count of features above their controls", "greater", unit_of_inference="features", n=n),
        source=Source(f"steer/{experiment.name}/{SUMMARY}", "together.share"),
        why=f"only {n} features were steered, too few for a share; each is judged by itself" if n < 8 else "",
    )


def _published(program: str):
    for word, name in PUBLISHED_BY_WORD.items():
        if word in program.lower():
            return NUMBERS[name]
    return None


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split()) or "experiment"
