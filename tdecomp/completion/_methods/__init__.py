"""One way to complete a matrix in each file."""
