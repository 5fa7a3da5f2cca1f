"""What a layer sees: streamed statistics of its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tdecomp._errors import check_count
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import namespace, prepare
from tdecomp.compress._rows import stacked, triangular
from tdecomp.compress._stored import stored


class Calibration(NamedTuple):
    r"""Statistics of the inputs :math:`x_1, \ldots, x_N` of a layer, exact to rounding.

    They stand for all :math:`N` inputs in every second-order question: whatever matrix
    :math:`D` is, :math:`\sum_t \|D x_t\|^2 = N \|D R\|_F^2` with :math:`R` from `right`. Batches
    may come in any order and any number, and shards may be merged: the statistics are the same.

    Attributes
    ----------
    n_inputs : int
        How many inputs :math:`N` were seen.
    mean : array, shape (n,)
        Their mean :math:`\mu`.
    mean_abs : array, shape (n,)
        The mean magnitude of each entry.
    factor : array, shape (k, n)
        The triangular factor of the centred inputs as rows, :math:`k \le n`:
        :math:`F^* F = \sum_t \overline{(x_t - \mu)} (x_t - \mu)^\top`.

    Notes
    -----
    The second moments themselves are never formed, because that would square the condition
    number: a batch is appended to the factor and reduced again, :math:`F \leftarrow
    \operatorname{qr}([F; X]).R`, which is TSQR [1]_. What is stored is centred, with the shift of
    the mean as one more row [2]_; the uncentred factor is recovered by *adding* a row, so neither
    loses digits, however large the mean.

    A batch of ``b`` inputs costs ``2 (n + b) n^2`` flops: prefer batches of several times ``n``.
    One QR of a float32 batch is as good as float32 second moments accumulated in float64.

    References
    ----------
    .. [1] J. Demmel, L. Grigori, M. Hoemmen, J. Langou, "Communication-optimal parallel and
       sequential QR and LU factorizations", SIAM J. Sci. Comput. 34, 2012. arXiv:0808.2664,
       algorithm 1. U. Parkina, M. Rakhuba, "COALA", arXiv:2507.07580, uses it for this purpose.
    .. [2] T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for
       computing sample variances", COMPSTAT 1982.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.compress import Calibration
    >>> calibration = Calibration.of(np.array([[1.0, 2.0], [3.0, 2.0]]))
    >>> calibration = calibration.update(np.array([5.0, 2.0]))
    >>> calibration.n_inputs, calibration.mean
    (3, array([3., 2.]))
    >>> R = calibration.right()
    >>> R @ R.T  # the second moments
    array([[11.66666667,  6.        ],
           [ 6.        ,  4.        ]])
    """

    n_inputs: int
    mean: Array
    mean_abs: Array
    factor: Array

    @classmethod
    @full_precision
    def of(cls, x: Any, /) -> Calibration:
        """Return the statistics of the inputs `x`.

        Parameters
        ----------
        x : array, shape (..., n)
            Inputs; all axes but the last count them.

        Returns
        -------
        Calibration
            In the dtype of `x`, float32 for narrower ones.

        Raises
        ------
        ValueError
            If `x` is empty or holds NaN or Inf.
        """
        xp, moments = _moments(x)
        return moments._replace(factor=triangular(moments.factor, xp))

    @full_precision
    def update(self, x: Any, /) -> Calibration:
        """Return the statistics of all inputs so far and `x`.

        Parameters
        ----------
        x : array, shape (..., n)
            More inputs.

        Returns
        -------
        Calibration
            New statistics; these stay as they are.

        Raises
        ------
        ValueError
            If `x` is empty, holds NaN or Inf, or has another length than the inputs so far.
        """
        _, moments = _moments(x, like=self.mean)
        return _joined(self, moments)

    @full_precision
    def merge(self, other: Calibration, /) -> Calibration:
        """Return the statistics of the inputs of both.

        Parameters
        ----------
        other : Calibration
            Of other inputs to the same layer.

        Returns
        -------
        Calibration
            New statistics, the same in whichever order.

        Raises
        ------
        ValueError
            If their inputs differ in length.
        """
        return _joined(self, other)

    def right(self, *, centred: bool = False) -> Array:
        r"""Return the column weight :math:`R` with :math:`R R^* = \tfrac1N \sum_t x_t x_t^*`.

        Parameters
        ----------
        centred : bool
            Subtract the mean first: :math:`R R^*` is then the covariance.

        Returns
        -------
        array, shape (n, k)
            Lower triangular, for ``weighted_svd(..., right=R)``.
        """
        xp = namespace(self.factor)
        rows = self.factor
        if not centred:
            rows = stacked([rows, math.sqrt(self.n_inputs) * self.mean[None, :]], xp)
        return xp.matrix_transpose(rows) / math.sqrt(self.n_inputs)

    def diagonal(self, alpha: float = 0.5) -> Array:
        r"""Return the column weight of ASVD, :math:`\operatorname{mean}_t(|x_t|)^\alpha`.

        Parameters
        ----------
        alpha : float
            How much the size of the inputs counts; at 0 all entries are 1.

        Returns
        -------
        array, shape (n,)
            A diagonal.

        Raises
        ------
        ValueError
            If `alpha` is negative or not finite.
        """
        if not 0.0 <= alpha < math.inf:
            raise ValueError(f"alpha must be a finite number >= 0, got {alpha}")
        xp = namespace(self.mean_abs)
        return xp.pow(self.mean_abs, xp.full_like(self.mean_abs, float(alpha)))

    def to_arrays(self) -> dict[str, Array]:
        """Return the fields as arrays by name, to be stored by any format; see `from_arrays`.

        Returns
        -------
        dict of str to array
            In C order.
        """
        return stored(self._asdict())

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], /) -> Calibration:
        """Rebuild the statistics from what `to_arrays` returned.

        Parameters
        ----------
        arrays : mapping of str to array
            By the name of the field.

        Returns
        -------
        Calibration
            As it was.

        Raises
        ------
        ValueError
            If a field is missing or the fields do not fit together.
        """
        missing = [field for field in cls._fields if field not in arrays]
        if missing:
            raise ValueError(f"a calibration has the arrays {cls._fields}, missing: {missing}")
        mean, mean_abs, factor = (arrays[field] for field in cls._fields[1:])
        n_inputs = check_count(int(arrays["n_inputs"]), name="n_inputs", least=1)
        shapes = [tuple(x.shape) for x in (mean, mean_abs, factor)]
        n = shapes[0][-1:]
        if shapes[:2] != [n, n] or shapes[2] != (*shapes[2][:1], *n):
            raise ValueError(
                f"mean, mean_abs and factor must have shapes (n,), (n,), (k, n), got {shapes}"
            )
        return cls(n_inputs, mean, mean_abs, factor)


def _moments(x: Any, like: Array | None = None) -> tuple[Namespace, Calibration]:
    """Return the statistics of one batch, its centred rows not yet reduced."""
    xp, x = prepare(x, ndim=1, batch=True, like=like, name="x")
    rows = xp.reshape(x, (-1, x.shape[-1]))
    mean = xp.mean(rows, axis=0)
    rows = rows - mean
    rest = xp.mean(rows, axis=0)  # what rounding left in the mean
    mean_abs = xp.mean(xp.abs(xp.reshape(x, rows.shape)), axis=0)
    return xp, Calibration(int(rows.shape[0]), mean + rest, mean_abs, rows - rest)


def _joined(a: Calibration, b: Calibration) -> Calibration:
    """Join two sets of statistics; the distance of the means is one more row."""
    xp = namespace(a.mean, b.mean)
    if a.mean.shape != b.mean.shape:
        raise ValueError(
            f"x must have the length {a.mean.shape[0]} of the inputs so far, got {b.mean.shape[0]}"
        )
    count = a.n_inputs + b.n_inputs
    share = b.n_inputs / count
    gap = b.mean - a.mean
    row = math.sqrt(a.n_inputs * share) * gap[None, :]
    return Calibration(
        count,
        a.mean + share * gap,
        a.mean_abs + share * (b.mean_abs - a.mean_abs),
        stacked([a.factor, b.factor, row], xp),
    )
