"""AIDO.Cell: every gene of a list is a token, its count the value; files, pretraining, and how good such a model is."""
