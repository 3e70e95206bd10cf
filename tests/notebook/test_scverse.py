"""cp.tl, cp.pl and cp.get on a user's own AnnData."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from workflow.tiny import some_cells

import cellprism as cp
from cellprism.errors import CellsError, ConfigError, RunError

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@pytest.fixture(scope="module")
def opened(finished):
    return cp.open_run(finished)


@pytest.fixture
def mine(opened) -> AnnData:
    """A user's own object: counts in a layer, logarithms in X, ids in the index, a map, neighbours, twelve cells."""
    cells = some_cells()[5:17].copy()
    mine = AnnData(np.log1p(cells.X.toarray()), obs=cells.obs[["cell_type"]].copy(), layers={"raw": cells.X.copy()})
    mine.var["symbol"] = list(cells.var_names)
    mine.var_names = [f"gene {i}" for i in range(mine.n_vars)]
    mine.obsm["X_umap"] = np.random.default_rng(0).normal(size=(12, 2))
    mine.obsp["distances"] = cells.X @ cells.X.T
    mine.uns["mine"] = "kept"
    return mine


@pytest.fixture
def drawn(mine, opened):
    cp.tl.features(mine, opened, counts="layers/raw", symbols="symbol")
    yield plt.subplots()[1]
    plt.close("all")


def test_features_come_into_named_slots_and_nothing_else_changes(mine, opened):
    before = mine.copy()
    cp.tl.features(mine, opened, counts="layers/raw", symbols="symbol")
    np.testing.assert_allclose(
        mine.obsm["X_cellprism"].toarray(), opened.cell_features.X[5:17].toarray(), rtol=1e-4, atol=1e-6
    )
    assert set(mine.obsm) - set(before.obsm) == {"X_cellprism"}
    assert set(mine.uns) - set(before.uns) == {"cellprism_features", "cellprism_recipe"}
    assert mine.uns["cellprism_recipe"]["model"] == "tiny"
    pd.testing.assert_frame_equal(mine.var, before.var)
    pd.testing.assert_frame_equal(mine.obs, before.obs)
    assert np.array_equal(mine.X, before.X)
    assert np.array_equal(mine.obsm["X_umap"], before.obsm["X_umap"])
    assert (mine.obsp["distances"] != before.obsp["distances"]).nnz == 0
    assert mine.uns["mine"] == "kept"


def test_totals_over_all_genes_are_what_a_cell_is_measured_by(mine, opened):
    mine.obs["n_counts"] = np.asarray(mine.layers["raw"].sum(axis=1)).ravel() * 3
    cp.tl.features(mine, opened, counts="layers/raw", symbols="symbol", totals="n_counts", key="three")
    cp.tl.features(mine, opened, counts="layers/raw", symbols="symbol", key="one")
    assert (mine.obsm["X_three"] != mine.obsm["X_one"]).nnz > 0


def test_what_the_run_says_of_these_cells_comes_without_a_model(mine, opened, tmp_path):
    cp.tl.from_run(mine, opened, key="b")
    assert (mine.obsm["X_b"] != opened.cell_features.X[5:17]).nnz == 0
    mine.write_h5ad(tmp_path / "mine.h5ad")
    mine.obs_names = [*mine.obs_names[:-1], "elsewhere"]
    with pytest.raises(CellsError, match="1 of 12 cells are not among the 37 of run 'tiny-run', such as 'elsewhere'"):
        cp.tl.from_run(mine, opened)


def test_steering_writes_a_change_a_gene_and_two_embeddings(mine, opened):
    feature = int(np.argmax(np.asarray(opened.cell_features.X.sum(axis=0))))
    cp.tl.steer(mine, opened, {feature: 5.0}, counts="layers/raw", symbols="symbol")
    plain = AnnData(mine.layers["raw"], obs=mine.obs, var=pd.DataFrame(index=mine.var["symbol"].astype(str)))
    cells = cp.read_cells(plain, model=opened.model)
    out = cp.steer(opened.model, opened.sae, cells, opened.layer, {feature: 5.0})
    change = pd.Series((out.layers["steered"] - out.layers["baseline"]).mean(axis=0), index=out.var_names)
    np.testing.assert_allclose(mine.var["cellprism_steered"], change[mine.var["symbol"]], rtol=1e-3, atol=1e-5)
    assert mine.obsm["X_cellprism_steered"].shape == mine.obsm["X_cellprism_steered_baseline"].shape == (12, 16)


def test_a_column_or_slot_that_is_not_there_is_said(mine, opened):
    with pytest.raises(CellsError, match="there is no column 'symbols' in var; it has symbol"):
        cp.tl.features(mine, opened, symbols="symbols")
    with pytest.raises(CellsError, match=r"no obsm\['X_cellprism'\]; write it with cp.tl.features"):
        cp.get.activations(mine)


def test_data_frames_of_activations_genes_terms_cells_and_features(mine, opened):
    cp.tl.from_run(mine, opened)
    frame = cp.get.activations(mine, [3, 1])
    assert frame.columns.tolist() == [3, 1]
    assert np.array_equal(frame.to_numpy(), mine.obsm["X_cellprism"].toarray()[:, [3, 1]])
    feature = int(opened.tables["enrichment"]["feature"].iloc[0])
    genes = cp.get.genes(opened, feature)
    assert genes["activation"].is_monotonic_decreasing
    lists = opened.tables["programs/lists"]
    assert set(genes.index[genes["in_list"]]) == set(lists.loc[lists["feature"] == feature, "gene"])
    gene = genes.index[genes["in_list"]][0]
    assert feature in cp.get.features(opened, gene=gene).index
    terms = cp.get.terms(opened, feature)
    assert terms["padj"].is_monotonic_increasing
    named = cp.get.features(opened, term=terms.index[0].lower())
    assert feature in named.index
    assert named["padj"].is_monotonic_increasing
    cells = cp.get.cells(opened, feature, 4)
    assert cells["activation"].max() == opened.cell_features.X[:, feature].max()
    with pytest.raises(ConfigError, match="feature 41 does not exist: features are whole numbers from 0 to 40"):
        cp.get.activations(mine, [41])
    for wrong in (41, -1, "3", 1.0, True):
        with pytest.raises(ConfigError, match="feature .* does not exist"):
            cp.get.activations(mine, [wrong])
        for of_one in (cp.get.genes, cp.get.terms, cp.get.cells, cp.feature_card):
            with pytest.raises(ConfigError, match="feature .* does not exist"):
                of_one(opened.folder, wrong)
    with pytest.raises(RunError, match=r"did not steer feature 40; `cellprism steer .* --feature 40` does"):
        cp.get.doses(opened, 40)


def test_plots_are_drawn_on_the_axes_given_and_return_them(mine, opened, drawn):
    feature = 3
    values = mine.obsm["X_cellprism"][:, feature].toarray().ravel()
    assert cp.pl.embedding(mine, feature, basis="umap", ax=drawn) is drawn
    points = drawn.collections[0]
    assert np.array_equal(points.get_array(), np.sort(values))
    assert np.array_equal(points.get_offsets(), mine.obsm["X_umap"][np.argsort(values, kind="stable")])
    assert drawn.get_title().startswith("feature 3")
    ax = plt.subplots()[1]
    assert cp.pl.by_group(mine, feature, "cell_type", ax=ax) is ax
    assert [label.get_text() for label in ax.get_yticklabels()] != []
    ax = plt.subplots()[1]
    assert cp.pl.genes(opened, feature, 7, ax=ax) is ax
    assert [bar.get_width() for bar in ax.patches] == cp.get.genes(opened, feature)["activation"].head(7)[::-1].tolist()
    assert cp.pl.genes(opened, feature).figure is not ax.figure
    with pytest.raises(CellsError, match="there is no map 'tsne' in obsm; it has X_umap, X_cellprism"):
        cp.pl.embedding(mine, feature, basis="tsne")
    with pytest.raises(CellsError, match="no column 'batch' in obs; it has cell_type"):
        cp.pl.by_group(mine, feature, "batch")


def test_doses_are_those_that_the_run_steered(whole_run):
    run = cp.open_run(whole_run)
    effects = run.tables["steer/programs/effects"]
    feature = int(effects["feature"].iloc[0])
    assert len(cp.get.doses(run, feature)) == (effects["feature"] == feature).sum()
    ax = cp.pl.doses(run, feature)
    own = effects[(effects["feature"] == feature) & effects["on_target"]].groupby("alpha")["effect"].mean()
    np.testing.assert_allclose(ax.lines[0].get_ydata(), own)
    plt.close("all")
    with pytest.raises(RunError, match="did not steer feature 126; `cellprism steer"):
        cp.get.doses(run, 126)


@pytest.mark.slow
def test_scanpy_draws_features_as_they_are(opened):
    sc = pytest.importorskip("scanpy")
    table = opened.cell_features.copy()
    sc.tl.rank_genes_groups(table, "cell_type", method="wilcoxon")
    assert set(sc.get.rank_genes_groups_df(table, None)["names"]) <= set(table.var_names)
    drawn = sc.pl.matrixplot(table, ["1", "3", "7"], "cell_type", return_fig=True)
    assert len(drawn.get_axes()) >= 2
    plt.close("all")
