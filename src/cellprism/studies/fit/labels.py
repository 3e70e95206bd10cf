"""What the page calls the things that an autoencoder stands beside."""

CONTROL_LABELS = {
    "gene_mean": "gene identity alone",
    "untrained": "untrained autoencoder",
    "covariance": "random directions with the inner state's covariance",
    "tokens": "vectors of the inner state as directions",
    "components": "principal components, both signs",
}
