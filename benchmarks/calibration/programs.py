"""Claims about features, cell types and programs."""

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch.nn.functional import normalize

from calibration.world import ABOVE, AT, World
from cellprism.enrich.labels import best_terms
from cellprism.enrich.membership import term_table
from cellprism.enrich.nulls import null_rates
from cellprism.enrich.over_representation import over_representation
from cellprism.enrich.random_lists import popularity_lists
from cellprism.features.dictionaries import trained_dictionary
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.report.claims import Null, judgement
from cellprism.report.verdict import FEWEST_DRAWS, SHARE_MATTERS
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.simulate.linear_model import LAYER, LEVEL, LinearCell, as_counts
from cellprism.studies.programs.claims import null_over_seeds
from cellprism.studies.programs.over_seeds import Excess
from cellprism.studies.programs.seeds import seed_excesses
from cellprism.studies.programs.settings import ProgramsSettings
from cellprism.studies.programs.specificity import PERMUTATIONS, between_types, shuffled_shares_apart
from cellprism.studies.programs.types_beside import types_beside
from cellprism.studies.programs.work import null_rows, type_specificity

FAMILIES, FEATURES, TYPES = 8, 64, {"a": 31, "b": 19, "c": 11}
GENES, TERMS, LISTS, LENGTH = tuple(f"G{i}" for i in range(240)), 40, 24, 12
SEEDS, RULE, NO_CELLS = 5, "12 genes each", AnnData(np.zeros((1, len(GENES)), dtype=np.float32))
APART_CELLS, APART_GENES, D_MODEL, DIRECTIONS, DRAWS = 401, 24, 29, 41, 8
APART = 0.2  # between types, in standard deviations of a gene: few single tokens tell them apart, their axes do
SETTINGS = ProgramsSettings(replicates=FEWEST_DRAWS)
PROGRAMS = {f"program {p}": GENES[LENGTH * p : LENGTH * (p + 1)] for p in range(20)}


def types(seed: int, size: float) -> dict[str, str]:
    """The share of features that tell types apart."""
    rng = np.random.default_rng([seed, 1])
    labels = rng.permutation(np.repeat(list(TYPES), list(TYPES.values())))
    activation = rng.normal(size=(len(labels), FAMILIES))[:, np.arange(FEATURES) % FAMILIES]
    activation += 0.1 * rng.normal(size=activation.shape)
    activation[:, : FEATURES // 2] += size * (labels == "b")[:, None]
    found = between_types(activation, labels)
    table = pd.DataFrame({"firing_rate": np.ones(FEATURES), "type_share": found.share})
    shuffled = shuffled_shares_apart(activation, labels, found.chance, PERMUTATIONS, seed)
    counted = type_specificity(table, found, TYPES, shuffled, len(labels))
    null = Null("", counted.null, counted.null_interval, counted.p, counted.permutations)
    return {"types": judgement(counted.share_apart, None, null, ".0%", SHARE_MATTERS).verdict}


def rates(seed: int, size: float) -> dict[str, str]:
    """The annotated rate of the lists of five autoencoders, beside random lists and untrained autoencoders' lists."""
    rng = np.random.default_rng([seed, 2])
    popularity = rng.gamma(1.0, size=len(GENES)) + 0.1

    def drawn(n: int) -> list[str]:
        return list(rng.choice(GENES, n, replace=False, p=popularity / popularity.sum()))

    def lists(planted: float) -> dict[str, tuple[str, ...]]:
        made = {}
        for number in range(LISTS):
            own = terms[f"term {rng.integers(TERMS)}"][: LENGTH // 2] if rng.random() < planted else []
            made[str(number)] = (*own, *(gene for gene in drawn(2 * LENGTH) if gene not in own))[:LENGTH]
        return made

    terms = {f"term {t}": drawn(LENGTH) for t in range(TERMS)}
    both = [{RULE: {"features": lists(size), "untrained": lists(0.0)}} for _ in range(SEEDS)]
    return _judged(both, terms, seed, ("popularity", "gene_use", "untrained"))


def renamed(seed: int, size: float) -> dict[str, str]:
    """The same, of autoencoders that find nearly the same lists, whose genes were given each other's names."""
    rng = np.random.default_rng([seed, 7])
    terms = {f"term {t}": tuple(rng.choice(GENES, LENGTH, replace=False)) for t in range(TERMS)}
    table = term_table(terms, GENES)
    modules = {str(i): tuple(rng.choice(GENES, LENGTH, replace=False)) for i in range(LISTS)}
    renamed = popularity_lists(modules, table, [seed, 8])  # one permutation of the names for all
    for number in rng.permutation(LISTS)[: round(size * LISTS)]:
        own = terms[f"term {rng.integers(TERMS)}"][: LENGTH // 2]
        renamed[str(number)] = (*own, *(gene for gene in renamed[str(number)] if gene not in own))[:LENGTH]
    found = []
    for _ in range(SEEDS):  # a few genes of each list are another seed's own
        swapped = {name: _swapped(genes, rng) for name, genes in renamed.items()}
        found.append({RULE: {"features": swapped}})
    return _judged(found, terms, seed, ("popularity",))


def _swapped(genes: tuple[str, ...], rng: np.random.Generator) -> tuple[str, ...]:
    kept = [gene for gene in genes if rng.random() < 0.8]
    return (*kept, *(gene for gene in rng.permutation(GENES) if gene not in kept))[:LENGTH]


def _judged(lists: list, terms: dict, seed: int, controls: tuple[str, ...]) -> dict[str, str]:
    """The verdicts over seeds, by the functions of the study."""
    nulls, own = ("popularity", "gene_use"), lists[0][RULE]["features"]
    drawn = null_rates(own, terms, GENES, nulls=nulls, replicates=SETTINGS.replicates, seed=seed, min_term_size=3)
    rows = {row["name"]: row for row in null_rows(drawn, f", {RULE}")}
    rows[f"features, {RULE}"] = {"rate": rows[f"popularity, {RULE}"]["rate"] + rows[f"popularity, {RULE}"]["excess"]}
    found = {row.name: row for row in seed_excesses(lists, rows, terms, GENES, NO_CELLS, SETTINGS, seed)}
    return {control: _verdict(found[f"{control}, {RULE}"]) for control in controls}


def _verdict(row: Excess) -> str:
    return judgement(row.share, row.beside, null_over_seeds("", row), ".0%", SHARE_MATTERS).verdict


def types_apart(seed: int, size: float) -> dict[str, str]:
    """Features that tell types apart, over five autoencoders whose directions are tokens, beside other tokens."""
    rng, model = np.random.default_rng([seed, 9]), LinearCell(APART_GENES, D_MODEL)
    means = APART * rng.standard_normal((len(TYPES), APART_GENES))
    kind = np.arange(2 * APART_CELLS) % len(TYPES)
    adata = AnnData(as_counts(LEVEL + means[kind] + rng.standard_normal((len(kind), APART_GENES))))
    adata.var_names, adata.obs_names = list(model.genes), [f"cell{i}" for i in range(len(kind))]
    adata.obs["cell_type"] = np.array(list(TYPES))[kind]
    (batch,) = model.batches(adata, len(kind))
    x = model.residual(batch, LAYER)[:, 0]
    judged, own = adata[:APART_CELLS].copy(), x[APART_CELLS:] - x[APART_CELLS:].mean(dim=0)
    axes = normalize(torch.from_numpy(means - means.mean(axis=0)).float() @ model.rows, dim=1)
    saes = []
    for _ in range(SEEDS):
        rows = normalize(own[torch.from_numpy(rng.permutation(len(own))[:DIRECTIONS])], dim=1)
        its = axes[torch.from_numpy(rng.integers(len(TYPES), size=DIRECTIONS))]
        rows = torch.where(torch.from_numpy(rng.random(DIRECTIONS) < size)[:, None], its, rows)
        shape = SparseAutoencoder(rows.T.contiguous(), torch.zeros(DIRECTIONS), rows, x.mean(dim=0), k=3)
        saes.append(trained_dictionary(shape))
    found = types_beside(CellTokens(model, judged, [LAYER], batch_size=APART_CELLS), saes, judged, DRAWS, seed)
    assert found is not None, "there are types"
    row = found.rows[0]
    said = judgement(row.share, row.beside, null_over_seeds("", row), ".0%", SHARE_MATTERS).verdict
    return {"tokens": said}


def own_program(seed: int, size: float) -> dict[str, str]:
    """Whether one list has a program."""
    rng = np.random.default_rng([seed, 3])
    own = list(rng.permutation(PROGRAMS[f"program {rng.integers(20)}"])[: round(size * LENGTH)])
    genes = (*own, *(gene for gene in rng.permutation(GENES) if gene not in own))[:LENGTH]
    best = best_terms(over_representation({"0": genes}, PROGRAMS, GENES, min_term_size=3), ["0"])
    return {"own": ABOVE if best["best_term"].iloc[0] else AT}


WORLDS = [
    World(
        "random lists", {"own": "programs: a feature's own program"},
        "One list of genes drawn uniformly from the background, which is what the hypergeometric test assumes; q < .05 "
        "over twenty programs is one-sided, so that .05 may be called above.",
        own_program, (0.25, 0.35, 0.5), "share of the list's twelve genes that come from one program", 1000, 200, 0.05,
    ),
    World(
        "shuffled types", {"types": "programs: features tell types apart, against permuted labels"},
        "Features in eight families of near copies, and labels of cells drawn without regard to them: the true labels "
        "are one permutation among the others.",
        types, (0.25, 0.5, 1.0), "shift of half the features in one of three types, in standard deviations", 1000, 200,
    ),
    World(
        "lists by popularity",
        {
            "popularity": "programs: rate of matches over seeds, against popularity-matched lists",
            "gene_use": "programs: rate of matches over seeds, against lists that use genes as often",
            "untrained": "programs: rate of matches over seeds, against untrained autoencoders",
        },
        "Lists of five autoencoders, of five untrained ones, and terms draw their genes independently, all by one "
        "popularity: which genes stand in a list says nothing of its terms beyond how popular they are.",
        rates, (0.1, 0.25, 0.5), "share of the lists that have half of their genes from one term", 1000, 100,
    ),
    World(
        "gene names permuted",
        {"popularity": "programs: rate of matches over seeds, gene names permuted"},
        "Five autoencoders find nearly the same lists, whose genes were given the names of genes that are in as many "
        "terms, by one permutation for all: what they match by luck, all of them match.",
        renamed, (0.1, 0.25, 0.5), "share of the lists that have half of their genes from one term", 200, 25,
    ),
    World(
        "directions that are tokens",
        {"tokens": "programs: features tell types apart over seeds, against vectors of the inner state"},
        "The directions of five autoencoders are themselves drawn from the tokens, as those beside them are, from "
        "other cells of the same types.",
        types_apart, (0.3, 0.6, 0.9), "share of the directions that are the axis of a type", 1000, 100,
    ),
]  # fmt: skip
