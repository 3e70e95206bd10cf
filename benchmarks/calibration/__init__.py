"""Worlds in which a claim's null hypothesis is known to hold, or to fail by a known size."""
