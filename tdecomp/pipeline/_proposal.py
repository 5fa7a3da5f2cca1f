"""What will become of each tensor, decided before anything is written."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

from tdecomp._xp import finite, namespace
from tdecomp.compress import Layout, allocate, layout_of
from tdecomp.io import PLAN_KEY, Checkpoint, TensorInfo, duplicates
from tdecomp.linalg import breakeven_rank, tail_norms, truncated_svd, truncation_rank
from tdecomp.pipeline._methods import SKETCH_TOL, lacking, method_for, naming, norm_for, sketched
from tdecomp.pipeline._request import FACTOR_DTYPES, Request, checked

Watch = Callable[[str, float], object]
"""Called with the name of a tensor and the flops just spent on it."""

_FLOAT = ("F16", "BF16", "F32", "F64", "C64")
_ITEMSIZE = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "C64": 8}
# Storing balanced factors of A costs at most eps |A|, at right angles to what the rank cuts off.
_EPS = {"F16": 2.0**-10, "BF16": 2.0**-7, "F32": 2.0**-23, "F64": 2.0**-52, "C64": 2.0**-23}
_TRIAL = 384
_PASSES = 8
_WHOLE = {
    "optimal": "kept whole: cutting others costs less",
    "uniform": "kept whole: the budget has room for it",
    "energy": "kept whole: no smaller factors are as exact",
}


class Item(NamedTuple):
    """One tensor: how it is read as a matrix and the rank it gets, or why it stays as it is.

    Attributes
    ----------
    info : TensorInfo
        Name, shape, dtype and size.
    layout : Layout or None
        How the tensor is read as a matrix.
    rank : int or None
        The inner dimension of its two factors.
    why : str
        Why it stays dense; empty for a compressed one.
    method : str
        The method for it: that of the request where its statistics are known.
    tied : str or None
        The tensor that it repeats.
    spectrum : numpy.ndarray or None
        The singular values, in the norm of the method, that the rank was chosen from.
    """

    info: TensorInfo
    layout: Layout | None = None
    rank: int | None = None
    why: str = ""
    method: str = "svd"
    tied: str | None = None
    spectrum: Any = None

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
        return self.layout.matrix_shape if self.layout is not None else (0, 0)

    @property
    def stored(self) -> int:
        """How many numbers stay."""
        if self.tied is not None:
            return 0
        return self.info.size if self.rank is None else self.rank * sum(self.matrix_shape)

    @property
    def work(self) -> float:
        """Flops of the decomposition of its matrix."""
        m, n = self.matrix_shape
        if self.rank is not None and sketched(self.method, self.rank, (m, n)):
            return 2.0 * _PASSES * m * n * (self.rank + 10)
        return 6.0 * m * n * min(m, n) + 20.0 * min(m, n) ** 3


class Proposal(NamedTuple):
    """What will become of a checkpoint, in numbers, bytes, multiply-adds and time.

    Attributes
    ----------
    request : Request
        What was asked.
    items : tuple of Item
        One for each tensor, in the order of the checkpoint.
    """

    request: Request
    items: tuple[Item, ...]

    @property
    def compressed(self) -> tuple[Item, ...]:
        """The items that become two factors."""
        return tuple(item for item in self.items if item.rank is not None)

    @property
    def parameters(self) -> tuple[int, int]:
        """Numbers before and after."""
        return sum(i.info.size for i in self.items), sum(i.stored for i in self.items)

    @property
    def nbytes(self) -> tuple[int, int]:
        """Bytes before and after."""
        after = 0
        for item in self.items:
            kept = 0 if item.tied else item.info.nbytes
            factors = item.rank is not None
            after += item.stored * _ITEMSIZE[factor_code(self.request, item)] if factors else kept
        return sum(i.info.nbytes for i in self.items), after

    @property
    def multiply_adds(self) -> tuple[int, int]:
        """Multiply-adds of all matrices applied to one vector each, before and after.

        A matrix that is looked up by row costs none before, and its second factor after.
        """
        before = after = 0
        for item in self.items:
            if item.layout is None:
                continue
            (m, n), looked_up = item.matrix_shape, item.layout.kind == "embedding"
            dense = 0 if looked_up else m * n
            before += dense
            after += dense if item.rank is None else item.rank * (n if looked_up else m + n)
        return before, after

    @property
    def seconds(self) -> float:
        """A prediction of the time that `compress_checkpoint` takes, from one trial SVD."""
        trial = np.random.default_rng(0).standard_normal((_TRIAL, _TRIAL)).astype(np.float32)
        start = time.perf_counter()
        truncated_svd(trial, rank=1)
        rate = 26.0 * _TRIAL**3 / (time.perf_counter() - start)
        return sum(item.work for item in self.compressed) / rate


def propose(checkpoint: Checkpoint, request: Request, *, watch: Watch | None = None) -> Proposal:
    """Decide what becomes of every tensor of `checkpoint`; write nothing.

    Parameters
    ----------
    checkpoint : Checkpoint
        An open checkpoint.
    request : Request
        How much, and in which norm.
    watch : callable, optional
        Called with a name and the flops just spent, for each matrix whose spectrum is needed.

    Returns
    -------
    Proposal
        The ranks, and what they cost.

    Raises
    ------
    ValueError
        If the request contradicts itself or the checkpoint, is compressed already, its budget
        cannot be reached, or a matrix holds NaN or Inf; the message names the tensor and the
        first index.

    Notes
    -----
    Ranks from ``rank=`` and from ``allocate='uniform'`` need shapes only. The others read every
    matrix once and take its singular values.

    Examples
    --------
    >>> import tempfile, os
    >>> import numpy as np
    >>> from tdecomp.io import open_checkpoint
    >>> from tdecomp.pipeline import Request, propose
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.npz")
    >>> np.savez(path, dense=np.ones((40, 30), np.float32), bias=np.zeros(40))
    >>> with open_checkpoint(path) as checkpoint:
    ...     proposal = propose(checkpoint, Request(rank=2))
    >>> proposal.parameters
    (1240, 180)
    """
    _check_fits(checkpoint, checked(request))
    items = _survey(checkpoint, request)
    if request.keep is not None:
        items = _share(checkpoint, request, items, watch)
    else:
        items = [_fix(checkpoint, request, item, watch) for item in items]
    return Proposal(request, tuple(items))


def matrix_of(checkpoint: Checkpoint, item: Item) -> Any:
    """Read the matrix of `item`, in a dtype that LAPACK takes, and check that it is finite."""
    assert item.layout is not None
    weight = checkpoint.read(item.info.name)
    weight = weight.astype(np.float32) if item.info.dtype in ("F16", "BF16") else weight
    finite(weight, namespace(weight), name=item.info.name)
    return item.layout.matrix(weight)


def bias_of(name: str) -> str:
    """Return the name that the bias beside the weight `name` goes by."""
    return name.removesuffix("weight") + "bias"


def factor_code(request: Request, item: Item) -> str:
    """Return the dtype of the factors, as safetensors spells it; complex ones stay complex."""
    code = item.info.dtype
    return code if code == "C64" else FACTOR_DTYPES.get(request.dtype or "", code)


def _check_fits(checkpoint: Checkpoint, request: Request) -> None:
    """Refuse a checkpoint that is compressed already, and words that mean none of its tensors."""
    if PLAN_KEY in checkpoint.metadata:
        raise ValueError(
            f"{checkpoint.path} is compressed already, and its factors would lose their plan; "
            "compress the original, or what reconstruct makes of this"
        )
    for glob in request.include:
        if not any(fnmatchcase(name, glob) for name in checkpoint.names):
            raise ValueError(f"include={glob!r} matches no tensor of {checkpoint.path}")
    known = request.calibration
    if known is not None and not any(name in checkpoint for name in known):
        raise ValueError(
            f"the calibration names no tensor of {checkpoint.path}: it has statistics of "
            f"{next(iter(known), 'none')!r}, this has {next(iter(checkpoint), 'none')!r}"
        )
    if known and not any(statistics.serves(request.method) for statistics in known.values()):
        name, statistics = next(iter(known.items()))
        with naming(name):
            statistics.weights(request.method)


def _has_bias(checkpoint: Checkpoint, info: TensorInfo) -> bool:
    """Tell whether a bias lies beside a weight, one float for each of its rows."""
    if (name := bias_of(info.name)) not in checkpoint:
        return False
    bias = checkpoint.info(name)
    return bias.shape == info.shape[:1] and bias.dtype in _FLOAT


def _survey(checkpoint: Checkpoint, request: Request) -> list[Item]:
    """Tell matrices from the rest, and repetitions from originals."""
    items = []
    for name in checkpoint.names:
        info = checkpoint.info(name)
        layout, why = None, ""
        if not request.wants(name):
            why = "not selected"
        elif info.dtype not in _FLOAT:
            why = f"its dtype {info.dtype} is no float"
        else:
            layout, why = layout_of(name, info.shape)
        method = method_for(request, name, has_bias=_has_bias(checkpoint, info))
        if layout is not None and (gap := lacking(request, name, method)):
            layout, why = None, gap
        items.append(Item(info, layout, None, why, method))
    ties = duplicates(checkpoint, [i.info.name for i in items if i.layout is not None])
    return [
        item._replace(tied=ties[item.info.name], why=f"tied to {ties[item.info.name]}")
        if item.info.name in ties
        else item
        for item in items
    ]


def _open(item: Item) -> bool:
    """Tell whether the rank of `item` is still to be chosen."""
    return item.layout is not None and item.tied is None


def _spectrum(checkpoint: Checkpoint, request: Request, item: Item, watch: Watch | None) -> Any:
    """Return the singular values of the matrix of `item` in the norm of the method."""
    matrix = matrix_of(checkpoint, item)
    with naming(item.info.name):
        values = norm_for(request, item.info.name, item.method).spectrum(matrix)
    if watch is not None:
        watch(item.info.name, item.work)
    return np.asarray(values, dtype=np.float64)


def _share(
    checkpoint: Checkpoint, request: Request, items: list[Item], watch: Watch | None
) -> list[Item]:
    """Choose the ranks that spend the budget."""
    total = sum(item.info.size for item in items)
    chosen = [item for item in items if _open(item)]
    fixed = sum(item.stored for item in items if not _open(item))
    budget = math.floor((request.keep or 0) * total) - fixed
    least = sum(min(item.info.size, sum(item.matrix_shape)) for item in chosen)
    if budget < least:
        raise ValueError(
            f"keep={request.keep} cannot be reached: {fixed:,} of {total:,} numbers stay as they "
            f"are, and rank 1 in all other tensors makes keep={(fixed + least) / total:.4f}"
        )
    if request.rule == "uniform":
        spectra = [np.ones(min(item.matrix_shape)) for item in chosen]
    else:
        spectra = [_spectrum(checkpoint, request, item, watch) for item in chosen]
    shapes = [item.matrix_shape for item in chosen]
    norms = [norm_for(request, item.info.name, item.method) for item in chosen]
    shared = len({norm.unit for norm in norms}) == 1 and all(norm.comparable for norm in norms)
    unit = "absolute" if shared else "relative"
    ranks = iter(allocate(spectra, shapes, budget, rule=request.rule, normalise=unit).ranks)
    values = iter(spectra if request.rule != "uniform" else [None] * len(chosen))
    return [
        _ranked(item._replace(spectrum=next(values)), next(ranks), _WHOLE[request.rule])
        if _open(item)
        else item
        for item in items
    ]


def _fix(checkpoint: Checkpoint, request: Request, item: Item, watch: Watch | None) -> Item:
    """Give one tensor the rank that was asked for, or that its error allows."""
    if not _open(item):
        return item
    limit = breakeven_rank(*item.matrix_shape)
    if request.rtol is None:
        assert request.rank is not None
        why = f"kept whole: factors are smaller up to rank {limit}"
        return _ranked(item, request.rank if request.rank <= limit else None, why)
    s = _spectrum(checkpoint, request, item, watch)
    room = math.sqrt(max(request.rtol**2 - _EPS[factor_code(request, item)] ** 2, 0.0))
    atol = (1 - 2 * SKETCH_TOL) * room * float(tail_norms(s)[0])
    rank = truncation_rank(s, rank=request.rank, atol=atol)
    why = f"kept whole: rtol takes rank {rank}, factors are smaller up to {limit}"
    return _ranked(item._replace(spectrum=s), rank if rank <= limit else None, why)


def _ranked(item: Item, rank: int | None, why: str) -> Item:
    """Return `item` with its rank, or with the reason why it keeps its matrix."""
    return item._replace(rank=rank, why="" if rank else why)
