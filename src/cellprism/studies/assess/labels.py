"""What the page calls the things that a model stands beside."""

ERROR_LABELS = {
    "model": "the model",
    "ridge": "ridge regression on the other genes",
    "type mean": "mean of the cell's own type",
    "gene mean": "mean of the gene",
}
TYPE_LABELS = {
    "residuals": "the model's inner state",
    "vectors": "the model's inner state",
    "raw expression": "raw expression",
    "untrained network": "the same network, untrained",
    "largest type": "always naming the largest type",
}
OURS = ("residuals", "vectors")
"""What of the model cell types are read from."""
GAIN_LABELS = {
    "model": "the model",
    "type mean": "mean of the cell's own type",
    "untrained network": "the same model, untrained",
}
