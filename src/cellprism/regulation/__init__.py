"""Does a model know who regulates whom, or only who goes with whom: edges, matched pools, probes, inference."""
