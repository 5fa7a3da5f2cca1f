"""Values at points and on grids."""
