"""Claims about steering single features."""

from collections.abc import Sequence

from scipy.stats import binom, binomtest

from cellprism.report.claims import Claim, Null, Source, Test, judged
from cellprism.report.facts import Ranked, SteeredFeature, SteeringFacts
from cellprism.report.published import NUMBERS
from cellprism.report.verdict import EFFECT_MATTERS, SYMMETRY_MATTERS, judge, not_significant
from cellprism.report.words import Words, words_for

SECTION = "Steering"
PUBLISHED_BY_WORD = {
    "interferon": "antisymmetry-antiviral",
    "antiviral": "antisymmetry-antiviral",
    "b cell": "antisymmetry-b-cell",
}


def steering_claims(experiments: Sequence[SteeringFacts], tokens: str = "genes") -> list[Claim]:
    """For each steered feature its effects beside those of random edits; then all features together.

    ``tokens`` is what features fire at, see ``words``.
    """
    claims = []
    for experiment in experiments:
        for number, steered in enumerate(experiment.features):
            claims += _feature_claims(experiment, number, steered, words_for(tokens, experiment.quantity))
        if experiment.features:
            claims.append(_together(experiment))
    return claims


def _feature_claims(experiment: SteeringFacts, number: int, steered: SteeredFeature, words: Words) -> list[Claim]:
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
        ),
        _ranked(
            experiment,
            number,
            steered,
            "directions",
            f"{what} {genes} beyond random directions",
            own,
            own.random_direction,
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
            )
        )
    return claims


def _ranked(
    experiment: SteeringFacts,
    number: int,
    steered: SteeredFeature,
    kind: str,
    statement: str,
    ranked: Ranked,
    null: Null,
) -> Claim:
    """One score of one feature, ranked among random edits. The model is deterministic, so the value is
    exact."""
    field = {"held-out": "held_out", "mirror": "antisymmetry"}.get(kind, "response")
    return judged(
        f"steer-{_slug(experiment.name)}-{steered.feature}-{kind}",
        SECTION,
        statement,
        ranked.value,
        unit="symmetry, 1 = exact mirror image" if kind == "mirror" else words_for(quantity=experiment.quantity).unit,
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
        source=Source(f"steer/{experiment.name}/summary.json", f"features.{number}.{field}.value"),
        barred=not_significant(ranked.value, null.interval, ranked.p, ranked.n)
        if null is ranked.random_feature
        else "",
    )


def _together(experiment: SteeringFacts) -> Claim:
    n, beat = len(experiment.features), sum(_beats_random(f.response) for f in experiment.features)
    interval = binomtest(beat, n).proportion_ci(method="wilson")
    low, high = binom.interval(0.95, n, 0.025)
    return judged(
        f"steer-{_slug(experiment.name)}-features-beat-random",
        SECTION,
        f"Of {n} features chosen by content, those that move their genes beyond matched random features",
        beat / n,
        unit="of steered features",
        format=".0%",
        interval=(float(interval.low), float(interval.high)),
        published=NUMBERS["steering-beats-random"],
        null=Null(
            "random features, one in forty above the range by construction",
            0.025,
            (float(low) / n, float(high) / n),
        ),
        test=Test("count above the central 95 % of random features", "greater", unit_of_inference="features", n=n),
        source=Source(f"steer/{experiment.name}/summary.json", "features[].response.value above random_feature.high"),
        why=f"only {n} features were steered, too few for a share; each is judged by itself" if n < 8 else "",
    )


def _beats_random(response: Ranked) -> bool:
    interval = response.random_feature.interval
    above = judge(response.value, None, interval).verdict == "above chance"
    return above and not not_significant(response.value, interval, response.p, response.n)


def _published(program: str):
    for word, name in PUBLISHED_BY_WORD.items():
        if word in program.lower():
            return NUMBERS[name]
    return None


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split()) or "experiment"
