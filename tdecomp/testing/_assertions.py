"""What tests assert, with the numbers that decide in the message."""

from __future__ import annotations

from typing import Any

from tdecomp._measure import relative_error
from tdecomp._precision import full_precision
from tdecomp._typing import Array, Format
from tdecomp._xp import adjoint, device, eps, namespace


@full_precision
def assert_isometry(q: Array, /, *, factor: float = 10.0) -> None:
    r"""Assert orthonormal columns: :math:`\|Q^* Q - I\|_F \le c\, m\, \epsilon`.

    Parameters
    ----------
    q : array, shape (..., m, n)
        The matrix, or a batch of them.
    factor : float
        The constant `c`. LAPACK's own tests allow 30.

    Raises
    ------
    AssertionError
        If they are not.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.testing import assert_isometry
    >>> assert_isometry(np.eye(4)[:, :2])
    """
    xp = namespace(q)
    gram = adjoint(q, xp) @ q
    identity = xp.eye(gram.shape[-1], dtype=gram.dtype, device=device(gram))
    found = _worst(xp.linalg.vector_norm(gram - identity, axis=(-2, -1)))
    bound = factor * q.shape[-2] * eps(q.dtype, xp)
    if not found <= bound:
        raise AssertionError(f"not an isometry: norm(Q^* Q - I) = {found:.3g} > {bound:.3g}")


@full_precision
def assert_reconstructs(fmt: Format, a: Array, /, *, rtol: float) -> None:
    r"""Assert that `fmt` stands for `a`: :math:`\|A - \hat A\|_F \le \mathtt{rtol}\,\|A\|_F`.

    Parameters
    ----------
    fmt : format
        The approximation.
    a : array
        The data.
    rtol : float
        The error to allow each member of a batch.

    Raises
    ------
    AssertionError
        If the shapes differ or the error is larger.

    Examples
    --------
    >>> import numpy as np
    >>> import tdecomp as td
    >>> from tdecomp.testing import assert_reconstructs
    >>> assert_reconstructs(td.truncated_svd(np.eye(3), rank=3), np.eye(3), rtol=1e-14)
    """
    if tuple(fmt.shape) != tuple(a.shape):
        raise AssertionError(f"shape {tuple(fmt.shape)} stands for shape {tuple(a.shape)}")
    found = _worst(relative_error(a, fmt))
    if not found <= rtol:
        raise AssertionError(f"relative error {found:.3g} > {rtol:.3g}")


def assert_descending(s: Array, /) -> None:
    """Assert that `s` is what singular values are: real, finite, nonnegative, descending.

    Parameters
    ----------
    s : array, shape (..., n)
        The values.

    Raises
    ------
    AssertionError
        If they are not.

    Examples
    --------
    >>> import numpy as np
    >>> from tdecomp.testing import assert_descending
    >>> assert_descending(np.array([2.0, 2.0, 0.0]))
    """
    xp = namespace(s)
    if not xp.isdtype(s.dtype, "real floating"):
        raise AssertionError(f"not real floating: {s.dtype}")
    if 0 in s.shape:
        return
    if not bool(xp.all(xp.isfinite(s))):
        raise AssertionError(f"not finite: {s}")
    if not bool(xp.all(s >= 0)):
        raise AssertionError(f"negative: {s}")
    if not bool(xp.all(s[..., 1:] <= s[..., :-1])):
        raise AssertionError(f"not descending: {s}")


def _worst(values: Any) -> float:
    """Return the largest of `values`, NaN if one is NaN, 0 if there are none."""
    xp = namespace(values)
    return float(xp.max(values)) if 0 not in values.shape else 0.0
