"""Functions of many variables, as products of Chebyshev series."""
