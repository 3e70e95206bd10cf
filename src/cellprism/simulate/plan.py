"""What is fixed before any cell is drawn: gene names, programs, types that use them, and who drives whom.

Notable choices

- Genes are those of the bundled model, so that real names meet real collections; regulators are transcription factors
  among them, as far as there are enough.
- The regulatory graph has no circles: a regulator drives plain genes and, now and then, later regulators.
- Regulators are well expressed: a driver that is never seen could not be told from its targets.
"""

from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np
import pandas as pd
from jaxtyping import Float

from cellprism.cells.genes import GeneTable, read_gene_table
from cellprism.errors import ConfigError
from cellprism.simulate.cell_settings import PlantedSettings

FACTORS = tuple(
    "TBX21 EOMES STAT1 STAT2 STAT4 IRF1 IRF7 IRF8 FOXP3 TCF7 LEF1 GATA3 SPI1 SPIB CEBPB CEBPD JUN JUNB FOS FOSB KLF2 "
    "KLF4 KLF6 ID2 NR4A2 EGR1 HOPX CIITA XBP1 MYC POU2F2 POU2AF1".split()
)
POSITIVE = 0.7  # share of edges that raise their target
ONWARD = 0.15  # chance that a regulator drives a given later one
SHARED = 1 / 3  # of an overlapping program's genes


@dataclass(frozen=True)
class Plan:
    """The fixed truth behind planted cells."""

    genes: GeneTable
    base: Float[np.ndarray, " gene"]
    """Level of each gene, a natural logarithm."""
    programs: Float[np.ndarray, "program gene"]
    """Rise of each gene at activity 1; 0 for genes outside."""
    relations: pd.DataFrame
    """program, other, relation (``overlaps``, ``inside``)."""
    type_program: Float[np.ndarray, "type program"]
    """1 where a type uses a program."""
    regulators: tuple[int, ...]
    """Genes, drivers before driven."""
    edges: pd.DataFrame
    """source, target (gene numbers), weight, sign."""


def bundled_genes() -> GeneTable:
    """Genes of the bundled model."""
    with as_file(files("cellprism.models") / "mini" / "genes.tsv") as path:
        return read_gene_table(path)


def plan(settings: PlantedSettings, seed: int) -> Plan:
    """Draw everything that is fixed.

    Raises:
        ConfigError: more genes are asked for than there are names.
    """
    rngs = [np.random.default_rng([seed, 3, part]) for part in range(5)]
    genes, factors = _genes(settings, rngs[0])
    base = settings.base_spread * rngs[1].standard_normal(settings.genes)
    base[list(factors)] = settings.base_spread * rngs[1].uniform(0.5, 1.5, len(factors))
    programs, relations = _programs(settings, rngs[2])
    return Plan(
        genes, base, programs, relations, _type_program(settings, rngs[3]), factors, _edges(settings, factors, rngs[4])
    )


def _genes(settings: PlantedSettings, rng: np.random.Generator) -> tuple[GeneTable, tuple[int, ...]]:
    """Names in the bundled order, and which of them are regulators."""
    table = bundled_genes()
    if settings.genes > len(table):
        raise ConfigError(f"genes is {settings.genes}: there are names for {len(table)}; ask for fewer")
    place = table.by_symbol
    known = [place[name] for name in FACTORS if name in place]
    others = rng.permutation(np.setdiff1d(np.arange(len(table)), known))
    drivers = np.concatenate([rng.permutation(known), others])[: settings.regulators]
    rest = rng.permutation(np.setdiff1d(np.arange(len(table)), drivers))[: settings.genes - len(drivers)]
    chosen = np.sort(np.concatenate([drivers, rest])).astype(int)
    names = GeneTable(tuple(table.symbol[i] for i in chosen), tuple(table.ensembl[i] for i in chosen))
    return names, tuple(np.searchsorted(chosen, drivers).tolist())


def _programs(settings: PlantedSettings, rng: np.random.Generator) -> tuple[np.ndarray, pd.DataFrame]:
    """Independent programs first; overlapping and nested ones each lean on one of those."""
    n, size = settings.programs, settings.program_genes
    leaning = [round(share * n) for share in (settings.overlapping, settings.nested)]
    plain = max(n - sum(leaning), min(n, 1))
    members, relations = [rng.choice(settings.genes, size, replace=False) for _ in range(plain)], []
    for program in range(plain, n):
        other = int(rng.integers(plain))
        if program < plain + leaning[0]:
            shared = rng.choice(members[other], max(1, round(size * SHARED)), replace=False)
            fresh = rng.choice(
                np.setdiff1d(np.arange(settings.genes), members[other]), size - len(shared), replace=False
            )
            members.append(np.concatenate([shared, fresh]))
        else:
            members.append(rng.choice(members[other], max(1, size // 2), replace=False))
        relations.append((program, other, "overlaps" if program < plain + leaning[0] else "inside"))
    weights = np.zeros((n, settings.genes))
    for program, genes in enumerate(members):
        weights[program, genes] = settings.effect * rng.uniform(0.5, 1.5, len(genes))
    return weights, pd.DataFrame(relations, columns=pd.Index(["program", "other", "relation"]))


def _type_program(settings: PlantedSettings, rng: np.random.Generator) -> np.ndarray:
    """Which type uses which program: every program is used by a type and, where there are two, not by all."""
    active = rng.random((settings.types, settings.programs)) < settings.active_share
    for program in range(settings.programs):
        if not active[:, program].any():
            active[rng.integers(settings.types), program] = True
        elif active[:, program].all() and settings.types > 1:
            active[rng.integers(settings.types), program] = False
    return active.astype(np.float64)


def _edges(settings: PlantedSettings, factors: tuple[int, ...], rng: np.random.Generator) -> pd.DataFrame:
    rows, plain = [], np.setdiff1d(np.arange(settings.genes), factors)
    for number, source in enumerate(factors):
        onward = [later for later in factors[number + 1 :] if rng.random() < ONWARD]
        for target in [*rng.choice(plain, settings.targets, replace=False).tolist(), *onward]:
            sign = 1 if rng.random() < POSITIVE else -1
            rows.append((source, target, sign * settings.regulation * rng.uniform(0.5, 1.5), sign))
    return pd.DataFrame(rows, columns=pd.Index(["source", "target", "weight", "sign"]))
