r"""Where `mini` answers: agreement of its output with the counts, at visible and at hidden genes.

    python dev/read_where_trained.py bundled:pbmc68k bulk_labels \
        "CD4+/CD25 T Reg,CD4+/CD45RO+ Memory" "CD8+ Cytotoxic T"

Labels joined by commas are one type.
The 100 genes that differ most between the two types are chosen by their counts in one half of the cells; gaps and the
correlation over cells are of the other half.
"""

import sys

import numpy as np
import torch

import cellprism as cp
from cellprism.cells.expression import log1p_cp10k
from cellprism.equations.objectives import gap_weights
from cellprism.steering.reading import passes_of

CELLS, A_PASS, GENES = 300, 4, 100


def said(model, cells, where: str) -> np.ndarray:
    """What the model says of every gene, [cell gene]."""
    parts, last = [], model.n_layers - 1
    with torch.no_grad():
        for batch in model.batches(cells, A_PASS):
            passes = passes_of(model, batch, where)
            output = model.resume(passes.batch, last, model.residual(passes.batch, last))
            parts.append(passes.said(model, output, cells.var_names).values.numpy())
    return np.concatenate(parts)


def main(source: str, labels: str, *types: str) -> None:
    """Print the table."""
    model = cp.load_model("mini")
    cells = cp.read_cells(source, model=model, labels=labels)
    kinds = cells.obs["cell_type"].astype(str).to_numpy()
    rng = np.random.default_rng(0)
    halves = [rng.permutation(np.flatnonzero(np.isin(kinds, kind.split(",")))) for kind in types]
    chosen, other = ([half[place::2][: CELLS // 4] for half in halves] for place in (0, 1))
    counts = log1p_cp10k(cells)
    means = [torch.from_numpy(np.asarray(counts[rows].mean(axis=0)).ravel()) for rows in chosen]
    genes = np.flatnonzero(gap_weights(*means, GENES).numpy())
    rows = np.concatenate(other)
    truth = counts[rows].toarray()
    first = np.arange(len(rows)) < len(other[0])
    varies = np.flatnonzero(truth.std(axis=0) > 0)
    print(f"{source}: {types[0]} ({first.sum()}) to {types[1]} ({(~first).sum()}), {len(genes)} genes")
    for where in ("visible", "hidden"):
        found = said(model, cells[rows].copy(), where)
        gaps = [v[~first][:, genes].mean(axis=0) - v[first][:, genes].mean(axis=0) for v in (found, truth)]
        sign = (np.sign(gaps[0]) == np.sign(gaps[1])).mean()
        follows = [np.corrcoef(found[:, g], truth[:, g])[0, 1] for g in varies]
        differing = [np.corrcoef(found[:, g], truth[:, g])[0, 1] for g in genes if g in set(varies)]
        print(
            f"  {where:8} sign right {sign:.2f}, correlation of gaps {np.corrcoef(*gaps)[0, 1]:.2f}, "
            f"median correlation over cells {np.median(follows):.2f}, "
            f"of the {len(genes)} genes {np.median(differing):.2f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
