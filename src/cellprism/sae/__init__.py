"""Sparse autoencoders: architecture, fitting, measuring, files. Knows no cells: it eats batches of vectors."""
