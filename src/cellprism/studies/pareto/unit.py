"""One front: an autoencoder and the cells of one donor, or of all."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Bool, Float
from torch import Tensor

from cellprism.enrich.labels import UNLABELLED
from cellprism.equations.fronts import front
from cellprism.parallel.shards import Arrays
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.steering.contrast.cell_split import CellSplit
from cellprism.steering.contrast.contrast import ContrastCells, read_contrast_cells
from cellprism.steering.contrast.turning import Turning, edit_norm, residuals_of, turning
from cellprism.steering.model_output import expressing_mean
from cellprism.steering.nulls import difference_of_means, tokens_at
from cellprism.steering.pareto.joint import JointProblem, follow, joint_problem, learners
from cellprism.steering.pareto.points import Judging, balance, best, front_rows, judging_parts
from cellprism.steering.site_cache import Prediction, SiteCache, read_site_cache
from cellprism.studies.pareto.settings import ParetoSettings
from cellprism.studies.workbench import Workbench

PARTS = ("validation", "test")
OTHERS, FEWEST = 20, 5  # cells of another type that are read, and that there must be
CHOSEN = ("latent", "expression", "both")


@dataclass(frozen=True, eq=False)
class Unit:
    """What a front is made from."""

    name: str
    autoencoder: int
    """0 the run's own."""
    donor: str
    cells: ContrastCells
    turn: Turning
    judge: dict[str, Judging]
    """By part of the split."""
    problem: JointProblem
    free: Bool[np.ndarray, " feature"]
    """Features that a recipe could turn here."""
    others: dict[str, tuple[np.ndarray, np.ndarray]]
    """Mean embedding and mean predicted expression of the other types."""
    norm: float
    """Norm of the difference of means per gene over the test cells: the edit that needs no search."""

    @property
    def cache(self) -> SiteCache:
        """The cells at the site."""
        return self.cells.cache

    @property
    def parts(self) -> CellSplit:
        """Which of them learn, choose and judge."""
        return self.cells.parts


def read_unit(
    bench: Workbench, settings: ParetoSettings, cells: AnnData, sae: SparseAutoencoder, number: int, donor: str,
    source: str, target: str, learnable: Float[np.ndarray, " some"] | None,
) -> Unit:  # fmt: skip
    """Read the cells of a unit and set up its problem."""
    search, seed = settings.search, bench.config.seed
    read = read_contrast_cells(
        bench.model, sae, cells, bench.config.layer, source, target, settings=search, seed=seed
    )  # fmt: skip
    cache, parts = read.cache, read.parts
    turn = turning(cache, settings.edit, parts.train.source, parts.train.target)
    judge = judging_parts(cache, parts, search.n_genes, settings.weighting)
    allowed = None
    if learnable is not None:
        allowed = torch.zeros(cache.n_features, dtype=torch.bool, device=cache.W_dec.device)
        allowed[torch.from_numpy(learnable).to(allowed.device)] = True
    problem = joint_problem(
        cache, learners(parts, search, seed), judge["train"].base, turn, must=columns_of(cache, settings.must),
        must_not=columns_of(cache, settings.must_not), learnable=allowed, seed=seed,
    )  # fmt: skip
    free = (problem.squared_edit_norm() > 0).cpu().numpy()
    name = " ".join([f"autoencoder {number}", *([donor] if donor else [])])
    others = other_means(bench, cache, cells, (source, target)) if not number else {}
    return Unit(name, number, donor, read, turn, judge, problem, free, others, mean_norm(cache, parts))


def other_means(
    bench: Workbench, cache: SiteCache, cells: AnnData, types: tuple[str, str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean embedding and mean prediction of at most ``OTHERS`` cells of every other type of which there are enough."""
    kinds = cells.obs["cell_type"].astype(str)
    found = {}
    for kind, count in kinds.value_counts().items():
        if kind in (*types, UNLABELLED) or count < FEWEST:
            continue
        some = cells[np.flatnonzero(kinds == kind)[:OTHERS]].copy()
        read = read_site_cache(bench.model, cache.sae, some, cache.layer, cache.batch_size, read=cache.read)
        said = pd.Series(expressing_mean(read.baseline.values), read.genes).reindex(cache.genes)
        found[str(kind)] = (read.baseline.embedding.mean(axis=0), said.to_numpy(dtype=float))
    return found


def mean_norm(cache: SiteCache, parts: CellSplit) -> float:
    """Norm over the test cells of the difference of means per gene, at its own size."""
    vectors = difference_of_means(cache, parts.train.source, parts.train.target)
    return float((vectors.square().sum(dim=1) * tokens_at(cache, parts.test.source)).sum().sqrt())


def columns_of(cache: SiteCache, genes: tuple[str, ...]) -> list[int]:
    """Places in the cache of the genes that it speaks of."""
    return [int(i) for i in cache.genes.get_indexer(pd.Index(list(genes), dtype=object)) if i >= 0]


def path_arrays(unit: Unit, settings: ParetoSettings, weight: float) -> Arrays:
    """The path of one weight, and what each recipe makes of validation and test cells."""
    points = follow(unit.problem.at(weight), settings.search)
    found: Arrays = {
        "strengths": np.stack([p.strengths.cpu().numpy() for p in points]),
        "penalty": np.array([p.penalty for p in points]),
        "loss": np.array([p.loss for p in points]),
        "evaluations": np.array([p.evaluations for p in points]),
        "norm": np.array([edit_norm(unit.cache, unit.turn, unit.parts.test.source, p.strengths) for p in points]),
    }
    for part in PARTS:
        after = [predicted(unit, part, point.strengths) for point in points]
        found[f"{part}_embedding"] = np.stack([a.embedding for a in after]).astype(np.float32)
        found[f"{part}_values"] = np.stack([a.values for a in after]).astype(np.float32)
    return found


def predicted(unit: Unit, part: str, strengths: Float[Tensor, " feature"]) -> Prediction:
    """What the model says of the source cells of a part, steered."""
    rows = getattr(unit.parts, part).source
    return unit.cache.predict_from(residuals_of(unit.cache, unit.turn, rows, strengths))


@dataclass(frozen=True, eq=False)
class Front:
    """All paths of a unit."""

    rows: pd.DataFrame
    """A row a recipe: columns as in ``tables.FRONT_COLUMNS``."""
    strengths: Float[np.ndarray, "recipe feature"]
    after: dict[str, list[Prediction]]
    """By part, of each recipe."""
    places: dict[str, int]
    """Rows of the recipes chosen on validation cells: ``latent``, ``expression`` and ``both``."""


def front_of(
    unit: Unit, settings: ParetoSettings, weights: Float[np.ndarray, " weight"], parts: list[Arrays], seed: int
) -> Front:
    """The table of a front, with what was chosen on validation cells."""
    columns = columns_of(unit.cache, settings.named)
    names = unit.cache.genes[columns].tolist()
    every = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    after = {
        part: [
            Prediction(e.astype(float), v.astype(float))
            for e, v in zip(every[f"{part}_embedding"], every[f"{part}_values"], strict=True)
        ]
        for part in PARTS
    }
    said = front_rows(unit.judge, after, np.array(columns, dtype=int), names, settings.search.resamples, seed)
    sizes = np.abs(every["strengths"] - 1)
    rows = pd.DataFrame({
        "unit": unit.name, "autoencoder": unit.autoencoder, "donor": unit.donor,
        "weight": np.repeat(weights, [len(part["penalty"]) for part in parts]), "lambda": every["penalty"],
        "features": (sizes > 0).sum(axis=1), "features_above_0.3": (sizes > 0.3).sum(axis=1), "loss": every["loss"],
        "evaluations": every["evaluations"], "norm": every["norm"] / unit.norm if unit.norm > 0 else np.nan,
    })  # fmt: skip
    rows = pd.concat([rows, said], axis=1)
    gains = rows[["validation_latent_gain", "validation_expression_gain"]].to_numpy(dtype=float)
    rows["on_front"] = front(gains)
    places = _chosen(rows, gains, settings.most)
    rows["chosen"] = [", ".join(kind for kind, place in places.items() if place == i) for i in range(len(rows))]
    return Front(rows, every["strengths"], after, places)


def _chosen(rows: pd.DataFrame, gains: Float[np.ndarray, "point objective"], features: int) -> dict[str, int]:
    """By validation cells: the best recipe of each objective alone, and the best for both of at most as many features,
    with no larger edit than the difference of means per gene."""
    weight = rows["weight"].to_numpy()
    small = ((rows["features"] <= features) & (rows["norm"] <= 1) & (weight > 0) & (weight < 1)).to_numpy()
    ends = [np.where(weight == end, gains[:, i], -np.inf) for i, end in enumerate((0.0, 1.0))]
    places = [best(end) for end in ends]
    most = np.array([end[place] for end, place in zip(ends, places, strict=True)])
    middle = best(np.where(small, balance(gains, most), -np.inf))
    return dict(zip(CHOSEN, (*places, middle), strict=True))
