# %% [markdown]
# # Reading a page and its nulls
#
# Every number on the page of a run is a claim: a value with its interval, what chance or a simpler method gives for the same, a
# verdict, and the file that holds it. `demo` is a finished run (`cellprism demo --out demo`).

# %%
import cellprism as cp

run = cp.open_run("demo")
claims = run.claims
claims["verdict"].value_counts()

# %% [markdown]
# A verdict speaks of the control beside it, not of the number alone. Features match programs far more often than random lists...

# %%
columns = ["statement", "value", "null", "null_value", "verdict"]
matched = claims[
    claims["section"] == claims.loc[claims["statement"].str.contains("program", case=False), "section"].iloc[0]
]
matched[columns].style.format(precision=3).hide(axis="index")

# %% [markdown]
# ... and the harder the control, the less is left. The rates of every list that was drawn or made beside the features lie in one
# record:

# %%
import pandas as pd

rates = pd.DataFrame(run.tables["programs/rates"]["rows"])
rates[["name", "rate", "mean_set_size", "distinct_terms", "comparable"]].sort_values("rate", ascending=False).round(3)

# %% [markdown]
# Many claims stand on one page. Those with a p-value are corrected together (`q`); `unit_of_inference` says what was resampled: cells
# of one donor are no replicates of donors.

# %%
tested = claims.dropna(subset=["p"])
tested[["value", "null_value", "p", "q", "verdict", "unit_of_inference"]].round(3).head(10)

# %% [markdown]
# What cannot be told is said, with the reason.

# %%
untold = claims[claims["verdict"] == "cannot be told here"]
untold[["statement", "why"]].head(6).style.hide(axis="index")

# %% [markdown]
# From a claim to its number on disk, and to a feature's card:

# %%
claim = claims.dropna(subset=["value"]).iloc[0]
claim["statement"], claim["value"], claim["file"], claim["field"]

# %%
feature = int(run.features["n_terms"].idxmax())
run.card(feature)
