"""Where a cell model and a sparse autoencoder meet: training on residuals, tables of features, baselines."""
