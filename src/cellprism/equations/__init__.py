"""The papers: pure functions on tensors and arrays, each with its formula, symbols, shapes and source."""
