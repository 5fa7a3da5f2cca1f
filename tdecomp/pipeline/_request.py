"""What is asked of a checkpoint, with every contradiction refused before any work."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from tdecomp._errors import check_choice, check_rank, check_rtol
from tdecomp.compress import METHODS, Statistics

RULES = ("optimal", "uniform", "energy")
# Methods whose errors of different tensors share one unit, so that one may be traded for another.
_SHARED = ("svd", "fwsvd", "gfwsvd")
FACTOR_DTYPES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"}


class Request(NamedTuple):
    """How to compress a checkpoint: one target, and how to reach it.

    Attributes
    ----------
    keep : float, optional
        The fraction of all numbers of the checkpoint that may stay.
    rtol : float, optional
        The relative error that each matrix may have, in the norm of the method.
    rank : int, optional
        The rank of each matrix; with `rtol` an upper limit.
    method : str
        One of `tdecomp.compress.METHODS`: the norm to be optimal in.
    allocate : str
        How `keep` is shared out: ``optimal``, ``uniform`` or ``energy``. By default ``optimal``
        where the errors of different tensors share one unit (``svd``, ``fwsvd``, ``gfwsvd``); an
        error in the outputs of one layer says nothing beside that of another, so ``uniform`` for
        the other methods.
    include, exclude : tuple of str
        Globs over tensor names.
    dtype : str, optional
        The dtype of the stored factors; that of the tensor by default.
    calibration : mapping, optional
        Statistics by tensor name, for all methods but ``svd``; a tensor that it does not name
        gets that.
    seed : int
        Seed of the randomized SVD, which serves small ranks of large matrices.
    """

    keep: float | None = None
    rtol: float | None = None
    rank: int | None = None
    method: str = "svd"
    allocate: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    dtype: str | None = None
    calibration: Mapping[str, Statistics] | None = None
    seed: int = 0

    @property
    def rule(self) -> str:
        """The rule of allocation."""
        return self.allocate or ("optimal" if self.method in _SHARED else "uniform")

    def wants(self, name: str) -> bool:
        """Tell whether the globs select the tensor `name`."""
        included = not self.include or any(fnmatchcase(name, glob) for glob in self.include)
        return included and not any(fnmatchcase(name, glob) for glob in self.exclude)


def checked(request: Request) -> Request:
    """Return `request` if it can be followed, or say what contradicts what.

    Parameters
    ----------
    request : Request
        What is asked.

    Returns
    -------
    Request
        The same.

    Raises
    ------
    ValueError, TypeError
        If an option is out of range, or two contradict each other.

    Examples
    --------
    >>> from tdecomp.pipeline import Request, checked
    >>> checked(Request(keep=0.5, rank=3))
    Traceback (most recent call last):
    ValueError: keep= contradicts rank= and rtol=: a budget chooses the ranks itself
    """
    check_choice(request.method, METHODS, name="method")
    check_choice(request.rule, RULES, name="allocate")
    targets = request.keep is not None, request.rtol is not None or request.rank is not None
    if not any(targets):
        raise ValueError("say how much: keep= (a fraction of the numbers), rtol= or rank=")
    if all(targets):
        raise ValueError("keep= contradicts rank= and rtol=: a budget chooses the ranks itself")
    if request.allocate is not None and request.keep is None:
        raise ValueError("allocate= shares out keep=: give keep= too")
    if request.keep is not None and not 0.0 < request.keep < 1.0:
        raise ValueError(f"keep must lie strictly between 0 and 1, got {request.keep}")
    if request.rtol is not None:
        check_rtol(request.rtol)
    if request.rank is not None:
        check_rank(request.rank)
    if request.dtype is not None:
        check_choice(request.dtype, tuple(FACTOR_DTYPES), name="dtype")
    if request.method != "svd" and request.calibration is None:
        raise ValueError(f"method {request.method!r} looks at data: give calibration= too")
    if request.method == "svd" and request.calibration is not None:
        raise ValueError(f"method {request.method!r} does not look at data: drop calibration=")
    return request
