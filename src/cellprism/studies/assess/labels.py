"""What the page calls the things that a model stands beside."""

ERROR_LABELS = {
    "model": "the model",
    "model as it is": "the model, gene means not put right",
    "ridge": "ridge regression on the other genes",
    "type mean": "mean of the cell's own type",
    "gene mean": "mean of the gene",
    "training gene mean": "mean of the gene in the model's training data",
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
    "model as it is": "the model, gene means not put right",
    "type mean": "mean of the cell's own type",
    "untrained network": "the same model, untrained",
    "gene mean": "mean of the gene",
}
NOISE = ", noise cells"
AGREEMENT_LABELS = {
    "hidden": "at hidden genes",
    "visible": "at visible genes",
    f"hidden{NOISE}": "at hidden genes of noise cells",
    f"visible{NOISE}": "at visible genes of noise cells",
}
