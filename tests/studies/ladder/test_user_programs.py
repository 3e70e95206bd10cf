"""Programs that somebody brings, in the files that other programs write."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellprism.errors import InputError
from cellprism.studies.ladder.user_programs import brought

CELLS, GENES = [f"c{i}" for i in range(17)], tuple(f"G{i}" for i in range(29))


@pytest.fixture
def cells() -> AnnData:
    found = AnnData(np.ones((17, 29), dtype=np.float32))
    found.obs_names, found.var_names = CELLS, list(GENES)
    return found


def usage(names: str = "ab", rows: list[str] = CELLS) -> pd.DataFrame:
    values = np.random.default_rng(0).normal(size=(len(rows), len(names)))
    return pd.DataFrame(values, index=rows, columns=list(names))


def test_both_tails_of_a_program_with_two_are_kept_apart(cells, tmp_path):
    table = usage().iloc[::-1]
    table.to_csv(tmp_path / "mine.csv")
    found = brought(cells, GENES, str(tmp_path / "mine.csv"), "")
    assert found.genes is None
    assert list(found.cells.var_names) == ["a+", "a-", "b+", "b-"]
    np.testing.assert_allclose(found.cells.X.toarray()[:, 1], np.maximum(-table.loc[CELLS, "a"], 0), rtol=1e-6)


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "h5ad", "csv.gz"])
def test_genes_may_lie_on_either_side_and_some_may_be_missing(cells, tmp_path, kind):
    weights = usage("xyz", list(GENES[:23])).abs()
    path = tmp_path / f"spectra.{kind}"
    if kind == "h5ad":
        AnnData(weights.T).write_h5ad(path)
    elif kind == "parquet":
        weights.rename_axis("gene").reset_index().to_parquet(path, index=False)
    else:
        weights.T.to_csv(path, sep="\t" if kind == "tsv" else ",")
    found = brought(cells, GENES, "", str(path))
    assert (found.cells, found.genes.shape) == (None, (3, 29))
    np.testing.assert_allclose(found.genes.X[:, :23], weights.T, rtol=1e-6)
    assert (found.genes.X[:, 23:] == 0).all()
    assert (found.genes.obs["firing_rate"] > 0).all()


def test_what_does_not_fit_is_refused_with_the_fix(cells, tmp_path):
    def written(table: pd.DataFrame, name: str) -> str:
        table.to_csv(tmp_path / name)
        return str(tmp_path / name)

    few, other = written(usage(rows=CELLS[:9]), "few.csv"), written(usage("abc", list(GENES)).abs(), "genes.csv")
    words = written(usage().assign(b="much"), "words.csv")
    (tmp_path / "mine.xlsx").write_text("x")
    for cell_programs, gene_programs, message in (
        (few, "", "has rows for 9 of 17 cells of this run .*give a table with a row for each"),
        ("", few, "has rows for 0 of 29 genes"),
        (written(usage().abs(), "mine.csv"), other, "has 2 programs and .* 3, and not the same names"),
        (words, "", "values that are missing or no numbers"),
        (str(tmp_path / "none.csv"), "", "no table of programs at"),
        (str(tmp_path / "mine.xlsx"), "", "no table of programs that can be read"),
    ):
        with pytest.raises(InputError, match=message):
            brought(cells, GENES, cell_programs, gene_programs)
