"""A finished run in a notebook: its tables, its cells, and its results taken elsewhere."""
