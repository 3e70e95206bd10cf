"""Claims about steering single features."""

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.context import Context
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import EFFECT_MATTERS, SYMMETRY_MATTERS, not_significant
from cellprism.report.words import Words
from cellprism.studies.steer.tables import SUMMARY, Experiment, Steering
from cellprism.studies.steer.view import Ranked, SteeredFeature, features_of

SECTION = "Steering"
PUBLISHED_BY_WORD = {
    "interferon": "antisymmetry-antiviral",
    "antiviral": "antisymmetry-antiviral",
    "b cell": "antisymmetry-b-cell",
}


def claims(found: Steering, context: Context) -> list[Claim]:
    """For each steered feature its effects beside those of random edits; then all features of the run together."""
    said = []
    for experiment in found.experiments:
        for number, steered in features_of(experiment):
            said += _feature_claims(experiment, number, steered, context.words)
        if experiment.summary["together"]:
            said.append(_together(experiment))
    return said


def _feature_claims(experiment: Experiment, number: int, steered: SteeredFeature, words: Words) -> list[Claim]:
    what = f"Feature {steered.feature} ({steered.program}), turned up and down by {steered.judged_at:g},"
    genes = f"moves its genes{words.within}, more than others {words.alike},"
    own = steered.response
    claims = [
        _ranked(
            experiment,
            number,
            steered,
            "genes",
            f"{what} {genes} beyond random features",
            own,
            own.random_feature,
            words,
        ),
        _ranked(
            experiment,
            number,
            steered,
            "directions",
            f"{what} {genes} beyond random directions",
            own,
            own.random_direction,
            words,
        ),
    ]
    if steered.held_out:
        held = f"{what} moves other genes of that program{words.within} beyond random features"
        claims.append(
            _ranked(
                experiment,
                number,
                steered,
                "held-out",
                held,
                steered.held_out,
                steered.held_out.random_feature,
                words,
            )
        )
    if steered.antisymmetry:
        mirror = (
            f"Turning feature {steered.feature} ({steered.program}) down mirrors turning it up, beyond random features"
        )
        claims.append(
            _ranked(
                experiment,
                number,
                steered,
                "mirror",
                mirror,
                steered.antisymmetry,
                steered.antisymmetry.random_feature,
                words,
            )
        )
    return claims


def _ranked(
    experiment: Experiment,
    number: int,
    steered: SteeredFeature,
    kind: str,
    statement: str,
    ranked: Ranked,
    null: Null,
    words: Words,
) -> Claim:
    """One score of one feature, ranked among random edits. The model is deterministic, so the value is
    exact."""
    field = {"held-out": "held_out", "mirror": "antisymmetry"}.get(kind, "response")
    return judged(
        id_of(experiment, steered, kind),
        SECTION,
        statement,
        ranked.value,
        unit="symmetry, 1 = exact mirror image" if kind == "mirror" else words.unit,
        format="+.2f" if kind == "mirror" else "+.2g",
        published=_published(steered.program) if kind == "mirror" else None,
        null=null,
        test=Test(
            "half of up minus down, ranked among random edits of equal norm",
            "greater",
            null.name,
            "none",
            "random edits (cells are not replicates: the model is deterministic)",
            ranked.n,
            SYMMETRY_MATTERS if kind == "mirror" else EFFECT_MATTERS,
        ),
        source=Source(f"steer/{experiment.name}/{SUMMARY}", f"features.{number}.{field}.value"),
        barred=not_significant(ranked.value, null.interval, ranked.p, ranked.n)
        if null is ranked.random_feature
        else "",
    )


def id_of(experiment: Experiment, steered: SteeredFeature, kind: str) -> str:
    """Id of a claim about one feature; ``kind`` is genes, directions, held-out or mirror."""
    return f"steer-{_slug(experiment.name)}-{steered.feature}-{kind}"


def _together(experiment: Experiment) -> Claim:
    found = experiment.summary["together"]
    n = found["features"]
    return judged(
        f"steer-{_slug(experiment.name)}-features-beat-random",
        SECTION,
        f"Of {n} features chosen by content, those that move their genes beyond matched random features",
        found["share"],
        unit="of steered features",
        format=".0%",
        interval=(found["interval"][0], found["interval"][1]),
        published=NUMBERS["steering-beats-random"],
        null=Null(
            "random features, one in forty above the range by construction",
            found["null"],
            (found["null_interval"][0], found["null_interval"][1]),
        ),
        test=Test("count above the central 95 % of random features", "greater", unit_of_inference="features", n=n),
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
