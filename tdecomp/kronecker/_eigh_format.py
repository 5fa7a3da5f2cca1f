"""Eigenvectors of a Kronecker product, and what is solved in their basis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tdecomp._errors import check_callable
from tdecomp._precision import full_precision
from tdecomp._typing import Array, DType, Namespace
from tdecomp._xp import adjoint, concrete, conj, eps, namespace
from tdecomp.kronecker._apply import apply
from tdecomp.kronecker._square import products, right_hand_side, shifted, sign_and_log
from tdecomp.ops._operands import promoted


class KroneckerEigh(NamedTuple):
    r"""Eigenvalues and eigenvectors of a Hermitian :math:`K = A \otimes B \otimes \cdots`.

    With :math:`A = U \operatorname{diag}(\lambda)\, U^*` and :math:`B = V \operatorname{diag}(\mu)
    \, V^*`

    .. math:: K + sI = (U \otimes V \otimes \cdots)
              \operatorname{diag}(\lambda_i \mu_j \cdots + s)\, (U \otimes V \otimes \cdots)^* ,

    which `solve`, `logdet`, `quadratic`, `apply` and `diagonal` use for any shift, at the cost of
    products with the small matrices. With a metric :math:`M = M_1 \otimes M_2 \otimes \cdots` the
    eigenvectors are those of :math:`A u = \lambda M_1 u` and so on, with :math:`U^* M_1 U = I`,
    and :math:`M` stands for the identity: shifts are of :math:`K + sM`.

    Attributes
    ----------
    values : tuple of array, shape (n_k,)
        Eigenvalues of each factor, ascending.
    vectors : tuple of array, shape (n_k, n_k)
        Eigenvectors of each factor, in the columns.
    metric_logdet : array of shape (), optional
        The logarithm of the determinant of the metric; None without one.

    Examples
    --------
    A Gaussian process on a grid: the covariance has 6 rows here, and may have millions.

    >>> import numpy as np
    >>> from tdecomp import kronecker
    >>> k = kronecker.KroneckerSum(np.diag([1.0, 2.0])[None], np.diag([1.0, 3.0, 4.0])[None])
    >>> e = kronecker.eigh(k)
    >>> e.solve(np.ones(6), shift=2.0) * 60
    array([20. , 12. , 10. , 15. ,  7.5,  6. ])
    >>> float(e.logdet(shift=2.0)[1]), float(e.quadratic(np.ones(6), shift=2.0))
    (10.27..., 1.175)
    """

    values: tuple[Array, ...]
    vectors: tuple[Array, ...]
    metric_logdet: Array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Shape ``(N, N)`` of the matrix, ``N = n_1 n_2 ...``."""
        n = math.prod(int(v.shape[0]) for v in self.values)
        return n, n

    @property
    def dtype(self) -> DType:
        """The dtype of the matrix."""
        return self.vectors[0].dtype

    @full_precision
    def eigenvalues(self, *, sort: bool = False) -> Array:
        """Return all N eigenvalues, in the order of the rows, or ascending with `sort`.

        Those of a product of factors are products; in the order of the rows they reshape to
        ``(n_1, n_2, ...)``.
        """
        xp = namespace(*self.values)
        values = products(self.values, xp)
        return xp.sort(values) if sort else values

    @full_precision
    def solve(self, b: Any, /, *, shift: Any = 0.0) -> Array:
        r"""Solve :math:`(K + sI)\, x = b`; with a metric :math:`(K + sM)\, x = b`.

        Parameters
        ----------
        b : array, shape (N,) or (..., N, c)
            Right-hand sides.
        shift : number or array of shape ()
            What is added to the eigenvalues.

        Returns
        -------
        array, shape of `b`
            The solution.

        Raises
        ------
        ValueError
            If `b` has another number of rows, or is not finite.
        numpy.linalg.LinAlgError
            If an eigenvalue plus the shift is zero, to rounding of the eigenvalues.

        Notes
        -----
        :math:`4 N \sum_k n_k` flops for each column. No inverse is formed.
        """
        xp, b, vectors = self._operands(b)
        inner = apply([adjoint(v, xp) for v in vectors], b)
        return apply(vectors, _columnwise(1 / self._shifted(shift, xp), inner, xp))

    @full_precision
    def quadratic(self, b: Any, /, *, shift: Any = 0.0) -> Array:
        r"""Return :math:`b^* (K + sI)^{-1} b` of each column, by half of a solve.

        Parameters
        ----------
        b : array, shape (N,) or (..., N, c)
            Vectors.
        shift : number or array of shape ()
            What is added to the eigenvalues.

        Returns
        -------
        array, shape () or (..., c)
            The values; real for a real shift.

        Raises
        ------
        ValueError, numpy.linalg.LinAlgError
            As for `solve`.
        """
        xp, b, vectors = self._operands(b)
        inner = apply([adjoint(v, xp) for v in vectors], b)
        squares = xp.real(conj(inner, xp) * inner) if _complex(inner, xp) else inner * inner
        weighted = _columnwise(1 / self._shifted(shift, xp), squares, xp)
        return xp.sum(weighted, axis=-1 if b.ndim == 1 else -2)

    @full_precision
    def logdet(self, *, shift: Any = 0.0) -> tuple[Array, Array]:
        r"""Return sign and logarithm of the magnitude of :math:`\det(K + sI)`.

        Parameters
        ----------
        shift : number or array of shape ()
            What is added to the eigenvalues.

        Returns
        -------
        sign : array, shape ()
            -1, 0 or 1; of magnitude one for a complex shift.
        logabsdet : array, shape ()
            The logarithm; minus infinity where the sign is 0.
        """
        xp = namespace(*self.values)
        sign, size = sign_and_log(shifted(self.eigenvalues(), shift, xp), xp)
        return sign, size if self.metric_logdet is None else size + self.metric_logdet

    @full_precision
    def apply(self, function: Callable[[Array], Array], b: Any, /) -> Array:
        r"""Multiply by a function of the matrix: :math:`f(K)\, b`.

        With :math:`f(\lambda) = (\lambda + s)^{1/2}` and standard normal `b` the result is a draw
        from :math:`N(0, K + sI)`.

        Parameters
        ----------
        function : callable
            From the eigenvalues, an array of shape (N,), to values of the same shape.
        b : array, shape (N,) or (..., N, c)
            What is multiplied.

        Returns
        -------
        array, shape of `b`
            The product.

        Raises
        ------
        ValueError
            If the decomposition has a metric, in which functions of the matrix are not diagonal,
            or a value is not finite: the eigenvalue is named.
        """
        xp, b, vectors = self._operands(b)
        values = self._image(function, xp)
        inner = apply([adjoint(v, xp) for v in vectors], b)
        return apply(vectors, _columnwise(values, inner, xp))

    @full_precision
    def diagonal(self, function: Callable[[Array], Array], /) -> Array:
        r"""Return the diagonal of a function of the matrix.

        With :math:`f(\lambda) = s \lambda / (\lambda + s)` it is the posterior variance at each
        point of the grid.

        Parameters
        ----------
        function : callable
            From the eigenvalues, an array of shape (N,), to values of the same shape.

        Returns
        -------
        array, shape (N,)
            The diagonal.

        Raises
        ------
        ValueError
            As for `apply`.
        """
        xp = namespace(*self.values)
        values = self._image(function, xp)
        squares = [xp.abs(v) ** 2 for v in self.vectors]
        stacks = promoted([*(s[None, :, :] for s in squares), values[None, None, :]], xp)
        return apply(stacks[:-1], stacks[-1][0, 0, :])

    def _operands(self, b: Any) -> tuple[Namespace, Array, list[Array]]:
        """Return the right-hand side, and the eigenvectors as stacks, in their common dtype."""
        xp = namespace(*self.values)
        b = right_hand_side(b, self.shape[0], self.vectors[0])
        b, *vectors = promoted([b, *self.vectors], xp)
        return xp, b, [v[None, :, :] for v in vectors]

    def _shifted(self, shift: Any, xp: Namespace) -> Array:
        """Return eigenvalues plus the shift, none of which may be zero to rounding."""
        values = self.eigenvalues()
        sums = shifted(values, shift, xp)
        zero = xp.abs(sums) <= eps(values.dtype, xp) * xp.max(xp.abs(values))
        if concrete(xp.any(zero)):
            where = int(xp.argmax(xp.astype(zero, values.dtype)))
            raise np.linalg.LinAlgError(
                f"the matrix is singular to working precision: eigenvalue "
                f"{self._named(where)} = {float(values[where]):.3g}, plus the shift, is zero to "
                f"rounding of the largest, {float(xp.max(xp.abs(values))):.3g}; pass another "
                "shift="
            )
        return sums

    def _image(self, function: Callable[[Array], Array], xp: Namespace) -> Array:
        """Return the function at the eigenvalues, finite and in their precision."""
        if self.metric_logdet is not None:
            raise ValueError(
                "functions of the matrix need the decomposition without metric=: with one, its "
                "eigenvectors are not orthonormal"
            )
        check_callable(function, name="function")
        values = self.eigenvalues()
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            image = function(values)
        shape = tuple(image.shape) if hasattr(image, "shape") else type(image).__name__
        if shape != tuple(values.shape):
            raise ValueError(
                f"function must return an array of shape {tuple(values.shape)}, got {shape}"
            )
        bad = ~xp.isfinite(image)
        if concrete(xp.any(bad)):
            where = int(xp.argmax(xp.astype(bad, values.dtype)))
            raise ValueError(
                f"function is not finite at eigenvalue {self._named(where)} = "
                f"{float(values[where]):.3g}; rounding may turn a zero negative: clip or shift it"
            )
        return image

    def _named(self, where: int) -> str:
        """Return the indices of an eigenvalue, one for each factor."""
        return str(tuple(map(int, np.unravel_index(where, [v.shape[0] for v in self.values]))))


def _columnwise(weights: Array, b: Array, xp: Namespace) -> Array:
    """Multiply rows of a vector or of matrices by weights, in the common dtype."""
    weights, b = promoted([weights, b], xp)
    return weights * b if b.ndim == 1 else weights[:, None] * b


def _complex(x: Array, xp: Namespace) -> bool:
    return bool(xp.isdtype(x.dtype, "complex floating"))
