"""Functions from few of their values: fibres, interpolation nodes, and what compares them."""
