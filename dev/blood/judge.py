"""How good is the blood model on cells that it never saw: figures beside what simpler methods reach on the same cells.

    python dev/blood/judge.py OUT BLOOD.h5ad CITE5K.h5ad CITE10K.h5ad [--cells 100] [--json FILE]

OUT is a folder that ``dev/blood/train.py`` writes to, finished or not: the averaged weights of its last checkpoint are
judged. Training cells and held-out cells are those of its settings. Sets: the held-out cells of each donor in
BLOOD.h5ad, and two slices of other donors with surface proteins, which gate CD4 and CD8 T cells.

- Hidden genes: squared error on log1p counts per ten thousand, over that of the training cells' gene means, and with
  each gene's mean taken off prediction and truth alike. Ridge and type means are fitted on the training cells; types of
  a slice are read from its counts by a classifier of the training cells.
- Visible genes: half of the counts predicts the other half. The rival knows each gene's own count and the cell's depth:
  per gene the better of a line and of means by count, fitted on training cells.
- Signs: the 100 genes that differ most between CD4 and CD8 T cells, by label in training cells or by protein; where the
  model reads what it sees, where it reads hidden genes, and in the counts of the same held-out cells.
- Reading: classifiers of training cells' pooled residuals or counts; AUROC on held-out cells, differences paired.
- Dimension: see ``judge_streams``. All intervals are bootstraps over cells.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import torch
from judge_streams import dimensions, pooled
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cellprism as cp
from cellprism.cells.expression import log1p_cp10k
from cellprism.cells.genes import read_gene_table
from cellprism.models.aido.assess import predict_masked
from cellprism.models.aido.model import AidoCell
from cellprism.models.aido.model_input import DEPTH_FLOOR
from cellprism.models.aido.pretrain_split import split_counts
from cellprism.models.aido.pretrain_state import CHECKPOINT
from cellprism.models.aido.settings import AidoConfig
from cellprism.models.held_out import held_out_cells
from cellprism.models.simple_predictors import ridge_prediction, type_means

HERE = Path(__file__).parent
TOP, DRAWS, READERS, FOLDS = 100, 500, 400, 4
PAIR = ("CD4 T cells", "CD8 T cells")


@dataclass(frozen=True)
class Cells:
    """One set of cells that the model never saw."""

    name: str
    cells: anndata.AnnData
    kinds: np.ndarray
    gated: np.ndarray
    """``CD4 T cells``, ``CD8 T cells`` or '': by protein, or by label where there is none."""


def model_of(folder: Path) -> tuple[AidoCell, dict, int]:
    """The averaged weights in a training folder's checkpoint, its settings and its step."""
    with safe_open(folder / CHECKPOINT, framework="pt") as opened:
        about = opened.metadata()
        names = [name for name in opened.keys() if name.startswith("average.")]  # noqa: SIM118 - no mapping
        tensors = {name.removeprefix("average."): opened.get_tensor(name) for name in names}
    identity = json.loads(about["identity"])
    given = identity["config"]
    table = read_gene_table(HERE / "genes.tsv")
    assert list(table.symbol) == identity["genes"], "trained on another gene list"
    split = given["objective"] == "split"
    config = AidoConfig(
        len(table.symbol), given["hidden"], given["layers"], given["heads"], given["intermediate"], gene_subset=True,
        total="cell", depth_floor=0.0 if split else DEPTH_FLOOR, rates=split, factors=given["factors"],
    )  # fmt: skip
    model = AidoCell(config, table, card={"trained_at": "visible" if split else "hidden"})
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False), given, int(about["step"])


def gates(proteins) -> np.ndarray:
    """CD4 and CD8 T cells by surface protein: CD3 high, CD19 and CD14 low, and one of CD4 and CD8 high."""
    level = {name.split("_")[0]: np.log1p(proteins[name].to_numpy(float)) for name in proteins}

    def high(name: str) -> np.ndarray:
        values = np.sort(level[name])
        cut = values[:-1][np.argmax(np.diff(values)[len(values) // 20 : -len(values) // 20]) + len(values) // 20]
        return level[name] > max(cut, (values[0] + values[-1]) / 2)

    t = high("CD3") & ~high("CD19") & ~high("CD14")
    return np.where(t & high("CD4") & ~high("CD8a"), PAIR[0], np.where(t & high("CD8a") & ~high("CD4"), PAIR[1], ""))


def reader(x: np.ndarray, y: np.ndarray):
    """A classifier of standardised values, held back more where there are many."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.05 if x.shape[1] > 500 else 1.0, max_iter=2000)).fit(
        x, y
    )


def over(error: np.ndarray, floor: np.ndarray) -> str:
    """A ratio of mean errors over cells, and its interval."""
    draws = np.random.default_rng(0).integers(len(error), size=(DRAWS, len(error)))
    ratio = np.quantile(error[draws].mean(1) / floor[draws].mean(1), [0.025, 0.975])
    return f"{error.mean() / floor.mean():.3f} [{ratio[0]:.3f}, {ratio[1]:.3f}]"


def hidden_genes(model, train, found: Cells, seed: int) -> dict:
    """Errors at 30 % of the genes, hidden."""
    rng = np.random.default_rng([seed, 1])
    genes = [g for g in train.var_names if g in set(found.cells.var_names)]
    fitted, judged = train[:, genes], found.cells[:, genes].copy()
    expression = np.concatenate([log1p_cp10k(part).toarray() for part in (fitted, judged)])
    rows = np.arange(fitted.n_obs), fitted.n_obs + np.arange(judged.n_obs)
    hidden = np.zeros(len(genes), dtype=bool)
    hidden[rng.choice(len(genes), round(0.3 * len(genes)), replace=False)] = True
    truth = expression[np.ix_(rows[1], hidden)]
    labels = np.concatenate([fitted.obs["cell_type"].astype(str), found.kinds])
    labelled = rows[0][labels[rows[0]] != "unlabelled"]
    said = {
        "model": predict_masked(model, judged, hidden, 8)[:, hidden],
        "ridge": ridge_prediction(expression, *rows, hidden, rng),
        "type mean": type_means(expression, labelled, rows[1], hidden, labels),
        "gene mean": np.broadcast_to(expression[np.ix_(rows[0], hidden)].mean(0), truth.shape),
    }
    errors = {name: ((p - truth) ** 2).mean(1) for name, p in said.items()}
    off = {name: ((p - p.mean(0) - truth + truth.mean(0)) ** 2).mean(1) for name, p in said.items()}
    return {
        name: {
            "over training means": over(errors[name], errors["gene mean"]),
            "recentred": over(off[name], off["gene mean"]),
        }
        for name in said
    }


def hidden_error(model, train, judged, seed: int) -> float:
    """The model's error at 30 % of the genes, hidden, over that of the training cells' gene means."""
    hidden = np.zeros(judged.n_vars, dtype=bool)
    chosen = np.random.default_rng([seed, 1]).choice(judged.n_vars, round(0.3 * judged.n_vars), replace=False)
    hidden[chosen] = True
    truth = log1p_cp10k(judged).toarray()[:, hidden]
    said = predict_masked(model, judged, hidden, 8)[:, hidden]
    floor = np.asarray(log1p_cp10k(train).mean(0)).ravel()[hidden]
    return round(float(((said - truth) ** 2).mean() / ((floor - truth) ** 2).mean()), 4)


def halved(cells, rng) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Two random halves of the counts."""
    totals = cells.obs["total_counts"].to_numpy(np.float64)
    counts = cells.X.tocsr()
    part, depth = split_counts(counts, totals, np.full(len(totals), 0.5), rng)
    one, other = cells.copy(), cells.copy()
    one.X, other.X = part, (counts - part).tocsr()
    one.obs["total_counts"], other.obs["total_counts"] = np.maximum(depth, 1), np.maximum(totals - depth, 1)
    return one, other


def visible_genes(model, train, found: Cells, seed: int) -> dict:
    """Error on the other half of the counts, beside regressions on a gene's own count."""
    rng = np.random.default_rng([seed, 2])
    genes = list(found.cells.var_names)
    fit_seen, fit_other = halved(train[:, genes].copy(), rng)
    seen, other = halved(found.cells, rng)
    x, y, x_new, truth = (log1p_cp10k(part).toarray() for part in (fit_seen, fit_other, seen, other))
    depth, depth_new = (np.log10(part.obs["total_counts"].to_numpy()) for part in (fit_seen, seen))
    line, by_count = np.empty_like(truth), np.empty_like(truth)
    counts, counts_new = (np.minimum(part.X.toarray(), 8).astype(int) for part in (fit_seen, seen))
    for g in range(len(genes)):
        design, new = (np.column_stack([np.ones(len(d)), v[:, g], d]) for v, d in ((x, depth), (x_new, depth_new)))
        line[:, g] = new @ np.linalg.lstsq(design, y[:, g], rcond=None)[0]
        n = np.bincount(counts[:, g], minlength=9)
        mean = (np.bincount(counts[:, g], y[:, g], minlength=9) + 3 * y[:, g].mean()) / (n + 3)
        by_count[:, g] = mean[counts_new[:, g]]
    said = predict_masked(model, seen, np.zeros(len(genes), dtype=bool), 8)
    predictions = {"model": said, "line": line, "by count": by_count, "copy": x_new}
    floor = ((y.mean(0) - truth) ** 2).mean(1)
    errors = {name: ((p - truth) ** 2).mean(1) for name, p in predictions.items()}
    best = min(("line", "by count"), key=lambda name: errors[name].mean())
    return {name: over(e, floor) for name, e in errors.items()} | {
        f"model over {best}": over(errors["model"], errors[best])
    }


def signs(model, train, found: Cells, seed: int) -> dict:
    """How often the sign of the CD4 to CD8 difference is right for the genes that differ most in training cells."""
    genes = [g for g in train.var_names if g in set(found.cells.var_names)]
    kinds = train.obs["cell_type"].astype(str).to_numpy()
    ours = train[:, genes]
    if (donor := found.name) in set(train.obs["donor"]):
        ours, kinds = ours[(train.obs["donor"] == donor).to_numpy()], kinds[(train.obs["donor"] == donor).to_numpy()]
    known = log1p_cp10k(ours)
    truth = np.asarray(known[kinds == PAIR[1]].mean(0) - known[kinds == PAIR[0]].mean(0)).ravel()
    top = np.argsort(-np.abs(truth))[:TOP]
    t = found.cells[found.gated != "", genes].copy()
    eight = found.gated[found.gated != ""] == PAIR[1]
    hidden = np.empty(t.shape)
    order = np.random.default_rng(seed).permutation(len(genes)) % FOLDS
    for fold in range(FOLDS):
        hidden[:, order == fold] = predict_masked(model, t, order == fold, 8)[:, order == fold]
    read = {
        "visible": predict_masked(model, t, np.zeros(len(genes), bool), 8),
        "hidden": hidden,
        "counts": log1p_cp10k(t).toarray(),
    }
    right = {}
    for name, values in read.items():
        gap = values[eight].mean(0) - values[~eight].mean(0)
        right[name] = round(float((np.sign(gap[top]) == np.sign(truth[top])).mean()), 3)
        right[f"{name}, correlation"] = round(float(np.corrcoef(gap[top], truth[top])[0, 1]), 3)
    return right | {"cells": [int((~eight).sum()), int(eight.sum())]}


def types(model, train, sets: list[Cells], rng, layers) -> dict:
    """AUROC of types of held-out cells, and of gated CD4 against CD8, from residuals and from counts."""
    kinds = train.obs["cell_type"].astype(str).to_numpy()
    some = rng.permutation(np.flatnonzero(kinds != "unlabelled"))[: min(READERS, 4 * sum(s.cells.n_obs for s in sets))]
    genes = [g for g in train.var_names if all(g in set(s.cells.var_names) for s in sets)]
    results = {}
    raw = reader(log1p_cp10k(train[some][:, genes]).toarray(), kinds[some])
    residual = pooled(model, train[some][:, genes].copy(), layers)
    readers = [reader(x, kinds[some]) for x in residual]
    t = np.isin(kinds[some], PAIR)
    raw_t = reader(log1p_cp10k(train[some[t]][:, genes]).toarray(), kinds[some[t]])
    readers_t = [reader(x[t], kinds[some[t]]) for x in residual]
    for found in sets:
        cells = found.cells[:, genes].copy()
        counts, streams = log1p_cp10k(cells).toarray(), pooled(model, cells, layers)
        labelled = np.isin(found.kinds, raw.classes_) & (found.name in set(train.obs["donor"]))
        pairs = [
            ("types", labelled, found.kinds, raw, readers),
            ("CD4 against CD8", found.gated != "", found.gated, raw_t, readers_t),
        ]
        for what, rows, truth, by_counts, by_stream in pairs:
            if not rows.any():
                continue
            base = by_counts.predict_proba(counts[rows])
            for layer, x, one in zip(layers, streams, by_stream, strict=True):
                results[f"{found.name}, {what}, block {layer}"] = paired(
                    truth[rows], one.predict_proba(x[rows]), base, by_counts.classes_
                )
    return results


def auroc(truth, scores, classes) -> float:
    """Mean over the types that are there of one against the rest."""
    there = [k for k, kind in enumerate(classes) if 0 < (truth == kind).sum() < len(truth)]
    return float(np.mean([roc_auc_score(truth == classes[k], scores[:, k]) for k in there]))


def paired(truth, scores, base, classes) -> str:
    rng = np.random.default_rng(0)
    by_type = [np.flatnonzero(truth == kind) for kind in np.unique(truth)]  # every draw has all of them
    differences = []
    for _ in range(200):
        rows = np.concatenate([rng.choice(own, len(own)) for own in by_type])
        differences.append(auroc(truth[rows], scores[rows], classes) - auroc(truth[rows], base[rows], classes))
    low, high = np.quantile(differences, [0.025, 0.975])
    ours, theirs = auroc(truth, scores, classes), auroc(truth, base, classes)
    return f"{ours:.3f}, counts {theirs:.3f}, difference [{low:+.3f}, {high:+.3f}]"


def sets_of(whole, held_out, slices: list[Path], table, n_cells: int, rng, train) -> list[Cells]:
    found = []
    for donor in dict.fromkeys(whole.obs["donor"]):
        rows = rng.permutation(held_out[(whole.obs["donor"].iloc[held_out] == donor).to_numpy()])[:n_cells]
        part = whole[np.sort(rows)].copy()
        kinds = part.obs["cell_type"].astype(str).to_numpy()
        found.append(Cells(donor, part, kinds, np.where(np.isin(kinds, PAIR), kinds, "")))
    for path in slices:
        proteins = anndata.read_h5ad(path).obsm["protein_expression"]
        cells = cp.read_cells(str(path), genes=table)
        genes = list(cells.var_names)
        labelled = (train.obs["cell_type"] != "unlabelled").to_numpy()
        by_counts = reader(
            log1p_cp10k(train[labelled][:, genes]).toarray(), train.obs["cell_type"].astype(str)[labelled]
        )
        kinds, gated = by_counts.predict(log1p_cp10k(cells).toarray()), gates(proteins.loc[cells.obs_names])
        rows = np.sort(rng.permutation(cells.n_obs)[:n_cells])
        found.append(Cells(path.stem, cells[rows].copy(), kinds[rows], gated[rows]))
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("out", type=Path)
    asked.add_argument("blood", type=Path)
    asked.add_argument("slices", type=Path, nargs="*")
    asked.add_argument("--cells", type=int, default=100)
    asked.add_argument("--json", type=Path)
    given = asked.parse_args()
    model, settings, step = model_of(given.out)
    table = read_gene_table(HERE / "genes.tsv")
    whole = cp.read_cells(str(given.blood), genes=table, labels="cell_type")
    train_rows, held_out = held_out_cells(whole.n_obs, settings["held_out"], settings["seed"])
    train, rng, layers = whole[train_rows].copy(), np.random.default_rng(7), list(range(model.n_layers))
    sets = sets_of(whole, held_out, given.slices, table, given.cells, rng, train)
    report: dict = {
        "step": step,
        "settings": settings,
        "gated": {s.name: [int((s.gated == p).sum()) for p in PAIR] for s in sets},
    }
    print(json.dumps(report["gated"]), flush=True)
    parts = [
        (what, found.name, work) for found in sets
        for what, work in (("hidden genes", hidden_genes), ("visible genes", visible_genes), ("signs", signs))
    ]  # fmt: skip
    by_name = {s.name: s for s in sets}
    with torch.no_grad():
        for what, name, work in parts:
            report.setdefault(what, {})[name] = work(model, train, by_name[name], 0)
            print(what, name, json.dumps(report[what][name]), flush=True)
        report["types"] = types(model, train, sets, rng, layers)
        print("types", json.dumps(report["types"], indent=1), flush=True)
        halves = [halved(s.cells, rng) for s in sets if s.name in set(whole.obs["donor"])]
        report["dimension"] = dimensions(model, halves, layers)
        print("dimension", json.dumps(report["dimension"], indent=1), flush=True)
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
