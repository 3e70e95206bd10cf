"""Which features, and how strongly, turn one cell type into another; and what chance would do."""
