"""Screening every feature: derivatives of everything, exact passes of a sample, and dictionaries that nobody trained
beside both."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float

from cellprism.display import in_bytes
from cellprism.enrich.labels import UNLABELLED
from cellprism.enrich.programs import matching_terms
from cellprism.errors import ConfigError
from cellprism.features.dictionaries import Kind, PursuitAutoencoder, control_dictionary, sampled_tokens, with_centre
from cellprism.parallel.shards import Arrays, Shard
from cellprism.steering.dose_cells import DoseCells, read_dose_cells
from cellprism.steering.screen.derivatives import Ways, gene_derivatives, scalar_derivatives, ways
from cellprism.steering.screen.exact import exact_effects, to_check
from cellprism.steering.screen.own_tokens import scalar_secants
from cellprism.steering.screen.scalars import Scalar, linear_judge, program_score, type_axis
from cellprism.steering.settings import LEAST_CELLS
from cellprism.store.tables import read_table
from cellprism.studies.mapping import mapped
from cellprism.studies.programs.tables import Programs, lists_of
from cellprism.studies.screen.cards import card_table
from cellprism.studies.screen.own_genes import Dictionary, describes, dictionary_of, share_beyond, standing
from cellprism.studies.screen.settings import ScreenSettings
from cellprism.studies.screen.summary import AGREES_AT, Passed, agreement, bootstrap_rank
from cellprism.studies.screen.tables import FROZEN, GRADIENT, OWN_TOKENS, Cost, Others, Screen, Summary, score_of
from cellprism.studies.shards import Shards, shards_of
from cellprism.studies.steer.beside import ATOMS, GIVING, described_by
from cellprism.studies.steer.work import cannot_steer
from cellprism.studies.workbench import Workbench

SHARD = 256  # features of a matrix that are kept together
RANDOM, TOKENS = "random directions", "tokens of the inner state"
KINDS: dict[str, Kind] = {RANDOM: "covariance", TOKENS: "tokens"}


@dataclass
class _Costs:
    """What the parts of the screen take; of parts that were done before, what they took is not known again."""

    rows: list[Cost] = field(default_factory=list)

    @contextmanager
    def of(self, part: str, operations: float | None = None) -> Iterator[None]:
        clock, used = time.perf_counter(), time.process_time()
        yield
        self.rows.append(Cost(part, time.perf_counter() - clock, time.process_time() - used, operations))


@dataclass(eq=False)
class Screened:
    """What screening a shard of features takes."""

    bench: Workbench
    settings: ScreenSettings
    cells: AnnData
    dose_cells: DoseCells
    live: list[int]
    """Features that fire in enough of the cells."""
    ways: Ways


@dataclass(frozen=True)
class Untrained:
    """A dictionary that nobody trained."""

    how: Kind
    number: int
    shards: Shards
    """Where its parts are kept meanwhile."""


def screened(bench: Workbench) -> Screened:
    """Read the cells of a run."""
    return screened_by(bench, bench.settings("screen"))


def screened_by(bench: Workbench, settings: ScreenSettings) -> Screened:
    """The same with settings of one's own."""
    cells = bench.balanced_cells(settings.cells)
    with bench.bar("reading cells", None):
        dose_cells = read_dose_cells(
            bench.model, bench.sae, cells, bench.config.layer, settings.batch_size, [], read=settings.read
        )  # fmt: skip
    live = _live(dose_cells)
    return Screened(bench, settings, cells, dose_cells, live, ways(dose_cells, live) if live else Ways({}))


def _live(dose_cells: DoseCells) -> list[int]:
    return [f for f in range(dose_cells.cache.n_features) if len(dose_cells.rows(f)) >= LEAST_CELLS]


def work(bench: Workbench, settings: ScreenSettings) -> Screen:
    """Screen the run's features; where there are no effects on genes to read, say why."""
    if why := cannot_steer(bench):
        bench.say(f"nothing to screen: {why}")
        return Screen(absent=why)
    needs, costs = ("cells", "train", "programs"), _Costs()
    shards = shards_of(bench, "screen", needs, settings, [settings.judge])
    with costs.of("reading the cells"):
        state = screened_by(bench, settings)
    cells, dose_cells, live = state.cells, state.dose_cells, state.live
    if not live:
        why = f"no feature fires in {LEAST_CELLS} of these {cells.n_obs} cells"
        bench.say(f"nothing to screen: {why}")
        return Screen(absent=why)
    bench.say(_planned(state))
    scalars = _scalars(bench, settings, dose_cells, cells)
    scores = _scores(bench, dose_cells, scalars, shards, costs)
    with costs.of("all genes by derivatives", state.ways.operations[state.ways.cheapest]):
        matrix = _matrix(state, shards)
    ranked = scores[GRADIENT][0][live] if scalars else np.abs(matrix).mean(axis=1)
    passed = _passed(state, ranked, shards, costs)
    ours, others = _dictionaries(state, matrix, shards, costs)
    with bench.bar("how far is too far", None), costs.of("how far is too far"):
        cards = card_table(
            bench, settings, dose_cells, live, matrix, scalars, scores, passed, ours, others[RANDOM]
        )  # fmt: skip
    summary = _summary(bench, settings, dose_cells, cells, live, state.ways, scalars, scores, passed, cards, ours,
                       others)  # fmt: skip
    shards.clear()
    return Screen("", replace(summary, costs=costs.rows), cards, _matrices(dose_cells, live, matrix, passed, settings))


def _planned(state: Screened) -> str:
    """What the screen is about to keep on disk, in one line."""
    genes, features = len(state.dose_cells.cache.genes), len(state.live)
    checked = 2 * max(1, round(state.settings.exact * features)) * len(state.settings.strengths)
    dictionaries = len(KINDS) * state.settings.dictionaries
    most = 8 * genes * (features + checked + dictionaries * state.dose_cells.cache.n_features)
    free = shutil.disk_usage(state.bench.folder).free
    return (
        f"{features:,} features by {genes:,} genes beside {dictionaries} dictionaries: at most {in_bytes(most)} of "
        f"shards, where {in_bytes(free)} are free"
    )


def _scalars(bench: Workbench, settings: ScreenSettings, dose_cells: DoseCells, cells: AnnData) -> list[Scalar]:
    """The numbers that features are screened for: the axis of types first, where there are two."""
    cache, found = dose_cells.cache, []
    if "cell_type" in cells.obs:
        kinds = [str(kind) for kind in bench.cells.obs["cell_type"].value_counts().index if kind != UNLABELLED]
        source = settings.source or next((kind for kind in kinds if kind != settings.target), "")
        target = settings.target or next((kind for kind in kinds if kind != source), "")
        if source and target:
            found.append(type_axis(cache, [str(kind) for kind in cells.obs["cell_type"]], source, target))
    collection = bench.collection(bench.settings("programs").collection)
    for program in settings.programs:
        terms = [t for t in matching_terms((program,), collection) if cache.genes.isin(list(collection[t])).any()]
        if not terms:
            why = f"{collection.name} has no term named like {program!r} of whose genes the model speaks"
            bench.say(f"screen: {why}; left out")
        for term in terms[:1]:
            found.append(program_score(cache, term, collection[term], dose_cells.level))
    if settings.judge:
        table = _judge(Path(settings.judge))
        found.append(linear_judge(cache, table, settings.toward, settings.against, "the outside judge"))
    return found


def _judge(path: Path) -> pd.DataFrame:
    """A linear judge's table, a row a gene."""
    if not path.is_file():
        raise ConfigError(f"screen.judge is {str(path)!r}: no such file; give a parquet table, a row a gene")
    table = read_table(path)
    return table.set_index("gene") if "gene" in table.columns else table


def _scores(
    bench: Workbench, dose_cells: DoseCells, scalars: list[Scalar], shards: Shards, costs: _Costs
) -> dict[str, Float[np.ndarray, "scalar feature"]]:
    """What each kind says of the scalars, per unit of the strength of every feature, by ``tables.score_of``."""
    weights = np.array([scalar.weights for scalar in scalars]).reshape(len(scalars), len(dose_cells.cache.genes))
    found = {}
    asked: dict[str, Callable[..., np.ndarray]] = {
        GRADIENT: scalar_derivatives, FROZEN: partial(scalar_derivatives, fixed=True),
        **{score_of(OWN_TOKENS, s): partial(scalar_secants, strength=s) for s in AGREES_AT},
    }  # fmt: skip
    for name, how in asked.items():

        def make(name: str = name, how: Callable[..., np.ndarray] = how) -> Arrays:
            with _moving(bench, f"all features at once, {name}", dose_cells.n_cells) as tick:
                return {"scores": how(dose_cells.cache, weights, tick=tick)}

        with costs.of(f"{len(scalars)} numbers for all features, {name}"):
            found[name] = shards.kept(f"scalars-{name}", make)["scores"]
    return found


def _matrix(state: Screened, shards: Shards) -> Float[np.ndarray, "feature gene"]:
    """Derivatives of all genes by the live features, a shard of features after the other."""
    parts = []
    for some in _parts(state.live):
        said = f"features {some[0]} to {some[-1]}"
        parts.append(Shard(f"matrix-{some[0]}", said, some, len(some)))
    title = "what every feature does to every gene"
    results = mapped(state.bench, title, parts, shards, state, screened, derivatives, "features")
    return np.concatenate([found["matrix"] for found in results.gather()])


def _parts(features: list[int]) -> list[tuple[int, ...]]:
    return [tuple(features[start : start + SHARD]) for start in range(0, len(features), SHARD)]


def derivatives(state: Screened, features: tuple[int, ...]) -> Arrays:
    """Derivatives of all genes by some features."""
    with _moving(state.bench, "derivatives", state.dose_cells.n_cells) as tick:
        return {"matrix": gene_derivatives(state.dose_cells, features, state.ways.cheapest, tick)}


@contextmanager
def _moving(bench: Workbench, title: str, total: int) -> Iterator[Callable[[float], None]]:
    """A bar that is moved on by what it is told of."""
    done = 0.0
    with bench.bar(title, total) as advance:

        def tick(more: float) -> None:
            nonlocal done
            done += more
            advance(min(total, round(done)))

        yield tick


def _passed(state: Screened, ranked: np.ndarray, shards: Shards, costs: _Costs) -> Passed:
    """Exact passes of the strongest features and of as many others at random."""
    bench, settings, live = state.bench, state.settings, state.live
    top, random = to_check(ranked, settings.exact, np.random.default_rng([bench.config.seed, 53]))
    places = [*random.tolist(), *top.tolist()]
    parts = [Shard(f"exact-{live[place]}", f"feature {live[place]}", live[place]) for place in places]
    with costs.of(f"{len(places)} features exactly"):
        results = mapped(bench, "exact passes", parts, shards, state, screened, exactly, "features")
        effects = {place: found["effects"] for place, found in zip(places, results.gather(), strict=True)}
    return Passed(top, random, effects, settings.strengths)


def exactly(state: Screened, feature: int) -> Arrays:
    """What one feature does at all strengths."""
    return {"effects": exact_effects(state.dose_cells, feature, state.settings.strengths)}


def _dictionaries(
    state: Screened, matrix: np.ndarray, shards: Shards, costs: _Costs
) -> tuple[Dictionary, dict[str, list[Dictionary]]]:
    """The autoencoder, and dictionaries of both kinds that nobody trained, as they are compared."""
    programs: Programs = state.bench.results("programs")
    table = programs.features.set_index("feature")
    padj = {int(f): float(q) for f, q in table["best_padj"].items()}  # pyright: ignore[reportArgumentType]
    low = frozenset(str(f) for f, sign in table["sign"].items() if sign == "low")
    ours = dictionary_of(state.dose_cells, matrix, state.live, lists_of(programs), padj, low)
    parts = [
        Shard(f"dictionary-{how}-{number}", f"dictionary {number} of {kind}", Untrained(how, number, shards))
        for kind, how in KINDS.items() for number in range(state.settings.dictionaries)
    ]  # fmt: skip
    with costs.of(f"{len(parts)} dictionaries that nobody trained"):
        title = "dictionaries that nobody trained"
        results = mapped(state.bench, title, parts, shards, state, screened, untrained, "dictionaries")
        made = iter([Dictionary(**found) for found in results.gather()])
    return ours, {kind: [next(made) for _ in range(state.settings.dictionaries)] for kind in KINDS}


def _drawn(bench: Workbench, kind: Kind, number: int) -> PursuitAutoencoder:
    """A dictionary for vectors as the model makes them."""
    sae, tokens, seed = bench.sae, bench.tokens, bench.config.seed
    some = np.random.default_rng([seed, 59, number]).permutation(np.flatnonzero(tokens.counts))[:GIVING]
    sample = sampled_tokens(tokens, sae, np.sort(some), -(-max(ATOMS, 2 * sae.n_features) // len(some)), seed + number)
    return with_centre(control_dictionary(kind, sample, sae, seed + number), sae)


def untrained(state: Screened, task: Untrained) -> Arrays:
    """One dictionary as it is compared; its rows of the matrix are kept part by part meanwhile."""
    bench, name = state.bench, f"dictionary-{task.how}-{task.number}"
    dictionary = _drawn(bench, task.how, task.number)
    alpha = bench.settings("programs").alpha
    said = described_by(bench, dictionary)
    read = state.dose_cells.read_by(dictionary)
    live = _live(read)
    way = ways(read, live).cheapest
    rows = [np.zeros((0, len(read.cache.genes)))]
    for some in _parts(live):
        part = task.shards.kept(f"{name}-{some[0]}", lambda some=some: {"matrix": gene_derivatives(read, some, way)})
        rows.append(part["matrix"])
    padj = said.padj(alpha)
    one = dictionary_of(
        read, np.concatenate(rows), live, said.lists, {f: padj.get(str(f), 1.0) for f in live}, said.low
    )
    return {key: getattr(one, key) for key in Dictionary.__dataclass_fields__}


def _summary(
    bench: Workbench, settings: ScreenSettings, dose_cells: DoseCells, cells: AnnData, live: list[int], found: Ways,
    scalars: list[Scalar], scores: dict[str, np.ndarray], passed: Passed, cards: pd.DataFrame, ours: Dictionary,
    others: dict[str, list[Dictionary]],
) -> Summary:  # fmt: skip
    random, rho = others[RANDOM], describes(ours)
    rest = [[*random[:i], *random[i + 1 :]] for i in range(len(random))]
    moves = [share_beyond(one, other, settings.controls) for one, other in zip(random, rest, strict=True)]
    rows = [
        Others(kind, [_plain(describes(one)) for one in some], [_plain(m) for m in moves] if kind == RANDOM else [])
        for kind, some in others.items()
    ]
    told = [standing(kind, rho, [describes(one) for one in some]) for kind, some in others.items()]
    types = cells.obs["cell_type"].value_counts().to_dict() if "cell_type" in cells.obs else {}
    per_feature = {kind: rows_[:, live] for kind, rows_ in scores.items()}
    return Summary(
        cells.n_obs, {str(kind): int(n) for kind, n in types.items()}, len(dose_cells.cache.genes),
        bench.sae.n_features, len(live), dose_cells.cache.read, dose_cells.cache.folds, found.cheapest,
        found.operations, {s.name: s.words for s in scalars},
        agreement(scalars, per_feature, passed, bench.config.seed), [], settings.reach_from,
        int((cards["q"] < 0.05).sum()), rows, standing(RANDOM, share_beyond(ours, random, settings.controls), moves),
        [one for one in told if one is not None], _plain(rho),
        bootstrap_rank(ours.described, ours.effect, bench.config.seed),
        {str(k): int(n) for k, n in cards["quadrant"].value_counts().sort_index().items()},
    )  # fmt: skip


def _plain(value: float) -> float | None:
    """A number for a record; None where there is none."""
    return float(value) if np.isfinite(value) else None


def _matrices(
    dose_cells: DoseCells, live: list[int], matrix: np.ndarray, passed: Passed, settings: ScreenSettings
) -> tuple[AnnData, AnnData]:
    """Derivatives and exact changes, with features and genes named."""
    var = pd.DataFrame(index=dose_cells.cache.genes.astype(str))
    rows = pd.DataFrame({"feature": live}, index=pd.Index([str(f) for f in live]))
    linear = AnnData(matrix.astype(np.float32), rows, var)
    linear.uns["cellprism"] = {"unit": "change of a gene's mean per unit of strength, at strength 1"}
    places = list(passed.effects)
    named = [(live[p], strength) for p in places for strength in settings.strengths]
    obs = pd.DataFrame({"feature": [f for f, _ in named], "strength": [s for _, s in named]})
    obs.index = pd.Index([f"{f} at {s:g}" for f, s in named])
    exact = AnnData(np.concatenate([passed.effects[p] for p in places]).astype(np.float32), obs, var.copy())
    exact.uns["cellprism"] = {"unit": "change of a gene's mean, over all cells that express it"}
    return linear, exact
