# %% [markdown]
# # First look
#
# A small real model, 200 of the bundled blood cells, and a sparse autoencoder that splits what the model has learned into
# features. Every step is one call; a whole run with all its controls is `cellprism demo`.

# %%
import cellprism as cp

model = cp.load_model("pbmc2")
model

# %% [markdown]
# Cells are checked and aligned to the model's genes at the door; what is lost is said.

# %%
cells = cp.read_cells("bundled:pbmc68k", model=model)[::4].copy()
cells.obs["cell_type"].value_counts()

# %% [markdown]
# The model is cut after block 1. An autoencoder learns the residual stream there, each gene's mean taken off first.

# %%
sae = cp.train_sae(model, cells, layer=1, config=cp.SaeConfig(k=4, centring="group", epochs=1))
sae

# %%
sae.history[["step", "explained_variance", "l0", "dead_share"]].tail(3)

# %% [markdown]
# At which genes does each feature fire, and do these genes share a program more than a random list of as many would?

# %%
genes = cp.feature_genes(model, sae, cells, layer=1)
fires = genes[genes.obs["firing_rate"] > 0].to_df()
lists = {int(feature): list(row.nlargest(20).index) for feature, row in fires.iterrows()}
terms = cp.over_representation(lists, cp.read_gmt("blood"), background=cells.var_names)
best = terms.sort_values("padj").drop_duplicates("feature").head(8)
best[["feature", "term", "overlap", "set_size", "padj"]]

# %% [markdown]
# Small q-values alone say little: lists drawn by chance, untrained autoencoders and modules of co-expressed genes match programs
# too. That is what the page of a run sets beside them; see the notebook *Reading a page and its nulls*.
#
# Now one feature is made five times as strong, and the model is asked what it predicts: at the feature's own genes, and at all
# others. Features have no sign: one that fires where its genes are low lowers them when it is turned up.

# %%
feature = int(best["feature"].iloc[0])
out = cp.steer(model, sae, cells[:40].copy(), layer=1, strengths={feature: 5.0})
change = (out.to_df("steered") - out.to_df("baseline")).mean()
change.sort_values(key=abs, ascending=False).head(8).round(4)

# %%
own = [gene for gene in lists[feature] if gene in change.index]
float(change[own].mean()), float(change.drop(own).mean())
