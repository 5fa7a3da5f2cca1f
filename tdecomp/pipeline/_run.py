"""From a proposal to a smaller checkpoint, and back."""

from __future__ import annotations

import math
import os
import time
from typing import Any, NamedTuple

import numpy as np

from tdecomp._measure import relative_error
from tdecomp.compress import Layout
from tdecomp.io import (
    PLAN_KEY,
    Checkpoint,
    CheckpointWriter,
    Plan,
    Record,
    encode_plan,
    factor_names,
    numpy_dtype,
    read_plan,
    stored_names,
)
from tdecomp.linalg import LowRank, tail_norms
from tdecomp.pipeline._methods import factorise, naming, norm_for
from tdecomp.pipeline._proposal import Item, Proposal, Watch, bias_of, factor_code, matrix_of

_ORDER = "names"  # the setting that remembers the order of the original checkpoint


class Outcome(NamedTuple):
    """What was done to a checkpoint.

    Attributes
    ----------
    proposal : Proposal
        What was planned; a matrix whose stored factors missed ``rtol`` is dense in it again.
    errors : dict of str to float
        The true relative error of every compressed tensor, as it is stored.
    seconds : float
        How long it took.
    """

    proposal: Proposal
    errors: dict[str, float]
    seconds: float


def compress_checkpoint(
    checkpoint: Checkpoint,
    proposal: Proposal,
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    settings: dict[str, Any] | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Write the smaller checkpoint that `proposal` describes, with the true error of each tensor.

    Parameters
    ----------
    checkpoint : Checkpoint
        The open checkpoint that the proposal was made from.
    proposal : Proposal
        What `propose` returned.
    out : str or path
        A ``.safetensors`` file; it appears when it is complete and not before.
    overwrite : bool, default False
        Whether an existing file may be replaced.
    settings : dict, optional
        What to record beside the plan: anything that JSON can hold.
    watch : callable, optional
        Called with a name and the flops just spent, for each matrix.

    Returns
    -------
    Outcome
        The errors, recomputed from the factors as stored.

    Raises
    ------
    OSError
        If the file exists, cannot be written, or the disk is full.
    ValueError
        If a matrix holds NaN or Inf, or names collide.

    Notes
    -----
    One tensor and its factors are in memory at a time.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> from tdecomp.io import open_checkpoint
    >>> from tdecomp.pipeline import Request, compress_checkpoint, propose
    >>> folder = tempfile.mkdtemp()
    >>> np.savez(os.path.join(folder, "weights.npz"), dense=np.eye(40, dtype=np.float32))
    >>> with open_checkpoint(os.path.join(folder, "weights.npz")) as checkpoint:
    ...     proposal = propose(checkpoint, Request(rank=10))
    ...     outcome = compress_checkpoint(
    ...         checkpoint, proposal, os.path.join(folder, "small.safetensors")
    ...     )
    >>> {name: round(error, 4) for name, error in outcome.errors.items()}
    {'dense': 0.866}
    """
    start = time.perf_counter()
    names = {item.info.name: item for item in proposal.items}
    planned = Plan(
        {name: _record(item, 0.0) for name, item in names.items() if item.rank},
        {name: item.tied for name, item in names.items() if item.tied},
        {},
    )
    stored_names(names, planned)
    records: dict[str, Record] = {}
    items: dict[str, Item] = {}
    biases: dict[str, Any] = {}
    expected = proposal.nbytes[1]
    with CheckpointWriter(out, overwrite=overwrite, expected_nbytes=expected) as writer:
        for item in _weights_first(proposal):
            name = item.info.name
            moved = name in biases
            record = _write(checkpoint, proposal, item, writer, biases)
            if item.rank and watch is not None:
                watch(name, item.work)
            if record is not None:
                records[name] = record
                items[name] = item
            elif item.rank:
                why = "kept whole: its stored factors would miss rtol"
                items[name] = item._replace(rank=None, why=why)
            else:
                items[name] = item._replace(why="moved by afm") if moved else item
        plan = Plan(records, planned.tied, (settings or {}) | {_ORDER: list(names)})
        writer.finish(checkpoint.metadata | encode_plan(plan))
    errors = {name: record.relative_error for name, record in records.items()}
    done = proposal._replace(items=tuple(items[name] for name in names))
    return Outcome(done, errors, time.perf_counter() - start)


def reconstruct_checkpoint(
    checkpoint: Checkpoint,
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    watch: Watch | None = None,
) -> Plan:
    """Write a checkpoint with the names, shapes and dtypes that a compressed one came from.

    Parameters
    ----------
    checkpoint : Checkpoint
        An open checkpoint that `compress_checkpoint` wrote.
    out : str or path
        A ``.safetensors`` file; it appears when it is complete and not before.
    overwrite : bool, default False
        Whether an existing file may be replaced.
    watch : callable, optional
        Called with a name and the flops just spent, for each matrix.

    Returns
    -------
    Plan
        What had been done to it.

    Raises
    ------
    ValueError
        If the checkpoint was not written by tdecomp, or its plan is damaged.
    OSError
        If the file exists, cannot be written, or the disk is full.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> from tdecomp.io import open_checkpoint
    >>> from tdecomp.pipeline import (
    ...     Request, compress_checkpoint, propose, reconstruct_checkpoint
    ... )
    >>> folder = tempfile.mkdtemp()
    >>> source, small, large = (
    ...     os.path.join(folder, name) for name in ("a.npz", "b.safetensors", "c.safetensors")
    ... )
    >>> np.savez(source, dense=np.ones((40, 30), np.float32))
    >>> with open_checkpoint(source) as checkpoint:
    ...     proposal = propose(checkpoint, Request(rank=1))
    ...     outcome = compress_checkpoint(checkpoint, proposal, small)
    >>> with open_checkpoint(small) as checkpoint:
    ...     plan = reconstruct_checkpoint(checkpoint, large)
    >>> with open_checkpoint(large) as checkpoint:
    ...     bool(abs(checkpoint.read("dense") - 1).max() < 1e-6)
    True
    """
    plan = read_plan(checkpoint)
    metadata = {key: text for key, text in checkpoint.metadata.items() if key != PLAN_KEY}
    expected = _nbytes(checkpoint, plan)
    with CheckpointWriter(out, overwrite=overwrite, expected_nbytes=expected) as writer:
        for name in _original_names(checkpoint, plan):
            writer.add(name, _restored(checkpoint, plan, plan.tied.get(name, name), watch))
        writer.finish(metadata)
    return plan


def _original_names(checkpoint: Checkpoint, plan: Plan) -> list[str]:
    """Return the names before compression, in their order where the plan remembers it."""
    factors = {factor for name in plan.records for factor in factor_names(name)}
    kept = [name for name in checkpoint.names if name not in factors]
    names = [*kept, *plan.records, *plan.tied]
    order = plan.settings.get(_ORDER, names)
    known = isinstance(order, list) and sorted(map(str, order)) == sorted(names)
    return order if known else names


def _nbytes(checkpoint: Checkpoint, plan: Plan) -> int:
    """Return the bytes of the checkpoint that `plan` was made from."""
    factors = [factor for name in plan.records for factor in factor_names(name)]
    rest = sum(checkpoint.info(name).nbytes for name in checkpoint.names if name not in factors)
    return rest + sum(
        math.prod(r.shape) * numpy_dtype(r.dtype).itemsize for r in plan.records.values()
    )


def _restored(checkpoint: Checkpoint, plan: Plan, name: str, watch: Watch | None) -> Any:
    """Return a tensor as it was named, shaped and typed before."""
    if name not in plan.records:
        return checkpoint.read(name)
    record = plan.records[name]
    left, right = (_wide(checkpoint.read(factor)) for factor in factor_names(name))
    tensor = Layout.from_dict(record.layout).tensor(left @ right)
    if watch is not None:
        watch(name, 2.0 * left.size * right.shape[1])
    return tensor.astype(numpy_dtype(record.dtype))


def _wide(x: Any) -> Any:
    """Return an array in a dtype that NumPy multiplies well: float32 for narrower ones."""
    return x.astype(np.float32) if x.dtype.itemsize <= 2 else x


def _weights_first(proposal: Proposal) -> list[Item]:
    """Order a weight before the bias that its method moves."""
    moved = {bias_of(item.info.name) for item in proposal.items if item.method == "afm"}
    return sorted(proposal.items, key=lambda item: item.info.name in moved)


def _write(
    checkpoint: Checkpoint,
    proposal: Proposal,
    item: Item,
    writer: CheckpointWriter,
    biases: dict[str, Any],
) -> Record | None:
    """Write one tensor, as its factors where it has a rank; return what to remember of those."""
    name, rank = item.info.name, item.rank
    if item.tied is not None:
        return None
    if rank is None:
        tensor = checkpoint.read(name)
        writer.add(name, biases.pop(name, tensor).astype(tensor.dtype))
        return None
    request = proposal.request
    matrix = matrix_of(checkpoint, item)
    bias = _wide(checkpoint.read(bias_of(name))) if item.method == "afm" else None
    with naming(name):
        left, right, bias = factorise(request, name, item.method, matrix, rank=rank, bias=bias)
    left, right = _stored(left, right, factor_code(request, item), name)
    double = np.result_type(_wide(left), np.float64)
    stored = LowRank(left.astype(double), right.astype(double))
    error = float(relative_error(matrix, stored))
    if _misses(proposal, item, matrix, stored, error):
        writer.add(name, checkpoint.read(name))
        return None
    if bias is not None:
        biases[bias_of(name)] = bias
    for factor, array in zip(factor_names(name), (left, right), strict=True):
        writer.add(factor, array)
    return _record(item, error)


def _stored(left: Any, right: Any, code: str, name: str) -> tuple[Any, Any]:
    """Return two factors in the dtype `code`, if that can hold them."""
    dtype = numpy_dtype(code)
    with np.errstate(over="ignore"):
        left, right = left.astype(dtype), right.astype(dtype)
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ValueError(f"{name}: its factors overflow {dtype}; choose dtype='float32'")
    return left, right


def _misses(proposal: Proposal, item: Item, matrix: Any, stored: LowRank, error: float) -> bool:
    """Tell whether factors as stored break the promise of `rtol`, in the norm of the method."""
    request = proposal.request
    if request.rtol is None or item.rank == request.rank:
        return False
    if item.method != "svd":
        norm = norm_for(request, item.info.name, item.method)
        error = float(norm.error(matrix, stored)) / (float(tail_norms(item.spectrum)[0]) or 1.0)
    return error > request.rtol


def _record(item: Item, error: float) -> Record:
    """Return what the plan remembers of a compressed tensor."""
    assert item.layout is not None
    assert item.rank is not None
    info = item.info
    layout = item.layout
    return Record(
        item.method,
        info.shape,
        info.dtype,
        layout.to_dict(),
        layout.matrix_shape,
        item.rank,
        error,
    )
