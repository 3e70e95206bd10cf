"""Gene sets: collections, and the files that hold them."""
