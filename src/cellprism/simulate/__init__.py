"""Worlds whose hidden variables are known, and how much of them is recovered."""
