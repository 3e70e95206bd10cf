"""Steps on a run folder: what the command line's verbs do, in the order in which they build on each other."""
