"""Sums, products, norms, fields, and functions on other boxes."""
