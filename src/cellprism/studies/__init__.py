"""Analyses of a run, a folder each: settings, work, tables, claims and page, met through one record (``study``)."""
