"""Which cells learn, choose and judge."""

import numpy as np
import pytest
from anndata import AnnData

from cellprism.errors import CellsError, ConfigError
from cellprism.steering.contrast.cell_split import NAMES, split_types


@pytest.fixture
def types() -> AnnData:
    adata = AnnData(np.ones((131, 3), dtype=np.float32))
    adata.obs["cell_type"] = ["helper"] * 53 + ["killer"] * 59 + ["rare"] * 5 + ["B cell"] * 14
    return adata[np.random.default_rng(0).permutation(131)].copy()


def test_parts_hold_only_the_two_types_each_cell_once(types):
    kept, parts = split_types(types, "helper", "killer", "cell_type", None, 400, 0)
    assert set(types.obs["cell_type"].iloc[kept]) == {"helper", "killer"}
    assert kept.size == 112
    rows = np.concatenate([getattr(getattr(parts, n), side) for n in NAMES for side in ("source", "target")])
    assert sorted(rows) == list(range(112))
    for name in NAMES:
        pair = getattr(parts, name)
        assert (types.obs["cell_type"].iloc[kept[pair.source]] == "helper").all()
        assert (types.obs["cell_type"].iloc[kept[pair.target]] == "killer").all()
    assert parts.sizes()["train"]["source"] == pytest.approx(0.6 * 53, abs=1)
    assert parts.sizes()["test"]["target"] == pytest.approx(0.2 * 59, abs=1)


def test_a_given_split_is_used(types):
    order = np.random.default_rng(1).permutation(131)
    split = {"train": order[:61], "validation": order[61:89], "test": order[89:]}
    kept, parts = split_types(types, "helper", "killer", "cell_type", split, 400, 0)
    for name in NAMES:
        pair = getattr(parts, name)
        assert np.isin(kept[np.concatenate([pair.source, pair.target])], split[name]).all()


def test_too_many_cells_are_thinned_alike_in_every_part(types):
    _, all_parts = split_types(types, "helper", "killer", "cell_type", None, 400, 0)
    kept, parts = split_types(types, "helper", "killer", "cell_type", None, 23, 0)
    assert kept.size <= 46
    whole, thin = all_parts.sizes(), parts.sizes()
    for name in NAMES:
        assert thin[name]["source"] == pytest.approx(whole[name]["source"] * 23 / 53, abs=1)


def test_permuting_keeps_sizes_and_parts_and_the_labels_of_cells_that_judge(types):
    _, parts = split_types(types, "helper", "killer", "cell_type", None, 400, 0)
    other = parts.permuted(1)
    assert other.sizes() == parts.sizes()
    assert other.test is parts.test
    for name in NAMES[:2]:
        a, b = getattr(parts, name), getattr(other, name)
        assert set(np.concatenate([a.source, a.target])) == set(np.concatenate([b.source, b.target]))
        assert set(a.source) != set(b.source)


@pytest.mark.parametrize(
    ("source", "target", "label", "message"),
    [
        ("helper", "killer", "celltype", r"no column 'celltype' of cell types; did you mean 'cell_type'\?"),
        ("Helper", "killer", "cell_type", r"no cell type 'Helper'; did you mean 'helper'"),
        ("helper", "rare", "cell_type", "1 cells of 'rare' in the validation part; at least 2 are needed"),
    ],
)
def test_unknown_names_and_rare_types_are_refused(types, source, target, label, message):
    with pytest.raises(CellsError, match=message):
        split_types(types, source, target, label, None, 400, 0)


def test_contradictions_are_refused(types):
    with pytest.raises(ConfigError, match="source and target are both 'helper'; name two cell types"):
        split_types(types, "helper", "helper", "cell_type", None, 400, 0)
    rows = np.arange(131)
    with pytest.raises(ConfigError, match=r"the split has \['test', 'train'\]; expected"):
        split_types(types, "helper", "killer", "cell_type", {"train": rows[:50], "test": rows[50:]}, 400, 0)
    overlap = {"train": rows[:50], "validation": rows[50:90], "test": rows[88:]}
    with pytest.raises(ConfigError, match="2 cells stand in more than one part of the split"):
        split_types(types, "helper", "killer", "cell_type", overlap, 400, 0)
