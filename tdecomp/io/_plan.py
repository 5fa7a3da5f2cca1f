"""How a compressed checkpoint says what was done to each tensor."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tdecomp.io._checkpoint import Checkpoint
from tdecomp.io._tensors import CheckpointError, floating

PLAN_KEY = "tdecomp"
PLAN_FORMAT = 1


class Record(NamedTuple):
    """What became of one compressed tensor.

    Attributes
    ----------
    method : str
        The method that made the factors.
    shape : tuple of int
        The shape of the original tensor.
    dtype : str
        Its dtype, as safetensors spells it.
    layout : dict
        How the tensor was read as a matrix, in words that JSON can hold.
    matrix_shape : tuple of two int
        The shape ``(m, n)`` of that matrix.
    rank : int
        The inner dimension of ``left @ right``.
    relative_error : float
        The true relative error of the stored factors, Frobenius norm.
    """

    method: str
    shape: tuple[int, ...]
    dtype: str
    layout: dict[str, Any]
    matrix_shape: tuple[int, int]
    rank: int
    relative_error: float


class Plan(NamedTuple):
    """What became of a checkpoint; tensors it does not name are stored as they were.

    Attributes
    ----------
    records : dict of str to Record
        The compressed tensors by name, each stored as the two tensors of `factor_names`.
    tied : dict of str to str
        Tensors that are not stored because they equal another one, with its name.
    settings : dict
        How the plan was made: versions, budget, seed; anything that JSON can hold.
    """

    records: dict[str, Record]
    tied: dict[str, str]
    settings: dict[str, Any]


def factor_names(name: str) -> tuple[str, str]:
    """Return the names under which the factors of the tensor `name` are stored.

    Parameters
    ----------
    name : str
        A compressed tensor.

    Returns
    -------
    tuple of two str
        The name of the ``(m, r)`` factor and of the ``(r, n)`` factor.

    Examples
    --------
    >>> from tdecomp.io import factor_names
    >>> factor_names("dense.weight")
    ('dense.weight.left', 'dense.weight.right')
    """
    return f"{name}.left", f"{name}.right"


def stored_names(names: Iterable[str], plan: Plan) -> dict[str, tuple[str, ...]]:
    """Tell under which names each tensor of a checkpoint is stored by `plan`, without clashes.

    Parameters
    ----------
    names : iterable of str
        The tensors of the original checkpoint.
    plan : Plan
        What becomes of them.

    Returns
    -------
    dict of str to tuple of str
        Two names for a compressed tensor, none for a tied one, its own for any other.

    Raises
    ------
    ValueError
        If two tensors would be stored under one name, as when a checkpoint holds both ``a``,
        compressed, and ``a.left``.

    Examples
    --------
    >>> from tdecomp.io import Plan, Record, stored_names
    >>> record = Record("svd", (4, 4), "F32", {}, (4, 4), 1, 0.1)
    >>> stored_names(["a", "b", "c"], Plan({"a": record}, {"b": "a"}, {}))
    {'a': ('a.left', 'a.right'), 'b': (), 'c': ('c',)}
    """
    stored: dict[str, tuple[str, ...]] = {}
    owner: dict[str, str] = {}
    for name in names:
        kept = () if name in plan.tied else (name,)
        stored[name] = factor_names(name) if name in plan.records else kept
        for key in stored[name]:
            other = owner.setdefault(key, name)
            if other != name:
                raise ValueError(
                    f"tensors {other!r} and {name!r} would both be stored as {key!r}; "
                    "exclude one of them from compression"
                )
    return stored


def encode_plan(plan: Plan) -> dict[str, str]:
    """Write `plan` as metadata of a checkpoint, which `decode_plan` reads back unchanged.

    Parameters
    ----------
    plan : Plan
        What became of a checkpoint.

    Returns
    -------
    dict of str to str
        One entry, under the key ``"tdecomp"``, of JSON text.

    Raises
    ------
    ValueError
        If `decode_plan` would refuse the plan: a rank above the matrix, an error that is not a
        number, a tie to a tensor that is tied itself.

    Examples
    --------
    >>> from tdecomp.io import Plan, Record, decode_plan, encode_plan
    >>> record = Record("svd", (4, 3), "F32", {}, (4, 3), 1, 0.125)
    >>> plan = Plan({"weight": record}, {"copy": "weight"}, {"tdecomp": "0.1.0"})
    >>> decode_plan(encode_plan(plan)) == plan
    True
    """
    records = {name: record._asdict() for name, record in plan.records.items()}
    content = {"format": PLAN_FORMAT, "plan": records, "tied": plan.tied}
    text = json.dumps(content | {"settings": plan.settings}, allow_nan=False)
    metadata = {PLAN_KEY: text}
    decode_plan(metadata)
    return metadata


def decode_plan(metadata: Mapping[str, str]) -> Plan:
    """Read the plan from the metadata of a checkpoint that ``tdecomp compress`` wrote.

    Parameters
    ----------
    metadata : mapping of str to str
        The metadata of a checkpoint.

    Returns
    -------
    Plan
        What became of it.

    Raises
    ------
    ValueError
        If there is no plan, it is damaged or contradicts itself, or comes from a later version.

    Examples
    --------
    >>> from tdecomp.io import decode_plan
    >>> decode_plan({"format": "pt"})
    Traceback (most recent call last):
    ValueError: this checkpoint was not written by tdecomp compress: it has no plan
    """
    if PLAN_KEY not in metadata:
        raise ValueError("this checkpoint was not written by tdecomp compress: it has no plan")
    try:
        content = json.loads(metadata[PLAN_KEY])
        if content["format"] == PLAN_FORMAT:
            records = {name: _record(entry) for name, entry in content["plan"].items()}
            plan = Plan(records, dict(content["tied"]), dict(content["settings"]))
            if set(plan.tied) & (set(plan.tied.values()) | set(records)):
                raise ValueError("a tensor is tied to one that is tied itself")
            return plan
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"the plan of this checkpoint is damaged, or not of tdecomp compress: {error!r}"
        ) from error
    raise ValueError(
        f"the plan of this checkpoint has format {content['format']!r}, this version of tdecomp "
        f"reads format {PLAN_FORMAT}; upgrade tdecomp"
    )


def _record(entry: dict[str, Any]) -> Record:
    """Build a record from JSON and check that it can be true."""
    fields = {field: entry[field] for field in Record._fields}
    for field in ("shape", "matrix_shape"):
        fields[field] = tuple(int(length) for length in fields[field])
    record = Record(**fields)
    m, n = record.matrix_shape
    possible = (
        isinstance(record.method, str)
        and isinstance(record.layout, dict)
        and floating(record.dtype)
        and min(record.shape) > 0
        and math.prod(record.shape) == m * n
        and isinstance(record.rank, int)
        and 1 <= record.rank <= min(m, n)
        and 0 <= record.relative_error < math.inf
    )
    if not possible:
        raise ValueError(f"impossible {record}")
    return record


def read_plan(checkpoint: Checkpoint) -> Plan:
    """Read the plan of an open checkpoint and check that the checkpoint holds what it says.

    Parameters
    ----------
    checkpoint : Checkpoint
        A file that ``tdecomp compress`` wrote.

    Returns
    -------
    Plan
        What became of it.

    Raises
    ------
    ValueError
        As `decode_plan` does.
    CheckpointError
        If a factor or a tied tensor is missing, or has another shape than the plan says.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> from tdecomp.io import CheckpointWriter, Plan, Record, encode_plan
    >>> from tdecomp.io import open_checkpoint, read_plan
    >>> path = os.path.join(tempfile.mkdtemp(), "small.safetensors")
    >>> record = Record("svd", (4, 3), "F32", {}, (4, 3), 1, 0.125)
    >>> with CheckpointWriter(path) as writer:
    ...     writer.add("weight.left", np.ones((4, 1)))
    ...     writer.add("weight.right", np.ones((1, 3)))
    ...     writer.finish(encode_plan(Plan({"weight": record}, {}, {})))
    >>> with open_checkpoint(path) as checkpoint:
    ...     read_plan(checkpoint).records["weight"].rank
    1
    """
    plan = decode_plan(checkpoint.metadata)
    for name, record in plan.records.items():
        m, n = record.matrix_shape
        shapes = (m, record.rank), (record.rank, n)
        for factor, shape in zip(factor_names(name), shapes, strict=True):
            found = checkpoint.info(factor).shape if factor in checkpoint else "nothing"
            if found != shape:
                raise CheckpointError(
                    f"{checkpoint.path}: the plan says that {factor!r} has shape {shape}, "
                    f"found {found}"
                )
    missing = [name for name in plan.tied.values() if name not in {*plan.records, *checkpoint}]
    if missing:
        raise CheckpointError(
            f"{checkpoint.path}: {missing[0]!r}, which others repeat, is missing"
        )
    return plan
