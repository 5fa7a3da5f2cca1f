"""JAX models: updates of an optimiser from optax that follow polar factors.

The functions of the library take arrays of JAX as they are; only what concerns *training* is here.
"""

try:
    import jax as _jax  # noqa: F401
    import optax as _optax  # noqa: F401
except ImportError as error:
    raise ImportError(
        "tdecomp.jax needs JAX and optax: pip install 'tdecomp-array[jax]'"
    ) from error

from tdecomp.jax._scale_by_polar import ScaleByPolarState, scale_by_polar

__all__ = ["ScaleByPolarState", "scale_by_polar"]
