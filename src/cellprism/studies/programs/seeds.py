"""Rates of matches over autoencoders of several seeds: further ones are trained, and each stands beside its controls.

- All see the same batches of the same tokens, which the model makes once for all; they differ in their initial
  directions.
- Controls have the same list rule, number and size of lists (of networks with other numbers of lists the rate of all is
  taken, which is the mean over all choices of as many): an untrained autoencoder for each trained one, the model's
  neurons, and lists drawn at random for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from cellprism.enrich.membership import term_table
from cellprism.enrich.nulls import null_means, score
from cellprism.enrich.over_representation import Tails
from cellprism.enrich.random_lists import MakesModules, coexpression_modules
from cellprism.features.collect import FeatureStatistics
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.features.train import SaeJob, train_saes
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.sae.distributed import alone
from cellprism.sae.files import load_sae, save_sae
from cellprism.studies.programs.gene_lists import Lists, as_many, fixed_lists
from cellprism.studies.programs.over_seeds import Excess, excess_of
from cellprism.studies.programs.settings import ProgramsSettings
from cellprism.studies.workbench import Workbench

REPLICATES = 20
"""Families of random lists beside each further autoencoder, of which the mean is taken."""
RANDOM = {"genes each": ("popularity", "gene_use"), "by correlation": ("coexpression",)}
"""Random lists of each rule."""


def further_autoencoders(bench: Workbench, count: int) -> list[SparseAutoencoder]:
    """Autoencoders as the run's own, of the seeds that follow, on its device; trained together in this process, once
    for all studies that ask for them."""
    missing = range(len(bench.further) + 1, count + 1)
    if missing:
        shared = bench.config.train.tokens == "present" and bench.config.train.target_layer is None
        bench.further += trained_alike(bench, bench.cells, missing, bench.tokens if shared else None)
    return bench.further[:count]


def keep_further(folder: Path, saes: Sequence[SparseAutoencoder]) -> None:
    """Write further autoencoders where workers read them."""
    for number, sae in enumerate(saes, start=1):
        save_sae(sae, folder / f"autoencoder-{number}")


def kept_further(folder: Path, number: int, device: torch.device) -> SparseAutoencoder:
    """One that was written there, by its number from 1 on."""
    return load_sae(folder / f"autoencoder-{number}").to(device)


def trained_alike(
    bench: Workbench, cells: AnnData, numbers: Sequence[int], tokens: CellTokens | None = None
) -> list[SparseAutoencoder]:
    """Autoencoders with the run's settings, its seed raised by some numbers, trained together on some cells; their
    ``tokens`` where they are made and training reads these."""
    config, settings = bench.config, replace(bench.config.train, store=False)
    jobs = [SaeJob(config.layer, settings, config.seed + i, f"seed{config.seed + i}") for i in numbers]
    with bench.bar(f"training {len(numbers)} autoencoders of other seeds", None) as advance, alone():
        found = train_saes(
            bench.model, cells, jobs, seed=config.seed, batch_size=bench.cells_a_pass(),
            progress=lambda done, _: advance(done), cell_tokens=tokens,
            measured=settings.architecture != "topk",  # where k is not fixed, controls are as sparse as it was found
        )  # fmt: skip
    return [sae.to(bench.device) for sae in found]


def listed(
    autoencoders: Mapping[str, FeatureStatistics],
    neurons: Mapping[str, AnnData],
    cells: AnnData,
    background: tuple[str, ...],
) -> dict[str, dict[str, Lists]]:
    """Lists of one length by every rule; those of neurons by the genes at which they are strong alone."""
    tables = {**{name: one.genes for name, one in autoencoders.items()}, **neurons}
    return fixed_lists(tables, {name: one.cells for name, one in autoencoders.items()}, cells, background)


def seed_excesses(
    lists: Sequence[Mapping[str, Mapping[str, Lists]]],
    rows: Mapping[str, Mapping[str, Any]],
    collection: Mapping[str, Sequence[str]],
    background: tuple[str, ...],
    cells: AnnData,
    settings: ProgramsSettings,
    seed: int,
    modules: MakesModules = coexpression_modules,
) -> list[Excess]:
    """The excess over every control by every rule; a rule by which an autoencoder has no lists is left out.

    Args:
        lists: of each autoencoder, the run's own first: rule -> features or a control -> lists of one length.
        rows: rows of ``rates.json`` by name: the random lists beside the run's own have their rate and p there.
        collection: term -> genes.
        background: genes that may be in a list.
        cells: counts, for co-expression modules.
        settings: how lists are tested.
        seed: decides what is drawn.
        modules: makes co-expression modules, or has them.
    """
    terms = term_table(collection, background, settings.min_term_size)
    scored = partial(
        score, terms=terms, tails=Tails(terms.background_size), family=settings.family, alpha=settings.alpha
    )
    found = []
    for rule in lists[0]:
        ours = [one[rule]["features"] for one in lists]
        if not all(ours):
            continue
        found += _beside_random(rule, ours, rows, collection, background, cells, settings, seed, modules)
        for control in lists[0][rule]:
            theirs = [one[rule][control] for one in lists]
            if control == "features" or not all(theirs):
                continue
            pairs = list(zip(ours, theirs, strict=True))
            if settings.family == "all-tests":  # else the mean rate over all choices of as many lists is that of all
                pairs = [as_many(*pair, np.random.default_rng([seed, 41, i])) for i, pair in enumerate(pairs)]
            shares = [[float(scored(some.values()).annotated.mean()) for some in pair] for pair in pairs]
            a, b = zip(*shares, strict=True)
            found.append(excess_of(f"{control}, {rule}", a, b, len(pairs[0][0])))
    return found


def _beside_random(
    rule: str,
    ours: Sequence[Lists],
    rows: Mapping[str, Mapping[str, Any]],
    collection: Mapping[str, Sequence[str]],
    background: tuple[str, ...],
    cells: AnnData,
    settings: ProgramsSettings,
    seed: int,
    modules: MakesModules,
) -> list[Excess]:
    """The excess over lists drawn at random, as many and as long for each autoencoder."""
    (nulls,) = (nulls for ending, nulls in RANDOM.items() if rule.endswith(ending))
    further = null_means(
        ours[1:], collection, background, cells, nulls=nulls, replicates=min(REPLICATES, settings.replicates),
        seed=seed, family=settings.family, alpha=settings.alpha, min_term_size=settings.min_term_size,
        modules=modules,
    ) if ours[1:] else {"observed": np.empty(0), **dict.fromkeys(nulls, np.empty(0))}  # fmt: skip
    shares = [rows[f"features, {rule}"]["rate"], *further["observed"]]
    found = []
    for null in nulls:
        row = rows[f"{null}, {rule}"]
        controls = [row["rate"], *further[null]]
        found.append(excess_of(f"{null}, {rule}", shares, controls, len(ours[0]), row["p_value"], row["replicates"]))
    return found
