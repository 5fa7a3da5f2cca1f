"""Whole checkpoints: decide what becomes of each tensor, do it, prove it, undo it."""

from tdecomp.pipeline._proposal import Item, Proposal, propose
from tdecomp.pipeline._report import report
from tdecomp.pipeline._request import Request, checked
from tdecomp.pipeline._run import Outcome, compress_checkpoint, reconstruct_checkpoint

__all__ = [
    "Item",
    "Outcome",
    "Proposal",
    "Request",
    "checked",
    "compress_checkpoint",
    "propose",
    "reconstruct_checkpoint",
    "report",
]
