"""Extrema and common roots, with proofs: boxes, what series prove on them, and searches."""
