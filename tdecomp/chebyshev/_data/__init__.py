"""Functions from data: values on grids or at scattered points, sums of products; and back."""
