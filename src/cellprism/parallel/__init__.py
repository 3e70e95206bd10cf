"""Work in shards: mapped over processes or machines, a file each, gathered in order. Knows no cells and no models."""
