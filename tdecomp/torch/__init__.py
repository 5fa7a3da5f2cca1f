"""PyTorch models: what data says about their weights, and layers that train a part of them.

The functions of the library take tensors as they are; only what concerns *modules* is here.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("tdecomp.torch needs PyTorch: pip install 'tdecomp-array[torch]'") from error

from tdecomp.torch._adapted import AdaptedLinear
from tdecomp.torch._calibrate import calibrate
from tdecomp.torch._muon import PolarMuon

__all__ = ["AdaptedLinear", "PolarMuon", "calibrate"]
