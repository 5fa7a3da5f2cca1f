"""Metrics of rows and columns that follow the gradients of a training run."""

from __future__ import annotations

from typing import Any, NamedTuple

from tdecomp._errors import check_choice, check_number, check_size
from tdecomp._precision import full_precision
from tdecomp._shim import constant
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, device, eps, equilibrate, prepare
from tdecomp.linalg._polar._isometry import METHODS, isometry
from tdecomp.linalg._polar._svd import hermitian

# Eigenvalues of a metric below this many eps of their mean count as that many.
_FLOOR = 10.0


class FisherState(NamedTuple):
    """What `fisher_update` hands on.

    Attributes
    ----------
    left : array, shape (..., m, m)
        The metric of the rows, of trace m.
    right : array, shape (..., n, n)
        The metric of the columns, of trace n.
    momentum : array, shape (..., m, n)
        The mean of past gradients, in the coordinates of the metrics that they met.
    """

    left: Array
    right: Array
    momentum: Array


@full_precision
def fisher_state(g: Any, /) -> FisherState:
    """Return the state before the first gradient: metrics that are the identity, no momentum.

    Parameters
    ----------
    g : array, shape (..., m, n)
        A gradient or a parameter: shape, dtype, library and device are taken from it.

    Returns
    -------
    FisherState
        The state.

    Raises
    ------
    TypeError, ValueError
        If `g` is empty or has fewer than two axes.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.linalg import fisher_state
    >>> fisher_state(np.zeros((3, 2))).right
    array([[1., 0.],
           [0., 1.]])
    """
    xp, g = prepare(g, ndim=2, batch=True, check_finite=False, name="g")
    left, right = (
        xp.zeros((*g.shape[:-2], n, n), dtype=g.dtype, device=device(g))
        + xp.eye(n, dtype=g.dtype, device=device(g))
        for n in g.shape[-2:]
    )
    return FisherState(left, right, xp.zeros_like(g))


@full_precision
def fisher_update(
    state: FisherState,
    g: Any,
    /,
    *,
    beta: float = 0.95,
    decay: float = 0.95,
    ridge: float = 1e-2,
    method: str = "exact",
) -> tuple[FisherState, Array]:
    r"""Take in a gradient: new metrics, new momentum, and the direction to go against.

    The Fisher information of a layer is approximated by :math:`Q \otimes P`. With
    :math:`\gamma` = `decay`, :math:`\mu` = `ridge` and :math:`\beta` = `beta`, one after the
    other [1]_,

    .. math::

       P &\propto \gamma P + (1 - \gamma) (\tfrac1n G Q^{-1} G^*
          + \mu \tfrac{\operatorname{tr} P}{m} I) , \quad \operatorname{tr} P = m , \\
       Q &\propto \gamma Q + (1 - \gamma) (\tfrac1m G^* P^{-1} G
          + \mu \tfrac{\operatorname{tr} Q}{n} I) , \quad \operatorname{tr} Q = n , \\
       M &= \beta M + (1 - \beta) P^{-1/2} G Q^{-1/2} , \qquad
       D = P^{-1/2} \operatorname{polar}(M) Q^{-1/2} .

    Parameters
    ----------
    state : FisherState
        From `fisher_state` or the last update.
    g : array, shape (..., m, n)
        The gradient.
    beta : float, optional
        How much of the momentum stays, from 0 to 1.
    decay : float, optional
        How much of the metrics stays, from 0 to 1: with 1 they are the identity for ever, and a
        step is one of Muon, its momentum an exponential mean.
    ridge : float, optional
        How much of the identity is mixed in.
    method : {"exact", "polar-express", "muon", "quintic", "cubic", "cans"}, optional
        The isometric factor: exactly, or by a method of `orthogonalize`.

    Returns
    -------
    state : FisherState
        What to pass with the next gradient.
    direction : array, shape (..., m, n)
        :math:`D`; a step is ``w - rate * direction``.

    Raises
    ------
    TypeError, ValueError
        If `state` is something else or of another shape, `g` is empty or not finite, or an option
        is out of range.

    See Also
    --------
    fisher_polar : the direction, in metrics that are given.

    Notes
    -----
    Nothing is kept outside of the state: the same arguments give the same result, under ``jit``
    too. It is a step of an optimiser, through which no gradients flow.

    The metrics stay positive definite; for inverse roots, eigenvalues below 10 eps of their mean
    count as that. Without `ridge` and `decay`, the direction does not depend on the scale of a
    square, nonsingular gradient; with them it does. It turns with the coordinates:
    :math:`G \to U G V` has :math:`D \to U D V` for unitary :math:`U`, :math:`V`.

    Three eigendecompositions and the isometric factor: :math:`O(m^3 + n^3 + m n (m + n))`.

    References
    ----------
    .. [1] J. Xu, H. Yan, L. Zhang, "FISMO: Fisher-structured momentum-orthogonalized optimizer",
       arXiv:2601.21750, 2026.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.linalg import fisher_state, fisher_update
    >>> g = np.array([[4.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> state, direction = fisher_update(fisher_state(g), g)
    >>> state.left.round(3)
    array([[1.114, 0.   ],
           [0.   , 0.886]])
    >>> direction.round(3) + 0.0
    array([[0.86 , 0.   , 0.   ],
           [0.   , 1.116, 0.   ]])
    """
    check_choice(method, METHODS, name="method")
    beta, decay = (_fraction(x, name) for x, name in ((beta, "beta"), (decay, "decay")))
    ridge = check_size(ridge, name="ridge")
    if not isinstance(state, FisherState):
        raise TypeError(
            f"state must be a FisherState, got {type(state).__name__}: fisher_state(g)"
        )
    xp, g = prepare(g, ndim=2, batch=True, like=state.momentum, name="g")
    expected = fisher_state(g)
    for name, old, new in zip(FisherState._fields, state, expected, strict=True):
        if old.shape != new.shape:
            raise ValueError(
                f"state.{name} must have shape {tuple(new.shape)} for g of shape "
                f"{tuple(g.shape)}, got {tuple(old.shape)}"
            )
    g = xp.astype(constant(g), state.momentum.dtype)
    return _fisher_update(state, g, beta, (decay, ridge), method=method, xp=xp)


def _fraction(value: object, name: str) -> float:
    number = check_number(value, name=name)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, got {number}")
    return number


def _fisher_update(
    state: FisherState,
    g: Array,
    beta: float,
    mixture: tuple[float, float],
    *,
    method: str,
    xp: Namespace,
) -> tuple[FisherState, Array]:
    unit, scale = equilibrate(g, xp, axis=(-2, -1))
    left = _metric(state.left, unit @ _inverse_root(state.right, xp), scale, mixture, xp)
    p = _inverse_root(left, xp)
    right = _metric(state.right, adjoint(p @ unit, xp), scale, mixture, xp)
    q = _inverse_root(right, xp)
    white = (p @ unit @ q) * xp.astype(scale, g.dtype)
    momentum = beta * state.momentum + (1 - beta) * white
    return FisherState(left, right, momentum), p @ isometry(momentum, method, xp) @ q


def _metric(
    old: Array, root: Array, scale: Array, mixture: tuple[float, float], xp: Namespace
) -> Array:
    """Mix ``root @ root^*``, at its scale, into a metric, and restore the trace.

    What is mixed is as good divided by the square of a scale above one, which would overflow.
    """
    (m, n), (decay, ridge) = root.shape[-2:], mixture
    small, large = (f(scale, xp.ones_like(scale)) for f in (xp.minimum, xp.maximum))
    kept, taken = (xp.astype(x**2, root.dtype) for x in (1 / large, small))
    unit = xp.eye(m, dtype=root.dtype, device=device(root))
    mean = xp.astype(_trace(old, xp) / m, root.dtype)
    past = decay * old + (1 - decay) * ridge * mean * unit
    mixed = hermitian(kept * past + taken * ((1 - decay) / n) * (root @ adjoint(root, xp)), xp)
    total = _trace(mixed, xp)
    found = total > 0
    share = xp.astype(m / xp.where(found, total, xp.ones_like(total)), root.dtype)
    return xp.where(found, mixed * share, old)


def _trace(x: Array, xp: Namespace) -> Array:
    """Return the real traces, with axes of length one for those of the matrices."""
    diagonal = xp.linalg.diagonal(x)
    real = xp.real(diagonal) if xp.isdtype(x.dtype, "complex floating") else diagonal
    return xp.sum(real, axis=-1)[..., None, None]


def _inverse_root(p: Array, xp: Namespace) -> Array:
    """Return the hermitian inverse square root of a metric of known trace."""
    values, v = xp.linalg.eigh(p)
    least = xp.full_like(values, _FLOOR * eps(values.dtype, xp))
    scales = xp.astype(xp.maximum(values, least) ** -0.5, v.dtype)
    return hermitian((v * scales[..., None, :]) @ adjoint(v, xp), xp)
