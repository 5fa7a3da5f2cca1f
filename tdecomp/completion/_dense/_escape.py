r"""The way out of a point where slopes vanish, under a penalty, though a new column would pay.

A column that is zero in both factors has no slope. The penalised problem is that of the nuclear
norm, and a column :math:`s\,u v^T` of two unit vectors changes the objective by

.. math:: -2 s \,(\sigma - \lambda) + s^2 \sum_{ij} w_{ij} |u_i v_j|^2 , \qquad
          \sigma = \langle W \circ (X - Z), u v^T \rangle .

No column pays where the largest singular value of :math:`W \circ (X - Z)` is at most
:math:`\lambda`; where a column is zero besides, the point is a global minimum [1]_.

References
----------
.. [1] M. Journee, F. Bach, P.-A. Absil, R. Sepulchre, "Low-rank optimization on the cone of
   positive semidefinite matrices", SIAM J. Optim. 20, 2010. doi:10.1137/080731359
"""

from __future__ import annotations

import numpy as np

from tdecomp._xp import eps
from tdecomp.completion._dense._factors import Pair, balanced
from tdecomp.completion._dense._objective import Objective
from tdecomp.linalg import randomized_svd


def escaped(objective: Objective, pair: Pair, tol: float, rng: np.random.Generator) -> Pair | None:
    """Exchange the smallest column for the one that pays most, or return None if none pays.

    It pays where it lowers the root of the objective by more than `tol`, relative, and by more
    than rounding.
    """
    xp, turn = objective.xp, objective.xp.matrix_transpose
    left, right = balanced(pair, xp)
    left, right = left[:, :-1], right[:, :-1]
    slope = objective.weights * (objective.values - left @ turn(right))
    u, sizes, vh = randomized_svd(slope, rank=1, rng=rng).tensor
    gain = float(xp.max(sizes)) - objective.penalty
    if not gain > 0:
        return None
    heavy = objective.weights @ turn(xp.abs(vh) ** 2)
    root = (gain / float(xp.sum(xp.abs(u) ** 2 * heavy))) ** 0.5
    other = Pair(xp.concat([left, root * u], axis=1), xp.concat([right, root * turn(vh)], axis=1))
    before, after = objective.value(*pair), objective.value(*other)
    least = max(tol, eps(objective.weights.dtype, xp) ** 0.5)
    return other if after < (1 - 2 * least) * before else None
