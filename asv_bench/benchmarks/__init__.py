"""Speed and accuracy, tracked together.

The default sizes are for a smoke test; ``TDECOMP_BENCH=full`` in the environment selects those
that figures are quoted for.
"""
