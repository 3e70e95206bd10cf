"""Planted cells that models of the family are pretrained on."""

import numpy as np
import pytest
from anndata import AnnData

from cellprism.models.aido.pretrain import Counts
from cellprism.models.held_out import held_out_cells
from models.planted import QUICK, planted_cells


@pytest.fixture(scope="package")
def cells() -> AnnData:
    return planted_cells()


@pytest.fixture(scope="package")
def counts(cells) -> Counts:
    return Counts.of(cells)


@pytest.fixture(scope="package")
def split(cells) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on, and those held out."""
    return held_out_cells(cells.n_obs, QUICK.held_out, QUICK.seed)
