"""Soft-impute by alternating least squares on the completed matrix."""

from __future__ import annotations

from tdecomp._iterate import Step
from tdecomp._typing import Array, Namespace
from tdecomp.completion._masked import residual_times
from tdecomp.completion._methods._judged import judged
from tdecomp.completion._methods._singular import Singular, of_columns, singular
from tdecomp.completion._observed import Observed
from tdecomp.completion._problem import Problem, Solver


def soft_impute_als(problem: Problem) -> Solver:
    r"""Return the iteration that fits each factor to the matrix its model completes [1]_.

    With the heaviest weight :math:`\bar w`, the completed matrix
    :math:`C = Z + W \circ (X - Z) / \bar w` gives a majorant,

    .. math:: \sum w_{ij} |x_{ij} - y_{ij}|^2 \le \bar w \|C - Y\|_F^2 + \text{const},

    with equality at :math:`Y = Z`. One factor is fixed, the other minimises the majorant with its
    ridge: a :math:`k \times k` system that is the same for all rows, and diagonal once the model
    is held by its singular values. No step raises the objective, whose minimum over factors of
    large enough rank is that of :math:`\sum w |x - z|^2 + 2 \lambda \|Z\|_*`. The result is
    refined by one exact minimisation over all matrices with the same row space, which sets
    singular values to zero.

    A callback is shown what is so refined, while steps go on from what is not. So what it is shown
    is at most what the steps have reached, which never rises, but may itself rise by as much as
    the refinement before had gained: for models `Z` with refinements `S`,
    :math:`F(S_{t+1}) \le F(Z_{t+1}) \le F(Z_t)`.

    Notes
    -----
    A step makes two passes over the entries, :math:`8 |\Omega| k` operations, and
    :math:`O((m + n) k^2)` more; no system of a single row is solved.

    References
    ----------
    .. [1] T. Hastie, R. Mazumder, J. Lee, R. Zadeh, "Matrix completion and low-rank SVD via fast
       alternating least squares", JMLR 16, 2015, algorithm 3.1. arXiv:1410.2596
    """
    observed, xp = problem.observed, problem.xp
    rank, heavy = problem.rank, heaviest(observed, problem.xp)
    threshold = problem.regularization / heavy

    def half(model: Singular, side: Observed) -> Singular:
        """Fit the factor of the columns."""
        left, right = model.balanced(rank, xp)
        _, slope = residual_times(side.columns, right, left, xp)
        scale = model.s + threshold
        safe = xp.where(scale > 0, scale, xp.ones_like(scale))
        right = right + (slope / heavy - threshold * right) / xp.astype(safe, right.dtype)
        root = xp.astype(xp.sqrt(model.s), right.dtype)
        return of_columns(model.u, right * root, xp)

    def step(model: Singular) -> Step[Singular]:
        model = half(model, observed)
        turned = half(Singular(model.v, model.s, model.u), observed.mT)
        model = Singular(turned.v, turned.s, turned.u)
        return judged(problem, *model.balanced(rank, xp), model)

    def factors(model: Singular) -> tuple[Array, Array]:
        """Minimise the majorant over all matrices with this row space."""
        left = model.u * xp.astype(model.s, model.u.dtype)
        _, slope = residual_times(observed.rows, left, model.v, xp)
        turned = of_columns(model.v, left + slope / heavy, xp)
        return Singular(turned.v, shrunk(turned.s, threshold, xp), turned.u).balanced(rank, xp)

    return Solver(singular(problem.left, problem.right, xp), step, factors)


def heaviest(observed: Observed, xp: Namespace) -> float:
    """Return the largest weight."""
    weights = observed.rows.weights
    return 1.0 if weights is None else float(xp.max(weights))


def shrunk(s: Array, threshold: float, xp: Namespace) -> Array:
    """Lower singular values by a threshold, to zero at least."""
    return xp.clip(s - threshold, 0.0)
