"""Numbers that are no raw counts are recognised, and the message says how and what to pass instead."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

from cellprism.cells.read import read_cells
from cellprism.cells.values import are_counts, refuse_changed, value_problems
from cellprism.errors import CellsError

NAMES = pd.Index([f"cell{i}" for i in range(17)])


def problems(values: np.ndarray, others: tuple[str, ...] = ()) -> str:
    return "\n".join(value_problems(sp.csr_matrix(values), NAMES, "X", lambda: others))


def per_ten_thousand(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(1, keepdims=True) * 1e4


def test_counts_have_no_problem(counts):
    assert problems(counts) == ""


@pytest.mark.parametrize("kind", [np.int32, np.uint16, np.int64, np.float64, np.uint8])
def test_counts_of_any_type_have_no_problem(counts, kind):
    assert problems(counts.astype(kind)) == ""


def test_counts_that_went_through_float32_arithmetic_are_counts(counts):
    assert problems(np.expm1(np.log1p(counts))) == ""


def test_nan_infinite_and_negative_values_are_all_listed_at_once(counts):
    counts[1, 2], counts[3, 4], counts[5, 6], counts[7, 8] = np.nan, np.nan, np.inf, -3
    said = problems(counts)
    assert "2 values of X are NaN; expected counts" in said
    assert "1 values of X are infinite; expected counts" in said
    assert "1 values of X are negative, the least -3; expected raw counts" in said


def test_scaled_values_are_recognised_by_sign_and_fractions(counts):
    logged = np.log1p(per_ten_thousand(counts))
    said = problems((logged - logged.mean(0)) / (logged.std(0) + 1e-6))
    assert "X looks scaled (z-scores)" in said
    assert "values of X are negative, the least -" in said
    assert "of the values of X are not whole, such as" in said


def test_log_normalised_values_are_recognised_by_the_sums_of_cells(counts):
    said = problems(np.log1p(per_ten_thousand(counts)))
    assert "X looks log-normalised (natural logarithm, largest value" in said
    assert "after undoing it every cell sums to 10,000; expected raw counts" in said


def test_log_normalised_values_are_recognised_after_genes_were_taken_out(counts):
    said = problems(np.log1p(per_ten_thousand(counts))[:, ::2])
    assert "looks log-normalised (natural logarithm" in said
    assert "of the values are whole multiples of the smallest one in their cell" in said


def test_base_two_logarithms_are_recognised(counts):
    assert "looks log-normalised (base 2 logarithm" in problems(np.log2(1 + per_ten_thousand(counts))[:, ::2])


def test_rounded_logarithms_are_recognised(counts):
    assert "looks log-normalised (natural" in problems(np.round(np.log1p(per_ten_thousand(counts)), 3)[:, :23])


def test_values_normalised_without_a_logarithm_are_recognised(counts):
    assert "X looks normalised to a common depth: every cell sums to 10,000" in problems(per_ten_thousand(counts))
    assert "X looks normalised to a common depth" in problems(per_ten_thousand(counts)[:, ::2])


def test_other_fractions_are_shown_without_a_guess(counts):
    noise = np.random.default_rng(3).uniform(0.1, 0.9, size=counts.shape)
    said = problems(np.where(counts > 0, counts + noise, 0))
    assert "100% of the values of X are not whole, such as" in said
    assert "normalised" not in said


@given(st.integers(0, 10_000))
def test_noisy_positive_values_are_never_taken_for_counts_or_normalised_counts(seed):
    values = np.random.default_rng(seed).uniform(0.05, 60, size=(17, 29))
    said = problems(values)
    assert "not whole" in said
    assert "normalised" not in said


def test_the_fix_names_the_layers_that_hold_counts(counts):
    logged = np.log1p(per_ten_thousand(counts))
    said = problems(logged, ("layers/counts", "raw"))
    assert (
        'raw counts lie in layers/counts: set counts = "layers/counts" (on the command line: --counts layers/counts)'
        in said
    )
    assert "'raw' would do too" in said
    assert "neither X nor a layer nor raw of this object holds them, so go back to the file that does" in problems(
        logged
    )


def test_empty_cells_are_counted_and_one_is_named(counts):
    counts[3], counts[11] = 0, 0
    assert "2 of 17 cells have no counts at all, such as 'cell3'; drop them: adata[" in problems(counts)


def test_stored_zeros_do_not_hide_an_empty_cell(counts):
    matrix = sp.csr_matrix(counts)
    matrix.data[matrix.indptr[3] : matrix.indptr[4]] = 0
    assert "1 of 17 cells have no counts at all" in value_problems(matrix, NAMES, "X")[0]


@pytest.mark.parametrize("shape", [(0, 29), (17, 0)])
def test_an_empty_matrix_is_called_empty(shape):
    said = value_problems(sp.csr_matrix(shape), NAMES[: shape[0]], "X")
    assert said == [f"X is empty ({shape[0]} cells x {shape[1]} genes); expected at least one of each"]


def test_complex_numbers_are_no_counts(counts):
    assert "X holds values of type complex" in problems(counts.astype(complex))


@pytest.mark.parametrize(
    ("values", "counts"),
    [([0, 1, 2], True), ([1.0, 5.0], True), ([0.5, 1], False), ([-1, 2], False), ([0, 0], False), ([], False),
     ([np.nan, 1], False)],
)  # fmt: skip
def test_counts_are_whole_not_negative_and_not_all_zero(values, counts):
    assert are_counts(sp.csr_matrix(np.array(values)[None, :])) == counts


def test_each_offered_layer_really_works(cells, table, counts):
    cells.layers["umi"] = cells.X.copy()
    cells.layers["dense"] = counts.copy()
    cells.raw = cells.copy()
    cells.X = sp.csr_matrix(np.log1p(per_ten_thousand(counts)))
    cells.layers["scaled"] = counts - counts.mean(0)
    with pytest.raises(CellsError) as error:
        read_cells(cells, genes=table)
    assert 'raw counts lie in raw: set counts = "raw" (on the command line: --counts raw)' in str(error.value)
    assert "'layers/umi' and 'layers/dense' would do too" in str(error.value)
    for name in ("raw", "layers/umi", "layers/dense"):
        read = read_cells(cells, genes=table, counts=name)
        np.testing.assert_array_equal(read.X.toarray(), counts[:, ::-1])


def test_reading_a_normalised_layer_offers_x(cells, table, counts):
    cells.layers["log"] = np.log1p(per_ten_thousand(counts))
    with pytest.raises(CellsError, match=r'layers/log looks log-normalised.*counts lie in X: set counts = "X"'):
        read_cells(cells, genes=table, counts="layers/log")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [("counts", "layers/counts"), ("layers/count", "layers/counts"), ("layers/Counts", "layers/counts")],
)
def test_unknown_counts_name_near_matches_and_how_to_say_it(cells, table, asked, answer):
    cells.layers["counts"] = cells.X.copy()
    said = rf"there are no counts '{asked}' \(expected X, layers/NAME or raw\); did you mean '{answer}'\?.*--counts"
    with pytest.raises(CellsError, match=said):
        read_cells(cells, genes=table, counts=asked)


def test_an_object_without_x_says_where_to_look(cells, table):
    bare = anndata.AnnData(obs=cells.obs, var=cells.var, layers={"counts": cells.X})
    with pytest.raises(CellsError, match=r"it has no X; .*'layers/counts'.*--counts layers/counts"):
        read_cells(bare, genes=table)
    assert read_cells(bare, genes=table, counts="layers/counts").shape == (17, 29)


def test_a_layer_called_raw_is_not_raw(cells, table, counts):
    cells.raw = cells.copy()
    cells.layers["raw"] = cells.X * 2
    np.testing.assert_array_equal(read_cells(cells, genes=table, counts="layers/raw").X.toarray(), 2 * counts[:, ::-1])
    np.testing.assert_array_equal(read_cells(cells, genes=table, counts="raw").X.toarray(), counts[:, ::-1])


CHANGES = {
    "log1p": (np.log1p, r"X holds values that are not whole, such as [\d.]+"),
    "nan": (lambda x: np.where(x > 2, np.nan, x), "X holds NaN or infinite values"),
    "infinite": (lambda x: np.where(x > 2, np.inf, x), "X holds NaN or infinite values"),
    "negative": (lambda x: x - 1, "X holds negative values, such as -1"),
}


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csc_matrix, np.asarray])
@pytest.mark.parametrize("change", CHANGES)
def test_cells_that_were_changed_after_reading_are_refused(counts, change, kind, tmp_path):
    how, message = CHANGES[change]
    refuse_changed(AnnData(kind(counts)))
    changed = AnnData(kind(how(counts.astype(float))))
    whole = f"{message}, so it is no longer the counts that were read; pass the cells as read_cells gives them"
    with pytest.raises(CellsError, match=whole):
        refuse_changed(changed)
    changed.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    with pytest.raises(CellsError, match=message):
        refuse_changed(backed)
    backed.file.close()
