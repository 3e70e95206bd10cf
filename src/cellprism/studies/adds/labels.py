"""The sources of directions, and what the page calls them and the columns."""

from cellprism.studies.fit.labels import CONTROL_LABELS

TRAINED, TOKENS, COVARIANCE, COMPONENTS = "trained", "tokens", "covariance", "components"
ISOTROPIC, PROJECTIONS = "isotropic", "projections"
SOURCES = {
    TRAINED: "trained autoencoder",
    **{name: CONTROL_LABELS[name] for name in (TOKENS, COVARIANCE, COMPONENTS)},
    ISOTROPIC: "random directions of the inner state, all dimensions alike",
    PROJECTIONS: "random projections of the cells' own log counts",
}
"""In the order of the table."""
