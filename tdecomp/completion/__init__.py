"""Matrices of low rank from the entries that are known, robust to those that are wrong."""
