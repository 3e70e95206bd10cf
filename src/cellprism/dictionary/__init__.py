"""A dictionary: a trained autoencoder with its card, as a folder to pass on, and cells encoded with it."""
