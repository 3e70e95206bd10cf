"""The parts of the benchmark of recovered truth."""
