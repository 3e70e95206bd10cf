"""What gene identity alone explains, and what the study leaves on the page where something is missing."""

import pytest
from workflow.tiny import N_FEATURES, bar

from cellprism.report.context import read_context
from cellprism.sae.files import load_sae
from cellprism.store.atomic import read_json
from cellprism.store.run import Run
from cellprism.studies.fit.work import _controls, firing_histogram
from cellprism.studies.study import studies
from cellprism.studies.workbench import Workbench
from cellprism.workflow.config import config_of


@pytest.fixture
def bench(finished):
    return Workbench(Run(finished), config_of(Run(finished)), bar)


def test_gene_identity_alone_follows_from_both_explained_variances(bench):
    """With one error E: 1 - E/T = 0.968 and 1 - E/W = 0.88, so W/T = 0.032/0.12 is what gene means leave."""
    controls = _controls(bench, {"explained_variance": 0.968, "explained_within": 0.88}, bench.sae)
    assert controls["gene_mean"] == pytest.approx(1 - 0.032 / 0.12)


@pytest.mark.parametrize("within", [None, 1.0])
def test_without_centring_there_is_no_such_control(bench, within):
    controls = _controls(bench, {"explained_variance": 0.968, "explained_within": within}, bench.sae)
    assert set(controls) == {"untrained"}


def test_what_is_measured_is_what_the_training_wrote(finished):
    measures = studies()["fit"].read(finished / "fit").measures
    trained = read_json(finished / "sae/L0/metrics.json")
    for name in ("explained_variance", "l0", "dead_share", "dense_share"):
        assert getattr(measures, name) == trained[name]
    assert {"untrained", "gene_mean"} == set(measures.controls)
    assert read_context(finished).layer == 0


def test_every_feature_is_in_the_histogram_of_firing_once(finished):
    found = firing_histogram(load_sae(finished / "sae" / "L0"))
    assert sum(found.features) + found.never == N_FEATURES
    assert len(found.log10_edges) == len(found.features) + 1
