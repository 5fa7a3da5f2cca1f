"""Where a CP algorithm starts: at random, at singular vectors, or at an algebraic solution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdecomp._errors import check_choice, check_rank
from tdecomp._precision import full_precision
from tdecomp._program import one_program
from tdecomp._random import generator, normal
from tdecomp._typing import Array, Namespace, Seed
from tdecomp._xp import device, equilibrate, namespace, prepare, real_dtype
from tdecomp.cp._format import CP, as_cp
from tdecomp.cp._initial_gevd import algebraic
from tdecomp.cp._initial_sparse import sparse_left_vectors
from tdecomp.cp._normalise import unit_columns
from tdecomp.linalg._left_basis import left_basis
from tdecomp.ops._coo import COO, check_coo

INITS = ("random", "hosvd", "gevd")


@full_precision
def initialise(x: Any, /, *, rank: int, init: Any = "hosvd", rng: Seed = None) -> CP:
    r"""Return a CP decomposition for an iteration to start from.

    - ``'random'``: columns of independent Gaussian numbers.
    - ``'hosvd'``: the leading left singular vectors of each unfolding; where a mode is shorter
      than the rank, Gaussian columns make up for the rest.
    - ``'gevd'``: the algebraic solution. With two modes at least as long as the rank, a tensor of
      exact rank :math:`R` with generic factors has slices :math:`S_k = A \operatorname{diag}(c_k)
      B^T`, and the eigenvectors of any pencil :math:`(S_1, S_2)` of two combinations of them give
      :math:`B^{-T}` [1]_ [2]_. The slices are taken from the core of a truncated HOSVD, which
      keeps most of the noise out, and combined along their leading singular vectors and along
      random directions; of these solutions the best is kept. For a tensor of exact rank it is
      exact, up to rounding and the condition of the pencil. Where it does not exist (two modes,
      modes too short, a singular pencil) the start is that of ``'hosvd'``.
    - a `CP` is checked and returned.

    Columns have length one. The weights are those of equally large components with the norm of
    the tensor together, except after ``'gevd'``, where they solve the least-squares problem.

    Parameters
    ----------
    x : array, shape (n_0, ..., n_{d-1}), or COO
        The tensor.
    rank : int
        The number of components.
    init : {'random', 'hosvd', 'gevd'} or CP
        The start.
    rng : int, numpy.random.Generator or None
        Where random numbers come from.

    Returns
    -------
    CP
        The start, in the dtype of the tensor.

    Raises
    ------
    TypeError, ValueError
        If the tensor or an option is not one, or a `CP` has another shape, rank or library, or is
        complex for a real tensor.

    Notes
    -----
    For a dense tensor of `P` entries, singular vectors cost a few passes over it. Those of a
    sparse tensor come from a randomized method that multiplies by the unfolding and its adjoint,
    in blocks of columns: nothing is densified. It works on the host, as does the pencil of
    ``'gevd'``, whose size does not depend on that of the tensor.

    References
    ----------
    .. [1] S. E. Leurgans, R. T. Ross, R. B. Abel, "A decomposition for three-way arrays", SIAM J.
       Matrix Anal. Appl. 14, 1993. doi:10.1137/0614071
    .. [2] E. Sanchez, B. R. Kowalski, "Tensorial resolution: a direct trilinear decomposition",
       J. Chemometrics 4, 1990. doi:10.1002/cem.1180040105

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp import cp
    >>> x = cp.CP(np.array([3.0, 1.0]), (np.eye(2), np.eye(2), np.array([[2.0, 1], [1, 1]])))
    >>> start = cp.initialise(x.to_array(), rank=2, init="gevd", rng=0)
    >>> bool(td.relative_error(x.to_array(), start) < 1e-12)
    True
    """
    xp, x = as_data(x)
    rank = check_components(rank)
    return _initialise(x, rank, check_init(init, x, rank, xp=xp), generator(rng), xp=xp)


def check_components(rank: object, limit: int | None = None) -> int:
    """Return a number of components as an int between 1 and `limit`, or refuse it."""
    return check_rank(rank, limit, way="cp.suggest_rank helps to choose it")


def as_data(x: Any, /, *, name: str = "x") -> tuple[Namespace, Any]:
    """Validate a tensor, dense or sparse, and return it with its namespace."""
    if isinstance(x, COO):
        return check_coo(x, name=name)
    return prepare(x, ndim=1, batch=True, name=name)


def check_init(init: Any, x: Any, rank: int, *, xp: Namespace) -> Any:
    """Return the name of a start, or a decomposition of the shape and dtype of `x`."""
    if isinstance(init, str):
        return check_choice(init, INITS, name="init")
    values = values_of(x)
    namespace(values, *getattr(init, "factors", ()))
    _, cp = as_cp(init, name="init", like=values)
    if cp.shape != tuple(x.shape) or cp.rank != rank:
        raise ValueError(
            f"init must have shape {tuple(x.shape)} and rank {rank}, got shape {cp.shape} and "
            f"rank {cp.rank}"
        )
    if xp.isdtype(cp.dtype, "complex floating") and not xp.isdtype(
        values.dtype, "complex floating"
    ):
        raise ValueError("init is complex for a real x; pass its real part, or a complex x")
    weights = cp.weights
    if not xp.isdtype(weights.dtype, "complex floating"):
        weights = xp.astype(weights, real_dtype(values.dtype, xp), copy=False)
    return CP(weights, tuple(xp.astype(f, values.dtype, copy=False) for f in cp.factors))


def values_of(x: Any) -> Array:
    """Return the array that holds the entries of a tensor, dense or sparse."""
    return x.values if isinstance(x, COO) else x


def _initialise(x: Any, rank: int, init: Any, rng: np.random.Generator, *, xp: Namespace) -> CP:
    """Dispatch on a validated start."""
    if isinstance(init, CP):
        return init
    scaled, scale = _moderate(values_of(x), xp)
    norm = xp.linalg.vector_norm(scaled) * scale
    if init == "random":
        return random_start(x, rank, norm, rng, xp=xp)
    tensor = x._replace(values=scaled) if isinstance(x, COO) else scaled
    if init == "gevd":
        found = algebraic(tensor, rank, rng, xp=xp)
        if found is not None:
            return found._replace(weights=found.weights * scale)
    modes = range(len(x.shape))
    bases = [_padded(_left_vectors(tensor, mode, rank, rng, xp), rank, rng, xp) for mode in modes]
    return _evenly_weighted(bases, norm, xp)


def nearby(init: CP, held: dict[int, Array], size: float, norm: float, xp: Namespace) -> CP:
    """Return a start for data divided by `size`, whose `norm` is then moderate, as good as `init`.

    Columns get length one, but for factors that are `held` as they are given. A component that is
    smaller or larger than the data by a quarter of the range of exponents, or zero, says nothing
    about its size; given that of the data its directions are still worth something.
    """
    free = {mode: factor for mode, factor in enumerate(init.factors) if mode not in held}
    mantissas, exponents, columns = unit_columns(CP(init.weights, tuple(free.values())), xp=xp)
    middle = math.log2(norm or 1.0)
    far = math.log2(float(xp.finfo(mantissas.dtype).max)) / 4
    exponents, none = exponents - math.log2(size), mantissas == 0
    lost = none | (xp.abs(exponents - middle) > far)
    mantissas = xp.where(none, xp.ones_like(mantissas), mantissas)
    exponents = xp.where(lost, xp.full_like(exponents, middle), exponents)
    known = held | dict(zip(free, columns, strict=True))
    scale = xp.astype(xp.pow(xp.full_like(exponents, 2.0), exponents), mantissas.dtype)
    return CP(mantissas * scale, tuple(known[mode] for mode in range(init.modes)))


def random_start(
    x: Any, rank: int, norm: float | Array, rng: np.random.Generator, *, xp: Namespace
) -> CP:
    """Draw columns for a tensor like `x` of a given norm."""
    factors = [_unit_normal(rng, (n, rank), values_of(x), xp) for n in x.shape]
    return _evenly_weighted(factors, norm, xp)


def _evenly_weighted(factors: Sequence[Array], norm: float | Array, xp: Namespace) -> CP:
    """Give all components one weight, as if they were orthogonal parts of a given norm."""
    rank, like = factors[0].shape[1], factors[0]
    ones = xp.ones(rank, dtype=real_dtype(like.dtype, xp), device=device(like))
    return CP(ones * (norm / math.sqrt(rank)), tuple(factors))


def _moderate(values: Array, xp: Namespace) -> tuple[Array, Array]:
    """Return entries at a moderate scale, and the scale."""
    if values.shape[0] == 0:
        return values, xp.ones((), dtype=real_dtype(values.dtype, xp), device=device(values))
    scaled, scale = equilibrate(values, xp, axis=tuple(range(values.ndim)))
    return scaled, xp.reshape(scale, ())


def _left_vectors(x: Any, mode: int, rank: int, rng: np.random.Generator, xp: Namespace) -> Array:
    """Return as many leading left singular vectors of an unfolding as there are, up to `rank`."""
    if isinstance(x, COO):
        return sparse_left_vectors(x, mode, rank, rng, xp=xp)
    return left_basis(x, mode, rank=rank, rng=rng, xp=xp).U


def _padded(columns: Array, rank: int, rng: np.random.Generator, xp: Namespace) -> Array:
    """Add Gaussian columns of length one until there are `rank`."""
    n, known = columns.shape
    if known == rank:
        return columns
    return xp.concat([columns, _unit_normal(rng, (n, rank - known), columns, xp)], axis=1)


def _unit_normal(
    rng: np.random.Generator, shape: Sequence[int], like: Array, xp: Namespace
) -> Array:
    """Draw Gaussian columns of length one."""
    return _scaled_to_one(normal(rng, tuple(shape), like, xp), xp)


@one_program
def _scaled_to_one(columns: Array, xp: Namespace) -> Array:
    lengths = xp.linalg.vector_norm(columns, axis=0)
    return columns / xp.where(lengths > 0, lengths, xp.ones_like(lengths))
