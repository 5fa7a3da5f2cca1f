"""How alike two CP decompositions are, and components brought into the order of others."""

from __future__ import annotations

from typing import Any

import numpy as np

from tdecomp._precision import full_precision
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, conj, device, floats
from tdecomp.cp._algebra import _permute
from tdecomp.cp._format import CP, as_pair
from tdecomp.cp._normalise import _normalise, phase_of, unit_columns


@full_precision
def congruence(a: Any, b: Any, /) -> Array:
    r"""Return the cosines between the components of two decompositions, as tensors.

    .. math:: C_{rs} = \frac{\langle A_r, B_s \rangle}{\|A_r\|\, \|B_s\|}
              = \overline{\operatorname{sign} w_r}\, \operatorname{sign} v_s
              \prod_k \frac{\langle a^{(k)}_r, b^{(k)}_s \rangle}{\|a^{(k)}_r\|\,\|b^{(k)}_s\|}

    Tucker's congruence coefficient [1]_, over all modes. Scaling a column of one factor and its
    weight back changes nothing.

    Parameters
    ----------
    a, b : CP
        Decompositions of tensors of one shape, of ranks `R` and `S`.

    Returns
    -------
    array, shape (R, S)
        The cosines, in the common dtype; 0 for a component that is zero.

    Raises
    ------
    TypeError, ValueError
        If one is no decomposition, or shapes differ.

    See Also
    --------
    factor_match_score : one number.

    Notes
    -----
    Between the components of one decomposition, cosines near -1 are the mark of degeneracy.

    References
    ----------
    .. [1] U. Lorenzo-Seva, J. M. F. ten Berge, "Tucker's congruence coefficient as a meaningful
       index of factor similarity", Methodology 2, 2006. doi:10.1027/1614-2241.2.2.57

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> x = cp.CP(np.array([2.0, 3.0]), (np.eye(2), np.eye(2)))
    >>> cp.congruence(x, cp.CP(np.array([1.0, -1.0]), x.factors))
    array([[ 1.,  0.],
           [ 0., -1.]])
    """
    xp, a, b = as_pair(a, b, names=("a", "b"))
    return _congruence(a, b, xp=xp)


def _congruence(a: CP, b: CP, *, xp: Namespace) -> Array:
    """Multiply the matrices of cosines of all modes, and the signs of the weights."""
    (signs_a, _, columns_a), (signs_b, _, columns_b) = (unit_columns(x, xp=xp) for x in (a, b))
    left = xp.astype(phase_of(signs_a, xp), columns_a[0].dtype)
    right = xp.astype(phase_of(signs_b, xp), columns_b[0].dtype)
    cosines = adjoint(left[None, :], xp) * right[None, :]
    for one, other in zip(columns_a, columns_b, strict=True):
        cosines = cosines * (adjoint(one, xp) @ other)
    return cosines


@full_precision
def factor_match_score(a: Any, b: Any, /, *, compare_weights: bool = True) -> float:
    r"""Return how well the components of two decompositions match: 1 if they are the same.

    .. math:: \mathrm{FMS} = \max_\pi \frac{1}{R} \sum_r
              \Bigl(1 - \frac{|\lambda_r - \mu_{\pi r}|}{\max(\lambda_r, \mu_{\pi r})}\Bigr)
              |C_{r, \pi r}|

    with :math:`\lambda, \mu` the norms of the components and :math:`C` their `congruence`
    [1]_ [2]_. The maximum over all ways to pair components is found exactly, as an assignment.

    Parameters
    ----------
    a, b : CP
        Decompositions of tensors of one shape. Where ranks differ, `R` is the smaller one, and
        the components that find no partner do not count.
    compare_weights : bool
        Whether to punish different norms by the first factor; without it only directions count.

    Returns
    -------
    float
        Between 0 and 1. Two components that are both zero match.

    Raises
    ------
    TypeError, ValueError
        If one is no decomposition, or shapes differ.

    See Also
    --------
    align : returns the components in the order found.

    References
    ----------
    .. [1] G. Tomasi, R. Bro, "A comparison of algorithms for fitting the PARAFAC model",
       Comput. Statist. Data Anal. 50, 2006. doi:10.1016/j.csda.2004.11.013
    .. [2] E. Acar, D. M. Dunlavy, T. G. Kolda, M. Morup, "Scalable tensor factorizations for
       incomplete data", Chemometr. Intell. Lab. 106, 2011, Section 4.
       doi:10.1016/j.chemolab.2010.08.004

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> x = cp.CP(np.array([2.0, 3.0]), (np.eye(2), np.eye(2)))
    >>> swapped = cp.permute(x, [1, 0])
    >>> cp.factor_match_score(x, swapped)
    1.0
    >>> cp.factor_match_score(x, swapped._replace(weights=np.array([3.0, 1.0])))
    0.75
    """
    xp, a, b = as_pair(a, b, names=("a", "b"))
    scores = np.minimum(1.0, _host(xp.abs(_congruence(a, b, xp=xp))))
    (sizes_a, exponents_a), (sizes_b, exponents_b) = (_sizes(x, xp) for x in (a, b))
    scores[np.ix_(sizes_a == 0, sizes_b == 0)] = 1.0
    if compare_weights:
        # Ratios of norms from mantissas and exponents: the norms may be out of range.
        gap = np.clip(exponents_b[None, :] - exponents_a[:, None], -1000.0, 1000.0)
        left, right = sizes_a[:, None], sizes_b[None, :] * np.exp2(gap)
        largest = np.maximum(left, right)
        scores *= 1.0 - np.abs(left - right) / np.where(largest > 0, largest, 1.0)
    rows, columns = _assigned(scores)
    return float(np.mean(scores[rows, columns]))


@full_precision
def align(cp: Any, reference: Any, /) -> CP:
    r"""Return the same tensor with its components in the order, and signs, of a reference.

    The order maximises :math:`\sum_r |C_{r, \pi r}|`, the sum of the magnitudes of congruences,
    over all orders. Columns have length one, weights are real and at least zero, and in every
    mode but the last :math:`\langle b_r, a_r \rangle \ge 0` with the column of the reference; the
    last mode takes the remaining sign, or phase.

    Parameters
    ----------
    cp : CP
        The decomposition.
    reference : CP
        Another one of a tensor of the same shape.

    Returns
    -------
    CP
        The aligned decomposition. Where `cp` has more components than `reference`, those
        without a partner come last, by descending weight; where it has fewer, they come in the
        order of their partners.

    Raises
    ------
    TypeError, ValueError
        If one is no decomposition, or shapes differ.

    See Also
    --------
    factor_match_score : how good the match is.
    normalise : an order and signs without a reference.

    Notes
    -----
    The assignment costs :math:`R^3` operations on the host [1]_.

    References
    ----------
    .. [1] D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE Trans.
       Aerosp. Electron. Syst. 52, 2016. doi:10.1109/TAES.2016.140952

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp import cp
    >>> x = cp.CP(np.array([2.0, 3.0]), (np.eye(2), np.eye(2)))
    >>> cp.align(x, cp.permute(x, [1, 0])).weights
    array([3., 2.])
    """
    xp, cp, reference = as_pair(cp, reference, names=("cp", "reference"))
    cp = _normalise(cp, xp=xp)
    rows, columns = _assigned(_host(xp.abs(_congruence(reference, cp, xp=xp))))
    others = [r for r in range(cp.rank) if r not in set(columns.tolist())]
    order = [*columns.tolist(), *others]
    indices = (xp.asarray(np.asarray(k), device=device(cp.weights)) for k in (order, rows))
    chosen, partners = indices
    return _phased(_permute(cp, chosen, xp=xp), _permute(reference, partners, xp=xp), xp)


def _phased(cp: CP, reference: CP, xp: Namespace) -> CP:
    """Turn columns towards those of a reference that has as many components, or fewer."""
    extra = xp.ones_like(cp.factors[0][0, reference.rank :])
    rest, factors = xp.ones_like(cp.factors[0][0, :]), []
    _, _, columns = unit_columns(reference, xp=xp)
    for factor, column in zip(cp.factors[:-1], columns, strict=False):
        dual = conj(factor[:, : reference.rank], xp)
        # The phase that makes the inner product with the reference positive.
        towards = phase_of(xp.sum(dual * column, axis=0), xp)
        phase = xp.concat([xp.astype(towards, factor.dtype), extra])
        factors.append(factor * phase)
        rest = rest * conj(phase, xp)
    return CP(cp.weights, (*factors, cp.factors[-1] * rest))


def _assigned(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair rows and columns so that the sum of their scores is largest."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(scores, maximize=True)
    return rows, columns


def _sizes(cp: CP, xp: Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Return the norms of the components, as mantissas and exponents on the host."""
    mantissas, exponents, _ = unit_columns(cp, xp=xp)
    return np.asarray(floats(xp.abs(mantissas))), np.asarray(floats(exponents))


def _host(matrix: Array) -> np.ndarray:
    """Return a small real matrix as a NumPy array."""
    return np.asarray([floats(matrix[k, :]) for k in range(matrix.shape[0])])
