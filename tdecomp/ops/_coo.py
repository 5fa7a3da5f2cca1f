"""Sparse tensors in coordinates: sorted, unique, in any library of arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._shim import index_add
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import as_array, as_floating, concrete, device, finite, is_numpy, namespace
from tdecomp.ops._operands import first_array
from tdecomp.ops._region import index_of, indices_of, is_index, parts
from tdecomp.ops._sparse_sort import canonical, in_order


class COO(NamedTuple):
    r"""A sparse tensor by the coordinates of its entries.

    .. math:: X = \sum_p v_p \, e_{i_{0p}} \otimes \cdots \otimes e_{i_{d-1,p}}

    `coo` builds one and makes it canonical: coordinates are unique and in C order, the last mode
    running fastest. The fields are what the constructors of other libraries take:
    ``sparse.COO(*x)`` and ``torch.sparse_coo_tensor(*x)``.

    Attributes
    ----------
    indices : array of int64, shape (d, nnz)
        The coordinates, one column for each entry.
    values : array, shape (nnz,)
        The entries. Explicit zeros are entries: what is stored counts as observed.
    shape : tuple of int
        Lengths of the modes.

    See Also
    --------
    coo : validates, sorts and sums.

    Examples
    --------
    >>> from tdecomp.ops import coo
    >>> x = coo([[0, 1, 0], [2, 0, 2]], [1.0, 5.0, 2.0], (2, 3))
    >>> x.nnz
    2
    >>> x.to_array()
    array([[0., 0., 3.],
           [5., 0., 0.]])
    """

    indices: Array
    values: Array
    shape: tuple[int, ...]

    @property
    def modes(self) -> int:
        """Number of modes."""
        return len(self.shape)

    @property
    def nnz(self) -> int:
        """Number of stored entries."""
        return int(self.values.shape[0])

    @property
    def dtype(self) -> DType:
        """The dtype of the entries."""
        return self.values.dtype

    @full_precision
    def to_array(self, region: Any = None) -> Array:
        """Return the tensor, or a region of it, with its zeros.

        Parameters
        ----------
        region : slice or tuple, optional
            A slice of the first mode, or one entry for each mode: a slice, an int (which drops
            the mode), or a 1-d array of indices.

        Returns
        -------
        array
            The region, at the cost of its size and one look at the coordinates.
        """
        xp = namespace(self.indices, self.values)
        places, inside, sizes, orders, kept = 0, None, [], [], []
        for mode, (part, n) in enumerate(zip(parts(region, self.modes), self.shape, strict=True)):
            place, hit, size, order = _locate(self.indices[mode, ...], part, n, mode, xp)
            places = places * size + place
            inside = hit if inside is None else (inside if hit is None else inside & hit)
            sizes.append(size)
            if not is_index(part):
                kept.append(size)
                orders.append(order)
        values = self.values
        if inside is not None:
            chosen = xp.nonzero(inside)[0]
            places, values = xp.take(places, chosen, axis=0), xp.take(values, chosen, axis=0)
        zeros = xp.zeros(math.prod(sizes), dtype=values.dtype, device=device(values))
        out = index_add(zeros, places, values, xp) if values.shape[0] else zeros
        out = xp.reshape(out, tuple(kept))
        for axis, order in enumerate(orders):
            out = out if order is None else xp.take(out, order, axis=axis)
        return out

    @full_precision
    def distance(self, fmt: Any) -> float:
        r"""Measure how far a format is, :math:`\|X - \hat X\|_F`, without filling in the zeros.

        .. math:: \|X - \hat X\|^2 = \sum_p |v_p - \hat x_p|^2 + \Bigl(\|\hat X\|^2 - \sum_p
                  |\hat x_p|^2\Bigr)

        with :math:`\hat x_p` the entries of the format where :math:`X` has its own. The bracket
        is a difference of squares, in double precision; it is used where it leaves six digits.
        Elsewhere, for relative errors below about :math:`10^{-5}`, all entries are formed and
        the result is true to rounding; only where there are more than :math:`2^{32}` of them, it
        is an upper bound, which exceeds the truth by less than :math:`10^{-6}` of what the norm
        of the format would be if nothing in it cancelled.

        Parameters
        ----------
        fmt : format
            What approximates the tensor, of the same shape and library.

        Returns
        -------
        float
            The distance. ``td.relative_error(x, fmt)`` divides it by the norm.

        Raises
        ------
        ValueError
            If the shapes differ, or the tensor is not valid.
        """
        gap, _, scale = self._compare(fmt)
        return gap * scale

    @full_precision
    def _compare(self, fmt: Any) -> tuple[float, float, float]:
        """Return the distance of a format, the norm of the tensor, and the scale of both."""
        from tdecomp.ops._sparse_distance import format_distance

        return format_distance(coo(*self), fmt)


# Else NumPy would take the tuple for a stack of arrays in ``array @ format``.
setattr(COO, "__array_ufunc__", None)  # noqa: B010 - NamedTuple takes no other attribute


def _locate(
    coordinates: Array, part: Any, n: int, mode: int, xp: Namespace
) -> tuple[Array, Array | None, int, Array | None]:
    """Say where coordinates lie in a part of their mode: places, which are inside, length, order.

    The order, if there is one, repeats and sorts the places as a list of indices asks.
    """
    if is_index(part):
        return 0 * coordinates, coordinates == index_of(part, n, mode), 1, None
    if isinstance(part, slice):
        start, stop, step = part.indices(n)
        length = len(range(start, stop, step))
        if length == n and step == 1:
            return coordinates, None, n, None
        steps = (coordinates - start) // step
        back = start + steps * step
        return steps, (steps >= 0) & (steps < length) & (back == coordinates), length, None
    wanted = indices_of(part, n, coordinates, xp, name=f"region[{mode}]")
    wanted = xp.astype(wanted, coordinates.dtype)
    if wanted.shape[0] == 0:
        return 0 * coordinates, coordinates < 0, 0, None
    known = xp.sort(xp.unique_values(wanted))
    place = xp.searchsorted(known, coordinates)
    place = xp.where(place < known.shape[0], place, xp.zeros_like(place))
    hit = xp.take(known, place, axis=0) == coordinates
    place = xp.astype(place, coordinates.dtype)
    return place, hit, int(known.shape[0]), xp.searchsorted(known, wanted)


def coo(indices: Any, values: Any, /, shape: Sequence[int] | None = None) -> COO:
    """Build a sparse tensor from coordinates and entries in any order.

    Entries at one coordinate are summed; explicit zeros are kept, also where a sum is zero.

    Parameters
    ----------
    indices : array of int, shape (d, nnz), or a sequence of d arrays, shape (nnz,)
        The coordinates, as ``numpy.nonzero`` gives them.
    values : array, shape (nnz,)
        The entries. Integers and narrow floats are promoted as everywhere.
    shape : sequence of int, optional
        Lengths of the modes; by default the smallest that hold all coordinates.

    Returns
    -------
    COO
        The tensor: coordinates unique and in C order. Where the input is so already, its arrays
        are kept without a copy.

    Raises
    ------
    TypeError
        If coordinates or lengths are not integers, or libraries are mixed.
    ValueError
        If a coordinate is negative or outside of `shape`, numbers of coordinates and entries
        differ, or an entry is not finite.

    See Also
    --------
    from_sparse : takes SciPy's, PyTorch's and pydata/sparse's.
    from_dense : takes an array with zeros.

    Notes
    -----
    A sort of `nnz` integers: of positions in C order if those fit in 64 bits, and mode by mode
    if not. From a million NumPy entries on it is a radix sort, linear in `nnz`.

    Examples
    --------
    >>> from tdecomp.ops import coo
    >>> x = coo([[1, 0, 1], [0, 2, 0]], [1.0, 5.0, 2.0])
    >>> x.shape, x.indices.tolist(), x.values.tolist()
    ((2, 3), [[0, 1], [2, 0]], [5.0, 3.0])
    """
    several = isinstance(indices, list | tuple)
    given = [*indices, values] if several else [indices, values]
    xp, like = namespace(*given), first_array(given)
    values = as_floating(as_array(values, xp, like, "values"), xp, name="values")
    if values.ndim != 1:
        raise ValueError(f"values must have 1 dimension, got shape {tuple(values.shape)}")
    if values.shape[0]:
        values = finite(values, xp, name="values")
    indices = _coordinates(indices, several, values, xp)
    lengths = _lengths(indices, shape, xp)
    if in_order(indices, values, lengths):
        return COO(indices, values, lengths)
    _check_range(indices, lengths, xp)
    return COO(*canonical(indices, values, lengths, xp=xp), lengths)


def _coordinates(indices: Any, several: bool, values: Array, xp: Namespace) -> Array:
    """Return coordinates as one array (d, nnz) of the widest integers there are."""
    if several and any(hasattr(row, "dtype") for row in indices):
        rows = [as_array(row, xp, values, f"indices[{k}]") for k, row in enumerate(indices)]
        shapes = sorted({tuple(row.shape) for row in rows})
        if len(shapes) > 1:
            raise ValueError(f"the rows of indices must be equally long, got shapes {shapes}")
        for k, row in enumerate(rows):
            _check_integers(row, xp, name=f"indices[{k}]")
        indices = xp.stack(rows)
    indices = as_array(indices, xp, values, "indices")
    if 0 not in indices.shape:
        _check_integers(indices, xp, name="indices")
    if indices.ndim != 2 or not indices.shape[0] or indices.shape[1] != values.shape[0]:
        raise ValueError(
            f"indices must have shape (d, {values.shape[0]}) for values of shape "
            f"{tuple(values.shape)}, got {tuple(indices.shape)}"
        )
    widest = xp.asarray(0).dtype
    if xp.isdtype(indices.dtype, "unsigned integer") and indices.shape[1]:
        _check_width(indices, int(xp.iinfo(widest).max), xp)
    return xp.astype(indices, widest, copy=False)


def _check_integers(indices: Array, xp: Namespace, *, name: str) -> None:
    """Refuse coordinates that are not integers; masks and floats are mistakes."""
    if not xp.isdtype(indices.dtype, "integral"):
        raise TypeError(f"{name} must be integers, got {indices.dtype}")


def _check_width(indices: Array, most: int, xp: Namespace) -> None:
    """Refuse unsigned coordinates that would wrap around."""
    largest = int(xp.max(indices))
    if largest > most:
        raise ValueError(f"indices has a coordinate {largest}, above {most}")


def _lengths(indices: Array, shape: Sequence[int] | None, xp: Namespace) -> tuple[int, ...]:
    """Return the lengths of the modes, found from the coordinates unless given."""
    if shape is None:
        if not indices.shape[1]:
            raise ValueError("pass shape=: a tensor without entries does not tell its shape")
        return tuple(int(top) + 1 for top in xp.max(indices, axis=1))
    lengths = tuple(check_count(n, name=f"shape[{k}]", least=1) for k, n in enumerate(shape))
    if len(lengths) != indices.shape[0]:
        raise ValueError(
            f"shape {lengths} has {len(lengths)} modes, indices have {indices.shape[0]}"
        )
    return lengths


def _check_range(indices: Array, shape: tuple[int, ...], xp: Namespace) -> None:
    """Refuse coordinates outside of the tensor, by naming the first."""
    if not indices.shape[1]:
        return
    for mode, n in enumerate(shape):
        row = indices[mode, ...]
        if concrete((xp.min(row) >= 0) & (xp.max(row) < n)) is False:
            bad = (row < 0) | (row >= n)
            first = int(xp.argmax(xp.astype(bad, xp.int32)))
            where = tuple(int(indices[k, first]) for k in range(len(shape)))
            raise ValueError(
                f"entry {first} lies at {where}, outside of shape {shape}: index {where[mode]} "
                f"of mode {mode} must lie between 0 and {n - 1}"
            )


def check_coo(x: Any, *, name: str = "x") -> tuple[Namespace, COO]:
    """Return the namespace of a sparse tensor and the tensor, made canonical if need be."""
    if not isinstance(x, COO):
        raise TypeError(f"{name} must be a COO, got {type(x).__module__}.{type(x).__name__}")
    return namespace(x.indices, x.values), coo(*x)


def is_host(x: COO) -> bool:
    """Tell whether the arrays of `x` are NumPy's, which kernels can take."""
    return is_numpy(x.indices, x.values)
