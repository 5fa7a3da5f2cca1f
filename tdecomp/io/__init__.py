"""Files: checkpoints larger than memory, compressed checkpoints, and the library's formats."""

from tdecomp.io._checkpoint import Checkpoint, duplicates, open_checkpoint
from tdecomp.io._formats import load, save
from tdecomp.io._plan import (
    PLAN_KEY,
    Plan,
    Record,
    decode_plan,
    encode_plan,
    factor_names,
    read_plan,
    stored_names,
)
from tdecomp.io._tensors import CheckpointError, TensorInfo, numpy_dtype
from tdecomp.io._tns import read_tns, write_tns
from tdecomp.io._writer import CheckpointWriter

__all__ = [
    "PLAN_KEY",
    "Checkpoint",
    "CheckpointError",
    "CheckpointWriter",
    "Plan",
    "Record",
    "TensorInfo",
    "decode_plan",
    "duplicates",
    "encode_plan",
    "factor_names",
    "load",
    "numpy_dtype",
    "open_checkpoint",
    "read_plan",
    "read_tns",
    "save",
    "stored_names",
    "write_tns",
]
