"""Files on disk: atomic writes, tables, and the run folder."""
