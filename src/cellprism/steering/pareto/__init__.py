"""Both objectives of a contrast at once: how far a recipe can go in the embedding and in expression together."""
