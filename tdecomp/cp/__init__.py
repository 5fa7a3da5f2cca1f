"""CP decompositions: sums of rank-one tensors."""
