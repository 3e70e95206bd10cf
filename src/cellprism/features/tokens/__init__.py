"""The tokens that autoencoders learn from: read from a model, kept, stored, and mixed into batches."""
