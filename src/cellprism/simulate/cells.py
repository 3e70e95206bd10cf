"""Cells with planted answers: programs, types, donors, batches, depth, regulation, negative binomial counts.

Formula: log-level of gene g in cell c: base_g + d_cg + donor + batch, where d_cg = sum_p activity_cp w_pg + (own noise
of a regulator) + sum_r weight_rg d_cr over its regulators r; rate = depth_c softmax_g(log-level); counts ~ negative
binomial with that mean and dispersion r.

Notable choices

- A regulator's level drives its targets, whatever moves it: its own noise, a program, another regulator, or us. Setting
  it by hand (``interventions``) moves its targets and nothing upstream, in the very same cells: every other draw stays.
- A type uses a program in nine of ten of its cells and other types in one of twenty, with an activity that varies:
  programs can be seen within a type.
- The answers travel in the slots of the AnnData, see ``cellprism.simulate.answers``.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from jaxtyping import Bool, Float, Int

from cellprism.errors import ConfigError
from cellprism.simulate.answers import with_answers
from cellprism.simulate.cell_settings import PlantedSettings
from cellprism.simulate.plan import Plan, plan
from cellprism.store.seed import check_seed

ON, ASTRAY = 0.9, 0.05  # chance that a cell runs a program that its type uses, and one that it does not
SHAPE = 4.0  # of the gamma distribution of activity, whose mean is 1
SLAB = 1000  # cells whose rates are in memory at once


class Draws(NamedTuple):
    """What is drawn for the cells before counts."""

    type: Int[np.ndarray, " cell"]
    donor: Int[np.ndarray, " cell"]
    depth: Float[np.ndarray, " cell"]
    activity: Float[np.ndarray, "cell program"]
    own: Float[np.ndarray, "cell regulator"]
    """Each regulator's noise of its own."""
    place: Float[np.ndarray, "donor gene"]
    """Shift of each donor, its batch's included."""


def planted_cells(
    settings: PlantedSettings | str = "small", seed: int = 0, interventions: Mapping[str, float] | None = None
) -> AnnData:
    """Cells whose answers are known.

    Args:
        settings: sizes and effects, or the name of a preset.
        seed: decides every draw.
        interventions: regulators by symbol whose deviation from their base level is set, in natural logarithms.

    Returns:
        AnnData: ``X`` counts (CSR float32); ``obs`` cell_type, donor, batch, depth, and condition where there are some;
        ``var`` ensembl; and the answers.

    Raises:
        ConfigError: an unknown preset, more genes than names, or an intervention on a gene that is no regulator.
    """
    check_seed(seed)
    settings = PlantedSettings.preset(settings) if isinstance(settings, str) else settings
    fixed = plan(settings, seed)
    forced = _forced(fixed, interventions or {})
    draws = _draws(settings, fixed, seed)
    counts = [
        _counts(settings, _rates(fixed, draws, slice(start, start + SLAB), forced), seed, start)
        for start in range(0, settings.cells, SLAB)
    ]
    obs = pd.DataFrame(
        {
            "cell_type": _names("type", draws.type, settings.types),
            "donor": _names("donor", draws.donor, settings.donors),
            "batch": _names("batch", draws.donor % settings.batches, settings.batches),
            "depth": draws.depth,
        },
        index=pd.Index([f"cell{i}" for i in range(settings.cells)], dtype=str),
    )
    if settings.case_programs:
        obs["condition"] = pd.Categorical(np.where(_is_case(settings, draws.donor), "case", "control"))
    var = pd.DataFrame({"ensembl": list(fixed.genes.ensembl)}, index=pd.Index(fixed.genes.symbol, dtype=str))
    adata = AnnData(sp.vstack(counts, format="csr"), obs=obs, var=var)
    return with_answers(adata, fixed, draws.activity, settings, seed)


def expected_counts(settings: PlantedSettings, seed: int) -> Float[np.ndarray, "cell gene"]:
    """Mean of every count of ``planted_cells``, dense."""
    fixed = plan(settings, seed)
    return _rates(fixed, _draws(settings, fixed, seed), slice(0, settings.cells), {})


def _draws(settings: PlantedSettings, fixed: Plan, seed: int) -> Draws:
    rngs = [np.random.default_rng([seed, 4, part]) for part in range(6)]
    n = settings.cells
    donor = rngs[0].integers(settings.donors, size=n)
    mixture = rngs[0].dirichlet(np.full(settings.types, 5.0), size=settings.donors)
    kind = (rngs[0].random((n, 1)) > mixture.cumsum(axis=1)[donor]).sum(axis=1).clip(max=settings.types - 1)
    depth = settings.depth * np.exp(settings.depth_spread * rngs[1].standard_normal(n))
    chance = np.where(fixed.type_program[kind] > 0, ON, ASTRAY)
    running = rngs[2].random(chance.shape) < chance
    activity = running * rngs[3].gamma(SHAPE, 1 / SHAPE, chance.shape)
    activity[np.ix_(_is_case(settings, donor), np.arange(settings.case_programs))] *= 1 + settings.case_effect
    own = settings.regulator_spread * rngs[4].standard_normal((n, len(fixed.regulators)))
    place = settings.donor_spread * rngs[5].standard_normal((settings.donors, settings.genes))
    batch = settings.batch_spread * rngs[5].standard_normal((settings.batches, settings.genes))
    return Draws(kind, donor, depth, activity, own, place + batch[np.arange(settings.donors) % settings.batches])


def _rates(fixed: Plan, draws: Draws, rows: slice, forced: Mapping[int, float]) -> Float[np.ndarray, "_ gene"]:
    """Mean counts of some cells."""
    deviation = draws.activity[rows] @ fixed.programs
    driven = dict(iter(fixed.edges.groupby("source")))
    for number, gene in enumerate(fixed.regulators):  # drivers before driven, so each is complete when it drives
        deviation[:, gene] += draws.own[rows, number]
        if gene in forced:
            deviation[:, gene] = forced[gene]
        edges = driven[gene]
        deviation[:, edges["target"]] += deviation[:, [gene]] * edges["weight"].to_numpy()
    level = np.exp(fixed.base + deviation + draws.place[draws.donor[rows]])
    return level * (draws.depth[rows] / level.sum(axis=1))[:, None]


def _counts(settings: PlantedSettings, rates: Float[np.ndarray, "_ gene"], seed: int, start: int) -> sp.csr_matrix:
    rngs = [np.random.default_rng([seed, 5, part, start]) for part in range(2)]
    uneven = rngs[0].gamma(settings.dispersion, 1 / settings.dispersion, rates.shape)
    return sp.csr_matrix(rngs[1].poisson(rates * uneven).astype(np.float32))


def _forced(fixed: Plan, interventions: Mapping[str, float]) -> dict[int, float]:
    names = {fixed.genes.symbol[gene]: gene for gene in fixed.regulators}
    if wrong := [name for name in interventions if name not in names]:
        raise ConfigError(f"{wrong[0]!r} is no regulator of these cells; regulators are {', '.join(sorted(names))}")
    return {names[name]: value for name, value in interventions.items()}


def _is_case(settings: PlantedSettings, donor: Int[np.ndarray, " cell"]) -> Bool[np.ndarray, " cell"]:
    """Cells of the last half of the donors, who are dealt to batches as the others are."""
    return 2 * donor >= settings.donors


def _names(what: str, values: Int[np.ndarray, " cell"], n: int) -> pd.Categorical:
    return pd.Categorical.from_codes(values, categories=[f"{what}{i}" for i in range(n)])
