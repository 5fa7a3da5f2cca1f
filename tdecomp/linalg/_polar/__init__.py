"""Polar decompositions, what lives on them, and the polynomials that approach them."""
