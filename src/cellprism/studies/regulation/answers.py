"""What the tables of effects say: over all factors, of single factors, of committees."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cellprism.equations.effects import permutation_p
from cellprism.equations.regulation import balanced, detectable, matched_auroc, matched_draws, sign_flip_p
from cellprism.regulation.inference import (
    DIRECTION,
    FORWARD,
    Overall,
    Relabelled,
    beside_relabelled,
    of_measure,
    over_networks,
    overall,
    specific_beside_relabelled,
    surplus,
)
from cellprism.regulation.pools import GeneFacts, matches, relabelled
from cellprism.regulation.probes import Probe, committee_effects, folds_of, shown_cells
from cellprism.studies.regulation.effects import ROWS, Effects
from cellprism.studies.regulation.plan import Plan
from cellprism.studies.regulation.settings import RegulationSettings
from cellprism.studies.regulation.tables import (
    COLUMNS,
    DOSE,
    EVERY,
    MODEL,
    TARGET,
    UNTRAINED,
    WITHOUT_EDGE,
    Committees,
    OneFactor,
)
from cellprism.studies.workbench import Workbench

ALIKE = "alike"
MEASURES = (FORWARD, ALIKE, DIRECTION)
FEWEST_MEMBERS, MOST_MEMBERS, SETS = 3, 8, 9
PERMUTATIONS = 999


def over_factors(effects: Effects, plan: Plan, seed: int) -> list[Overall]:
    """Every measure over all factors: by each probe of the model, and of what it stands beside."""
    tables = {(MODEL, probe): table for (probe, kind), table in effects.model.items() if kind == EVERY}
    tables |= {(source, DOSE): table for source, table in effects.beside.items()}
    found = []
    for (source, probe), table in tables.items():
        even = balanced(table)
        for measure in MEASURES:
            found.append(overall(measure, source, probe, of_measure(measure, even, plan.regulons), seed))
            if source == MODEL and probe == DOSE:
                found.append(overall(measure, WITHOUT_EDGE, probe, of_measure(measure, even, plan.unlinked), seed))
    networks = [balanced(table) for table in effects.untrained]
    for measure in MEASURES:
        each = [of_measure(measure, even, plan.regulons) for even in networks]
        found.append(over_networks(measure, UNTRAINED, DOSE, each, seed))
    return [one for one in found if one is not None]


def beside_chance(effects: Effects, plan: Plan, settings: RegulationSettings, seed: int) -> list[Relabelled]:
    """The model's doses beside the same with relabelled regulons; none with fewer than two factors."""
    if len(plan.regulons) < 2:
        return []
    even, rng = balanced(effects.model[DOSE, EVERY]), np.random.default_rng([seed, 97])
    drawn = [relabelled(plan.on_panel, plan.regulons, settings.matches, rng) for _ in range(settings.draws)]
    found = []
    for measure in (FORWARD, DIRECTION):
        true = of_measure(measure, even, plan.regulons)
        chance = [of_measure(measure, even, each) for each in drawn]
        found.append(beside_relabelled(true, chance, measure, seed))
        if measure == FORWARD:
            found.append(specific_beside_relabelled(true, chance))
    return found


def one_factor(effects: Effects, plan: Plan, seed: int) -> list[OneFactor]:
    """The first factors by themselves, by the model's doses."""
    even, found = balanced(effects.model[DOSE, EVERY]), []
    for own in plan.regulons:
        ahead, back = even[own.factor], even[:, own.factor]
        for measure, values in ((FORWARD, np.abs(ahead)), (DIRECTION, surplus(ahead, back))):
            one = factor_alone(plan.panel.genes[own.factor], measure, values[own.targets], values[own.matched], seed)
            found += [one] if one is not None else []
    return found


def factor_alone(
    name: str, measure: str, own: Float[np.ndarray, " target"], matched: Float[np.ndarray, "target match"], seed: int
) -> OneFactor | None:
    """One factor's targets beside genes in their place at random; None where nothing can be compared."""
    found = matched_auroc(own, matched)
    if not found.n:
        return None
    drawn = matched_draws(own, matched, PERMUTATIONS, seed)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return OneFactor(
        name, measure, found.n, detectable(found.deviation, 1), found.value, float(drawn.mean()),
        (float(low), float(high)), permutation_p(found.value, drawn), len(drawn),
    )  # fmt: skip


def pair_rows(effects: Effects, plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Balanced effects of every factor on its targets and their matches and back; and those of the first factor at
    every dose, as they are."""
    raw, genes = effects.model[DOSE, EVERY], plan.panel.genes
    even, pairs, doses = balanced(raw), [], []
    for number, own in enumerate(plan.regulons):
        name = genes[own.factor]
        for group, places in ((TARGET, own.targets), ("matched", own.matched.ravel())):
            ahead, back = (own.factor, places), (places, own.factor)
            columns = (even[ahead], even[back], raw[ahead], raw[back])
            pairs += [(name, genes[g], group, *each) for g, *each in zip(places, *columns, strict=True)]
            for quantile, table in zip(effects.quantiles, effects.by_dose, strict=True) if number == 0 else ():
                doses += [(name, genes[g], group, quantile, table[own.factor, g], table[g, own.factor]) for g in places]
    return pd.DataFrame(pairs, columns=pd.Index(list(COLUMNS["pairs"]))), pd.DataFrame(
        doses, columns=pd.Index(list(COLUMNS["doses"]))
    )


def committees(bench: Workbench, settings: RegulationSettings, plan: Plan, effects: Effects) -> Committees | None:
    """Regulators of the same target raised together, beside sets that match them one by one; None where no target has
    enough of them on the panel."""
    chosen = committees_of(plan)[: settings.committees]
    if not chosen:
        return None
    strong = np.nanmean(effects.model[DOSE, EVERY] ** 2, axis=1)
    genes, seed = plan.panel.genes, bench.config.seed
    rows = [rows[0] for rows in plan.types.values()]
    batch = shown_cells(bench.model, plan.cells[rows].copy(), [*genes, *plan.panel.context])
    probe = Probe(bench.model, batch, genes, genes, folds_of(genes, seed), ROWS)
    shares = []
    with bench.bar("raising committees", len(chosen)) as advance:
        for number, (target, sets) in enumerate(chosen):
            moved = np.abs(committee_effects(probe, sets, effects.doses[:, -1], target))
            moved = moved / np.sqrt(strong[sets].sum(axis=1))
            shares.append(matched_auroc(moved[:1], moved[None, 1:]).value)
            advance(number + 1)
    x = np.array(shares)
    return Committees(
        len(x), float(np.mean([sets.shape[1] for _, sets in chosen])), SETS, float(x.mean()),
        sign_flip_p(x - 0.5, seed),
    )  # fmt: skip


def committees_of(plan: Plan) -> list[tuple[int, Int[np.ndarray, "set member"]]]:
    """Targets with several regulators on the panel, most first, and the sets to raise: the regulators, then those that
    match them."""
    factors = {plan.panel.genes[one.factor] for one in plan.regulons}
    place = {gene: i for i, gene in enumerate(plan.panel.genes)}
    named: Any = plan.edges.table
    table = named[named["source"].isin(list(factors)) & named["target"].isin(list(place))]
    found = []
    for target, rows in table.groupby("target"):
        members = np.array([place[name] for name in rows["source"]][:MOST_MEMBERS])
        sets = _sets(plan.on_panel, members, place[str(target)])
        if len(members) >= FEWEST_MEMBERS and sets is not None:
            found.append((place[str(target)], sets))
    return sorted(found, key=lambda one: (-one[1].shape[1], one[0]))


def _sets(facts: GeneFacts, members: Int[np.ndarray, " member"], target: int) -> Int[np.ndarray, "set member"] | None:
    """The members, then ``SETS`` sets of genes like them in expression, detection and co-expression with the target."""
    open_to = np.ones(len(facts.genes), dtype=bool)
    open_to[[target, *members]] = False
    beside = matches(facts.described(target), members, open_to, SETS)
    if beside.shape[1] < SETS:
        return None
    return np.concatenate([members[None], beside.T])
