# %% [markdown]
# # Your own cells
#
# An AnnData as people have it: normalised values in `X`, raw counts in a layer, gene ids in the index, symbols in a column, a map of
# one's own. `demo` is a finished run (`cellprism demo --out demo`).

# %%
import matplotlib.pyplot as plt
import numpy as np
from anndata import AnnData
from sklearn.decomposition import PCA

import cellprism as cp

run = cp.open_run("demo")
run

# %%
whole = run.cells
logs = np.log1p(whole.X.toarray() / whole.obs["total_counts"].to_numpy()[:, None] * 1e4)
adata = AnnData(logs, obs=whole.obs[["cell_type", "total_counts"]].copy(), layers={"counts": whole.X.copy()})
adata.var["symbol"] = whole.var_names.to_numpy()
adata.var_names = [f"row {number}" for number in range(adata.n_vars)]
adata.obsm["X_mine"] = PCA(2, random_state=0).fit_transform(logs)
adata

# %% [markdown]
# `cellprism config init FILE.h5ad` finds counts and labels and writes a configuration; `cellprism run` then makes a run of your own.
# Here the run that is there reads the cells. Only named slots are written. These cells come with 765 genes, so their totals over
# all genes stand in a column: a model reads counts per ten thousand, and without them every value would be several times too large.

# %%
cp.tl.features(adata, run, counts="layers/counts", symbols="symbol", totals="total_counts")
adata

# %%
cp.get.features(run, term="cytotoxic")[["term", "padj", "sign", "top_cell_type", "high_in"]].head()

# %%
feature = int(cp.get.features(run, term="cytotoxic").index[0])
figure, axes = plt.subplots(1, 3, figsize=(15, 4), constrained_layout=True)
cp.pl.embedding(adata, feature, basis="X_mine", ax=axes[0])
cp.pl.by_group(adata, feature, "cell_type", ax=axes[1])
cp.pl.genes(run, feature, ax=axes[2])
# %%
known = cp.get.activations(adata)
assert np.allclose(known, run.cell_features.X.toarray(), atol=1e-4)  # the run read the same cells
cp.get.genes(run, feature).head(6).round(3)

# %% [markdown]
# Turned up in 60 of the cells: the mean change of each gene's prediction is a column of `var`.

# %%
some = adata[:60].copy()
cp.tl.steer(some, run, {feature: 5.0}, counts="layers/counts", symbols="symbol", totals="total_counts")
some.var.sort_values("cellprism_steered", key=abs, ascending=False).head(6).round(4)

# %% [markdown]
# And home again: `cellprism export demo --to anndata --into yours.h5ad --out with-features.h5ad`, or as a GMT file.

# %%
cp.export(run, "gmt", "programs.gmt")
with open("programs.gmt") as file:
    print(file.readline()[:160])
