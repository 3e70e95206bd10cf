"""Features in the batches of JSON that Neuronpedia takes (the form of SAEDashboard 0.8).

What Neuronpedia calls a prompt is a cell here, and a token a gene: of each feature the cells in which it is strongest,
with its strongest genes. Its logits are the genes that the feature's own steering raised and lowered, where the run has
them; nothing is made up where it does not.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellprism.notebook import get
from cellprism.notebook.opened import OpenRun
from cellprism.report.frames import where
from cellprism.store.atomic import write_json

BATCH = 128
"""Features in a file."""
NEAR, SHOWN, BINS = 3, 10, 20
"""Neighbours, genes of the tables of effects, bars of a histogram."""
CELLS, GENES = 5, 20
"""Cells shown of a feature, and genes of each."""


def write_batches(run: OpenRun, out: Path, model_id: str = "", sae_set: str = "") -> list[Path]:
    """Write ``batch-0.json``, ``batch-1.json``, ... into a folder.

    Args:
        run: the run.
        out: the folder.
        model_id: name of the model at Neuronpedia; by default the model's own.
        sae_set: name of the set of autoencoders there; by default that of the run.
    """
    features = list(_features(run))
    model = model_id or (run.context.model.name if run.context.model else "")
    files = []
    for number, start in enumerate(range(0, len(features), BATCH)):
        path = out / f"batch-{number}.json"
        batch = {
            "model_id": model, "layer": run.layer, "sae_set": sae_set or run.name, "sae_id_suffix": None,
            "features": features[start : start + BATCH],
        }  # fmt: skip
        write_json(path, batch)
        files.append(path)
    return files


def _features(run: OpenRun) -> Iterator[dict[str, Any]]:
    held = run.cell_features
    activity: Any = sp.csc_matrix(held.X)
    genes: Any = run.feature_genes
    profile = np.asarray(genes.X.toarray() if sp.issparse(genes.X) else genes.X, dtype=np.float64)
    near = _nearest(profile)
    tokens = int(run.cells.n_vars)
    steered = _steered(run)
    for number, row in run.features.iterrows():
        feature = int(str(number))
        values = activity[:, feature].toarray().ravel()
        heights, edges = (
            np.histogram(values[values > 0], bins=BINS) if (values > 0).any() else (np.zeros(0), np.zeros(1))
        )
        up, down = steered.get(feature, (pd.Series(dtype=float), pd.Series(dtype=float)))
        yield {
            "feature_index": feature,
            "neuron_alignment_indices": [], "neuron_alignment_values": [], "neuron_alignment_l1": [],
            "correlated_neurons_indices": [], "correlated_neurons_l1": [], "correlated_neurons_pearson": [],
            "correlated_features_indices": [int(i) for i in near[feature][0]],
            "correlated_features_l1": _round(near[feature][1]), "correlated_features_pearson": _round(near[feature][2]),
            "neg_str": list(down.index), "neg_values": _round(down),
            "pos_str": list(up.index), "pos_values": _round(up),
            "frac_nonzero": float(row["firing_rate"]),
            "freq_hist_data_bar_values": _round((edges[1:] + edges[:-1]) / 2),
            "freq_hist_data_bar_heights": [int(h) for h in heights],
            "logits_hist_data_bar_heights": [], "logits_hist_data_bar_values": [],
            "n_prompts_total": held.n_obs, "n_tokens_in_prompt": tokens,
            "dataset": run.context.cells.source if run.context.cells else "",
            "activations": list(_cells(cast(pd.DataFrame, held.obs), values, profile[feature], genes.var_names)),
            "decoder_weights_dist": [], "vector": [],
        }  # fmt: skip


def _cells(obs: pd.DataFrame, values: np.ndarray, profile: np.ndarray, names: pd.Index) -> Iterator[dict[str, Any]]:
    """The cells in which a feature is strongest: the first token names the cell and has its mean activation, the others
    are the feature's genes with their mean over cells."""
    strongest = np.argsort(-profile, kind="stable")[:GENES]
    top = float(values.max(initial=0.0))
    for cell in np.argsort(-values, kind="stable")[:CELLS]:
        if values[cell] <= 0:
            return
        kind = f" ({obs['cell_type'].iloc[cell]})" if "cell_type" in obs else ""
        yield {
            "bin_min": -1.0, "bin_max": round(top, 3), "bin_contains": -1.0,
            "tokens": [f"{obs.index[cell]}{kind}", *(str(names[g]) for g in strongest)],
            "values": _round([values[cell], *profile[strongest]]), "qualifying_token_index": 0,
        }  # fmt: skip


def _nearest(profile: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each feature the others with the most similar genes: numbers, cosines, correlations."""
    cosine = _products(profile)
    pearson = _products(profile - profile.mean(axis=1, keepdims=True))
    np.fill_diagonal(cosine, -np.inf)
    order = np.argsort(-cosine, axis=1, kind="stable")[:, :NEAR]
    return [(o, cosine[i, o], pearson[i, o]) for i, o in enumerate(order)]


def _products(rows: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(norm == 0, 1, norm)
    return unit @ unit.T


def _steered(run: OpenRun) -> dict[int, tuple[pd.Series, pd.Series]]:
    """Of each steered feature the genes that its largest strength raised and lowered most."""
    found = {}
    for name in run.tables:
        if not (name.startswith("steer/") and name.endswith("/effects")):
            continue
        for feature in run.tables[name]["feature"].unique():
            table = get.doses(run, int(feature))
            effect: Any = where(table, table["alpha"] == table["alpha"].max()).set_index("gene")["effect"]
            found[int(feature)] = (effect[effect > 0].nlargest(SHOWN), effect[effect < 0].nsmallest(SHOWN))
    return found


def _round(values: Any) -> list[float]:
    return [round(float(v), 4) for v in values]
