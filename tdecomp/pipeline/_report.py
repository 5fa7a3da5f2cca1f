"""What was planned or done to a checkpoint, as plain values that JSON can hold."""

from __future__ import annotations

from typing import Any

from tdecomp.pipeline._proposal import Item, Proposal
from tdecomp.pipeline._run import Outcome


def report(done: Proposal | Outcome) -> dict[str, Any]:
    """Describe a proposal or an outcome in values that JSON can hold.

    Parameters
    ----------
    done : Proposal or Outcome
        What `propose` or `compress_checkpoint` returned.

    Returns
    -------
    dict
        ``totals`` (numbers, bytes and multiply-adds before and after; seconds, predicted for a
        proposal and measured for an outcome) and ``tensors``, one entry each.

    Examples
    --------
    >>> from tdecomp.io import TensorInfo
    >>> from tdecomp.pipeline import Item, Proposal, Request, report
    >>> bias = Item(TensorInfo("bias", (8,), "F32", 32), why="one axis")
    >>> report(Proposal(Request(rank=1), (bias,)))["tensors"]
    [{'name': 'bias', 'shape': [8], 'dtype': 'F32', 'kept': 8, 'why': 'one axis'}]
    """
    proposal, errors = (done.proposal, done.errors) if isinstance(done, Outcome) else (done, {})
    pairs = {
        "numbers": proposal.parameters,
        "bytes": proposal.nbytes,
        "multiply_adds": proposal.multiply_adds,
    }
    totals = {name: {"before": b, "after": a} for name, (b, a) in pairs.items()}
    return {
        "method": proposal.request.method,
        "totals": {**totals, "seconds": done.seconds},
        "tensors": [_entry(item, errors.get(item.info.name)) for item in proposal.items],
    }


def _entry(item: Item, error: float | None) -> dict[str, Any]:
    """Describe one tensor; what does not apply to it is left out."""
    info = item.info
    entry: dict[str, Any] = {"name": info.name, "shape": list(info.shape), "dtype": info.dtype}
    entry["kept"] = item.stored
    if item.layout is not None:
        entry["matrix_shape"] = list(item.matrix_shape)
    if item.rank is not None:
        entry |= {"rank": item.rank, "method": item.method}
    if error is not None:
        entry["relative_error"] = error
    if item.why:
        entry["why"] = item.why
    return entry
