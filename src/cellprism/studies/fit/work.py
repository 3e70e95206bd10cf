"""How well the run's autoencoder stands for the model, beside an untrained one, simpler predictors and directions that
lie where the inner state lies."""

from typing import Any

import numpy as np
from anndata import AnnData

from cellprism.cells.datasets import DATASETS
from cellprism.cells.read import read_cells
from cellprism.equations.ratio import is_spread
from cellprism.errors import InputError, ModelError
from cellprism.features.baselines import untrained_sae
from cellprism.features.classes import fit_by_class
from cellprism.features.dictionaries import TokenSample, control_dictionary, with_centre
from cellprism.features.evaluate import evaluate_at
from cellprism.features.splice import loss_recovered
from cellprism.features.tokens.cell_tokens import CellTokens
from cellprism.sae.autoencoder import SparseAutoencoder
from cellprism.store.atomic import read_json
from cellprism.store.place import as_given
from cellprism.store.tables import read_table
from cellprism.studies.fit.beside import beside, halves, stream_of
from cellprism.studies.fit.passes import FAIR, TRAINED, UNTRAINED, Passes
from cellprism.studies.fit.settings import FitSettings
from cellprism.studies.fit.tables import Beside, Elsewhere, Firing, Fit, GeneClass, Measures, Recovered, Splice
from cellprism.studies.shards import shards_of
from cellprism.studies.workbench import Workbench

DECADES = 6  # of firing rates shown; a feature that fires less often than once in a million tokens counts as silent


def work(bench: Workbench, settings: FitSettings) -> Fit:
    """Measure the run's autoencoder."""
    folder, sae = bench.layer_folder("sae"), bench.sae
    trained = read_json(folder / "metrics.json")
    if trained["explained_variance"] is None:
        raise InputError(_unvaried(f"the run's {bench.cells.n_obs} cells"))
    untrained = untrained_sae(sae, bench.config.seed)
    with bench.bar("measuring the autoencoder", None):
        atoms, judged = halves(bench.tokens, sae, bench.config.seed)
        fair = beside(sae, atoms, judged, settings.draws, bench.config.seed)
        splice, no_splice = _splice(bench, settings, untrained, atoms, fair)
        measures = Measures(
            n_features=sae.n_features,
            k=float(sae.k or round(trained["l0"], 1)),
            **{name: float(trained[name]) for name in ("explained_variance", "l0", "dead_share", "dense_share")},
            controls=_controls(bench, trained, untrained),
            firing=firing_histogram(sae),
            classes=_classes(bench),
            splice=splice,
            no_splice=no_splice,
            other=_fit_elsewhere(bench, settings.other, untrained) if settings.other else None,
            stream=stream_of(atoms),
            fair=fair,
        )
    return Fit(measures, read_table(folder / "history.parquet"))


def _unvaried(cells: str) -> str:
    return (
        f"the inner state is the same at every token of {cells}, so there is no variance to explain; use more cells, "
        "or another layer"
    )


def firing_histogram(sae: SparseAutoencoder) -> Firing:
    """Features by how often they fire: counts per quarter of a decade, and how many never do."""
    assert sae.firing_rate is not None, "training measures firing rates"
    rate = sae.firing_rate.double().cpu().numpy()
    edges = np.linspace(-DECADES, 0, 4 * DECADES + 1)
    fired = rate[rate > 0]
    counts, _ = np.histogram(np.log10(fired).clip(-DECADES, 0), edges)
    return Firing(edges.tolist(), counts.tolist(), int((rate == 0).sum()))


def _tokens(bench: Workbench) -> CellTokens | None:
    """The run's residuals; a transcoder reads those of another layer as well."""
    return None if bench.sae.is_transcoder else bench.tokens


def _controls(bench: Workbench, trained: dict[str, Any], untrained: SparseAutoencoder) -> dict[str, float]:
    fit = evaluate_at(bench.model, untrained, bench.cells, bench.config.layer, tokens=_tokens(bench))
    controls = {"untrained": fit.explained_variance}
    within = trained["explained_within"]
    if within is not None and within < 1 and is_spread((1 - within) ** 2, 1):
        # both are 1 - error / variance with one error, so their ratio is the variance left within genes
        controls["gene_mean"] = 1 - (1 - trained["explained_variance"]) / (1 - within)
    return controls


def _classes(bench: Workbench) -> list[GeneClass]:
    """Fit per class of genes; none where tokens are no genes, or do not vary."""
    try:
        table = fit_by_class(bench.model, bench.sae, bench.cells, bench.config.layer, tokens=_tokens(bench))
    except ModelError:
        return []
    if np.isnan(table[["variance_share", "error_share"]].to_numpy()).any():
        return []
    rows: list[dict[Any, Any]] = table.rename(columns={"class": "name"}).to_dict(orient="records")
    for row in rows:
        row["explained_variance"] = None if np.isnan(row["explained_variance"]) else row["explained_variance"]
    return [GeneClass(**row) for row in rows]


def _splice(
    bench: Workbench, settings: FitSettings, untrained: SparseAutoencoder, atoms: TokenSample, fair: Beside | None
) -> tuple[Splice | None, str]:
    """Loss recovered by the autoencoder, by an untrained one and by the hardest fair dictionary; the reason where there
    is none."""
    some, config = bench.some_cells(settings.cells), bench.config
    saes = {TRAINED: bench.sae, UNTRAINED: untrained}
    if fair is not None:
        kind: Any = fair.best.kind
        saes[FAIR] = with_centre(control_dictionary(kind, atoms, bench.sae, config.seed), bench.sae)
    try:
        shards = shards_of(bench, "fit", ("cells", "train"), settings)
        found = loss_recovered(
            bench.model, saes, some, config.layer, share=settings.hidden, seed=config.seed, each=Passes(bench, shards)
        )
        shards.clear()
    except ModelError as error:
        return None, str(error)
    if fair is None:
        return None, "tokens do not vary within the means that are taken off, so no directions can stand beside it"
    ours = found[TRAINED]
    ablation = "gene_mean" if "gene_mean" in ours.recovered else "mean"
    numbers = [n for one in found.values() for n in (one.recovered[ablation], *one.interval[ablation])]
    if not np.isfinite(numbers).all():
        return None, "taking the site away makes predictions no worse, so there is no loss to recover"
    kept = {name: Recovered(one.recovered[ablation], one.interval[ablation]) for name, one in found.items()}
    return Splice(
        kept[TRAINED], kept[UNTRAINED], kept[FAIR], fair.best.kind, ours.cells, ours.share_hidden, ablation
    ), ""


def _fit_elsewhere(bench: Workbench, source: str, untrained: SparseAutoencoder) -> Elsewhere:
    """The fit on cells that the autoencoder was not trained on, beside an untrained one."""
    cells: AnnData = read_cells(source, bench.model)
    fits = [evaluate_at(bench.model, sae, cells, bench.config.layer) for sae in (bench.sae, untrained)]
    if any(np.isnan(fit.explained_variance) for fit in fits):
        raise InputError(_unvaried(source))
    name = source if source in DATASETS else as_given(source, bench.folder)
    return Elsewhere(name, cells.n_obs, *(fit.explained_variance for fit in fits))
