"""Matrices of low rank close to one whose every entry has a weight of its own."""
