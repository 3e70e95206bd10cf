"""What the page calls the things that an autoencoder stands beside."""

CONTROL_LABELS = {"gene_mean": "gene identity alone", "untrained": "untrained autoencoder"}
