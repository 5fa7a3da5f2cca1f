"""Tucker decompositions: a small core in a basis for each mode."""
