"""The isometric factor of a matrix, nearly: odd polynomials of it, in products alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import array_api_compat as compat

from tdecomp._errors import check_choice, check_count
from tdecomp._precision import full_precision
from tdecomp._shim import plus_product
from tdecomp._typing import Array, Namespace
from tdecomp._xp import adjoint, equilibrate, prepare
from tdecomp.linalg._polar._alignment import inner
from tdecomp.linalg._polar._coefficients import (
    CUBIC,
    MUON,
    QUINTIC,
    cans_coefficients,
    image,
    minimax_coefficients,
)

Steps = tuple[tuple[float, ...], ...]

METHODS = ("polar-express", "muon", "quintic", "cubic", "cans")
_DEFAULT_STEPS = {"polar-express": 6, "muon": 5, "quintic": 8, "cubic": 12, "cans": 7}
# Of Polar Express as it was published: singular values from a thousandth of the norm on, a factor
# for what rounding may add to the largest, the cushion against losing digits of small ones.
_LOWER, _SAFETY, _CUSHION = 1e-3, 1.01, 0.02407327424182761
_DELTA = 0.3
# A composition that leaves this interval on the way from [0, 1] does not approach one.
_LARGEST = 2.0


@full_precision
def orthogonalize(
    g: Any,
    /,
    *,
    method: str = "polar-express",
    steps: int | None = None,
    coefficients: Sequence[Sequence[float]] | None = None,
) -> Array:
    r"""Bring all singular values of a matrix near to one, by a few products of matrices.

    With :math:`G = U S V^*` and odd polynomials :math:`p_1, p_2, \dots`, what comes back is

    .. math:: U\, \varphi(S / \|G\|_F)\, V^* , \qquad \varphi = p_T \circ \dots \circ p_1 ,

    an approximation of the polar factor :math:`U V^*`, in which the smallest singular values stay
    behind. The optimizer Muon makes its steps along such matrices.

    Parameters
    ----------
    g : array, shape (..., m, n)
        The matrix, or a batch of them.
    method : {"polar-express", "muon", "quintic", "cubic", "cans"}
        The best polynomials for singular values from a thousandth of the norm on, see
        `minimax_coefficients`; Muon's quintic, which lifts small values fast and scatters around
        one; the Newton-Schulz iterations of degree five and three, which converge to rounding; the
        cubics that bring the longest interval within 0.3 of one, see `cans_coefficients`.
    steps : int, optional
        The number of polynomials: 6, 5, 8, 12 and 7 by default.
    coefficients : sequence of sequences of float, optional
        Polynomials of your own instead, each ``(a, b)`` or ``(a, b, c)`` for
        :math:`a x + b x^3 + c x^5`, to be applied in turn.

    Returns
    -------
    array, shape (..., m, n)
        In the dtype of `g`, half precision of PyTorch included; zero where `g` is.

    Raises
    ------
    TypeError, ValueError
        If an option is out of range, `g` is empty or not finite, or polynomials diverge: make
        values of the interval [0, 1] negative, or larger than 2.

    See Also
    --------
    tdecomp.polar : exact.
    tdecomp.randomized_polar : of the leading part alone.

    Notes
    -----
    With :math:`m \le n` after a transposition, a quintic takes :math:`4 m^2 n + 2 m^3` flops, a
    cubic :math:`4 m^2 n`; all of them products, so it runs at the speed of the device. Works under
    ``jit``, ``vmap`` and gradients.

    The largest singular value is at most the Frobenius norm. Of a matrix with many equal ones it
    is much less, and the first steps do no more than make up for that.

    References
    ----------
    .. [1] N. Amsel, D. Persson, C. Musco, R. M. Gower, "The Polar Express: optimal matrix sign
       methods and their application to the Muon algorithm", 2025, arXiv:2505.16932, Algorithm 1.
    .. [2] K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    .. [3] E. Grishina, M. Smirnov, M. Rakhuba, "Accelerating Newton-Schulz iteration for
       orthogonalization via Chebyshev-type polynomials", 2025, arXiv:2506.10935.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> g = np.diag([8.0, 4.0, 2.0, 1.0])
    >>> np.diag(td.orthogonalize(g)).round(2)
    array([1., 1., 1., 1.])
    >>> np.diag(td.orthogonalize(g, method="muon")).round(2)
    array([0.87, 1.13, 0.69, 0.75])
    """
    chosen, safety = _chosen(method, steps, coefficients)
    half = _half(g)
    xp, g = prepare(g, ndim=2, batch=True, name="g")
    g, _ = equilibrate(g, xp, axis=(-2, -1))
    x = _normalised(g, safety, xp)
    return _orthogonalize(x if half is None else xp.astype(x, half), chosen, xp=xp)


def _chosen(
    method: str, steps: int | None, coefficients: Sequence[Sequence[float]] | None
) -> tuple[Steps, float]:
    """Return the polynomials, and by how much more than its norm a matrix is divided."""
    check_choice(method, METHODS, name="method")
    if coefficients is not None:
        if steps is not None:
            raise ValueError("steps= and coefficients= say the number of steps twice: pass one")
        return _own(coefficients), 1.0
    count = _DEFAULT_STEPS[method] if steps is None else check_count(steps, name="steps", least=1)
    if method == "polar-express":
        found = minimax_coefficients(_LOWER, steps=count, cushion=_CUSHION, safety=_SAFETY)
        return found.coefficients, _SAFETY
    if method == "cans":
        return cans_coefficients(_DELTA, steps=count).coefficients, 1.0
    return ({"muon": MUON, "quintic": QUINTIC, "cubic": CUBIC}[method],) * count, 1.0


def _own(coefficients: Sequence[Sequence[float]]) -> Steps:
    """Validate polynomials, and that they lead singular values somewhere near one."""
    try:
        found = tuple(tuple(float(c) for c in step) for step in coefficients)
    except (TypeError, ValueError):
        found = ()
    if not found or any(len(step) not in (2, 3) for step in found):
        raise ValueError(
            "coefficients must hold two or three numbers for each step, (a, b) or (a, b, c), got "
            f"{coefficients!r}"
        )
    low, high = 0.0, 1.0
    for k, step in enumerate(found):
        low, high = image((step,), low, high)
        if not (low >= 0 and high <= _LARGEST):
            raise ValueError(
                f"coefficients diverge: step {k} makes [{low:.3g}, {high:.3g}] of the singular "
                "values that were in [0, 1], and they belong near 1"
            )
    return found


def _half(g: Any) -> Any:
    """Return a dtype of half precision that products are asked for in, None for others."""
    if not compat.is_torch_array(g) or str(g.dtype) not in ("torch.bfloat16", "torch.float16"):
        return None
    return g.dtype


def _normalised(g: Array, safety: float, xp: Namespace) -> Array:
    """Divide by a bound of the largest singular value."""
    squares = inner(g, g, xp)
    safe = xp.where(squares > 0, squares, xp.ones_like(squares))
    return g / xp.astype(safety * xp.sqrt(safe), g.dtype)[..., None, None]


def _orthogonalize(x: Array, coefficients: Steps, *, xp: Namespace) -> Array:
    """Apply odd polynomials in turn, on the short side; singular values at most one."""
    turned = x.shape[-2] > x.shape[-1]
    x = adjoint(x, xp) if turned else x
    for a, b, *c in coefficients:
        gram = x @ adjoint(x, xp)
        if c:
            # The square as a product with the adjoint: half of the work where a library sees it.
            even = plus_product(b, gram, c[0], (gram, adjoint(gram, xp)), xp)
            x = plus_product(a, x, 1.0, (even, x), xp)
        else:
            x = plus_product(a, x, b, (gram, x), xp)
    return adjoint(x, xp) if turned else x
