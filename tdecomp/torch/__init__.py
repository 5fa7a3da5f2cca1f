"""PyTorch models: what calibration data says about their weights.

The functions of the library take tensors as they are; only what concerns *modules* is here.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("tdecomp.torch needs PyTorch: pip install 'tdecomp-array[torch]'") from error

from tdecomp.torch._calibrate import calibrate

__all__ = ["calibrate"]
